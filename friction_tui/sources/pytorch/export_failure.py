"""A failed torch export as one finding: what kind of failure, which line of the user's code, which edits cure it."""

from __future__ import annotations

import ast
import re
from collections.abc import Callable, Sequence

import msgspec

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure, finding, made
from friction_tui.sources.pytorch import branch_operators, rewrites, size_rewrites, uncapturable, violated_ranges
from friction_tui.sources.pytorch.replacements import instead_of
from friction_tui.vocabulary.finding import Finding, Fix, SourceLine

_EXPRESSION = re.compile(r"data-dependent expression (.+?)(?: \(unhinted|\.\s|\n|$)")
_ORDINARY = {"", "Tensor", "Scalar", "out", "dim", "int", "default"}
"""Overloads that say nothing about what an operator does."""
_VMAP = (
    r"vmap: It looks like you're (attempting to use a Tensor in some data-dependent control flow|calling \.item\(\))"
)
_SIZE_LIKE = re.compile(r"Size-like symbols: ([^)]+)\)")


def explain(failure: Failure) -> Finding:
    """The one finding a failed export becomes."""
    for recognise in _RECOGNISERS:
        found = recognise(failure)
        if found is not None:
            return found
    return finding(
        failure,
        export.UNKNOWN,
        f"The exporter stopped with {failure.root.splitlines()[0]}",
        (
            "Read the exporter's own message below, and try the model on its example input without the export.",
            "Export one submodule at a time: the smallest one that fails shows the cause.",
        ),
        reason=f"the exporter stopped with {type(failure.links[-1]).__name__}",
    )


def data_dependent(
    failure_source: str,
    line: SourceLine | None,
    expression: str,
    size_like: str = "",
    words: str = "",
    at: ast.expr | None = None,
) -> Finding:
    """Python or a shape needs a value that only exists at run time: `expression` over symbols such as `u0`.

    `size_like` are the symbols that count elements, `at` is what the line was evaluating.
    """
    word = rewrites.branch_word(line, at) if line else ""
    in_words = _needed(expression, rewrites.condition(line) if line and word else "")
    if word:
        assert line is not None
        line = rewrites.keyword_line(line)
        sized = bool(size_like) or rewrites.about_size(line)
        decides = "a value that"
        if sized:
            decides = "how many elements a selection gave, which" if size_like else "a size that comes from values and"
        on = "the number of selected elements" if size_like else "a size that depends on tensor values"
        return made(
            failure_source,
            line,
            export.DATA_DEPENDENT_CONTROL_FLOW,
            f"A Python {word} decides on {decides} is only known at run time: {in_words}. torch.export "
            "records one path of the code and cannot guard on data-dependent values.",
            rewrites.of_count(line) if sized else rewrites.of_branch(line),
            words,
            statement=word,
            on=on if sized else "a tensor's value",
        )
    about = f"how many elements there are ({size_like} depends on tensor values)" if size_like else "a tensor's value"
    return made(
        failure_source,
        line,
        export.DATA_DEPENDENT_SHAPE,
        f"The line asks for something that depends on {about}: {in_words}. The size comes from boolean "
        "indexing, nonzero(), item() or tolist(), so it is unknown when the graph is captured.",
        (
            *(
                size_rewrites.of_slice(line)
                or (
                    f"Promise what always holds, just before the line: `{_as_check(expression)}`, with the Python "
                    "value in place of u0.",
                )
            ),
            "Keep the full size and mask instead of selecting: `torch.where(mask, x, 0)` or `x * mask`, then "
            "reduce over a fixed shape. TensorRT runs this best.",
            "Select a fixed number of elements with `torch.topk(x, k)`, or move the selection outside the model.",
        ),
        words,
        what="A shape",
    )


def _needed(expression: str, condition: str) -> str:
    """What the line needs, in the user's words where there are any and with the exporter's symbols explained."""
    symbols = ", ".join(dict.fromkeys(re.findall(r"\b[zu]+f?\d+\b", expression)))
    what = f"{symbols} stands for a value or size read from a tensor" if symbols else ""
    if condition and expression:
        aside = f" (`{expression}` to torch.export" + (f": {what})" if what else ")")
        return f"the line needs the value of `{condition}`{aside}"
    if expression:
        return f"the line needs the value of `{expression}`" + (f" ({what})" if what else "")
    return f"the line needs the value of `{condition}`" if condition else "the line needs a tensor's value"


