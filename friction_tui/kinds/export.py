"""Export.

What happens between the user's Python and the ONNX file. The exporter's own errors name its internals; these kinds
name the user's line and the edit. Everything is judged in a process of its own, with the user's consent.
"""

from friction_tui.kinds.examples import Shown, TorchModule
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import ExportOptions

DATA_DEPENDENT_CONTROL_FLOW = Kind(
    id="export/data-dependent-control-flow",
    summary="Python control flow decides on a tensor's value",
    title="Data-dependent control flow: Python `{statement}` on {on}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""`if`, `while`, `for` or `assert` needs a value that exists only at run time. torch.export records one path
and raises `GuardOnDataDependentSymNode: Could not guard on data-dependent expression`.""",
    evidence="""The line with its context, and the expression over the symbols (`u0`) that stand for values.""",
    example="""`if x.mean() > 0: return x * 2`.""",
    fix="""
`torch.where(condition, a, b)` when both sides are cheap; `torch.cond(condition, true_fn, false_fn, (x,))` when
not; a Python bool in the constructor when the answer never changes; `torch.where` with a fixed number of rounds, or
`while_loop`, for loops.
""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        if x.mean() > 0.5:
            return x * 2
        return x

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.where(x.mean() > 0.5, x * 2, x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

CONTROL_FLOW_OPERATOR = Kind(
    id="export/control-flow-operator",
    summary="torch.cond, while_loop, map or scan cannot be captured",
    title="{operator}: {problem}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
Their functions become graphs of their own. The branches of a condition must return the same number of tensors
of the same shapes and types, a loop's body what it carries; none may do what cannot be captured.
""",
    evidence="""The line that calls the operator, and how the branches differ.""",
    example="""`torch.cond(p, lambda x: x[:, :4], lambda x: x * 2, (x,))`.""",
    fix="""Pad, expand or cast until both match, or compute both and choose with `torch.where`.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        def first(x):
            return x.sum(1)
        
        def second(x):
            return x * 2
        
        return torch.cond(x.sum() > 0, first, second, (x,))

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        def first(x):
            return x.sum(1)
        
        def second(x):
            return x.mean(1)
        
        return torch.cond(x.sum() > 0, first, second, (x,))

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

DATA_DEPENDENT_SHAPE = Kind(
    id="export/data-dependent-shape",
    summary="A shape depends on tensor values",
    title="{what} depends on tensor values (data-dependent shape)",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.EXPORT, Tier.HAZARD),
    cause="""
Boolean indexing, `nonzero()`, `item()` or `tolist()` make a size that is unknown when the graph is captured,
and a later line needs to know something about it.
""",
    evidence="""The line, the expression over the size's symbol, and whether the export stopped (error) or dropped the
check (warning).""",
    example="""`x[x > 0].view(2, -1)`.""",
    fix="""
Keep the full size and mask (`torch.where(mask, x, 0)`), select a fixed number with `torch.topk`, promise what
always holds with `torch._check(...)`, or move the selection outside the model.
""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x[x > 0].view(2, -1).sum(1)

def create():
    return Net().eval(), (torch.ones(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.where(x > 0, x, 0).view(2, -1).sum(1)

def create():
    return Net().eval(), (torch.ones(2, 8),)
""",
    ),
    knows_why=True,
)

MISSING_ONNX_FUNCTION = Kind(
    id="export/missing-onnx-function",
    summary="An operator has no translation to ONNX",
    title="{op} has no ONNX function",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""The exporter's registry has no ONNX function for it: `No ONNX function found for <OpOverload ...>`, in the
legacy exporter `Exporting the operator ... is not supported`, in tf2onnx `Tensorflow op ... is not supported`.""",
    evidence="""
Every such operator of the model, not only the first, each with the lines (or Keras layer) that use it and
the lowest opset that has it.
""",
    example="""`torch.linalg.svd(x)`.""",
    fix="""
Raise the opset when a higher one has it; replace the operator; add an entry to `custom_translation_table`; or
compute that part outside the model.
""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("edges", torch.linspace(0, 1, 9))

    def forward(self, x):
        return torch.searchsorted(self.edges, x)

def create():
    return Net().eval(), (torch.rand(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("edges", torch.linspace(0, 1, 9))

    def forward(self, x):
        return (x.unsqueeze(-1) > self.edges).sum(-1)

def create():
    return Net().eval(), (torch.rand(2, 8),)
""",
    ),
    knows_why=True,
)

MISSING_DECOMPOSITION = Kind(
    id="export/missing-decomposition",
    summary="An operator came out of a decomposition and has no translation",
    title="{op} has no ONNX function",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""A torch operator was taken apart into `prims` operators, one of which has no ONNX function.""",
    evidence="""The `prims` operator and the line whose call became it.""",
    example="""`torch.special.i1(x)` becomes `prims::bessel_i1`.""",
    fix="""As for a missing ONNX function: replace the call, or translate it with `custom_translation_table`.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.special.i1(x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.special.expit(x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

MISSING_FAKE_KERNEL = Kind(
    id="export/missing-fake-kernel",
    summary="A custom operator has no fake kernel",
    title="{op} has no fake kernel",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""torch.export runs on tensors without data and must know each result's shape and dtype. A custom operator
declares these with a fake (meta) implementation.""",
    evidence="""The operator and the line that calls it.""",
    example="""`@torch.library.custom_op("acme::double", mutates_args=())` alone.""",
    fix="""`@torch.library.register_fake("acme::double")`, returning `torch.empty_like(x)` or the like; then an ONNX
function for it.""",
    shows=TorchModule(
        """
import torch

@torch.library.custom_op("acme::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2

class Net(torch.nn.Module):
    def forward(self, x):
        return double(x.relu())

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

@torch.library.custom_op("acme::double", mutates_args=())
def double(x: torch.Tensor) -> torch.Tensor:
    return x * 2

@double.register_fake
def _(x):
    return torch.empty_like(x)

class Net(torch.nn.Module):
    def forward(self, x):
        return double(x.relu())

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

DIM_CONSTRAINT = Kind(
    id="export/dim-constraint",
    summary="The model does not take every size asked for",
    title="{asked}, the model {takes}",
    severities=(Severity.ERROR,),
    tiers=(Tier.SHAPES, Tier.EXPORT),
    cause="""
A line puts a constraint on a dynamic dimension: a maximum, a multiple. The exporter drops the check, so the
ONNX model fails or computes nonsense there.
""",
    evidence="""The line, the condition, and a size in the range at which it is false.""",
    example="""`x.view(x.size(0) // 2, 2, 8)` with a batch of 1..16.""",
    fix="""Narrow the range, keep it to multiples and pad, or change the line.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        pairs = x.view(x.size(0) // 2, 2, 8)
        return pairs[:, 0] - pairs[:, 1]

def create():
    return Net().eval(), (torch.randn(4, 8),)
""",
        ranges={"x[0]": (1, 4, 16)},
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        pairs = x.view(x.size(0), 2, 4)
        return pairs[:, 0] - pairs[:, 1]

def create():
    return Net().eval(), (torch.randn(4, 8),)
""",
        ranges={"x[0]": (1, 4, 16)},
    ),
    knows_why=True,
    reads_sizes=True,
)

DIM_SPECIALISED = Kind(
    id="export/dim-specialised",
    summary="A dimension asked to be dynamic came out as a constant",
    title="{dimension} was asked to be dynamic and is the constant {size} in the model",
    severities=(Severity.ERROR,),
    tiers=(Tier.SHAPES, Tier.EXPORT),
    cause="""
The code fixes the example's size: a literal in `view`, `int(x.shape[0])`, a loop over rows, a buffer of the
example's batch. The exporter drops the request without an error.
""",
    evidence="""The first line that needs the constant, and the guard torch recorded there.""",
    example="""`x.view(4, 16)` with a dynamic batch.""",
    fix="""`x.view(x.size(0), 16)`, `-1` or `flatten(1)`; no `int()`, `item()` or `len()` on sizes; or ask for a static
dimension.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x.view(4, 16).relu()

def create():
    return Net().eval(), (torch.randn(4, 2, 8),)
""",
        ranges={"x[0]": (1, 4, 16)},
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x.view(x.size(0), 16).relu()

def create():
    return Net().eval(), (torch.randn(4, 2, 8),)
""",
        ranges={"x[0]": (1, 4, 16)},
    ),
    knows_why=True,
    reads_sizes=True,
)

UNSUPPORTED_INPUT = Kind(
    id="export/unsupported-input",
    summary="forward takes what cannot be an ONNX input",
    title="forward takes {what}, which cannot be an ONNX input",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""An example input is an object of a class of its own.""",
    evidence="""The class, and where forward is defined.""",
    example="""`forward(self, batch)` with a dataclass `Batch`.""",
    fix="""Pass tensors; `torch.export.register_dataclass`; or a wrapper module.""",
    shows=TorchModule(
        """
import dataclasses
import torch

@dataclasses.dataclass
class Batch:
    image: torch.Tensor

class Net(torch.nn.Module):
    def forward(self, batch):
        return batch.image.relu()

def create():
    return Net().eval(), (Batch(torch.randn(2, 8)),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, image):
        return image.relu()

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

UNSUPPORTED_OUTPUT = Kind(
    id="export/unsupported-output",
    summary="forward returns what cannot be an ONNX output",
    title="forward returns {what}, which cannot be an ONNX output",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""The result holds an object, a string or the like beside tensors.""",
    evidence="""The class, and where forward is defined.""",
    example="""`return {"scores": y, "name": "resnet"}`.""",
    fix="""Return tensors in tuples, lists or dicts.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return {"y": x.relu(), "task": "classify"}

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return {"y": x.relu(), "sum": x.sum()}

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

MEMORY_LAYOUT = Kind(
    id="export/memory-layout",
    summary="A view needs another memory layout than the captured tensor has",
    title="A view needs another memory layout than the captured tensor has",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
`view`, or a `reshape` that was captured as one, meets a tensor whose strides do not allow it once the graph is
lowered: behind a transpose, or where an attention kernel gives another layout than its replacement.
""",
    evidence="""The line, the shape and the strides.""",
    example="""`attention.transpose(1, 2).view(batch, length, -1)`.""",
    fix="""
`clone(memory_format=torch.contiguous_format)` before it (`contiguous()` copies nothing where the capture takes the
tensor for contiguous); in transformers `attn_implementation="eager"`.
""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1, 4, 16, 16))

    def forward(self, x):
        q = x.view(2, 16, 4, 8).transpose(1, 2)
        y = torch.nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=self.bias * 1)
        return y.transpose(1, 2).view(2, 16, 32)

def create():
    return Net().eval(), (torch.randn(2, 16, 32),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.bias = torch.nn.Parameter(torch.zeros(1, 4, 16, 16))

    def forward(self, x):
        q = x.view(2, 16, 4, 8).transpose(1, 2)
        y = torch.nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=self.bias * 1)
        return y.transpose(1, 2).clone(memory_format=torch.contiguous_format).view(2, 16, 32)

def create():
    return Net().eval(), (torch.randn(2, 16, 32),)
""",
    ),
    knows_why=True,
)

MUTATION = Kind(
    id="export/mutation",
    summary="forward changes what an ONNX model leaves as it is",
    title="{function} changes {what}; {effect}",
    severities=(Severity.WARNING, Severity.NOTE, Severity.ERROR),
    tiers=(Tier.HAZARD, Tier.EXPORT),
    cause="""
A buffer, a parameter, an attribute or an input is changed in forward. ONNX models have no state between runs
and only read their inputs.
""",
    evidence="""What is changed, the line, for attributes whether a second run gives another result, and for an input
whether the changed tensor is an output (then it is a note).""",
    example="""`self.seen.add_(x.mean(0))`; `cache[:, position] = key`.""",
    fix="""Take the state as an input and return the new one as an output; skip caches in an export.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(8))

    def forward(self, x):
        self.seen.add_(x.mean(0))
        return x - self.seen

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("seen", torch.zeros(8))

    def forward(self, x):
        seen = self.seen + x.mean(0)
        return x - seen, seen

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

CUSTOM_AUTOGRAD = Kind(
    id="export/custom-autograd",
    summary="A torch.autograd.Function cannot be captured",
    title="A torch.autograd.Function cannot be captured",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""Its forward does what cannot be traced, most often native code on `data_ptr()`.""",
    evidence="""The line inside the function's forward.""",
    example="""A CUDA extension called from `Function.forward`.""",
    fix="""
Plain torch operators under `torch.compiler.is_exporting()`, or `torch.library.custom_op` with a fake kernel and
an ONNX function.
""",
    shows=TorchModule(
        """
import ctypes
import torch

class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign() * (ctypes.c_float.from_address(x.data_ptr()).value < 1e30)

    @staticmethod
    def backward(ctx, grad):
        return grad

class Net(torch.nn.Module):
    def forward(self, x):
        return Sign.apply(x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Sign(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        return x.sign() * (x < 1e30)

    @staticmethod
    def backward(ctx, grad):
        return grad

class Net(torch.nn.Module):
    def forward(self, x):
        return Sign.apply(x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

COMPLEX = Kind(
    id="export/complex",
    summary="Complex tensors",
    title="Complex tensors: {problem}",
    severities=(Severity.ERROR, Severity.NOTE),
    tiers=(Tier.EXPORT,),
    cause="""ONNX has no complex type. The exporter carries real and imaginary part in a last dimension of 2 and
translates a few operators for it.""",
    evidence="""The operator and its line; or the input that changed shape.""",
    example="""`torch.fft.fft(x).tanh()`.""",
    fix="""Real arithmetic on `torch.view_as_real(z)`; a DFT as a matrix product; or outside the model.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.fft.fft(x).tanh().abs()

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.view_as_real(torch.fft.fft(x)).tanh()

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

TORCHSCRIPT_PART = Kind(
    id="export/torchscript-part",
    summary="A part compiled by TorchScript cannot be captured",
    title="A part compiled by torch.jit.script cannot be captured",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""The module holds or calls something made by `torch.jit.script` or `torch.jit.trace`. torch.export records
Python, and sees nothing of what happens inside.""",
    evidence="""The line that calls it and the exporter's own message.""",
    example="""`self.part = torch.jit.script(Part())`, called in forward.""",
    fix="""The plain module for the export; the legacy exporter, which takes TorchScript.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.part = torch.jit.script(torch.nn.Linear(8, 8))

    def forward(self, x):
        return self.part(x) + 1

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.part = torch.nn.Linear(8, 8)

    def forward(self, x):
        return self.part(x) + 1

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

INVALID_MODEL = Kind(
    id="export/invalid-model",
    summary="The exporter wrote a model that is not valid",
    title="The exporter wrote a model that is not valid: {part}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
The exporter's translation of an operator gives a node with types or attributes that ONNX does not allow, and
the export ends without an error.
""",
    evidence="""ONNX Runtime's message when it loads the file, the node, and the line it came from.""",
    example="""`torch.istft`: a ScatterND with int32 indices.""",
    fix="""Other operators on that line; `optimize` off; the legacy exporter.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))

    def forward(self, wave):
        spectrum = torch.stft(wave, 64, 16, window=self.window, return_complex=True)
        return torch.istft(spectrum * 0.5, 64, 16, window=self.window)

def create():
    return Net().eval(), (torch.randn(1, 512),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("window", torch.hann_window(64))

    def forward(self, wave):
        spectrum = torch.stft(wave, 64, 16, window=self.window, return_complex=True)
        return torch.view_as_real(spectrum) * 0.5

def create():
    return Net().eval(), (torch.randn(1, 512),)
""",
    ),
    knows_why=True,
)

PYTHON_SIDE_EFFECT = Kind(
    id="export/python-side-effect",
    summary="Code outside torch needs a tensor's data",
    title="Python outside torch in forward: {problem}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.EXPORT, Tier.HAZARD),
    cause="""
NumPy, string formatting, pickling or native code is handed a tensor that has no data during the capture. Or
Python draws a random number or reads a clock: its value at the export is a constant of the model.
""",
    evidence="""The line and Python's own message; or that PyTorch gives another result in every run.""",
    example="""`f"{x.max().item():.2f}"` in forward.""",
    fix="""Torch operators; move it out of forward; a custom operator.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x * float(f"{x.max().item():.2f}")

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x * torch.round(x.max(), decimals=2)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

UNSUPPORTED_DTYPE = Kind(
    id="export/unsupported-dtype",
    summary="A type that ONNX does not have",
    title="{dtype} has no ONNX type",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""The graph would hold a torch type without an ONNX counterpart, such as `torch.qint8`.""",
    evidence="""The type and the line.""",
    example="""`torch.ao.quantization.quantize_dynamic(model, {torch.nn.Linear})`.""",
    fix="""Export the float model and quantise in ONNX with QuantizeLinear/DequantizeLinear.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)

def create():
    return torch.ao.quantization.quantize_dynamic(Net().eval(), {torch.nn.Linear}), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(8, 8)

    def forward(self, x):
        return self.fc(x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

DEVICE_MISMATCH = Kind(
    id="export/device-mismatch",
    summary="Tensors on a device that is not there, or on two",
    title="The line puts tensors on a device that is not there, or mixes devices",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""A line names a device, or a constant was left on another one.""",
    evidence="""The line and torch's message.""",
    example="""`torch.zeros(4).cuda()` in forward.""",
    fix="""`device=x.device`; constants as buffers.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x + torch.zeros(8).cuda()

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x + torch.zeros(8, device=x.device)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

TRAINING_MODE = Kind(
    id="export/training-mode",
    summary="The exported model behaves as in training",
    title="The model was exported in training mode: {parts}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""The module was left in train(), or a functional dropout or batch norm is called with `training=True`.""",
    evidence="""The modules concerned and the factory's line, or the functional call's line.""",
    example="""`return Net().train()`; `F.dropout(x, 0.5)`.""",
    fix="""`model.eval()` before the export; `training=self.training`.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x.relu(), 0.5)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.nn.functional.dropout(x.relu(), 0.5, training=self.training)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

TRAINING_PARTS = Kind(
    id="export/training-parts",
    summary="A part of the training step is in the graph",
    title="A loss is part of the exported graph: {loss}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""A loss is computed in forward.""",
    evidence="""The loss and its line.""",
    example="""`return scores, self.loss(scores, target)`.""",
    fix="""Return predictions before the loss when not training; export the part that predicts.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.loss = torch.nn.MSELoss()

    def forward(self, x, target):
        scores = x.softmax(-1)
        return scores, self.loss(scores, target)

def create():
    return Net().eval(), (torch.randn(2, 8), torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.loss = torch.nn.MSELoss()

    def forward(self, x, target):
        scores = x.softmax(-1)
        return (scores, self.loss(scores, target)) if self.training else scores - target

def create():
    return Net().eval(), (torch.randn(2, 8), torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

OPSET_DIFFERS = Kind(
    id="export/opset-differs",
    summary="The model has another opset than asked for",
    title="Opset {asked} was asked for, the model has opset {written}",
    severities=(Severity.WARNING,),
    tiers=(Tier.EXPORT,),
    cause="""Exporters write the opsets they know (torch from 18 on, tf2onnx up to 18) and convert beyond; a failed
conversion is silent.""",
    evidence="""Both numbers.""",
    example="""`opset_version=13` gives 18.""",
    fix="""Stay at the opset written, or use the legacy exporter for an old one.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x, grid):
        y = torch.nn.functional.grid_sample(x, grid)
        return torch.nn.functional.layer_norm(y, (8, 8))

def create():
    return Net().eval(), (torch.randn(1, 3, 8, 8), torch.rand(1, 8, 8, 2),)
""",
        opset=13,
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x, grid):
        y = torch.nn.functional.grid_sample(x, grid)
        return torch.nn.functional.layer_norm(y, (8, 8))

def create():
    return Net().eval(), (torch.randn(1, 3, 8, 8), torch.rand(1, 8, 8, 2),)
""",
        opset=18,
    ),
    knows_why=True,
)

INPUT_PRUNED = Kind(
    id="export/input-pruned",
    summary="A parameter of forward is not an input of the model",
    title="forward takes {parameters}, the ONNX model does not",
    severities=(Severity.WARNING,),
    tiers=(Tier.EXPORT,),
    cause="""A Python value became a constant, or nothing reads the tensor. Feeding it is an error: `Invalid Feed Input
Name`.""",
    evidence="""The parameter, the value it is fixed at, where forward is defined.""",
    example="""`forward(self, x, double: bool)`.""",
    fix="""A constructor argument; a tensor used with `torch.where`; one model per value.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x, double: bool):
        return x * 2 if double else x

def create():
    return Net().eval(), (torch.randn(2, 8), True,)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x, double):
        return torch.where(double, x * 2, x)

def create():
    return Net().eval(), (torch.randn(2, 8), torch.tensor(True),)
""",
    ),
    knows_why=True,
)

ASSERTION_DROPPED = Kind(
    id="export/assertion-dropped",
    summary="An assert is not part of the ONNX model",
    title="An assert on tensor values is not part of the ONNX model",
    severities=(Severity.NOTE,),
    tiers=(Tier.EXPORT,),
    cause="""ONNX has no assertion; the exporter removes checks on values.""",
    evidence="""The line.""",
    example="""`assert (x > 0).all()`.""",
    fix="""Check outside the model if the check must hold in deployment.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        assert (x >= 0).all()
        return x.sqrt()

def create():
    return Net().eval(), (torch.rand(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.clamp(x, min=0).sqrt()

def create():
    return Net().eval(), (torch.rand(2, 8),)
""",
    ),
    knows_why=True,
)

PARITY = Kind(
    id="export/parity",
    summary="The ONNX model computes something else",
    title="The ONNX model computes something else: {problem}",
    severities=(Severity.ERROR,),
    tiers=(Tier.HAZARD, Tier.SHAPES),
    cause="""
On the example, or at another size in the range, outputs differ beyond the tolerance or the ONNX model fails:
code that runs differently in an export, a Python number taken from the example, an optimiser's mistake.
""",
    evidence="""The output, the largest difference and where it is, the first submodule whose output differs.""",
    example="""`if torch.compiler.is_exporting(): y = y * 1.5`.""",
    fix="""
The line found; sizes from `x.shape`; an export without optimisation to tell the optimiser from the capture.
""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        y = x.relu()
        if torch.compiler.is_exporting():
            y = y * 1.5
        return y

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        y = x.relu()
        if torch.compiler.is_exporting():
            y = y * 1
        return y

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)

MODEL_ERROR = Kind(
    id="export/model-error",
    summary="The model fails on its own example input",
    title="The model's forward fails on its example input: {error}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""forward raises without any export.""",
    evidence="""The line and the exception.""",
    example="""A `Linear(16, 8)` fed 12 features.""",
    fix="""Correct the example input, or the model.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(16, 8)

    def forward(self, x):
        return self.fc(x.flatten(1))

def create():
    return Net().eval(), (torch.randn(2, 3, 4),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(16, 8)

    def forward(self, x):
        return self.fc(x.flatten(1))

def create():
    return Net().eval(), (torch.randn(2, 4, 4),)
""",
    ),
    knows_why=True,
)

