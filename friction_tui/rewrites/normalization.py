"""Normalizations in forms that TensorRT refuses: statistics as outputs, one scale a channel or a group, the batch's."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import END, FLOATS, scalar

LARGEST_LRN = 15
"""The largest window of TensorRT's ILRNLayer; it takes odd ones only."""
MOST_SHIFTS = 256


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


REWRITES: tuple[Rewriter, ...] = (layer_norm, group_norm, batch_norm, lrn)
