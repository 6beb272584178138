"""Operators whose output size depends on values: packed by CumSum and Scatter, then cut to the computed count.

The size of the result is that of the original: the engine's output shape is computed at run time (-1 in the network).
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import INTEGERS, kept_positions, move_axis, product, remainder, scalar

MOST_COMPARED = 4096
"""Items up to which all pairs are compared: 16 million comparisons."""


@node_rewrite("nonzero-scatter", "number the non-zero elements with CumSum instead of NonZero", ("", "NonZero"))
def nonzero(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """NonZero → positions by CumSum, coordinates by Div, packed by ScatterND, cut to the count by Slice. Exact.

    With GatherND behind it this is x[mask]. Costs a few passes over the elements of the input.
    """
    _require(graph, 11)
    tensor = node.input[0]
    rank = graph.rank(tensor)
    if rank == 0:
        raise CannotRewrite("the input has no axes")
    flags = graph.reshape(_truth(graph, tensor), [-1])
    slots, count = kept_positions(graph, flags)
    places = graph.arange(graph.shape(flags))
    sizes = [graph.size(tensor, axis) for axis in range(rank)]
    columns = []
    for axis in range(rank):
        stride = product(graph, sizes[axis + 1 :])
        along = graph.op("Div", [places, stride]) if axis + 1 < rank else places
        columns.append(graph.unsqueeze(remainder(graph, along, sizes[axis]) if axis else along, [1]))
    empty = graph.op(
        "Expand",
        [
            graph.const([[0]]),
            graph.concat([graph.op("Add", [graph.shape(flags), graph.const([1])]), graph.const([rank])]),
        ],
    )
    packed = graph.op("ScatterND", [empty, graph.unsqueeze(slots, [1]), graph.concat(columns, 1)])
    graph.op("Transpose", [graph.slice(packed, 0, count, 0)], node.output[0], perm=[1, 0])


@node_rewrite("compress-gather", "gather the entries that the constant condition keeps", ("", "Compress"))
def compress_constant(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Compress with a constant condition → Gather of the positions it keeps. Exact, one node."""
    condition = graph.require_constant(node.input[1], "the condition").reshape(-1)
    tensor, axis = _compressed_axis(node, graph)
    graph.op("Gather", [tensor, graph.const(np.flatnonzero(condition).astype(np.int64))], node.output[0], axis=axis)


