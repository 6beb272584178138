"""Arithmetic on indices that several rewrites share, all in int64."""

from __future__ import annotations

from collections.abc import Sequence

from onnx import TensorProto

from friction_tui.rewrites.graph_editor import GraphEditor

FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
INTEGERS = (TensorProto.INT32, TensorProto.INT64)
END = 2**31 - 1
"""The end of a Slice up to the last element; within int32, which TensorRT computes sizes in."""


def scalar(graph: GraphEditor, value: float, like: str) -> str:
    """A constant without axes, in the element type of tensor `like`."""
    return graph.const(value, graph.numpy_dtype(like))


def nonnegative(graph: GraphEditor, indices: str, size: str) -> str:
    """Indices as int64 with `size` (a one-element int64 tensor) added to the negative ones."""
    indices = graph.cast(indices, TensorProto.INT64)
    negative = graph.op("Less", [indices, graph.const(0)])
    return graph.op("Where", [negative, graph.op("Add", [indices, size]), indices])


def product(graph: GraphEditor, sizes: Sequence[str]) -> str:
    """The product of one-element int64 tensors; 1 for none."""
    if not sizes:
        return graph.const([1])
    total = sizes[0]
    for size in sizes[1:]:
        total = graph.op("Mul", [total, size])
    return total


def move_axis(graph: GraphEditor, tensor: str, rank: int, source: int, target: int, output: str = "") -> str:
    """The tensor with axis `source` at position `target`, like NumPy's moveaxis.

    Gives the tensor itself where the axis is there and no name of an output is asked for.
    """
    order = [axis for axis in range(rank) if axis != source]
    order.insert(target, source)
    if order == list(range(rank)):
        return graph.op("Identity", [tensor], output) if output else tensor
    return graph.op("Transpose", [tensor], output, perm=order)


def remainder(graph: GraphEditor, value: str, divisor: str) -> str:
    """Integer remainder of values that are not negative, without Mod."""
    return graph.op("Sub", [value, graph.op("Mul", [graph.op("Div", [value, divisor]), divisor])])


def kept_positions(graph: GraphEditor, flags: str) -> tuple[str, str]:
    """Where True entries of a flat bool tensor go when they are packed, and how many there are.

    The first result is int64, as long as the flags: 0, 1, 2, … at the True ones and the length of the flags at the
    others, which so fall on one slot behind the end. The second is a one-element int64 tensor.
    """
    zero = graph.const([0])
    running = graph.op("CumSum", [graph.cast(flags, TensorProto.INT64), graph.const(0)])
    slots = graph.op("Where", [flags, graph.op("Sub", [running, graph.const([1])]), graph.shape(flags)])
    # The last of the running sums, not a ReduceSum: of an input of fixed size, TensorRT would take that for a shape
    # tensor and ask for its values at build time.
    return slots, graph.reduce("ReduceMax", graph.concat([zero, running]), [0])