def missing_function(
    source: str, op: str, lines: Sequence[SourceLine], reason: str, lowest_opset: int | None, words: str = ""
) -> Finding:
    """An operator the exporter cannot translate to ONNX."""
    line = lines[0] if lines else None
    namespace, _, short = op.partition("::")
    if "complex-valued" in reason:
        return made(
            source,
            line,
            export.COMPLEX,
            f"{op} is applied to a complex tensor. ONNX has no complex type: the exporter keeps real and imaginary "
            f"part in a last dimension of 2 and has no translation of {op} for it.",
            (
                "Do the arithmetic on real tensors, real and imaginary part apart: a product is `a*c - b*d` "
                "and `a*d + b*c`. A rotary embedding keeps cos and sin as two real buffers instead of a "
                "complex table; `torch.view_as_real(z)` makes both parts of what is complex already.",
                "For magnitudes write `torch.sqrt(re**2 + im**2)`; for a fixed-size FFT multiply by a DFT matrix.",
                "Move the spectral part outside the model, before or after the engine.",
            ),
            words,
            lines[1:],
            problem=f"{op} has no ONNX function for complex input",
        )
    custom = namespace not in {"aten", "prims", "prim", "quantized", "torchvision"}
    raise_opset = (
        (Fix(f"Export at opset {lowest_opset}: it has a translation of {op}.", opset=lowest_opset),)
        if lowest_opset
        else ()
    )
    overload = short if "." in short else f"{short}.default"
    table = f"custom_translation_table={{torch.ops.{namespace}.{overload}: your_onnxscript_function}}"
    own = (
        f"`{op}` is your own operator: write it in ATen operators for the export (a decomposition), or keep it as "
        "a plugin node: the table entry may emit a node of your own domain."
        if custom
        else f"Replace {op} with operators ONNX has, or compute that part outside the model."
    )
    return made(
        source,
        line,
        export.MISSING_DECOMPOSITION if namespace == "prims" else export.MISSING_ONNX_FUNCTION,
        f"The exporter found no ONNX function for {op}: {reason.strip().rstrip('.') or 'it is not in its registry'}. "
        + ("No opset up to the newest has one." if lowest_opset is None else f"Opset {lowest_opset} has one."),
        (*raise_opset, *instead_of(op), own, f"Teach the exporter: `torch.onnx.export(..., {table})`."),
        words,
        lines[1:],
        op=op,
    )


def written(name: str, overload: str) -> str:
    """`svd`, or `sort.stable`: the overload where it says what the operator does."""
    return name if overload in _ORDINARY else f"{name}.{overload}"


# ------------------------------------------------------------------------------------------- recognising


def _lost_size(failure: Failure) -> Finding | None:
    """A size from a value that the exporter's own decomposition loses track of: it asserts, or says "pending"."""
    lost = re.search(r"(\bu\d+\b)? ?possible memo disaster|Pending unbacked symbols: \{(\w+)", failure.text)
    if not lost:
        return None
    return data_dependent(failure.source, failure.line, next(filter(None, lost.groups()), ""), words=failure.root)


def _guard(failure: Failure) -> Finding | None:
    types = ("GuardOnDataDependentSymNode", "DataDependentOutputException", "DynamicOutputShapeException")
    if not failure.has(*types) and not re.search(_VMAP, failure.text):
        return None
    expression = _EXPRESSION.search(failure.text)
    size_like = _SIZE_LIKE.search(failure.text)
    symbols = size_like.group(1).strip() if size_like and size_like.group(1).strip() != "none" else ""
    said = expression.group(1).strip() if expression else ""
    operator = re.fullmatch(r"Dynamic\w+Exception: (\w+)\.(\w+)\.\w+", failure.root)
    if operator:
        return _sized_by_values(failure, "::".join(operator.groups()))
    return data_dependent(failure.source, failure.line, said, symbols, failure.root, failure.expression)


def _sized_by_values(failure: Failure, op: str) -> Finding:
    """An operator that torch.export has no symbolic size for: it would have to run to know what it returns."""
    return finding(
        failure,
        export.DATA_DEPENDENT_SHAPE,
        f"{op} has to run before anybody knows the shape of its result, and while the graph is captured there are no "
        "values.",
        (
            *instead_of(op),
            "Compute it outside the model, before or after the engine.",
            "Write the line in operators of a fixed size: a mask and `torch.where` instead of a selection, "
            "`torch.topk(x, k)` for a fixed number of elements. A loss belongs to training, not into forward.",
        ),
        what=f"The size of what {op} returns",
    )


