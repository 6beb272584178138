"""What came out of an export against what was asked for: sizes, inputs, opset, mode, state and results."""

from functools import partial

from friction_tui.kinds.examples import But, Shown, TorchModule, net
from friction_tui.kinds.kind import Kind
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.recipe import ExportOptions

OutcomeKind = partial(
    Kind,
    knows_why=True,
)
"""What the kinds of this family have in common, unless they say otherwise."""

DIM_CONSTRAINT = OutcomeKind(
    id="export/dim-constraint",
    summary="The model does not take every size asked for",
    title="{asked}, the model {takes}",
    severities=(Severity.ERROR, Severity.WARNING),
    tiers=(Tier.SHAPES, Tier.EXPORT),
    cause="""
A line puts a constraint on a dynamic dimension: a maximum, a multiple. The exporter drops the check, so the
ONNX model fails or computes nonsense there. Sizes that belong together (`total = past + new`) are no constraint; it is
a warning when a point of the profile has others.
""",
    evidence="""The line, the condition, and a size in the range at which it is false.""",
    example="""`x.view(x.size(0) // 2, 2, 8)` with a batch of 1..16.""",
    fix="""Narrow the range, keep it to multiples and pad, or change the line.""",
    shows=net(
        """
def forward(self, x):
    pairs = x.view(x.size(0) // 2, 2, 8)
    return pairs[:, 0] - pairs[:, 1]
""",
        "torch.randn(4, 8),",
        ranges={"x[0]": (1, 4, 16)},
    ),
    quiet=net(
        """
def forward(self, x):
    pairs = x.view(x.size(0), 2, 4)
    return pairs[:, 0] - pairs[:, 1]
""",
        "torch.randn(4, 8),",
        ranges={"x[0]": (1, 4, 16)},
    ),
    reads_sizes=True,
)

DIM_SPECIALISED = OutcomeKind(
    id="export/dim-specialised",
    summary="A dimension asked to be dynamic came out as a constant",
    title="{dimension} was asked to be dynamic and is the constant {size} in the model",
    tiers=(Tier.SHAPES, Tier.EXPORT),
    cause="""
The code fixes the example's size: a literal in `view`, `int(x.shape[0])`, a loop over rows, a buffer of the
example's batch. The exporter drops the request without an error.
""",
    evidence="""The first line that needs the constant, and the guard torch recorded there.""",
    example="""`x.view(4, 16)` with a dynamic batch.""",
    fix="""`x.view(x.size(0), 16)`, `-1` or `flatten(1)`; no `int()`, `item()` or `len()` on sizes; or ask for a static
dimension.""",
    shows=net(
        """
def forward(self, x):
    return x.view(4, 16).relu()
""",
        "torch.randn(4, 2, 8),",
        ranges={"x[0]": (1, 4, 16)},
    ),
    quiet=But("view(4, 16", "view(x.size(0), 16"),
    reads_sizes=True,
)

OPSET_DIFFERS = OutcomeKind(
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
    shows=net(
        """
def forward(self, x, grid):
    y = torch.nn.functional.grid_sample(x, grid)
    return torch.nn.functional.layer_norm(y, (8, 8))
""",
        "torch.randn(1, 3, 8, 8), torch.rand(1, 8, 8, 2),",
        opset=13,
    ),
    quiet=But(opset=18),
)

INPUT_PRUNED = OutcomeKind(
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
    shows=net(
        """
def forward(self, x, double: bool):
    return x * 2 if double else x
""",
        "torch.randn(2, 8), True,",
    ),
    quiet=net(
        """
def forward(self, x, double):
    return torch.where(double, x * 2, x)
""",
        "torch.randn(2, 8), torch.tensor(True),",
    ),
)

