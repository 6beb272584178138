"""What torch.export cannot capture of a module: control flow, shapes, state and types that a graph does not hold."""

from functools import partial

from friction_tui.kinds.examples import But, TorchModule, net
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier

CaptureKind = partial(
    Kind,
    tiers=(Tier.EXPORT,),
    knows_why=True,
)
"""What the kinds of this family have in common, unless they say otherwise."""

DATA_DEPENDENT_CONTROL_FLOW = CaptureKind(
    id="export/data-dependent-control-flow",
    summary="Python control flow decides on a tensor's value",
    title="Data-dependent control flow: Python `{statement}` on {on}",
    cause="""`if`, `while`, `for` or `assert` needs a value that exists only at run time. torch.export records one path
and raises `GuardOnDataDependentSymNode: Could not guard on data-dependent expression`.""",
    evidence="""The line with its context, and the expression over the symbols (`u0`) that stand for values.""",
    example="""`if x.mean() > 0: return x * 2`.""",
    fix="""
`torch.where(condition, a, b)` when both sides are cheap; `torch.cond(condition, true_fn, false_fn, (x,))` when
not; a Python bool in the constructor when the answer never changes; `torch.where` with a fixed number of rounds, or
`while_loop`, for loops.
""",
    shows=net(
        """
def forward(self, x):
    if x.mean() > 0.5:
        return x * 2
    return x
""",
    ),
    quiet=net(
        """
def forward(self, x):
    return torch.where(x.mean() > 0.5, x * 2, x)
""",
    ),
)

CONTROL_FLOW_OPERATOR = CaptureKind(
    id="export/control-flow-operator",
    summary="torch.cond, while_loop, map or scan cannot be captured",
    title="{operator}: {problem}",
    cause="""
Their functions become graphs of their own. The branches of a condition must return the same number of tensors
of the same shapes and types, a loop's body what it carries; none may do what cannot be captured.
""",
    evidence="""The line that calls the operator, and how the branches differ.""",
    example="""`torch.cond(p, lambda x: x[:, :4], lambda x: x * 2, (x,))`.""",
    fix="""Pad, expand or cast until both match, or compute both and choose with `torch.where`.""",
    shows=net(
        """
def forward(self, x):
    def first(x):
        return x.sum(1)
    
    def second(x):
        return x * 2
    
    return torch.cond(x.sum() > 0, first, second, (x,))
""",
    ),
    quiet=But("return x * 2", "return x.mean(1)"),
)

DATA_DEPENDENT_SHAPE = CaptureKind(
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
    shows=net(
        """
def forward(self, x):
    return x[x > 0].view(2, -1).sum(1)
""",
        "torch.ones(2, 8),",
    ),
    quiet=net(
        """
def forward(self, x):
    return torch.where(x > 0, x, 0).view(2, -1).sum(1)
""",
        "torch.ones(2, 8),",
    ),
)

MISSING_FAKE_KERNEL = CaptureKind(
    id="export/missing-fake-kernel",
    summary="A custom operator has no fake kernel",
    title="{op} has no fake kernel",
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
)

UNSUPPORTED_INPUT = CaptureKind(
    id="export/unsupported-input",
    summary="forward takes what cannot be an ONNX input",
    title="forward takes {what}, which cannot be an ONNX input",
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
    quiet=net(
        """
def forward(self, image):
    return image.relu()
""",
    ),
)

UNSUPPORTED_OUTPUT = CaptureKind(
    id="export/unsupported-output",
    summary="forward returns what cannot be an ONNX output",
    title="forward returns {what}, which cannot be an ONNX output",
    cause="""The result holds an object, a string or the like beside tensors.""",
    evidence="""The class, and where forward is defined.""",
    example="""`return {"scores": y, "name": "resnet"}`.""",
    fix="""Return tensors in tuples, lists or dicts.""",
    shows=net(
        """
def forward(self, x):
    return {"y": x.relu(), "task": "classify"}
""",
    ),
    quiet=But('task": "classify"', 'sum": x.sum()'),
)

