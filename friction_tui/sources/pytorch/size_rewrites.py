"""Concrete edits for lines that fix or need a size: the call is spelled out with the user's own names."""

from __future__ import annotations

import ast
import copy
from collections.abc import Iterator

from friction_tui.sources.pytorch.rewrites import head
from friction_tui.sources.source_lines import statement_at
from friction_tui.vocabulary.finding import Fix, SourceLine


def of_constant_size(line: SourceLine | None, value: int, axis: int, tensor: str) -> tuple[Fix, ...]:
    """Edits for a line that fixed `tensor`'s dimension `axis` at `value`."""
    fixes: list[Fix] = []
    statement = statement_at(line) if line else None
    if isinstance(statement, ast.For):
        fixes.append(
            Fix(
                f"`{head(statement)}` unrolls one round per row: drop the loop and work on the whole tensor "
                f"(vectorise over axis {axis}, or `torch.vmap`)."
            )
        )
    elif statement is not None:
        fixes += [Fix(text) for text in _call_edits(statement, value, axis, tensor)]
        fixes += [Fix(text) for text in _table_edits(statement, axis, tensor)]
    fixes += [
        Fix(
            f"Write `-1` or `{tensor}.size({axis})` where the {value} stands, as in `x.view(x.size(0), -1)`, "
            "or `flatten(1)`."
        ),
        Fix(f"Take sizes from `{tensor}.shape` without int(), item() or len(): these turn a symbol into a number."),
        Fix(
            f"If {value} is the only size needed, ask for a static dimension (leave it out of dynamic_shapes, or a "
            f"range of {value}..{value}); `Dim.AUTO` accepts whatever comes out."
        ),
    ]
    return tuple(fixes)


def _call_edits(statement: ast.stmt, value: int, axis: int, tensor: str) -> list[str]:
    """Rewritten calls of the statement in which the literal `value` stands, or an int() around a size."""
    texts = []
    for call in (n for n in ast.walk(statement) if isinstance(n, ast.Call)):
        name = call.func.attr if isinstance(call.func, ast.Attribute) else getattr(call.func, "id", "")
        if name in {"int", "len"}:
            inner = ast.unparse(call.args[0]) if call.args else ""
            kept = f"{inner}.shape[0]" if name == "len" else inner
            texts.append(f"Write `{kept}` for `{ast.unparse(call)}`: the size must stay a symbol.")
        elif any(isinstance(n, ast.Constant) and n.value == value for n in _shape_arguments(call)):
            owner = ast.unparse(call.func.value) if isinstance(call.func, ast.Attribute) else ""
            source = owner if owner.isidentifier() and owner not in {"torch", "F", "np"} else tensor
            edited = ast.unparse(_with_size(call, value, f"{source}.size({axis})"))
            texts.append(f"Replace `{ast.unparse(call)}` with `{edited}`.")
    return texts[:2]


def _table_edits(statement: ast.stmt, axis: int, tensor: str) -> Iterator[str]:
    """Rewritten sums and products with a whole table of the module, `x + self.position`, and lists made of a tensor."""
    for node in ast.walk(statement):
        match node:
            case ast.BinOp(op=ast.Add() | ast.Sub() | ast.Mult()):
                for side in (node.left, node.right):
                    if isinstance(side, ast.Attribute) and getattr(side.value, "id", "") == "self":
                        part = ", ".join([*[":"] * axis, f":{tensor}.size({axis})"])
                        table = ast.unparse(side)
                        yield f"Take the part of the table that is needed: `{table}[{part}]` for `{table}`."
            case ast.Call(func=ast.Attribute(attr="tolist" | "item" as method, value=owner)):
                yield (
                    f"Keep `{ast.unparse(owner)}` a tensor, without `{method}()`: index, compare and broadcast with "
                    "it, and drop the Python loop over it."
                )


def _shape_arguments(call: ast.Call) -> list[ast.expr]:
    values = [*call.args, *(k.value for k in call.keywords)]
    return [inner for v in values for inner in (v.elts if isinstance(v, ast.Tuple | ast.List) else [v])]


def _with_size(call: ast.Call, value: int, text: str) -> ast.Call:
    """The call with the first literal `value` among its sizes replaced."""
    edited = copy.deepcopy(call)
    replaced = next(n for n in _shape_arguments(edited) if isinstance(n, ast.Constant) and n.value == value)
    size = ast.parse(text, mode="eval").body

    class Swap(ast.NodeTransformer):
        def visit_Constant(self, node: ast.Constant) -> ast.expr:
            return size if node is replaced else node

    Swap().visit(edited)
    return edited


def of_slice(line: SourceLine | None) -> tuple[Fix, ...]:
    """Promises for slices up to a value, `x[:, :n]`: with them the exporter knows that the value is a size."""
    statement = statement_at(line) if line else None
    fixes = []
    for node in ast.walk(statement) if statement is not None else ():
        if not isinstance(node, ast.Subscript):
            continue
        parts = node.slice.elts if isinstance(node.slice, ast.Tuple) else [node.slice]
        for axis, part in enumerate(parts):
            for bound in (part.lower, part.upper) if isinstance(part, ast.Slice) else ():
                if bound is not None and not isinstance(bound, ast.Constant | ast.UnaryOp):
                    end, tensor = ast.unparse(bound), ast.unparse(node.value)
                    promise = f"torch._check({end} >= 0); torch._check({end} <= {tensor}.shape[{axis}])"
                    fixes.append(Fix(f"Promise that the value is a size, just before the line: `{promise}`."))
    return tuple(fixes[:2])


COPY = "clone(memory_format=torch.contiguous_format)"
"""Copies into row order whatever the capture believes: `contiguous()` does nothing to what it takes for contiguous."""


def of_view(line: SourceLine | None) -> tuple[Fix, ...]:
    """The line's own view or reshape with a copy before it."""
    statement = statement_at(line) if line else None
    for node in ast.walk(statement) if statement is not None else ():
        match node:
            case ast.Call(func=ast.Attribute(attr="view" | "reshape" | "flatten" as method, value=owner)):
                before, call = ast.unparse(owner), ast.unparse(node)
                copied = call.replace(f"{before}.{method}(", f"{before}.{COPY}.{method}(", 1)
                return (Fix(f"Replace `{call}` with `{copied}`."),)
    return ()