MUTATION = OutcomeKind(
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
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.register_buffer("seen", torch.zeros(8))

def forward(self, x):
    self.seen.add_(x.mean(0))
    return x - self.seen
""",
    ),
    quiet=net(
        """
def __init__(self):
    super().__init__()
    self.register_buffer("seen", torch.zeros(8))

def forward(self, x):
    seen = self.seen + x.mean(0)
    return x - seen, seen
""",
    ),
)

ASSERTION_DROPPED = OutcomeKind(
    id="export/assertion-dropped",
    summary="An assert is not part of the ONNX model",
    title="An assert on tensor values is not part of the ONNX model",
    severities=(Severity.NOTE,),
    tiers=(Tier.EXPORT,),
    cause="""ONNX has no assertion; the exporter removes checks on values.""",
    evidence="""The line.""",
    example="""`assert (x > 0).all()`.""",
    fix="""Check outside the model if the check must hold in deployment.""",
    shows=net(
        """
def forward(self, x):
    assert (x >= 0).all()
    return x.sqrt()
""",
        "torch.rand(2, 8),",
    ),
    quiet=net(
        """
def forward(self, x):
    return torch.clamp(x, min=0).sqrt()
""",
        "torch.rand(2, 8),",
    ),
)

TRAINING_MODE = OutcomeKind(
    id="export/training-mode",
    summary="The exported model behaves as in training",
    title="The model was exported in training mode: {parts}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""The module was left in train(), or a functional dropout or batch norm is called with `training=True`.""",
    evidence="""The modules concerned and the factory's line, or the functional call's line.""",
    example="""`return Net().train()`; `F.dropout(x, 0.5)`.""",
    fix="""`model.eval()` before the export; `training=self.training`.""",
    shows=net(
        """
def forward(self, x):
    return torch.nn.functional.dropout(x.relu(), 0.5)
""",
    ),
    quiet=But("relu(), 0.5)", "relu(), 0.5, training=self.training)"),
)

TRAINING_PARTS = OutcomeKind(
    id="export/training-parts",
    summary="A part of the training step is in the graph",
    title="A loss is part of the exported graph: {loss}",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""A loss is computed in forward.""",
    evidence="""The loss and its line.""",
    example="""`return scores, self.loss(scores, target)`.""",
    fix="""Return predictions before the loss when not training; export the part that predicts.""",
    shows=net(
        """
def __init__(self):
    super().__init__()
    self.loss = torch.nn.MSELoss()

def forward(self, x, target):
    scores = x.softmax(-1)
    return scores, self.loss(scores, target)
""",
        "torch.randn(2, 8), torch.randn(2, 8),",
    ),
    quiet=net(
        """
def __init__(self):
    super().__init__()
    self.loss = torch.nn.MSELoss()

def forward(self, x, target):
    scores = x.softmax(-1)
    return (scores, self.loss(scores, target)) if self.training else scores - target
""",
        "torch.randn(2, 8), torch.randn(2, 8),",
    ),
)

LEGACY_EXPORTER = OutcomeKind(
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
    quiet=But(options=ExportOptions()),
)

TRACED_CONSTANT = OutcomeKind(
    id="export/traced-constant",
    summary="A value became a Python constant while tracing",
    title="A tensor's value became a Python constant while tracing",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""The legacy exporter met `bool()`, `int()` or a loop over a tensor and froze what the example gave.""",
    evidence="""The line of the tracer's warning.""",
    example="""`if x.sum() > 0:` in a traced model.""",
    fix="""`torch.where`; sizes without `int()`; the dynamo exporter.""",
    shows=net(
        """
def forward(self, x):
    return x * 2 if x.sum() > 0 else x
""",
        options=ExportOptions(legacy=True),
    ),
    quiet=But("x * 2 if x", "torch.where(x", "> 0 else x", "> 0, x * 2, x)"),
)

GUESSED_INPUTS = OutcomeKind(
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
)