USER_CODE = Kind(
    id="export/user-code",
    summary="The model could not be made",
    title="The model {outcome}: {reason}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.EXPORT,),
    cause="""The file, the factory or the checkpoint raised, or returned something that is not a module.""",
    evidence="""The line and the exception.""",
    example="""A package that is not installed; a state dict of another architecture.""",
    fix="""Install what is missing; name the right factory; give the checkpoint that belongs to it.""",
    shows=TorchModule(
        """
import torch
import a_package_nobody_has

def create():
    return torch.nn.Linear(2, 2).eval(), (torch.randn(1, 2),)
""",
    ),
    quiet=TorchModule(
        """
import torch
import json

def create():
    return torch.nn.Linear(2, 2).eval(), (torch.randn(1, 2),)
""",
    ),
    knows_why=True,
)

GUESSED_INPUTS = Kind(
    id="export/guessed-inputs",
    summary="The example input was guessed",
    title="{what} was guessed: {guess}",
    severities=(Severity.NOTE,),
    tiers=(Tier.EXPORT,),
    cause="""
Nobody gave one, so it was made to fit the first layer, or a Hugging Face model's kind. Sizes without a range
stay fixed at the guess.
""",
    evidence="""Its name, shape and type.""",
    example="""`image: 2×3×64×64 float32` for a first `Conv2d(3, ...)`.""",
    fix="""Confirm it, or give one with `--input` or from the factory.""",
    shows=TorchModule(
        """
import torch

def create():
    return torch.nn.Linear(2, 2).eval()
""",
    ),
    quiet=TorchModule(
        """
import torch

def create():
    return torch.nn.Linear(2, 2).eval(), (torch.randn(1, 2),)
""",
    ),
    knows_why=True,
)

