"""Failures of a capture that meets what no graph can hold: foreign types, native code, missing data, devices."""

from __future__ import annotations

import re
from collections.abc import Callable

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure, a_or_an, finding, made, placed
from friction_tui.sources.pytorch import size_rewrites
from friction_tui.sources.source_lines import returned_at
from friction_tui.vocabulary.finding import Finding, SourceLine

_NEEDS_DATA = (
    r"Cannot access data pointer of Tensor",
    r"unsupported format string passed to Sym",
    r"numpy.*(not supported|FakeTensor)|(FakeTensor|Sym(Int|Float|Bool)).*numpy",
    r"can't convert .*(Fake|Functional)?Tensor.* to numpy",
    r"must be real number, not Sym|cannot be interpreted as an integer|Sym(Int|Float|Bool)' object",
    r"(pickle|deepcopy).*(FakeTensor|weakref)",
    r"Not available for 'meta' device type",
)
"""What Python says when code outside torch is handed a tensor or size of the capture, which has no data."""


def _input(failure: Failure) -> Finding | None:
    match = re.search(r"Unsupported input type <class '([^']+)'>", failure.text)
    if match is None:
        return None
    short = match.group(1).rpartition(".")[2]
    found = finding(
        failure,
        export.UNSUPPORTED_INPUT,
        f"An example input is {a_or_an(short)} ({match.group(1)}); an export takes tensors, numbers and tuples, lists "
        "or dicts of these.",
        (
            f"Pass the tensors themselves: one parameter of forward for each tensor of {short}.",
            f"For a dataclass call `torch.export.register_dataclass({short})` before the export: it flattens.",
            f"Wrap the model: a small nn.Module whose forward takes tensors and builds the {short}.",
        ),
        what=a_or_an(short),
    )
    return placed(found, failure.forward)


def _output(failure: Failure) -> Finding | None:
    unknown = re.search(r"Found <class '([^']+)'> in output, which is not a known type", failure.text)
    if not unknown and not re.search(r"translating node return .*has no attribute 'name'", failure.text, re.S):
        return None
    short = unknown.group(1).rpartition(".")[2] if unknown else ""
    what = a_or_an(short) if short else failure.returned or "something that is not a tensor"
    found = finding(
        failure,
        export.UNSUPPORTED_OUTPUT,
        f"The model's result holds {what}. Outputs of an export are tensors in tuples, lists or dicts.",
        (
            "Return the tensors alone, as a tuple or a dict; wrap the model when its own return type must stay.",
            *(
                (f"For a dataclass call `torch.export.register_dataclass({short})` before the export.",)
                if short
                else ()
            ),
        ),
        what=what,
    )
    return placed(found, returned_at(failure.forward, short) if failure.forward else None)


def _custom_autograd(failure: Failure) -> Finding | None:
    if not any("torch/autograd/function.py" in frame for frame in failure.frames):
        return None
    return finding(
        failure,
        export.CUSTOM_AUTOGRAD,
        f"The forward of a custom autograd.Function does what cannot be traced: {failure.root.splitlines()[0]}",
        (
            "For the export use plain torch operators: `if torch.compiler.is_exporting(): return plain_forward(x)`.",
            "Make the kernel an operator of its own: `torch.library.custom_op` with `register_fake`, and a "
            "custom_translation_table entry for ONNX.",
            "Write its forward in torch operators; backward does not matter for an export.",
        ),
    )


def _side_effect(failure: Failure) -> Finding | None:
    if not any(re.search(pattern, failure.text) for pattern in _NEEDS_DATA):
        return None
    return finding(
        failure,
        export.PYTHON_SIDE_EFFECT,
        f"The line hands a tensor's data to Python code that torch.export cannot follow: "
        f"{failure.root.splitlines()[0]}. During the capture tensors are fake: they have shapes and no data.",
        (
            "Write it in torch operators: torch has most of numpy; constants are made in the constructor.",
            "Move printing, logging, formatting and checks out of forward, or skip them: "
            "`if not torch.compiler.is_exporting():`.",
            "Native code becomes an operator: `torch.library.custom_op` with `register_fake`.",
        ),
        problem="it needs a tensor's data (numpy, formatting, native code)",
    )


def _device(failure: Failure) -> Finding | None:
    missing = r"not linked with support for (\w+) devices|Torch not compiled with CUDA|No CUDA GPUs|Found no NVIDIA"
    if not failure.has("FakeTensorDeviceMismatchError") and not re.search(missing, failure.text):
        return None
    return finding(
        failure,
        export.DEVICE_MISMATCH,
        failure.root.splitlines()[0],
        (
            "Create tensors where the input is, `torch.zeros(..., device=x.device)`, and write no `.cuda()`.",
            "Keep constants as buffers (`register_buffer`): they move with the module.",
        ),
    )