PARITY = OutcomeKind(
    id="export/parity",
    summary="The ONNX model computes something else",
    title="The ONNX model computes something else: {problem}",
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
    shows=net(
        """
def forward(self, x):
    y = x.relu()
    if torch.compiler.is_exporting():
        y = y * 1.5
    return y
""",
    ),
    quiet=But("= y * 1.5", "= y * 1"),
)

EXAMPLE_OF_ONE = Kind(
    id="export/example-of-one",
    summary="The example has size 1 where other sizes are asked for",
    title="The example has size 1 on {dimensions}, which is asked to vary: an example of 2 was exported",
    severities=(Severity.NOTE,),
    tiers=(Tier.EXPORT,),
    cause="""
A size of 1 broadcasts and is a constant to much code, so an export with it can come out with that size fixed. The
model was exported with size 2 in its place, and compared on the example as it was given.
""",
    evidence="""The dimension, and the range asked for.""",
    example="""`torch.randn(1, 40, 50)` with a batch of 1..8, into `nn.MultiheadAttention`.""",
    fix="""Give an example of 2 or more on every axis that varies, also where you export the model yourself.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]

def create():
    return Net().eval(), (torch.randn(1, 5, 8),)
""",
        ranges={"x[0]": (1, 4, 8)},
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.attention = torch.nn.MultiheadAttention(8, 2, batch_first=True)

    def forward(self, x):
        return self.attention(x, x, x)[0]

def create():
    return Net().eval(), (torch.randn(2, 5, 8),)
""",
        ranges={"x[0]": (1, 4, 8)},
    ),
    knows_why=True,
    reads_sizes=True,
)

NOT_COMPARED = Kind(
    id="export/not-compared",
    summary="The ONNX model was not compared with PyTorch everywhere",
    title="The ONNX model was not compared with PyTorch{where}",
    severities=(Severity.NOTE,),
    tiers=(Tier.UNCHECKED,),
    cause="""
At other sizes integers such as lengths and indices have to be made up, and PyTorch refused those; comparing took
longer than its limit or failed; or the model gives other results in every run. The export itself stands.
""",
    evidence="""The sizes, the inputs that were made up, what PyTorch said; or the stage and the line it was at.""",
    example="""Two integer inputs that only fit together.""",
    fix="""Write `check_inputs()` beside the factory; it returns a list of further example inputs.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x, first, second):
        if not torch.compiler.is_exporting() and not torch.equal(first + second, torch.full_like(first, x.shape[1])):
            raise ValueError("both parts make up the whole")
        return x * first.unsqueeze(1) - second.unsqueeze(1)

def create():
    first = torch.tensor([1, 4, 2])
    return Net().eval(), (torch.randn(3, 6), first, 6 - first)
""",
        ranges={"x[1]": (2, 6, 16)},
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x, first, second):
        if not torch.compiler.is_exporting() and not torch.equal(first + second, torch.full_like(first, x.shape[1])):
            raise ValueError("both parts make up the whole")
        return x * first.unsqueeze(1) - second.unsqueeze(1)

def create():
    first = torch.tensor([1, 4, 2])
    return Net().eval(), (torch.randn(3, 6), first, 6 - first)

def check_inputs():
    first = torch.tensor([2, 7, 1])
    return [(torch.randn(3, 9), first, 9 - first)]
""",
        ranges={"x[1]": (2, 6, 16)},
    ),
    knows_why=True,
    reads_sizes=True,
)

RUNTIME_DIFFERS = Kind(
    id="export/runtime-differs",
    summary="ONNX Runtime computes something else than the model says",
    title="{runtime} computes something else than the model says: its {part}",
    severities=(Severity.NOTE,),
    tiers=(Tier.HAZARD,),
    cause="""
ONNX Runtime rewrites a model before it runs it, and its kernels for 8-bit types can saturate. The same file gives
PyTorch's results with every optimisation off, or in ONNX's reference implementation: the export is right.
""",
    evidence="""The output, the difference, and the way of running that agrees.""",
    example="""A fused 8-bit layer on a CPU without VNNI, where sums of two products saturate at 16 bits.""",
    fix="""Nothing for TensorRT; in ONNX Runtime set `graph_optimization_level`.""",
    shows=Shown("tests/sources/test_second_opinion.py::test_a_difference_of_the_runtimes_own_fusion_is_not_the_models"),
    quiet=Shown("tests/sources/test_second_opinion.py::test_a_difference_of_the_model_is_the_models"),
    knows_why=True,
)