def _tensor_as_size(failure: Failure) -> Finding | None:
    """A tensor where a size is wanted: PackedSequence's batch sizes, `torch.zeros(count)` with a tensor `count`."""
    wanted = r"(must be|expected) .*\bints?\b.*got (Fake|Functional)?Tensor|FakeTensor' object cannot be interpreted"
    if not re.search(wanted, failure.text):
        return None
    found = data_dependent(failure.source, failure.line, "", words=failure.root, at=failure.expression)
    if not any(file.endswith("torch/nn/modules/rnn.py") for file in failure.frames):
        return found
    padded = Fix(
        "Run the padded batch through the layer and mask its outputs behind each length: a packed sequence has sizes "
        "that depend on the lengths. `pack_padded_sequence` saves time in training; the padded result is the same for "
        "one direction."
    )
    return msgspec.structs.replace(found, fixes=(padded, *found.fixes))


def _no_function(failure: Failure) -> Finding | None:
    named = re.search(r"OpOverload\(op='(\w+)\.(\w+)', overload='(\w+)'", failure.text)
    if failure.has("DispatchError") and named:
        reason = failure.text.rpartition("Failure message:")[2].split("\n", 1)[0]
        lines = (failure.line,) if failure.line else ()
        namespace, name, overload = named.groups()
        op = f"{namespace}::{written(name, overload)}"
        return missing_function(failure.source, op, lines, reason, None, failure.root)
    legacy = re.search(r"Exporting the operator '([\w:]+)' to ONNX opset version \d+ is not supported", failure.text)
    if legacy:
        lowest = re.search(r"was added in version (\d+)", failure.text)
        lines = (failure.line,) if failure.line else ()
        return missing_function(
            failure.source,
            legacy.group(1),
            lines,
            "not supported",
            int(lowest.group(1)) if lowest else None,
            failure.root,
        )
    return None


def _no_fake_kernel(failure: Failure) -> Finding | None:
    text = failure.text
    named = re.search(r"\b(\w+::\w+)", failure.root) or re.search(r"\b(\w+::\w+)", text)
    dotted = named or re.search(r"\b([a-z_]\w*\.\w+)\.\w+", failure.root)
    if not (
        "no fake impl registered" in text
        or failure.has("UnsupportedOperatorException")
        or ("NotImplementedError" in failure.root and re.search(r"'Meta' backend|Meta kernel", text))
    ):
        return None
    op = dotted.group(1).replace(".", "::") if dotted else "an operator"
    if op.startswith("aten::"):
        return finding(
            failure,
            export.MISSING_FAKE_KERNEL,
            f"{op} is torch's own and has no fake (meta) implementation for these inputs, so torch.export cannot know "
            "the shape and dtype of its result without running it.",
            (
                *instead_of(op),
                "Write the line in other torch operators; an export takes dense, padded tensors and a mask.",
                "Move that part outside the model, before or after the engine.",
            ),
            op=op,
        )
    return finding(
        failure,
        export.MISSING_FAKE_KERNEL,
        f"{op} has no fake (meta) implementation, so torch.export cannot know the shape and dtype of its result "
        "without running it.",
        (
            f'Register one: `@torch.library.register_fake("{op}")` on a function that returns '
            "`torch.empty(...)` of the right shape and dtype (`torch.empty_like(x)` when they are the input's).",
            "It then also needs an ONNX function: an entry in custom_translation_table.",
        ),
        op=op,
    )


_RECOGNISERS: tuple[Callable[[Failure], Finding | None], ...] = (
    _guard,
    _lost_size,
    _tensor_as_size,
    _no_function,
    _no_fake_kernel,
    violated_ranges.recognise,
    branch_operators.recognise,
    *uncapturable.RECOGNISERS,
)


def _as_check(expression: str) -> str:
    """A guard's expression as `torch._check(...)`: sympy's Eq, Ne and Mod written as Python."""
    text = expression
    for pattern, written in ((r"Eq\((.+), (.+)\)$", r"\1 == \2"), (r"Ne\((.+), (.+)\)$", r"\1 != \2")):
        text = re.sub(pattern, written, text)
    text = re.sub(r"Mod\(([^,()]+), ([^,()]+)\)", r"\1 % \2", text)
    return f"torch._check({text})" if re.search(r"[<>=]", text) else "torch._check(size > 0)"
