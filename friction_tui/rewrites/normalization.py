"""Normalizations in forms that TensorRT refuses: statistics as outputs, one scale a channel or a group, the batch's."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.editing import copy_of
from friction_tui.rewrites.graph_editor import Array, GraphEditor, node_rewrite
from friction_tui.rewrites.graph_parts import remove_unused
from friction_tui.rewrites.indexing import END, FLOATS, scalar

LARGEST_LRN = 15
"""The largest window of TensorRT's ILRNLayer; it takes odd ones only."""
MOST_SHIFTS = 256
_LAYER_NORM = 17
_SQUARE = 2.0


@node_rewrite(
    "layer-norm-statistics",
    "write out the mean and deviation of LayerNormalization",
    ("", "LayerNormalization"),
    exactness=Exactness.ROUNDING,
)
def layer_norm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """LayerNormalization with Mean or InvStdDev as outputs → ReduceMean, Sub, Mul …; with both unused: left out.

    Computed in float32 whatever the type, as stash_type 1 says.
    """
    statistics = [graph.output(node, at) for at in (1, 2)]
    if not any(statistics):
        raise CannotRewrite("it gives no statistics, which TensorRT takes")
    tensor, rank, dtype = node.input[0], graph.rank(node.input[0]), graph.dtype(node.input[0])
    axis, epsilon = graph.attribute(node, "axis", -1), graph.attribute(node, "epsilon", 1e-5)
    if not any(name and graph.readers(name) for name in statistics):
        graph.op("LayerNormalization", node.input, node.output[0], axis=axis, epsilon=epsilon)
        return
    axes = list(range(axis % rank, rank))
    wide = graph.cast(tensor, TensorProto.FLOAT) if dtype != TensorProto.FLOAT else tensor
    mean = graph.reduce("ReduceMean", wide, axes, output=statistics[0])
    centred, variance = _variance(graph, wide, mean, axes)
    deviation = _deviation(graph, variance, epsilon)
    inverse = graph.op("Reciprocal", [deviation], statistics[1])
    normal = graph.op("Mul", [centred, inverse])
    if dtype != TensorProto.FLOAT:
        normal = graph.cast(normal, dtype)
    bias = graph.input(node, 2)
    scaled = graph.op("Mul", [normal, node.input[1]], "" if bias else node.output[0])
    if bias:
        graph.op("Add", [scaled, bias], node.output[0])


