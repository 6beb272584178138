"""The rule that each operator breaks where it cannot work at some size, whatever the model."""

from __future__ import annotations

from dataclasses import dataclass

from friction_tui.kinds import dynamic
from friction_tui.kinds.kind import Kind
from friction_tui.model.shapes.clashes import ELEMENTWISE
from friction_tui.model.shapes.point_shapes import INDEXING


@dataclass(frozen=True, slots=True)
class OperatorRule:
    """The kind of finding an operator makes, a sentence about the rule it breaks, and what usually helps."""

    kind: Kind
    text: str = ""
    fixes: tuple[str, ...] = ()


_INDEX = OperatorRule(
    dynamic.INDEX_RANGE,
    "TensorRT does not check indices: the engine builds, and rows of zeros were seen to come out of one "
    "(NVIDIA/TensorRT#4774). ONNX Runtime stops with an error.",
    ("Correct the index, or the vocabulary (table) size, so that every index is in range; use -1 for the last one.",),
)
_WINDOW = OperatorRule(
    dynamic.COLLAPSED,
    "The input is smaller than the kernel there: the output would have a negative or zero size.",
    ("Raise the min of the range so that the input is larger than the kernel, or add padding.",),
)
_LAYER = OperatorRule(
    dynamic.LAYER_PARAMETERS,
    "The stored weights of a layer decide how many channels or features its input must have, whatever the range.",
    (
        "Check that this is the right weight for the layer, and that nothing before it changed the channels (a "
        "Transpose between NHWC and NCHW, a lost Concat, a wrong number of groups).",
        "Re-export the model from an intact checkpoint.",
    ),
)
_NORM = OperatorRule(
    dynamic.LAYER_PARAMETERS,
    "The length of a normalization's scale and bias must be that of the axis they belong to. GroupNormalization "
    "takes one value a group at opset 18 to 20 and one a channel from opset 21 on; PyTorch stores one a channel.",
    (
        "Re-export at the opset the parameters are made for: one a channel needs opset 21, one a group opset 18.",
        "Repeat (or take apart) scale and bias so that their length fits, or write the layer as "
        "InstanceNormalization with Mul and Add.",
    ),
)
_AXIS = OperatorRule(
    dynamic.AXIS,
    "Axes are counted from 0 up to the rank minus one, or from -1 down for the last one, and the input has fewer.",
    (
        "Correct the axis (or perm): -1 is the last one; check that the input has the rank the code expects.",
        "Re-export the model from code that runs at this rank.",
    ),
)

_OTHER = OperatorRule(
    dynamic.CANNOT_WORK,
    fixes=("Correct what the sizes follow from, or keep the ranges to sizes at which the node works.",),
)
_NEVER_EQUAL = OperatorRule(
    dynamic.BROADCAST,
    "Shapes that meet in an element-wise operation must be equal, or 1 where one is stretched (broadcast).",
    (
        "Find where the two branches part: strides, padding, kernel or channels differ in one of them. Give both the "
        "same, or pad, crop or project (1×1 convolution) one to the shape of the other.",
        "If one side is a constant or a weight, check its shape (and that it is not transposed), and re-export.",
    ),
)
_LAYERS = frozenset({"Conv", "ConvTranspose", "DeformConv"})


def rule_of(op: str, message: str, *, depends_on_size: bool) -> OperatorRule:
    """What is known of `op`, which fails with `message`.

    What fails whatever the size does so for its weights or shapes, not its ranges.
    """
    if op in INDEXING and ": index " not in message:
        return _AXIS if ": axis " in message else _OTHER
    if op in _LAYERS and not depends_on_size:
        return _LAYER
    if op in ELEMENTWISE and not depends_on_size:
        return _NEVER_EQUAL
    return RULES.get(op, _OTHER)