LARGE_CONSTANT = Kind(
    id="export/large-constant",
    summary="A buffer is most of the file",
    title="{buffer} takes {size} of the ONNX file, {part} of its weights",
    severities=(Severity.WARNING,),
    tiers=(Tier.HAZARD,),
    cause="""
A mask or a table that follows from a formula was registered as a buffer, at its largest size, and is stored whole.
""",
    evidence="""The buffer, its shape and type, the line that registers it.""",
    example="""`register_buffer("mask", torch.full((4096, 4096), -1e9).triu(1))`: 64 MiB.""",
    fix="""Compute it in forward from the sizes at hand (`torch.arange`), or keep a smaller one in a smaller type.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.register_buffer("mask", torch.full((2400, 2400), -1e9).triu(1))

    def forward(self, x):
        n = x.shape[1]
        return (x @ x.transpose(1, 2) + self.mask[:n, :n]).softmax(-1) @ x

def create():
    return Net().eval(), (torch.randn(2, 6, 8),)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        steps = torch.arange(x.shape[1])
        hidden = steps[:, None] < steps[None]
        return (x @ x.transpose(1, 2)).masked_fill(hidden, -1e9).softmax(-1) @ x

def create():
    return Net().eval(), (torch.randn(2, 6, 8),)
""",
    ),
    knows_why=True,
)

DYNAMIC_SHAPES = Kind(
    id="export/dynamic-shapes",
    summary="dynamic_shapes does not fit the inputs",
    title="dynamic_shapes does not fit the inputs: {problem}",
    severities=(Severity.ERROR,),
    tiers=(Tier.EXPORT,),
    cause="""
`export_kwargs()` asks for dynamic shapes with a name that forward has not, another number of entries, or another
nesting than the example's.
""",
    evidence="""The example inputs' shapes, and the line that asks.""",
    example="""`{"images": {0: batch}}` for `forward(self, x)`.""",
    fix="""One entry for each input, nested as the input is; the finding writes it out.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x.relu()

def create():
    return Net().eval(), (torch.randn(4, 8),)

def export_kwargs():
    return {"dynamic_shapes": {"images": {0: torch.export.Dim("batch")}}}
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        return x.relu()

def create():
    return Net().eval(), (torch.randn(4, 8),)

def export_kwargs():
    return {"dynamic_shapes": {"x": {0: torch.export.Dim("batch")}}}
""",
    ),
    knows_why=True,
)

SHARED_EXAMPLE = Kind(
    id="export/shared-example",
    summary="Two inputs of the example are one tensor",
    title="{inputs} are one tensor in the example, and were exported apart",
    severities=(Severity.NOTE,),
    tiers=(Tier.EXPORT,),
    cause="""
torch.export takes two inputs that are one tensor for one, and the ONNX model reads only one of them. Copies were
exported instead.
""",
    evidence="""The inputs.""",
    example="""`return model, (x, x)` for `forward(self, query, key)`.""",
    fix="""Give each input a tensor of its own, also where you export the model yourself.""",
    shows=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, query, key):
        return query @ key.transpose(-1, -2)

def create():
    x = torch.randn(2, 5, 8)
    return Net().eval(), (x, x)
""",
    ),
    quiet=TorchModule(
        """
import torch

class Net(torch.nn.Module):
    def forward(self, query, key):
        return query @ key.transpose(-1, -2)

def create():
    x = torch.randn(2, 5, 8)
    return Net().eval(), (x, x.clone())
""",
    ),
    knows_why=True,
)
