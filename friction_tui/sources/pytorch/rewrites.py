"""Concrete edits for the Python line at fault: its statement is read, the replacement spelled out in its own names.

Nothing here is applied: the user's code is the user's to change.
"""

from __future__ import annotations

import ast
import copy
import functools
import linecache
import re
from collections.abc import Iterator

from friction_tui.sources.source_lines import following, statement_at
from friction_tui.vocabulary.finding import Fix, SourceLine

INDEX = "index"
"""The word for an element of a Python list or dict that is chosen by a tensor's value."""
_PYTHON_VALUES = {"all", "any", "bool", "enumerate", "float", "int", "len", "list", "max", "min", "range", "sum"}
"""Builtins that turn a tensor or a symbol into the Python value a branch or loop decides on."""


_JUMPS = (ast.IfExp, ast.BoolOp, ast.ListComp, ast.SetComp, ast.DictComp, ast.GeneratorExp)
"""Where Python says a jump is, when it names the whole expression and not the condition in it."""


def branch_word(line: SourceLine, at: ast.expr | None = None) -> str:
    """What the statement at the line does with the value: `if`, `while`, `assert`, `for loop`, ..., or "".

    `at` is the expression that failed, where that is known: only what decides counts then, not a tensor operator that
    fails inside a condition or beside one.
    """
    statement = statement_at(line)
    if statement is None:
        return ""
    for word, decider in _deciders(statement):
        if at is None or isinstance(at, _JUMPS):
            matches = word != INDEX
        else:
            chosen = word == INDEX and isinstance(at, ast.Subscript) and at.slice is decider
            matches = (
                chosen or decider is at or (_is_python_value(at) and any(node is at for node in ast.walk(decider)))
            )
        if matches:
            return word
    return ""


def condition(line: SourceLine) -> str:
    """What the branch or loop at the line decides on, as the user wrote it: `y.sum() > 0`; "" for another line."""
    match statement_at(line):
        case ast.If(test=decider) | ast.While(test=decider) | ast.Assert(test=decider) | ast.For(iter=decider):
            return ast.unparse(decider)
    return ""


def keyword_line(line: SourceLine) -> SourceLine:
    """The line a branch begins at: Python names the first line of its condition, which may be further down."""
    statement = statement_at(line)
    if isinstance(statement, ast.If | ast.While | ast.Assert) and statement.lineno < line.line:
        code = linecache.getline(line.file, statement.lineno).strip()
        return SourceLine(line.file, statement.lineno, line.function, code)
    return line


def _deciders(statement: ast.stmt) -> Iterator[tuple[str, ast.expr]]:
    """The conditions and counts of a statement's own head, with the word for what they decide; innermost first."""
    head = _own_expressions(statement)
    inside = [node for expression in head for node in ast.walk(expression)]
    for node in inside:
        match node:
            case ast.IfExp(test=test):
                yield "conditional expression (x if … else y)", test
            case ast.Subscript(slice=index) if not isinstance(index, ast.Slice | ast.Tuple):
                yield INDEX, index
            case ast.comprehension(ifs=tests, iter=iterated):
                yield from (("if (comprehension)", test) for test in tests)
                yield "for loop (comprehension)", iterated
    match statement:
        case ast.If(test=test):
            yield "if", test
        case ast.While(test=test):
            yield "while", test
        case ast.Assert(test=test):
            yield "assert", test
        case ast.For(iter=iterated):
            yield "for loop", iterated
    words = {ast.If: "if", ast.While: "while", ast.Assert: "assert"}
    word = words.get(type(statement), "and/or/not")
    for node in inside:
        match node:
            case ast.BoolOp(values=values):
                yield from ((word, value) for value in values)
            case ast.UnaryOp(op=ast.Not(), operand=operand):
                yield word, operand


def _own_expressions(statement: ast.stmt) -> list[ast.expr]:
    """The expressions of a statement without those of the statements in its body."""
    return [node for node in ast.iter_child_nodes(statement) if isinstance(node, ast.expr)]


def _is_python_value(at: ast.expr) -> bool:
    return isinstance(at, ast.Call) and isinstance(at.func, ast.Name) and at.func.id in _PYTHON_VALUES