LEGACY_EXPORTER = Kind(
    id="export/legacy-exporter",
    summary="Exported by the legacy exporter",
    title="Exported by the legacy TorchScript-based exporter",
    severities=(Severity.NOTE,),
    tiers=(Tier.EXPORT,),
    cause="""It was asked for, or the file is TorchScript, which has no other way. It traces: branches are frozen as the
example took them, and nodes carry no source lines.""",
    evidence="""The label on every verdict of this export.""",
    example="""`friction-tui traced.pt`.""",
    fix="""Nothing to fix; export from the Python module for source lines and checked dimensions.""",
    shows=TorchModule(
        """
import torch

def create():
    return torch.nn.Linear(2, 2).eval(), (torch.randn(1, 2),)
""",
        options=ExportOptions(legacy=True),
    ),
    quiet=TorchModule(
        """
import torch

def create():
    return torch.nn.Linear(2, 2).eval(), (torch.randn(1, 2),)
""",
    ),
    knows_why=True,
)

TRACED_CONSTANT = Kind(
    id="export/traced-constant",
    summary="A value became a Python constant while tracing",
    title="A tensor's value became a Python constant while tracing",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""The legacy exporter met `bool()`, `int()` or a loop over a tensor and froze what the example gave.""",
    evidence="""The line of the tracer's warning.""",
    example="""`if x.sum() > 0:` in a traced model.""",
    fix="""`torch.where`; sizes without `int()`; the dynamo exporter.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x * 2 if x.sum() > 0 else x

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
        options=ExportOptions(legacy=True),
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.where(x.sum() > 0, x * 2, x)

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
        options=ExportOptions(legacy=True),
    ),
    knows_why=True,
)

TF_FUNCTION_LEFT = Kind(
    id="export/tf-function-left",
    summary="A TensorFlow function call was not inlined",
    title="A TensorFlow function call ({op}) was not inlined",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""A nested tf.function with a resource or a custom gradient stays as `PartitionedCall`.""",
    evidence="""The node and its layer.""",
    example="""`StatefulPartitionedCall` in the ONNX graph.""",
    fix="""Save again with `model.export(folder)`.""",
    shows=Shown("tests/sources/tensorflow/test_findings.py::test_a_call_that_was_not_inlined_is_named_with_its_layer"),
    quiet=Shown("tests/sources/tensorflow/test_findings.py::test_operators_that_onnx_knows_are_not_reported"),
    knows_why=True,
)