MEMORY_LAYOUT = CaptureKind(
    id="export/memory-layout",
    summary="A view needs another memory layout than the captured tensor has",
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
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.bias = torch.nn.Parameter(torch.zeros(1, 4, 16, 16))

def forward(self, x):
    q = x.view(2, 16, 4, 8).transpose(1, 2)
    y = torch.nn.functional.scaled_dot_product_attention(q, q, q, attn_mask=self.bias * 1)
    return y.transpose(1, 2).view(2, 16, 32)
""",
        "torch.randn(2, 16, 32),",
    ),
    quiet=But(", 2).view(", ", 2).clone(memory_format=torch.contiguous_format).view("),
)

CUSTOM_AUTOGRAD = CaptureKind(
    id="export/custom-autograd",
    summary="A torch.autograd.Function cannot be captured",
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
)

TORCHSCRIPT_PART = CaptureKind(
    id="export/torchscript-part",
    summary="A part compiled by TorchScript cannot be captured",
    title="A part compiled by torch.jit.script cannot be captured",
    cause="""The module holds or calls something made by `torch.jit.script` or `torch.jit.trace`. torch.export records
Python, and sees nothing of what happens inside.""",
    evidence="""The line that calls it and the exporter's own message.""",
    example="""`self.part = torch.jit.script(Part())`, called in forward.""",
    fix="""The plain module for the export; the legacy exporter, which takes TorchScript.""",
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.part = torch.jit.script(torch.nn.Linear(8, 8))

def forward(self, x):
    return self.part(x) + 1
""",
    ),
    quiet=But("jit.script(torch.", "", "Linear(8, 8))", "Linear(8, 8)"),
)

PYTHON_SIDE_EFFECT = CaptureKind(
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
    shows=net(
        """
def forward(self, x):
    return x * float(f"{x.max().item():.2f}")
""",
    ),
    quiet=But('float(f"{', "torch.round(", '.item():.2f}"', ", decimals=2"),
)

UNSUPPORTED_DTYPE = CaptureKind(
    id="export/unsupported-dtype",
    summary="A type that ONNX does not have",
    title="{dtype} has no ONNX type",
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
    quiet=But("torch.ao.quantization.quantize_dynamic(", "", "), {torch.nn.Linear}", ""),
)

DEVICE_MISMATCH = CaptureKind(
    id="export/device-mismatch",
    summary="Tensors on a device that is not there, or on two",
    title="The line puts tensors on a device that is not there, or mixes devices",
    cause="""A line names a device, or a constant was left on another one.""",
    evidence="""The line and torch's message.""",
    example="""`torch.zeros(4).cuda()` in forward.""",
    fix="""`device=x.device`; constants as buffers.""",
    shows=net(
        """
def forward(self, x):
    return x + torch.zeros(8).cuda()
""",
    ),
    quiet=But("(8).cuda(", "(8, device=x.device"),
)

GRADIENT = Kind(
    id="export/gradient",
    summary="A gradient is computed in forward",
    title="A gradient is computed in forward, which cannot be captured",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
The model runs, with gradients on. torch.export records forward alone: what `torch.autograd.grad` or `backward()`
compute from a record of their own is not in it, and an engine has no gradients.
""",
    evidence="""The line that asks for the gradient.""",
    example="""`forces = -torch.autograd.grad(energy, positions)[0]` in an interatomic potential.""",
    fix="""Write the derivative as operators, for example layer by layer or with `torch.func.jvp` outside; or export the
energy and compute forces outside the engine.""",
    shows=TorchModule(
        """
import torch

class Potential(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.net = torch.nn.Sequential(torch.nn.Linear(3, 8), torch.nn.SiLU(), torch.nn.Linear(8, 1))

    def forward(self, positions):
        positions = positions.requires_grad_(True)
        energy = self.net(positions).sum()
        return energy, -torch.autograd.grad(energy, positions)[0]

def create():
    return Potential().eval(), (torch.randn(5, 3),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Potential(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.hidden, self.out = torch.nn.Linear(3, 8), torch.nn.Linear(8, 1)

    def forward(self, positions):
        inner = self.hidden(positions)
        slope = torch.sigmoid(inner) * (1 + inner * (1 - torch.sigmoid(inner)))
        energy = self.out(torch.nn.functional.silu(inner)).sum()
        return energy, -(slope * self.out.weight) @ self.hidden.weight

def create():
    return Potential().eval(), (torch.randn(5, 3),)
""",
    ),
    knows_why=True,
)

LIBRARY_LIMIT = Kind(
    id="export/library-limit",
    summary="A package that the model calls cannot be captured",
    title="{package} cannot be captured here: its {function}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
The line that torch.export cannot follow is in an installed package (a branch inside FakeQuantize, a computed shape in
einops), not in your code. The finding names that line and your call of it. The legacy exporter is tried, and
offered when its model computes the same.
""",
    evidence="""Your call, the package's line with its context, the package's version, what the exporter said.""",
    example="""`torch.ao.quantization.FakeQuantize` in a model that is not converted yet.""",
    fix="""What works with this package: convert or register before the export, another call, the legacy exporter.""",
    shows=TorchModule(
        """
import torch
from torch.ao.quantization import FakeQuantize

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.quantize = FakeQuantize()

    def forward(self, x):
        return self.quantize(x.relu())

def create():
    net = Net()
    net(torch.rand(2, 8))
    net.quantize.disable_observer()
    return net.eval(), (torch.rand(2, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return torch.fake_quantize_per_tensor_affine(x.relu(), 0.01, 0, -128, 127)

def create():
    return Net().eval(), (torch.rand(2, 8),)
""",
    ),
    knows_why=True,
)
