"""Scattering with a reduction, which TensorRT refuses: a one-hot comparison decides which update goes where."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS, INTEGERS, move_axis, nonnegative, product, remainder

REDUCE = {"add": "ReduceSum", "mul": "ReduceProd", "max": "ReduceMax", "min": "ReduceMin"}
COMBINE = {"add": "Add", "mul": "Mul", "max": "Max", "min": "Min"}


@node_rewrite(
    "scatter-elements-reduction",
    "add up through a one-hot comparison instead of scattering",
    ("", "ScatterElements"),
    exactness=Exactness.ROUNDING,
)
def scatter_elements(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """ScatterElements with reduction add, mul, max or min → the updates reduced behind a one-hot mask.

    A mask [… D, K …] tells for each of the D slots of the axis which of the K indices names it. Where all lines share
    their indices (an index that was expanded, as scatter_add of graph networks has it) and updates are added, it is
    one MatMul [D, K] × [K, rest]; an infinite or NaN update then spreads over its column. Otherwise it is a Where and
    a reduction, with memory D·K·rest. max and min are exact; add and mul differ in the order of the operands.
    """
    reduction = _reduction(node, graph)
    data, indices, updates = node.input
    rank, dtype = graph.rank(data), graph.dtype(data)
    axis = graph.attribute(node, "axis", 0) % rank
    size = graph.size(data, axis)
    shared = _shared_indices(graph, indices, rank, axis) if reduction == "add" and dtype in FLOATS else ""
    if shared:
        reached = _sum_by_matmul(graph, nonnegative(graph, shared, size), updates, size, rank, axis, dtype)
    else:
        slots = graph.reshape(graph.arange(size), [-1 if at == axis else 1 for at in range(rank + 1)])
        named = graph.op("Equal", [graph.unsqueeze(nonnegative(graph, indices, size), [axis]), slots])
        masked = graph.op("Where", [named, graph.unsqueeze(updates, [axis]), _neutral(graph, reduction, data)])
        reached = graph.reduce(REDUCE[reduction], masked, [axis + 1], keep=False)
    reached = _grown(graph, reached, indices, data, axis, reduction)
    graph.op(COMBINE[reduction], [data, reached], node.output[0])


@node_rewrite(
    "scatter-nd-reduction",
    "add up through a one-hot MatMul instead of scattering",
    ("", "ScatterND"),
    exactness=Exactness.ROUNDING,
)
def scatter_nd(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """ScatterND with reduction add, mul, max or min → one-hot MatMul (add of floats) or Where and a reduction.

    With indices of depth k, the first k axes of the data are P = their product slots, and N updates are rows of R
    elements: the mask is [P, N]. Adding costs P·N·R multiplications, the others as much memory. Needs the depth (the
    last size of the indices) as a number. An infinite or NaN update spreads over its column when added.
    """
    reduction = _reduction(node, graph)
    data, indices, updates = node.input
    dtype, rank = graph.dtype(data), graph.rank(data)
    depth = graph.static_dim(indices, -1)
    sizes = [graph.size(data, axis) for axis in range(depth)]
    columns = graph.split(indices, [1] * depth, -1) if depth > 1 else [indices]
    linear = ""
    for column, size in zip(columns, sizes, strict=True):
        index = nonnegative(graph, column, size)
        linear = graph.op("Add", [graph.op("Mul", [linear, size]), index]) if linear else index
    slots = product(graph, sizes)
    rest = product(graph, [graph.size(data, axis) for axis in range(depth, rank)])
    named = graph.op("Equal", [graph.reshape(linear, [1, -1]), graph.reshape(graph.arange(slots), [-1, 1])])  # [P, N]
    rows = graph.reshape(updates, graph.concat([graph.const([-1]), rest]))
    flat = graph.reshape(data, graph.concat([slots, rest]))
    if reduction == "add" and dtype in FLOATS:
        reached = graph.op("MatMul", [graph.cast(named, dtype), rows])
    else:
        masked = graph.op(
            "Where",
            [graph.unsqueeze(named, [2]), graph.unsqueeze(rows, [0]), _neutral(graph, reduction, data)],
        )
        reached = graph.reduce(REDUCE[reduction], masked, [1], keep=False)
    graph.reshape(graph.op(COMBINE[reduction], [flat, reached]), graph.shape(data), node.output[0])


@node_rewrite("tensor-scatter-elements", "write with ScatterElements instead of TensorScatter", ("", "TensorScatter"))
def tensor_scatter(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """TensorScatter (a cache that is written at an index for each sample) → ScatterElements. Exact.

    Also circular, with positions modulo the length of the cache, and for caches of any rank: TensorRT takes neither.
    """
    cache, update = node.input[:2]
    rank = graph.rank(cache)
    axis = graph.attribute(node, "axis", -2) % rank
    if axis == 0:
        raise CannotRewrite("the axis is that of the samples")
    count = graph.size(update, axis)
    written = graph.arange(count)
    start = graph.input(node, 2)
    if start:
        first = graph.cast(start, TensorProto.INT64)
        written = graph.op("Add", [graph.unsqueeze(first, [1]), graph.unsqueeze(written, [0])])  # [B, count]
    if graph.attribute(node, "mode", "linear") == "circular":
        written = remainder(graph, written, graph.size(cache, axis))
    lines = [-1 if at == axis else 1 for at in range(rank)]
    shape = graph.concat([graph.size(cache, 0), graph.const(lines[1:])]) if start else graph.const(lines)
    indices = graph.op("Expand", [graph.reshape(written, shape), graph.shape(update)])
    graph.op("ScatterElements", [cache, indices, update], node.output[0], axis=axis)


def _reduction(node: onnx.NodeProto, graph: GraphEditor) -> str:
    reduction = str(graph.attribute(node, "reduction", "none"))
    if reduction not in REDUCE:
        raise CannotRewrite("it scatters without a reduction, which TensorRT takes")
    if graph.dtype(node.input[0]) not in (*FLOATS, *INTEGERS):
        raise CannotRewrite("the data is neither float nor int32 or int64")
    return reduction


def _neutral(graph: GraphEditor, reduction: str, data: str) -> str:
    """What changes nothing under the reduction, in the type of the data."""
    dtype = graph.numpy_dtype(data)
    if reduction in ("add", "mul"):
        return graph.const(reduction == "mul", dtype)
    if dtype.kind == "i":
        limits = np.iinfo(dtype)
        return graph.const(limits.min if reduction == "max" else limits.max, dtype)
    return graph.const(-np.inf if reduction == "max" else np.inf, dtype)


def _shared_indices(graph: GraphEditor, indices: str, rank: int, axis: int) -> str:
    """The source of indices that are the same on every line: one that Expand repeats; "" where they may differ.

    A length of the source that is not known is taken not to be 1, repeated along its own axis: MatMul would fail then.
    """
    writer = graph.writer(indices)
    if writer is None or writer.op_type != "Expand":
        return ""
    sizes = graph.dims(writer.input[0])
    if sizes is None or len(sizes) > rank:
        return ""
    padded = [1] * (rank - len(sizes)) + sizes
    length, repeated = padded[axis], (graph.dims(indices) or [None] * rank)[axis]
    alone = all(size == 1 for at, size in enumerate(padded) if at != axis)
    same = length == repeated if isinstance(length, int) and isinstance(repeated, int) else length != 1
    return writer.input[0] if alone and same else ""


def _sum_by_matmul(graph: GraphEditor, shared: str, updates: str, size: str, rank: int, axis: int, dtype: int) -> str:
    named = graph.op("Equal", [graph.reshape(graph.arange(size), [-1, 1]), graph.reshape(shared, [1, -1])])
    first = move_axis(graph, updates, rank, axis, 0)
    shape = graph.shape(first)
    count = graph.size(updates, axis)
    rows = graph.reshape(first, graph.concat([count, graph.const([-1])])) if rank != 2 else first
    total = graph.op("MatMul", [graph.cast(named, dtype), rows])
    if rank != 2:
        total = graph.reshape(total, graph.concat([size, graph.slice(shape, 1, rank, 0)]))
    return move_axis(graph, total, rank, 0, axis)


def _grown(graph: GraphEditor, reached: str, indices: str, data: str, axis: int, reduction: str) -> str:
    """Indices may be smaller than the data beside the axis: the missing lines get what changes nothing."""
    have, want = graph.dims(indices), graph.dims(data)
    rank = graph.rank(data)
    if (
        have is not None
        and want is not None
        and all(have[at] == want[at] is not None for at in range(rank) if at != axis)
    ):
        return reached
    mask = graph.const([int(at != axis) for at in range(rank)])
    missing = graph.op("Mul", [graph.op("Sub", [graph.shape(data), graph.shape(indices)]), mask])
    pads = graph.concat([graph.const([0] * rank), missing])
    return graph.op("Pad", [reached, pads, _neutral(graph, reduction, data)])


REWRITES: tuple[Rewriter, ...] = (scatter_elements, scatter_nd, tensor_scatter)
