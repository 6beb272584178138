"""Pooling forms that TensorRT refuses, as slices that are combined one axis after the other; MaxUnpool as a scatter.

A window of k₁ × k₂ elements costs k₁ + k₂ slices of the input, since maximum and sum can be taken axis by axis.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import END, FLOATS, product

MOST_SLICES = 256
"""Slices up to which a window is written out."""


@dataclass(frozen=True, slots=True)
class Window:
    """A pooling window over the spatial axes; `extra` is what ceil_mode adds behind the end padding."""

    kernel: list[int]
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    end: list[int]
    extra: list[int]

    def reach(self, axis: int) -> int:
        """How many elements one window spans along an axis."""
        return self.dilations[axis] * (self.kernel[axis] - 1) + 1


def window_of(node: onnx.NodeProto, graph: GraphEditor) -> Window:
    """The window of a pooling node with auto_pad and ceil_mode worked out. Raises CannotRewrite where sizes decide."""
    kernel = [int(size) for size in graph.attribute(node, "kernel_shape")]
    count = len(kernel)
    if sum(kernel) > MOST_SLICES:
        raise CannotRewrite(f"the window spans {sum(kernel)} slices, more than {MOST_SLICES}")
    if graph.opset < 11:
        raise NeedsOpset(11)
    strides = list(graph.attribute(node, "strides", [1] * count))
    dilations = list(graph.attribute(node, "dilations", [1] * count))
    pads = list(graph.attribute(node, "pads", [0] * 2 * count))
    window = Window(kernel, strides, dilations, pads[:count], pads[count:], [0] * count)
    sizes = (graph.dims(node.input[0]) or [None] * (count + 2))[2:]
    automatic = graph.attribute(node, "auto_pad", "NOTSET")
    for axis, size in enumerate(sizes):
        if automatic in ("SAME_UPPER", "SAME_LOWER"):
            total = _same_padding(window, axis, size)
            small, large = total // 2, total - total // 2
            window.begin[axis], window.end[axis] = (large, small) if automatic == "SAME_LOWER" else (small, large)
        elif automatic == "NOTSET" and graph.attribute(node, "ceil_mode", 0):
            window.extra[axis] = _ceil_padding(window, axis, size)
    return window


def _same_padding(window: Window, axis: int, size: int | str | None) -> int:
    stride = window.strides[axis]
    if stride == 1:
        return window.reach(axis) - 1
    if not isinstance(size, int):
        raise CannotRewrite("auto_pad with a stride needs fixed image sizes")
    return max(0, (-(-size // stride) - 1) * stride + window.reach(axis) - size)


def _ceil_padding(window: Window, axis: int, size: int | str | None) -> int:
    """What to add at the end so that rounding down gives what rounding up gave."""
    stride, begin, end, reach = window.strides[axis], window.begin[axis], window.end[axis], window.reach(axis)
    if isinstance(size, int):
        free = size + begin + end - reach
        starts = -(-free // stride) + 1
        if (starts - 1) * stride >= size + begin:  # a window must start in the image or in the padding before it
            starts -= 1
        return max(0, (starts - 1) * stride - free)
    if end + stride > reach:
        raise CannotRewrite("ceil_mode needs fixed image sizes where the stride exceeds the window")
    return stride - 1


def slices(graph: GraphEditor, tensor: str, window: Window, axis: int, rank: int, fill: str) -> list[str]:
    """One strided slice for each element of the window along a spatial axis."""
    before, behind = window.begin[axis], window.end[axis] + window.extra[axis]
    if before or behind:
        pads = [0] * 2 * rank
        pads[2 + axis], pads[rank + 2 + axis] = before, behind
        tensor = graph.op("Pad", [tensor, graph.const(pads), fill], mode="constant")
    taps = []
    for tap in range(window.kernel[axis]):
        start, stop = tap * window.dilations[axis], -(window.kernel[axis] - 1 - tap) * window.dilations[axis]
        taps.append(graph.slice(tensor, start, stop or END, 2 + axis, step=window.strides[axis]))
    return taps


def combined(graph: GraphEditor, tensor: str, window: Window, rank: int, op: str, fill: str) -> str:
    """Max or Sum over the window, axis by axis."""
    for axis in reversed(range(len(window.kernel))):
        tensor = graph.op(op, slices(graph, tensor, window, axis, rank, fill))
    return tensor


@node_rewrite("max-pool-indices", "find the positions of the maxima with ArgMax instead of MaxPool", ("", "MaxPool"))
def max_pool_indices(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MaxPool with Indices → per axis the window's slices stacked, ArgMax, and value and position gathered. Exact.

    Ties go to the first in row-major order, as in ONNX Runtime. Indices that nothing reads are dropped instead.
    """
    indices = graph.output(node, 1)
    if not indices:
        raise CannotRewrite("its indices are not asked for")
    tensor, rank = node.input[0], graph.rank(node.input[0])
    dtype = graph.dtype(tensor)
    if dtype not in FLOATS:
        raise CannotRewrite("the input is not float")
    if not graph.readers(indices):
        kept = {each.name: helper.get_attribute_value(each) for each in node.attribute if each.name != "storage_order"}
        graph.op("MaxPool", [tensor], node.output[0], **kept)
        return
    window = window_of(node, graph)
    place = _places(graph, tensor, rank, graph.attribute(node, "storage_order", 0))
    lowest, zero = graph.const(-np.inf, graph.numpy_dtype(tensor)), graph.const(0)
    value = tensor
    for axis in reversed(range(rank - 2)):
        values = graph.concat(
            [graph.unsqueeze(tap, [rank]) for tap in slices(graph, value, window, axis, rank, lowest)], rank
        )
        places = graph.concat(
            [graph.unsqueeze(tap, [rank]) for tap in slices(graph, place, window, axis, rank, zero)], rank
        )
        best = graph.op("ArgMax", [values], axis=rank, keepdims=1)
        last = axis == 0
        gathered = graph.op("GatherElements", [values, best], axis=rank)
        value = graph.squeeze(gathered, [rank], (node.output[0] if last else ""))
        place = graph.squeeze(graph.op("GatherElements", [places, best], axis=rank), [rank], indices if last else "")