NHWC_TRANSPOSES = Kind(
    id="export/nhwc-transposes",
    summary="Transposes between channels-last and channels-first",
    title="{transposes} between channels-last and channels-first{where}",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""TensorFlow works on NHWC, ONNX convolutions on NCHW.""",
    evidence="""The transposes.""",
    example="""A Transpose in front of the first Conv.""",
    fix="""`inputs_as_nchw` of tf2onnx, and channels-first data.""",
    shows=Shown("tests/sources/tensorflow/test_findings.py::test_transposes_between_layouts_are_counted"),
    quiet=Shown("tests/sources/tensorflow/test_findings.py::test_operators_that_onnx_knows_are_not_reported"),
    knows_why=True,
)

NO_CONSENT = Kind(
    id="export/no-consent",
    summary="The model's code was not run",
    title="The model's code was not run: there is no consent for it",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
Opening this source runs code that came with it, and nobody agreed to these bytes, or they changed since.
""",
    evidence="""The file.""",
    example="""The first `friction-tui model.py:factory`.""",
    fix="""Look at it, then agree; the answer is remembered by SHA-256.""",
    shows=Shown(
        "tests/sources/test_export_process.py::test_nothing_runs_without_consent_and_a_changed_file_needs_a_new_one"
    ),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
    knows_why=True,
)