RULES: dict[str, OperatorRule] = {
    **dict.fromkeys(
        ELEMENTWISE,
        OperatorRule(
            dynamic.BROADCAST,
            "Sizes that meet in an element-wise operation must be equal or 1 to be broadcast.",
            ("Make both operands follow the same dynamic size, and re-export.",),
        ),
    ),
    **dict.fromkeys(INDEXING, _INDEX),
    **dict.fromkeys(("Conv", "ConvTranspose", "MaxPool", "AveragePool", "LpPool", "DeformConv"), _WINDOW),
    **dict.fromkeys(("GroupNormalization", "BatchNormalization", "InstanceNormalization", "LayerNormalization"), _NORM),
    **dict.fromkeys(("Transpose", "Softmax", "LogSoftmax", "Hardmax", "ArgMax", "ArgMin", "Flatten"), _AXIS),
    "Concat": OperatorRule(
        dynamic.CONCAT,
        "Parts to concatenate must have equal sizes on every other axis; a size that is halved and doubled again comes "
        "back only if it is a multiple of the total stride (odd sizes lose one).",
        ("Pad or crop the input to a multiple of the stride, or resize the skip connection to match.",),
    ),
    **dict.fromkeys(
        ("MatMul", "Gemm"),
        OperatorRule(
            dynamic.MATMUL,
            "The inner sizes of a matrix product must be equal.",
            (
                "Check the weight (is it meant transposed?) and what makes the number of features of the input.",
                "Re-export the model from code that runs at these sizes.",
            ),
        ),
    ),
    "Expand": OperatorRule(
        dynamic.BAKED_CONSTANT,
        "Expand can only stretch size 1: its target shape is a constant that does not follow the dynamic size.",
        ("Compute the target of Expand from the input's shape (x.shape), and re-export dynamic.",),
    ),
    "Pad": OperatorRule(
        dynamic.PAD,
        "The pads do not fit the dimension: reflection needs a size larger than the pad, and cropping (negative pads) "
        "cannot exceed the size.",
        ("Raise the min of the range so that the dimension is larger than the pads, or use mode=constant.",),
    ),
    "TopK": OperatorRule(
        dynamic.TOPK,
        "K is a constant larger than the axis has elements.",
        ("Raise the min of the range to K, or export with a smaller k (min(k, n)).",),
    ),
    **dict.fromkeys(
        ("LSTM", "GRU", "RNN"),
        OperatorRule(
            dynamic.BAKED_CONSTANT,
            "The initial state (or the sequence lengths) is a constant baked in at export for one batch size, and "
            "the batch is dynamic.",
            (
                "Leave the initial state out, or Expand zeros to the batch size taken from x.shape, and re-export "
                "dynamic.",
            ),
        ),
    ),
    "Reshape": OperatorRule(
        dynamic.BAKED_RESHAPE,
        "A fixed (baked) size in the target does not follow the dynamic input.",
        ("Use -1 for the dimension that varies (or x.flatten), and re-export with it dynamic.",),
    ),
    "Einsum": OperatorRule(
        dynamic.BROADCAST,
        "Every letter of an Einsum equation stands for one size: here a dynamic size meets a fixed one.",
        ("Make both operands follow the same dynamic size, or keep the range at the size that fits.",),
    ),
    "Split": OperatorRule(
        dynamic.SPLIT,
        "The sizes of the parts are constants baked in at export, and their sum must be the size of the dynamic axis.",
        (
            "Split into equal parts (num_outputs, torch.chunk) or compute the sizes from the shape, and re-export "
            "dynamic.",
        ),
    ),
    "Slice": OperatorRule(dynamic.SLICE, "", ("Take the bounds from the input's shape.",)),
    "SpaceToDepth": OperatorRule(
        dynamic.CONCAT,
        "Height and width must be a multiple of the block size (divisible by it).",
        ("Pad or resize the input to a multiple of the block size.",),
    ),
    "Range": OperatorRule(
        dynamic.RANGE, "The limits of Range must end it.", ("Compute start, limit and delta from the shape.",)
    ),
    "Squeeze": OperatorRule(
        dynamic.SQUEEZE,
        "Only an axis of size 1 can be squeezed.",
        ("Remove the squeeze, or keep the dimension.",),
    ),
}
"""By operator."""