@node_rewrite(
    "group-norm-instance-norm",
    "normalize groups with InstanceNormalization and scale apart",
    ("", "GroupNormalization"),
    exactness=Exactness.ROUNDING,
)
def group_norm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """GroupNormalization (18: a scale for each group, 21: for each channel) → groups normalized, then Mul and Add.

    Which of the two it is follows from the number of scales, so that a file that has the newer form under the older
    opset is read as it was meant. Do not raise the opset instead: the meaning of the scale changes between 18 and 21.
    """
    tensor, scale, bias = node.input
    groups, epsilon = graph.attribute(node, "num_groups"), graph.attribute(node, "epsilon", 1e-5)
    rank, channels = graph.rank(tensor), graph.static_dim(tensor, 1)
    if graph.dtype(tensor) not in FLOATS:
        raise CannotRewrite("the input is not float")
    count = graph.static_dims(scale)[0]
    if count not in (groups, channels):
        raise CannotRewrite(f"{count} scales fit neither {groups} groups nor {channels} channels")
    kind = graph.numpy_dtype(tensor)
    rows = graph.reshape(tensor, [0, groups, -1])
    ones, zeros = graph.const(np.ones(groups), kind), graph.const(np.zeros(groups), kind)
    normal = graph.op("InstanceNormalization", [rows, ones, zeros], epsilon=epsilon)
    normal = graph.reshape(normal, graph.shape(tensor))

    def per_channel(values: str) -> str:
        if count != channels:
            values = graph.op("Expand", [graph.reshape(values, [groups, 1]), graph.const([groups, channels // groups])])
        return graph.reshape(values, [1, channels, *[1] * (rank - 2)])

    graph.op("Add", [graph.op("Mul", [normal, per_channel(scale)]), per_channel(bias)], node.output[0])


@node_rewrite(
    "batch-norm-statistics",
    "normalize by the statistics of the batch, as training mode does",
    ("", "BatchNormalization"),
    exactness=Exactness.ROUNDING,
)
def batch_norm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """BatchNormalization with training_mode=1 → mean and variance of the batch, and the running ones if asked for.

    That is what the node computes. The export most likely meant evaluation mode: leaving it is another fix.
    """
    if not graph.attribute(node, "training_mode", 0):
        raise CannotRewrite("it is not in training mode")
    tensor, scale, bias, old_mean, old_variance = node.input
    if graph.dtype(tensor) != TensorProto.FLOAT:
        raise CannotRewrite("the input is not float32")
    rank = graph.rank(tensor)
    axes = [0, *range(2, rank)]
    shape = [1, -1, *[1] * (rank - 2)]
    mean = graph.reduce("ReduceMean", tensor, axes)
    centred, variance = _variance(graph, tensor, mean, axes)
    normal = graph.op("Div", [centred, _deviation(graph, variance, graph.attribute(node, "epsilon", 1e-5))])
    scaled = graph.op("Mul", [normal, graph.reshape(scale, shape)])
    graph.op("Add", [scaled, graph.reshape(bias, shape)], node.output[0])
    momentum = graph.attribute(node, "momentum", 0.9)
    for at, (old, new) in enumerate(((old_mean, mean), (old_variance, variance)), 1):
        if graph.output(node, at) and graph.readers(node.output[at]):
            kept = graph.op("Mul", [old, graph.const(momentum, np.float32)])
            added = graph.op("Mul", [graph.reshape(new, [-1]), graph.const(1 - momentum, np.float32)])
            graph.op("Add", [kept, added], node.output[at])


@node_rewrite(
    "lrn-slices",
    "add up squares of neighbouring channels instead of LRN",
    ("", "LRN"),
    exactness=Exactness.ROUNDING,
)
def lrn(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """LRN of even or large size, which TensorRT does not take → squares summed over shifted channels, Pow and Div."""
    size = graph.attribute(node, "size")
    if size % 2 and size <= LARGEST_LRN:
        raise CannotRewrite(f"its size is {size}, which TensorRT takes")
    if size > MOST_SHIFTS:
        raise CannotRewrite(f"its size is {size}: more than {MOST_SHIFTS} slices")
    if graph.opset < 11:
        raise NeedsOpset(11)
    tensor, rank = node.input[0], graph.rank(node.input[0])
    before = (size - 1) // 2
    pads = [0, before, *[0] * (rank - 2), 0, size - 1 - before, *[0] * (rank - 2)]
    squares = graph.op("Pad", [graph.op("Mul", [tensor, tensor]), graph.const(pads), scalar(graph, 0, tensor)])
    ends = [shift - size + 1 or END for shift in range(size)]
    total = graph.op("Sum", [graph.slice(squares, shift, end, 1) for shift, end in enumerate(ends)])
    factor = scalar(graph, graph.attribute(node, "alpha", 1e-4) / size, tensor)
    base = graph.op(
        "Add", [graph.op("Mul", [total, factor]), scalar(graph, graph.attribute(node, "bias", 1.0), tensor)]
    )
    power = graph.op("Pow", [base, scalar(graph, graph.attribute(node, "beta", 0.75), tensor)])
    graph.op("Div", [tensor, power], node.output[0])


def _variance(graph: GraphEditor, tensor: str, mean: str, axes: list[int]) -> tuple[str, str]:
    """The tensor less its mean, and its variance."""
    centred = graph.op("Sub", [tensor, mean])
    return centred, graph.reduce("ReduceMean", graph.op("Mul", [centred, centred]), axes)


def _deviation(graph: GraphEditor, variance: str, epsilon: float) -> str:
    return graph.op("Sqrt", [graph.op("Add", [variance, graph.const(epsilon, np.float32)])])


# ------------------------------------------------------------------------------------- a normalization taken apart


def fuse(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """LayerNormalization in place of ReduceMean, Sub, Pow, ReduceMean, Add, Sqrt, Div, and of Mul and Add behind them.

    The operator sums in float32 whatever the type: squares above 65504 are no longer infinite in float16. Over the
    last axes only, with a scale and a bias that are constants of just these.
    """
    del paths
    if model.index.opsets.get("", 1) < _LAYER_NORM:
        raise NeedsOpset(_LAYER_NORM, "LayerNormalization")
    proto = copy_of(model)
    graph = GraphEditor(proto, model.path.parent)
    found: dict[str, _Apart] = {}
    for node in proto.graph.node:
        apart = _taken_apart(node, graph)
        if apart is not None:
            found[apart.last] = apart
    if not found:
        raise CannotRewrite("no layer normalization is taken apart here")

    def put(node: onnx.NodeProto) -> bool:
        apart = found.get(node.output[0])
        if apart is None:
            return False
        dtype = graph.numpy_dtype(apart.data)
        sizes = [graph.static_dim(apart.data, at) for at in range(apart.axis, 0)]
        scale = np.ones(sizes) if apart.scale is None else np.broadcast_to(apart.scale, sizes)
        inputs = [apart.data, graph.const(scale.astype(dtype), dtype, name="scale")]
        if apart.bias is not None:
            inputs.append(graph.const(np.broadcast_to(apart.bias, sizes).astype(dtype), dtype, name="bias"))
        graph.op("LayerNormalization", inputs, apart.last, axis=apart.axis, epsilon=apart.epsilon)
        return True

    graph.rebuild(proto.graph, put)
    remove_unused(proto)
    return proto


@dataclass(frozen=True, slots=True)
class _Apart:
    """What a normalization reads, over the axes from `axis` (negative) on, and the last output that it gives."""

    data: str
    axis: int
    epsilon: float
    scale: Array | None
    bias: Array | None
    last: str


def _taken_apart(node: onnx.NodeProto, graph: GraphEditor) -> _Apart | None:
    """The normalization that ends in this Div, or in a Mul and an Add behind it; None where it does not."""
    if node.op_type != "Div" or (centred := _made_by(graph, node.input[0], "Sub")) is None:
        return None
    data, mean = centred.input
    root = _made_by(graph, node.input[1], "Sqrt")
    total = _made_by(graph, root.input[0], "Add") if root is not None else None
    if total is None:
        return None
    variance, epsilon = total.input[0], graph.constant(total.input[1])
    averaged = _made_by(graph, variance, "ReduceMean")
    if epsilon is None or epsilon.size != 1 or averaged is None or not _is_square(graph, averaged.input[0], centred):
        return None
    first = _made_by(graph, mean, "ReduceMean")
    if first is None or first.input[0] != data:
        return None
    axes = [_trailing_axes(graph, each, data) for each in (first, averaged)]
    if axes[0] is None or axes[0] != axes[1]:
        return None
    try:
        sizes = [graph.static_dim(data, at) for at in range(axes[0], 0)]
    except CannotRewrite:
        return None
    scale, last = _applied(graph, node.output[0], "Mul", sizes)
    bias, last = _applied(graph, last, "Add", sizes) if scale is not None else (None, last)
    return _Apart(data, axes[0], float(epsilon.reshape(())), scale, bias, last)


def _made_by(graph: GraphEditor, name: str, op: str) -> onnx.NodeProto | None:
    writer = graph.writer(name)
    return writer if writer is not None and writer.op_type == op else None


def _is_square(graph: GraphEditor, name: str, of: onnx.NodeProto) -> bool:
    """Whether a tensor is the square of another's only output, or of the same difference written again."""
    writer = graph.writer(name)
    if writer is None or len(writer.input) != 2:
        return False
    base, other = writer.input
    again = _made_by(graph, base, "Sub")
    if again is None or list(again.input) != list(of.input):
        return False
    exponent = graph.constant(other) if writer.op_type == "Pow" else None
    squared = exponent is not None and exponent.size == 1 and float(exponent.reshape(())) == _SQUARE
    return squared or (writer.op_type == "Mul" and base == other)


def _trailing_axes(graph: GraphEditor, node: onnx.NodeProto, data: str) -> int | None:
    """The first of the axes a ReduceMean averages, counted from the end, where they are the last ones and are kept."""
    try:
        rank, axes = graph.rank(data), graph.ints(node, "axes", 1, None)
    except CannotRewrite:
        return None
    if not axes or not graph.attribute(node, "keepdims", 1):
        return None
    places = sorted(axis % rank - rank for axis in axes)
    return places[0] if places == list(range(places[0], 0)) else None


def _applied(graph: GraphEditor, name: str, op: str, sizes: Sequence[int]) -> tuple[Array | None, str]:
    """The constant of just `sizes` that the only reader multiplies by or adds, and its output; else None and `name`."""
    reading = graph.reading(name)
    if len(reading) != 1 or graph.readers(name) != 1 or reading[0].op_type != op:
        return None, name
    others = [each for each in reading[0].input if each != name]
    value = graph.constant(others[0]) if len(others) == 1 else None
    fits = value is not None and value.ndim <= len(sizes) and np.broadcast_shapes(value.shape, sizes) == tuple(sizes)
    return (value, reading[0].output[0]) if fits else (None, name)


FUSE = Rewriter(
    "fuse-layer-norm",
    "put LayerNormalization in place of its parts",
    fuse,
    Exactness.ROUNDING,
)

REWRITES: tuple[Rewriter, ...] = (layer_norm, group_norm, batch_norm, lrn, FUSE)