NOT_FOUND = Kind(
    id="export/not-found",
    summary="The source is not there",
    title="There is no {path}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""Neither a file nor a module on the Python path has this name.""",
    evidence="""The name.""",
    example="""`friction-tui package.modle:make`.""",
    fix="""Correct it; start in the project's folder.""",
    shows=Shown("tests/sources/test_export_process.py::test_a_source_that_is_not_there_is_said_to_be_missing"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
    knows_why=True,
)

NOT_INSTALLED = Kind(
    id="export/not-installed",
    summary="A package needed for this export is missing",
    title="This export needs {missing}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""torch, TensorFlow, tf2onnx or transformers is not in the environment.""",
    evidence="""The import error and the interpreter.""",
    example="""A .keras file without the `tensorflow` extra.""",
    fix="""Install the extra named; `FRICTION_TENSORFLOW_PYTHON` names a separate environment's interpreter.""",
    shows=Shown("tests/sources/tensorflow/test_tensorflow.py::test_an_environment_that_cannot_be_used_is_named"),
    quiet=Shown("tests/sources/pytorch/test_torch_files.py::test_a_hugging_face_directory_is_exported"),
    knows_why=True,
)

TIMEOUT = Kind(
    id="export/timeout",
    summary="The export took too long and was ended",
    title="The export took longer than {limit} and was ended",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""Its time limit was reached.""",
    evidence="""The limit and the stage it was in.""",
    example="""A Python loop of 10,000 rounds unrolled.""",
    fix="""A higher limit; a smaller configuration; a vectorised loop.""",
    shows=Shown("tests/sources/test_export_process.py::test_a_timeout_ends_it_and_names_the_stage"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
    knows_why=True,
)

OUT_OF_MEMORY = Kind(
    id="export/out-of-memory",
    summary="The export ran out of memory",
    title="The export ran out of memory",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""It reached its limit, or the system ended it.""",
    evidence="""The limit and the stage.""",
    example="""A model larger than the machine.""",
    fix="""A smaller configuration, a higher limit, a larger machine.""",
    shows=Shown("tests/sources/test_export_process.py::test_the_memory_limit_holds"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
    knows_why=True,
)

CRASHED = Kind(
    id="export/crashed",
    summary="The export process crashed",
    title="The export process crashed",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""Native code ended the process.""",
    evidence="""The signal, the stage, the last lines it wrote.""",
    example="""A segmentation fault in a custom extension.""",
    fix="""Run the factory and one forward pass alone.""",
    shows=Shown("tests/sources/test_export_process.py::test_a_crash_of_native_code_is_a_finding_with_its_last_words"),
    quiet=Shown("tests/sources/test_export_process.py::test_a_small_model_is_exported_without_a_finding"),
    knows_why=True,
)

UNKNOWN = Kind(
    id="export/unknown",
    summary="The export failed for a reason not known here",
    title="The export failed: {reason}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""The exporter's message fits none of the kinds.""",
    evidence="""Its own message, and the last user line in its traceback.""",
    example="""An internal error of the exporter.""",
    fix="""Read the message; export submodules one by one to find the smallest that fails.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        if torch.compiler.is_exporting():
            raise RuntimeError("not meant for an export")
        return x.relu()

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        if torch.compiler.is_compiling() and not torch.compiler.is_exporting():
            raise RuntimeError("not meant to be compiled")
        return x.relu()

def create():
    return Net().eval(), (torch.randn(2, 8),)
""",
    ),
    knows_why=True,
)