@node_rewrite("compress-scatter", "number the kept entries with CumSum instead of Compress", ("", "Compress"))
def compress(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Compress with a computed condition → the kept positions packed by CumSum and ScatterElements, then Gather. Exact.

    A condition shorter than the axis drops the rest, as Compress does.
    """
    if graph.constant(node.input[1]) is not None:
        raise CannotRewrite("the condition is constant; a Gather does it")
    _require(graph, 11)
    condition = node.input[1]
    tensor, axis = _compressed_axis(node, graph)
    slots, count = kept_positions(graph, condition)
    empty = graph.op("Expand", [graph.const([0]), graph.op("Add", [graph.shape(condition), graph.const([1])])])
    packed = graph.op("ScatterElements", [empty, slots, graph.arange(graph.shape(condition))], axis=0)
    graph.op("Gather", [tensor, graph.slice(packed, 0, count, 0)], node.output[0], axis=axis)


@node_rewrite("unique-pairs", "compare all pairs instead of Unique", ("", "Unique"))
def unique(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Unique, sorted or not, flat or along an axis → an N×N comparison, ranks by counting, packed by Scatter. Exact.

    An item is the first of its kind where no earlier one equals it; its place among the results is the number of first
    ones that are smaller (sorted) or earlier (not sorted). N² comparisons (times the row length along an axis) and no
    TopK, so that its limit does not count; N up to 4096, where its size is known. NaN, which equals nothing, is not
    handled as ONNX Runtime does.
    """
    _require(graph, 13)
    tensor, axis = node.input[0], graph.attribute(node, "axis")
    rank = graph.rank(tensor)
    dtype = graph.dtype(tensor)
    if dtype not in (TensorProto.FLOAT, TensorProto.FLOAT16, *INTEGERS):
        raise CannotRewrite("the elements are neither float nor int32 or int64")
    along = None if axis is None else axis % rank
    known = graph.dims(tensor) or []
    items = known if along is None else known[along : along + 1]
    if all(isinstance(size, int) for size in items):
        count = int(np.prod([size for size in items if isinstance(size, int)]))
        if count > MOST_COMPARED:
            raise CannotRewrite(f"{count} items would be compared with each other")
    rows = _rows(graph, tensor, rank, along)
    equal, less = _compared(graph, rows, graph.attribute(node, "sorted", 1))
    _pack_unique(node, graph, rows, equal, less, rank, along)


def _rows(graph: GraphEditor, tensor: str, rank: int, axis: int | None) -> str:
    """The items that are compared as rows [N, R]."""
    if axis is None:
        return graph.reshape(tensor, [-1, 1])
    first = move_axis(graph, tensor, rank, axis, 0)
    if rank == 1:
        return graph.reshape(first, [-1, 1])
    return graph.reshape(first, graph.concat([graph.size(tensor, axis), graph.const([-1])]))


def _compared(graph: GraphEditor, rows: str, by_value: int) -> tuple[str, str]:
    """[N, N] bool: row i equals row j, and row j comes before row i by value (lexicographic) or by position."""
    one, other = graph.unsqueeze(rows, [1]), graph.unsqueeze(rows, [0])  # i along axis 0, j along axis 1
    differ = graph.cast(graph.op("Not", [graph.op("Equal", [one, other])]), TensorProto.INT32)
    equal = graph.op("Equal", [graph.reduce("ReduceMax", differ, [2], keep=False), graph.const(0, np.int32)])
    if not by_value:
        places = graph.arange(graph.slice(graph.shape(rows), 0, 1, 0))
        return equal, graph.op("Less", [graph.unsqueeze(places, [0]), graph.unsqueeze(places, [1])])
    position = graph.op("ArgMax", [differ], axis=2, keepdims=1)  # of the first element in which they differ
    smaller = graph.cast(graph.op("Less", [other, one]), TensorProto.INT32)
    decided = graph.squeeze(graph.op("GatherElements", [smaller, position], axis=2), [2])
    return equal, graph.op("Greater", [decided, graph.const(0, np.int32)])


def _pack_unique(
    node: onnx.NodeProto, graph: GraphEditor, rows: str, equal: str, less: str, rank: int, axis: int | None
) -> None:
    total = graph.slice(graph.shape(rows), 0, 1, 0)
    places = graph.arange(total)
    earliest = graph.op("ArgMax", [graph.cast(equal, TensorProto.INT32)], axis=1, keepdims=0)  # first equal row
    first = graph.op("Equal", [earliest, places])
    _, count = kept_positions(graph, first)
    counted = graph.cast(graph.op("And", [less, graph.unsqueeze(first, [0])]), TensorProto.INT64)
    alone = graph.reduce("ReduceSum", counted, [1], keep=False)
    slot = graph.op("Gather", [alone, earliest], axis=0)  # of each row's value among the results
    empty = graph.op("Expand", [graph.const([0]), graph.op("Add", [total, graph.const([1])])])
    target = graph.op("Where", [first, slot, total])
    packed = graph.slice(graph.op("ScatterElements", [empty, target, places], axis=0), 0, count, 0)
    if graph.output(node, 0):
        if axis is None:
            flat = graph.reshape(node.input[0], [-1]) if rank != 1 else node.input[0]
            graph.op("Gather", [flat, packed], node.output[0], axis=0)
        else:
            graph.op("Gather", [node.input[0], packed], node.output[0], axis=axis)
    if graph.output(node, 1):
        graph.op("Identity", [packed], node.output[1])
    if graph.output(node, 2):
        graph.op("Identity", [slot], node.output[2])
    if graph.output(node, 3):
        times = graph.reduce("ReduceSum", graph.cast(equal, TensorProto.INT64), [1], keep=False)
        graph.op("Gather", [times, packed], node.output[3], axis=0)


def _truth(graph: GraphEditor, tensor: str) -> str:
    dtype = graph.dtype(tensor)
    if dtype == TensorProto.BOOL:
        return tensor
    if dtype in (TensorProto.INT8, TensorProto.UINT8):
        return graph.cast(graph.cast(tensor, TensorProto.INT32), TensorProto.BOOL)
    return graph.op("Not", [graph.op("Equal", [tensor, scalar(graph, 0, tensor)])])


def _compressed_axis(node: onnx.NodeProto, graph: GraphEditor) -> tuple[str, int]:
    axis = graph.attribute(node, "axis")
    if axis is None:
        return graph.reshape(node.input[0], [-1]), 0
    return node.input[0], int(axis)


def _require(graph: GraphEditor, opset: int) -> None:
    if graph.opset < opset:
        raise NeedsOpset(opset)


REWRITES: tuple[Rewriter, ...] = (nonzero, compress_constant, compress, unique)
