"""Operators on bits in integer arithmetic, which TensorRT has."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import remainder

WIDTH: dict[int, int] = {TensorProto.UINT8: 8, TensorProto.INT8: 8, TensorProto.INT32: 32, TensorProto.INT64: 64}
"""Bits of the integer types that TensorRT knows; the others need casts at their borders first."""
SIGNED = (TensorProto.INT8, TensorProto.INT32, TensorProto.INT64)
NARROW = (TensorProto.UINT8, TensorProto.INT8)


@node_rewrite("bit-shift-power", "multiply or divide by powers of two instead of shifting", ("", "BitShift"))
def bit_shift(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """BitShift of uint8, int8, int32 or int64 → Mul or Div by 2^n, wrapped to the width. Exact.

    A right shift of a negative number rounds down, as an arithmetic shift does. A count that is negative or not below
    the width shifts all bits out.
    """
    dtype = _known(node, graph)
    width = WIDTH[dtype]
    value, count = (_widened(graph, name, dtype) for name in node.input)
    all_out = scalar_like(graph, width, dtype)
    within = graph.op(
        "And", [graph.op("Less", [count, all_out]), graph.op("Greater", [count, scalar_like(graph, -1, dtype)])]
    )
    count = graph.op("Where", [within, count, all_out])
    if graph.attribute(node, "direction") == "LEFT":
        shifted = graph.op("Mul", [value, _power(graph, count, dtype, width)])
    else:
        half = graph.op("Div", [count, scalar_like(graph, 2, dtype)])
        negative = graph.op("Less", [value, scalar_like(graph, 0, dtype)])
        shifted = _flipped(graph, value, negative, dtype)
        for part in (half, graph.op("Sub", [count, half])):  # in two steps: 2^63 is not an int64
            shifted = graph.op("Div", [shifted, _power(graph, part, dtype, width // 2 + 1)])
        shifted = _flipped(graph, shifted, negative, dtype)
    _narrowed(graph, shifted, dtype, node.output[0])


@node_rewrite("bitwise-not-subtract", "subtract from minus one instead of BitwiseNot", ("", "BitwiseNot"))
def bitwise_not(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """BitwiseNot → -1 - x, for uint8 255 - x. Exact."""
    dtype = _known(node, graph)
    top = scalar_like(graph, 255 if dtype == TensorProto.UINT8 else -1, dtype)
    _delivered(graph, graph.op("Sub", [top, _widened(graph, node.input[0], dtype)]), dtype, node.output[0])


@node_rewrite("bitwise-low-bits", "take the remainder instead of masking the low bits", ("", "BitwiseAnd"))
def low_bits(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """BitwiseAnd with a constant 2^k-1 (unpacking of 4-bit values) → x minus its multiple of 2^k. Exact, few nodes."""
    dtype = _known(node, graph)
    constants = [graph.constant(name) for name in node.input]
    position = 1 if constants[1] is not None else 0
    mask = constants[position]
    if mask is None or mask.size != 1:
        raise CannotRewrite("neither operand is one constant number")
    divisor = int(mask.reshape(-1)[0]) + 1
    if divisor < 2 or divisor & (divisor - 1) or divisor > 1 << 30:
        raise CannotRewrite(f"{divisor - 1} is not of the form 2^k - 1")
    value = _widened(graph, node.input[1 - position], dtype)
    base = scalar_like(graph, divisor, dtype)
    rest = remainder(graph, value, base)
    if dtype in SIGNED:
        below = graph.op("Less", [rest, scalar_like(graph, 0, dtype)])
        rest = graph.op("Where", [below, graph.op("Add", [rest, base]), rest])
    if mask.ndim > graph.rank(node.input[1 - position]):
        rest = graph.reshape(rest, [1] * mask.ndim)
    _delivered(graph, rest, dtype, node.output[0])


@node_rewrite(
    "bitwise-by-bit",
    "compute bit by bit instead of with a bitwise operator",
    ("", "BitwiseAnd"),
    ("", "BitwiseOr"),
    ("", "BitwiseXor"),
)
def bitwise(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """BitwiseAnd, Or, Xor → both operands split into bits on a new axis, combined, and added up again. Exact.

    Memory: 8, 31 or 63 times the operands. Negative numbers are taken as the complement of -1-x.
    """
    dtype = _known(node, graph)
    signed = dtype in SIGNED
    bits = WIDTH[dtype] - int(signed)
    powers = graph.const(2 ** np.arange(bits, dtype=np.int64), _working(dtype))
    zero, two = scalar_like(graph, 0, dtype), scalar_like(graph, 2, dtype)
    digits, signs = [], []
    for name in node.input:
        value = _widened(graph, name, dtype)
        negative = graph.op("Less", [value, zero])
        magnitude = _flipped(graph, value, negative, dtype) if signed else value
        digit = remainder(graph, graph.op("Div", [graph.unsqueeze(magnitude, [-1]), powers]), two)
        if signed:
            sign = graph.cast(negative, onnx.helper.np_dtype_to_tensor_dtype(np.dtype(_working(dtype))))
            signs.append(sign)
            digit = _exclusive(graph, digit, graph.unsqueeze(sign, [-1]))
        digits.append(digit)
    combined = _combined(graph, node.op_type, digits)
    total = _number(graph, combined, bits, dtype)
    if signed:
        lowest = graph.const(-(2**bits), _working(dtype))
        total = graph.op("Add", [total, graph.op("Mul", [_combined(graph, node.op_type, signs), lowest])])
    _delivered(graph, total, dtype, node.output[0])


def scalar_like(graph: GraphEditor, value: int, dtype: int) -> str:
    """A constant in the type that values of `dtype` are computed in."""
    return graph.const(value, _working(dtype))


def _known(node: onnx.NodeProto, graph: GraphEditor) -> int:
    dtype = graph.dtype(node.input[0])
    if dtype not in WIDTH:
        name = TensorProto.DataType.Name(dtype).lower()
        raise CannotRewrite(f"TensorRT has no {name}; cast it to int32 first")
    if graph.opset < 9:
        raise NeedsOpset(9, "Where")
    return dtype


def _working(dtype: int) -> type:
    return np.int64 if dtype == TensorProto.INT64 else np.int32


def _widened(graph: GraphEditor, name: str, dtype: int) -> str:
    if dtype not in NARROW:
        return name
    value = graph.constant(name)
    if value is not None:  # TensorRT takes an int8 constant for a quantized one
        return graph.const(value, np.int32)
    writer = graph.writer(name)
    if dtype == TensorProto.UINT8 and writer is not None and writer.op_type == "Cast":
        source = graph.dtype(writer.input[0])
        if source == TensorProto.INT32:  # TensorRT has no uint8 between nodes: wrap what was cast to it
            return _wrapped(graph, writer.input[0], dtype)
    return graph.cast(name, TensorProto.INT32)


def _flipped(graph: GraphEditor, value: str, negative: str, dtype: int) -> str:
    """-1 - x where the flag is set: its bits inverted, which makes a negative number a natural one and back."""
    return graph.op("Where", [negative, graph.op("Sub", [scalar_like(graph, -1, dtype), value]), value])


def _power(graph: GraphEditor, count: str, dtype: int, width: int) -> str:
    """2^count by a table, 0 for a count of `width`."""
    powers = [*(2 ** np.arange(width, dtype=np.uint64)), np.uint64(0)]
    table: npt.NDArray[Any] = np.array(powers, np.uint64).astype(_working(dtype))  # 2^31 and 2^63 wrap, as products do
    return graph.op("Gather", [graph.const(table, _working(dtype)), count], axis=0)


def _exclusive(graph: GraphEditor, one: str, other: str) -> str:
    """1 where two digits differ."""
    difference = graph.op("Sub", [one, other])
    return graph.op("Mul", [difference, difference])


def _combined(graph: GraphEditor, op: str, digits: list[str]) -> str:
    if op == "BitwiseAnd":
        return graph.op("Mul", digits)
    if op == "BitwiseXor":
        return _exclusive(graph, *digits)
    one, other = digits
    return graph.op("Sub", [graph.op("Add", digits), graph.op("Mul", [one, other])])


def _number(graph: GraphEditor, digits: str, bits: int, dtype: int) -> str:
    """The number whose binary digits lie on the last axis, lowest first.

    In two halves for 63 of them: ONNX Runtime's ReduceSum of int64 is exact up to 2^53 only.
    """
    if bits < 32:
        powers = graph.const(2 ** np.arange(bits), _working(dtype))
        return graph.reduce("ReduceSum", graph.op("Mul", [digits, powers]), [-1], keep=False)
    low = _number(graph, graph.slice(digits, 0, 31, -1), 31, dtype)
    high = graph.slice(digits, 31, bits, -1)
    powers = graph.const(2 ** np.arange(bits - 31), _working(dtype))
    top = graph.reduce("ReduceSum", graph.op("Mul", [high, powers]), [-1], keep=False)
    return graph.op("Add", [graph.op("Mul", [top, scalar_like(graph, 2**31, dtype)]), low])


def _narrowed(graph: GraphEditor, value: str, dtype: int, output: str) -> None:
    """The value wrapped to the width of an 8-bit type and cast to it."""
    _delivered(graph, _wrapped(graph, value, dtype) if dtype in NARROW else value, dtype, output)


def _delivered(graph: GraphEditor, value: str, dtype: int, output: str) -> None:
    """The value under the name of the output, in its type; a uint8 that is only cast again stays int32."""
    if dtype == TensorProto.INT8 or (dtype == TensorProto.UINT8 and not _only_cast(graph, output)):
        graph.cast(value, dtype, output)
    else:
        graph.op("Identity", [value], output)


def _only_cast(graph: GraphEditor, name: str) -> bool:
    """Whether all that reads a tensor are Cast nodes of the main graph."""
    reading = [node for node in graph.proto.graph.node if name in node.input]
    casts = all(node.op_type == "Cast" for node in reading)
    return bool(reading) and casts and graph.readers(name) == sum(list(node.input).count(name) for node in reading)


def _wrapped(graph: GraphEditor, value: str, dtype: int) -> str:
    """An int32 brought into the range of an 8-bit type by a multiple of 256."""
    base = scalar_like(graph, 256, dtype)
    rest = remainder(graph, value, base)
    below = graph.op("Less", [rest, scalar_like(graph, 0, dtype)])
    rest = graph.op("Where", [below, graph.op("Add", [rest, base]), rest])
    if dtype == TensorProto.INT8:
        above = graph.op("Greater", [rest, scalar_like(graph, 127, dtype)])
        rest = graph.op("Where", [above, graph.op("Sub", [rest, base]), rest])
    return rest


REWRITES: tuple[Rewriter, ...] = (bit_shift, bitwise_not, low_bits, bitwise)