def _dtype(failure: Failure) -> Finding | None:
    if "torch.classes.quantized" in failure.text:
        return _quantised(failure)
    dtype = re.search(r"KeyError: (torch\.\w+)|TypeError: .*(torch\.(?:complex|q)\w+)", failure.root)
    if dtype is None:
        return None
    named = dtype.group(1) or dtype.group(2)
    cause = f"A tensor of type {named} would have to be in the graph, and ONNX has no such type."
    if "complex" in named:
        advice = "Work on real tensors: `torch.view_as_real`."
        return finding(failure, export.COMPLEX, cause, (advice,), problem=f"{named} has no ONNX type")
    advice = "Export the float model and quantise the ONNX model with QuantizeLinear/DequantizeLinear pairs."
    return finding(failure, export.UNSUPPORTED_DTYPE, cause, (advice,), dtype=named)


def _quantised(failure: Failure) -> Finding:
    return finding(
        failure,
        export.UNSUPPORTED_DTYPE,
        "The model was quantized in PyTorch: its weights are packed objects of PyTorch's own CPU kernels, not tensors, "
        "and cannot be captured.",
        (
            "Export the float model and quantize the ONNX model with QuantizeLinear/DequantizeLinear pairs.",
            "Use torchao's quantize_ with the PT2E flow: it keeps quantize and dequantize as operators.",
        ),
        dtype="The packed int8 (qint8) weight of torch.ao's quantized layers",
    )


def gradient(failure: Failure, line: SourceLine) -> Finding:
    """A module that runs, and computes a gradient while it does."""
    return made(
        failure.source,
        line,
        export.GRADIENT,
        "The model runs with gradients on. torch.export cannot capture a gradient that is computed inside forward: its "
        "record of forward holds no backward.",
        (
            "Write the derivative out in torch operators: for a few layers it is a product of their weights and the "
            "activations' derivatives.",
            "Keep it outside the model: export what is differentiated (the energy), and compute the gradient in "
            "PyTorch, or by finite differences around the engine.",
        ),
        failure.root,
    )


def scripted(failure: Failure) -> Finding:
    """A module that holds TorchScript, and fails at nothing that is known otherwise."""
    return finding(
        failure,
        export.TORCHSCRIPT_PART,
        f"The line calls TorchScript, whose code torch.export does not see into: {failure.root.splitlines()[0]}",
        (
            "Use the plain Python module or function: drop `torch.jit.script` for the export.",
            "The legacy exporter (option `legacy`) takes TorchScript; it freezes branches and lists no lines.",
        ),
    )


def _mutation(failure: Failure) -> Finding | None:
    if not re.search(r"in-place operation|mutat(e|ed|ing|ion)|is a view .* modified inplace", failure.text, re.I):
        return None
    return finding(
        failure,
        export.MUTATION,
        f"The line changes a tensor in place (mutation): {failure.root.splitlines()[0]}",
        (
            "Make a new tensor: `x = x + 1` for `x += 1`, `x = x.clone()` first, `torch.where` for masked writes.",
            "State that must live between calls is an input and an output: `return y, new_state`.",
        ),
        function="forward",
        what="a tensor in place",
        effect="the export does not allow it there",
    )


def _memory_layout(failure: Failure) -> Finding | None:
    """A view recorded during the capture that the lowered graph's strides do not allow."""
    if not re.search(
        r"Cannot view a tensor with shape|view size is not compatible with input tensor's size", failure.text
    ):
        return None
    return finding(
        failure,
        export.MEMORY_LAYOUT,
        f"The line makes a view (view, or a reshape that became one) of a tensor that is not laid out for it, mostly "
        f"behind a transpose or an attention kernel: {failure.root.splitlines()[0]}",
        (
            *size_rewrites.of_view(failure.line),
            f"Copy first: `x.{size_rewrites.COPY}.view(...)`. `contiguous()` is not enough where the capture takes the "
            "tensor for contiguous.",
            "When it is an attention kernel's output, export with the plain implementation: in transformers load "
            "the model with `attn_implementation='eager'`.",
        ),
    )


RECOGNISERS: tuple[Callable[[Failure], Finding | None], ...] = (
    _input,
    _output,
    _custom_autograd,
    _side_effect,
    _device,
    _dtype,
    _memory_layout,
    _mutation,
)