def _places(graph: GraphEditor, tensor: str, rank: int, column_major: int) -> str:
    """The flat index of every element, in the shape of the tensor."""
    sizes = [graph.size(tensor, axis) for axis in range(rank)]
    flat = graph.arange(product(graph, sizes))
    if not column_major:
        return graph.reshape(flat, graph.shape(tensor))
    swapped = graph.reshape(flat, graph.concat([*sizes[:2], *reversed(sizes[2:])]))
    return graph.op("Transpose", [swapped], perm=[0, 1, *reversed(range(2, rank))])


@node_rewrite(
    "pool-dilations",
    "combine shifted slices instead of pooling with dilations",
    ("", "MaxPool"),
    ("", "AveragePool"),
    exactness=Exactness.ROUNDING,
)
def pool_dilations(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MaxPool or AveragePool with dilations → Max or Sum of strided slices, axis by axis.

    An average is then divided by the number of elements that count. A maximum is exact.
    """
    dilations = graph.attribute(node, "dilations", [])
    if all(dilation == 1 for dilation in dilations):
        raise CannotRewrite("it has no dilations")
    if graph.output(node, 1):
        raise CannotRewrite("it also gives indices")
    tensor, rank = node.input[0], graph.rank(node.input[0])
    if graph.dtype(tensor) not in FLOATS:
        raise CannotRewrite("the input is not float")
    window, kind = window_of(node, graph), graph.numpy_dtype(tensor)
    if node.op_type == "MaxPool":
        graph.op("Identity", [combined(graph, tensor, window, rank, "Max", graph.const(-np.inf, kind))], node.output[0])
        return
    zero = graph.const(0, kind)
    total = combined(graph, tensor, window, rank, "Sum", zero)
    if not any((*window.begin, *window.end, *window.extra)):
        graph.op("Div", [total, graph.const(int(np.prod(window.kernel)), kind)], node.output[0])
        return
    # How many elements each window holds: the same sum over ones.
    spatial = graph.concat([graph.const([1, 1]), graph.slice(graph.shape(tensor), 2, rank, 0)])
    ones = graph.op("Expand", [graph.const(np.ones([1] * rank), kind), spatial])
    counted = window
    if graph.attribute(node, "count_include_pad", 0):
        pads = [0, 0, *window.begin, 0, 0, *window.end]
        ones = graph.op("Pad", [ones, graph.const(pads), graph.const(1, kind)])
        none = [0] * len(window.kernel)
        counted = Window(window.kernel, window.strides, window.dilations, none, none, window.extra)
    graph.op("Div", [total, combined(graph, ones, counted, rank, "Sum", zero)], node.output[0])


@node_rewrite(
    "lp-pool-power",
    "add up powers of shifted slices instead of LpPool",
    ("", "LpPool"),
    exactness=Exactness.ROUNDING,
)
def lp_pool(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """LpPool of any p, with dilations, auto_pad and ceil_mode → Σ|x|^p over slices, then the p-th root."""
    tensor, rank = node.input[0], graph.rank(node.input[0])
    window, kind = window_of(node, graph), graph.numpy_dtype(tensor)
    p = graph.attribute(node, "p", 2)
    powers = graph.op("Pow", [graph.op("Abs", [tensor]), graph.const(p, kind)])
    total = combined(graph, powers, window, rank, "Sum", graph.const(0, kind))
    graph.op("Pow", [total, graph.const(1 / p, kind)], node.output[0])


@node_rewrite("max-unpool-scatter", "scatter the values instead of MaxUnpool", ("", "MaxUnpool"))
def max_unpool(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MaxUnpool → ScatterElements on a flat tensor of zeros. Exact.

    A larger output_shape pads at the end, as ONNX specifies; ONNX Runtime reads the indices in that shape instead.
    """
    if graph.opset < 11:
        raise NeedsOpset(11)
    tensor, indices = node.input[:2]
    rank = graph.rank(tensor)
    kernel = graph.attribute(node, "kernel_shape")
    count = len(kernel)
    strides = graph.attribute(node, "strides", [1] * count)
    pads = graph.attribute(node, "pads", [0] * 2 * count)
    sizes = [graph.size(tensor, 0), graph.size(tensor, 1)]
    for axis in range(count):
        steps = graph.op("Sub", [graph.size(tensor, 2 + axis), graph.const([1])])
        covered = graph.op("Mul", [steps, graph.const([strides[axis]])])
        sizes.append(graph.op("Add", [covered, graph.const([kernel[axis] - pads[axis] - pads[count + axis]])]))
    shape = graph.concat(sizes)
    zero = graph.const([0], graph.numpy_dtype(tensor))
    empty = graph.op("Expand", [zero, product(graph, sizes)])
    flat = [graph.reshape(each, [-1]) for each in (indices, tensor)]
    scattered = graph.op("ScatterElements", [empty, *flat], axis=0)
    wanted = graph.input(node, 2)
    if not wanted:
        graph.reshape(scattered, shape, node.output[0])
        return
    missing = graph.op("Sub", [wanted, shape])
    pad = graph.concat([graph.const([0] * rank), missing])
    graph.op("Pad", [graph.reshape(scattered, shape), pad], node.output[0])


@node_rewrite("max-pool-float", "take the maximum as float", ("", "MaxPool"))
def max_pool_integers(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MaxPool of uint8 → the same in float between casts. Exact: every 8-bit integer is a float."""
    dtype = graph.dtype(node.input[0])
    if dtype != TensorProto.UINT8 or graph.output(node, 1):
        raise CannotRewrite("it is not a MaxPool of uint8 without indices")
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    pooled = graph.op("MaxPool", [graph.cast(node.input[0], TensorProto.FLOAT)], **attributes)
    graph.cast(pooled, dtype, node.output[0])


REWRITES: tuple[Rewriter, ...] = (max_pool_indices, pool_dilations, lp_pool, max_unpool, max_pool_integers)