def of_branch(line: SourceLine) -> tuple[Fix, ...]:
    """Edits for Python control flow that depends on a tensor's value."""
    statement = statement_at(line)
    match statement:
        case ast.While(test=test):
            return (
                Fix(
                    "Give the loop a fixed number of rounds and switch each off with a mask: "
                    f"`x = torch.where({_tensor_text(test)}, new_x, x)`."
                ),
                Fix(
                    "Keep the loop in the graph: `torch._higher_order_ops.while_loop(cond_fn, body_fn, (x,))` with "
                    f"`cond_fn` returning `{_tensor_text(test)}`; it becomes an ONNX Loop, which TensorRT restricts."
                ),
            )
        case ast.For():
            return (
                Fix(
                    "Make the count a Python int fixed at export (a constructor argument), or run a fixed maximum and "
                    "keep the result with `torch.where(step < count, new_x, x)`."
                ),
                Fix("Keep the loop in the graph with `torch._higher_order_ops.while_loop` or `scan`."),
            )
        case ast.Assert(test=test):
            return (
                Fix(
                    f"Take the assert out of forward: check it outside the model, or delete `{ast.unparse(statement)}`."
                ),
                Fix(f"Check sizes with `torch._check(...)`; for values `torch._assert_async({_tensor_text(test)})`."),
            )
        case ast.If(test=test, body=[ast.Break() | ast.Continue(), *_]):
            return _of_early_end(test)
        case ast.If(test=test, body=[ast.Raise() as raised, *_]):
            return _of_raise(test, raised)
        case ast.If(test=test):
            return (*_where_for(statement, line.file), _cond_fix(test), _mode_fix())
    indexed = _indexed_by_value(statement)
    if indexed is not None:
        container, index = ast.unparse(indexed.value), _tensor_text(indexed.slice)
        kept = f", where `{index}` stays a tensor (no `item()`)" if isinstance(indexed.slice, ast.Name) else ""
        stacked = f"torch.stack([part(x) for part in {container}])[{index}]"
        return (
            Fix(f"Compute all of `{container}` and choose: `{stacked}`{kept}."),
            Fix("If the choice is fixed in deployment, make it a constructor argument and export one model for each."),
            _cond_fix(ast.parse(f"{index} == 0", mode="eval").body),
        )
    choice = next((n for n in ast.walk(statement) if isinstance(n, ast.IfExp)), None) if statement else None
    if choice is not None:
        rewritten = (
            f"torch.where({_tensor_text(choice.test)}, {ast.unparse(choice.body)}, {ast.unparse(choice.orelse)})"
        )
        return (Fix(f"Replace the conditional with `{rewritten}`."), _cond_fix(choice.test), _mode_fix())
    return (
        Fix("Compute both results and choose with `torch.where(condition, a, b)`: the condition stays a tensor."),
        Fix("Keep one branch at run time with `torch.cond(condition, true_fn, false_fn, (x,))`."),
        _mode_fix(),
    )


def _of_early_end(test: ast.expr) -> tuple[Fix, ...]:
    """A loop that ends, or skips a round, depending on a tensor's value."""
    ended = _tensor_text(test)
    return (
        Fix(
            "Run every round and let the ones after the end change nothing: keep a mask, "
            f"`done = done | ({ended})`, and write `x = torch.where(done, x, new_x)` for what the loop carries. A "
            "fixed number of rounds is what TensorRT runs best."
        ),
        Fix(
            "If the saved rounds matter more, keep the loop in the graph: `torch._higher_order_ops.while_loop(cond_fn, "
            f"body_fn, (x,))` with `cond_fn` returning `~({ended})`; it becomes an ONNX Loop, which TensorRT restricts."
        ),
        Fix("Or export one round and write the loop around the engine, where Python may look at values."),
    )


def _of_raise(test: ast.expr, raised: ast.Raise) -> tuple[Fix, ...]:
    """A check of values that raises: an engine cannot, so the check has to be somewhere else."""
    return (
        Fix(
            f"Skip the check in an export: `if not torch.compiler.is_exporting():` around it. An engine cannot raise; "
            f"`{ast.unparse(raised)}` belongs before or behind it."
        ),
        Fix(f"For sizes `torch._check(...)` keeps it; for values `torch._assert_async(~({_tensor_text(test)}))`."),
        Fix(f"To see it at run time return the flag as an output: `return y, {_tensor_text(test)}`."),
    )


def _negated(test: ast.expr) -> ast.expr:
    """The opposite of a condition, `a == b` for `a != b`."""
    opposite: dict[type[ast.cmpop], ast.cmpop] = {
        ast.Eq: ast.NotEq(),
        ast.NotEq: ast.Eq(),
        ast.Lt: ast.GtE(),
        ast.GtE: ast.Lt(),
        ast.Gt: ast.LtE(),
        ast.LtE: ast.Gt(),
    }
    match test:
        case ast.Compare(left=left, ops=[operator], comparators=compared) if type(operator) in opposite:
            return ast.Compare(left, [opposite[type(operator)]], compared)
        case ast.UnaryOp(op=ast.Not(), operand=operand):
            return operand
    return ast.UnaryOp(ast.Not(), test)


def of_count(line: SourceLine) -> tuple[Fix, ...]:
    """Edits for Python control flow that depends on how many elements a selection gave."""
    statement = statement_at(line)
    fixed = Fix(
        "Keep every element and a mask of those that count (`torch.where(mask, x, 0)`), or select a fixed number with "
        "`torch.topk(x, k)`: then no size depends on values. TensorRT runs this best."
    )
    outside = Fix("Move the selection and what follows it outside the model.")
    match statement:
        case ast.While(test=test):
            return (
                Fix(
                    f"`while {ast.unparse(test)}` uses elements up: run a fixed number of rounds, with a mask of the "
                    "elements that are left. For non-maximum suppression `torchvision.ops.nms` becomes one node."
                ),
                fixed,
                outside,
            )
        case ast.For():
            once = Fix(f"`{head(statement)}` runs once an element: work on the whole tensor instead.")
            return (once, fixed, outside)
        case ast.If(test=test, body=[ast.Raise() as raised, *_]):
            promised = Fix(
                f"If it never raises, promise that in its place: `torch._check({ast.unparse(_negated(test))})`."
            )
            return (*_of_raise(test, raised)[:1], promised, outside)
        case ast.If(test=test, body=[ast.Continue() | ast.Return(), *_]):
            return (
                Fix(f"If `{ast.unparse(test)}` only guards an empty tensor, drop it: most operators take a size of 0."),
                Fix(f"If it never holds, promise that in its place: `torch._check({ast.unparse(_negated(test))})`."),
                fixed,
                outside,
            )
        case ast.If(test=test) | ast.Assert(test=test):
            said = ast.unparse(test)
            return (
                Fix(f"If it always holds, promise it just before: `torch._check({said})`, or its opposite."),
                Fix(f"If `{said}` only guards an empty tensor, drop it: most operators take a size of 0."),
                fixed,
                outside,
            )
    return (fixed, outside)


def _indexed_by_value(statement: ast.stmt | None) -> ast.Subscript | None:
    """A container whose element Python picks by a value: indexed with `int(...)`, `.item()` or a name for it."""
    inside = [n for n in (ast.walk(statement) if statement is not None else ()) if isinstance(n, ast.Subscript)]
    for node in inside:
        called = node.slice.func if isinstance(node.slice, ast.Call) else None
        if getattr(called, "id", "") == "int" or getattr(called, "attr", "") in {"item", "tolist"}:
            return node
    return next((node for node in inside if isinstance(node.slice, ast.Name)), None)


def about_size(line: SourceLine) -> bool:
    """Whether the branch at the line decides on a size: `if out.shape[0] > 4`."""
    return bool(re.search(r"\.shape\b|\.(size|numel|nelement)\(|\blen\(", condition(line)))


def _where_for(statement: ast.If, file: str) -> list[Fix]:
    """`torch.where` for the two simplest shapes of an if: both branches return, or one name is set anew."""
    test = _tensor_text(statement.test)
    first = statement.body[0]
    if len(statement.body) == 1 and isinstance(first, ast.Return) and first.value:
        after = statement.orelse[0] if statement.orelse else following(statement, file)
        if isinstance(after, ast.Return) and after.value:
            chosen = f"torch.where({test}, {ast.unparse(first.value)}, {ast.unparse(after.value)})"
            return [Fix(f"Compute both and choose: `return {chosen}`.")]
    if len(statement.body) == 1 and isinstance(first, ast.Assign) and isinstance(first.targets[0], ast.Name):
        name = first.targets[0].id
        other = statement.orelse[0] if len(statement.orelse) == 1 else None
        otherwise = ast.unparse(other.value) if isinstance(other, ast.Assign) else name
        return [
            Fix(f"Compute both and choose: `{name} = torch.where({test}, {ast.unparse(first.value)}, {otherwise})`.")
        ]
    return [Fix(f"Compute both branches and choose: `torch.where({test}, a, b)`; the condition stays a tensor.")]


def _cond_fix(test: ast.expr) -> Fix:
    return Fix(
        f"Keep only one branch at run time: `torch.cond({_tensor_text(test)}, true_fn, false_fn, (x,))`, with both "
        "functions returning tensors of the same shape and dtype; it becomes an ONNX If."
    )


def _mode_fix() -> Fix:
    return Fix("If the answer is always the same in deployment, decide it in the constructor with a Python bool.")


def _tensor_text(test: ast.expr) -> str:
    """A condition as a tensor expression: `.item()` and `bool()` dropped, `&`, `|` and `~` for Python's words."""

    class Strip(ast.NodeTransformer):
        def visit_Call(self, node: ast.Call) -> ast.expr:
            self.generic_visit(node)
            if isinstance(node.func, ast.Attribute) and node.func.attr == "item" and not node.args:
                return node.func.value
            if isinstance(node.func, ast.Name) and node.func.id in {"bool", "float", "int"} and len(node.args) == 1:
                return node.args[0]
            return node

        def visit_BoolOp(self, node: ast.BoolOp) -> ast.expr:
            self.generic_visit(node)
            both = ast.BitAnd() if isinstance(node.op, ast.And) else ast.BitOr()
            return functools.reduce(lambda a, b: ast.BinOp(a, both, b), node.values)

        def visit_UnaryOp(self, node: ast.UnaryOp) -> ast.expr:
            self.generic_visit(node)
            return ast.UnaryOp(ast.Invert(), node.operand) if isinstance(node.op, ast.Not) else node

    return ast.unparse(Strip().visit(copy.deepcopy(test)))


def head(statement: ast.stmt) -> str:
    """The first line of a statement, without its body."""
    return ast.unparse(statement).splitlines()[0]
