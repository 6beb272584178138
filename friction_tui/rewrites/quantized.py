"""Quantization that TensorRT refuses, computed with the same integers held in float32.

float32 holds every integer up to 2^24, so quantizing, dequantizing and the sums of short integer products are exact.
An integer Conv or MatMul over more than 258 products of uint8 (2^24 / 255^2) may differ in the last bit of its sum.
Semantics: https://onnx.ai/onnx/operators/ (QuantizeLinear, DequantizeLinear, QLinearConv, QLinearMatMul, ConvInteger,
MatMulInteger, DynamicQuantizeLinear).
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper

from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.carried import FLOAT, INT32, LIMITS, Carried, Handler
from friction_tui.rewrites.graph_editor import GraphEditor

Array = npt.NDArray[Any]
MS = "com.microsoft"
_TAKEN = (TensorProto.INT8, TensorProto.INT4, TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT4E2M1)
"""Types that TensorRT quantizes to."""


# ---------------------------------------------------------------------------------------------- what stays as it is


def kept(graph: GraphEditor) -> set[str]:
    """Quantized tensors that TensorRT takes.

    These are int8, int4 or fp8 of zero point 0 between a QuantizeLinear and DequantizeLinears, at most moved.
    """
    readers: dict[str, list[onnx.NodeProto]] = {}
    for node in graph.proto.graph.node:
        for name in node.input:
            readers.setdefault(name, []).append(node)
    outputs = {value.name for value in graph.proto.graph.output}
    sound: set[str] = set()
    for node in reversed(graph.proto.graph.node):
        moves = node.op_type in _QUANTIZED_MOVES and len(node.output) == 1
        if not node.output or (node.op_type != "QuantizeLinear" and not moves):
            continue
        name = node.output[0]
        if node.op_type == "QuantizeLinear" and not is_symmetric(graph, node):
            continue
        after = readers.get(name, [])
        if all(_takes(graph, reader, name, sound) for reader in after) and (after or name in outputs):
            sound.add(name)
    for node in graph.proto.graph.node:  # a moved tensor is kept only where what is moved is
        if node.op_type in _QUANTIZED_MOVES and node.output and node.output[0] in sound and node.input[0] not in sound:
            sound.discard(node.output[0])
    for name, after in readers.items():
        stored = _type(graph, name) in _TAKEN and graph.constant(name) is not None
        if stored and all(_takes(graph, reader, name, sound) for reader in after):
            sound.add(name)
    return sound


_QUANTIZED_MOVES = frozenset({"Reshape", "Transpose", "Identity", "Squeeze", "Unsqueeze", "Flatten"})


def _takes(graph: GraphEditor, reader: onnx.NodeProto, name: str, sound: set[str]) -> bool:
    if reader.op_type == "DequantizeLinear":
        return reader.input[0] != name or is_symmetric(graph, reader)
    return bool(reader.op_type in _QUANTIZED_MOVES and reader.output[0] in sound and reader.input[0] == name)


def is_symmetric(graph: GraphEditor, node: onnx.NodeProto) -> bool:
    """Whether TensorRT takes a QuantizeLinear or DequantizeLinear.

    It wants a type it quantizes to, a constant zero point of 0, and scales that are positive and finite.
    """
    if node.op_type == "QuantizeLinear":
        kind = quantized_type(graph, node)
    else:
        kind = _type(graph, node.input[0]) or TensorProto.INT8
    scale = graph.constant(node.input[1])
    zero = graph.constant(graph.input(node, 2)) if graph.input(node, 2) else np.zeros((), np.int8)
    if kind not in _TAKEN or zero is None or np.any(zero.astype(np.float32) != 0):
        return False
    return scale is None or bool(np.all(scale.astype(np.float32) > 0) and np.all(np.isfinite(scale.astype(np.float32))))


def _type(graph: GraphEditor, name: str) -> int:
    try:
        return graph.dtype(name)
    except CannotRewrite:
        return 0


def quantized_type(graph: GraphEditor, node: onnx.NodeProto) -> int:
    """The element type that a QuantizeLinear gives: of its zero point, `output_dtype`, or uint8."""
    zero = graph.input(node, 2)
    return graph.dtype(zero) if zero else int(graph.attribute(node, "output_dtype", 0)) or TensorProto.UINT8


# ------------------------------------------------------------------------------------------- quantize and dequantize


def along(graph: GraphEditor, name: str, like: str, axis: int, size: int = 0, block: int = 0) -> str:
    """A float32 scale or zero point, one number for each index of `axis` of `like`, shaped to broadcast against it.

    One number for each `block` indices where that is given. `size` is the rank of `like` where that is not known.
    """
    value = graph.constant(name)
    if block:
        if value is None:
            raise CannotRewrite("the scales of blocks are computed at run time")
        return graph.const(np.repeat(value, block, axis).take(range(graph.static_dim(like, axis)), axis), np.float32)
    dims = graph.dims(name)
    if value is not None and value.size == 1:
        return graph.const(value.reshape(()).astype(np.float32)) if value.ndim else name
    if value is None and dims is not None and (not dims or dims == [1]):
        return name
    if dims is not None and len(dims) > 1:
        return name  # shaped already
    rank = size or graph.rank(like)
    shape = [1] * rank
    shape[axis % rank] = -1
    return graph.const(value.reshape(shape), np.float32) if value is not None else graph.reshape(name, shape)


def requantized(carried: Carried, value: str, zero: str, output: str, of_type: int, shift: str | None = None) -> None:
    """Round a float32 `value`, already divided by the scale, to the integers of `of_type`; it becomes `output`."""
    graph = carried.graph
    rounded = graph.op("Round", [value])
    zero_value = graph.constant(zero) if zero else np.zeros((), np.int8)
    if zero_value is None or np.any(zero_value):
        rounded = graph.op("Add", [rounded, shift or carried.read(zero, FLOAT)])
    low, high = LIMITS[of_type]
    ends = [graph.const(float(low), np.float32), graph.const(float(high), np.float32)]
    carried.write(output, graph.op("Clip", [rounded, *ends]), FLOAT, of_type)


def quantize(node: onnx.NodeProto, carried: Carried) -> bool:
    """QuantizeLinear: round(x / scale) + zero point, clipped, held in float32."""
    graph = carried.graph
    of_type = quantized_type(graph, node)
    if node.output[0] in carried.kept or of_type not in LIMITS:
        return False
    axis, block = int(graph.attribute(node, "axis", 1)), int(graph.attribute(node, "block_size", 0))
    x, zero = carried.read(node.input[0], FLOAT), graph.input(node, 2)
    scale = along(graph, carried.read(node.input[1], FLOAT), node.input[0], axis, block=block)
    shift = along(graph, carried.read(zero, FLOAT), node.input[0], axis, block=block) if zero else None
    requantized(carried, graph.op("Div", [x, scale]), zero, node.output[0], of_type, shift)
    return True


def dequantize(node: onnx.NodeProto, carried: Carried) -> bool:
    """DequantizeLinear: (x - zero point) · scale in float32; constants are worked out."""
    graph = carried.graph
    x, scale, zero = node.input[0], node.input[1], graph.input(node, 2)
    if x in carried.kept or (carried.carrier(x) is None and carried.type(x) not in LIMITS):
        return False
    axis, block = int(graph.attribute(node, "axis", 1)), int(graph.attribute(node, "block_size", 0))
    result = int(graph.attribute(node, "output_dtype", 0)) or (carried.type(scale) or FLOAT)
    stored, scales = graph.constant(x) if carried.carrier(x) is None else None, graph.constant(scale)
    if stored is not None and scales is not None:
        if not np.all(np.isfinite(scales.astype(np.float32))):
            return False
        zeros = graph.constant(zero) if zero else np.zeros((), np.int8)
        if zeros is not None:
            floats = dequantized(stored, scales, zeros, axis, block)
            dtype = helper.tensor_dtype_to_np_dtype(result)
            graph.op("Identity", [graph.const(floats.astype(dtype), name=f"{x}_dequantized")], node.output[0])
            return True
    value = carried.read(x, FLOAT)
    if zero and not _all_zero(graph, zero):
        value = graph.op("Sub", [value, along(graph, carried.read(zero, FLOAT), x, axis, block=block)])
    factor = along(graph, carried.read(scale, FLOAT), x, axis, block=block)
    if result == FLOAT:
        graph.op("Mul", [value, factor], node.output[0])
    else:
        graph.cast(graph.op("Mul", [value, factor]), result, node.output[0])
    return True


def dequantized(stored: Array, scale: Array, zero: Array, axis: int = 0, block: int = 0) -> Array:
    """(stored - zero) · scale as float32, per tensor, per index of `axis`, or per `block` along it."""
    exact = stored.astype(np.int64) - spread(zero.astype(np.int64), stored, axis, block)
    factor = spread(scale.astype(np.float32), stored, axis, block)
    return (exact.astype(np.float32) * factor).astype(np.float32)


def spread(values: Array, like: Array, axis: int, block: int) -> Array:
    """Scales or zero points shaped to broadcast against `like`: one, one for each index of `axis`, or one a block."""
    if values.size == 1:
        return values.reshape(())
    if block:
        return np.repeat(values, block, axis).take(range(like.shape[axis]), axis)
    if values.ndim > 1 or not like.ndim:
        return values
    shape = [1] * like.ndim
    shape[axis % like.ndim] = -1
    if values.size != like.shape[axis]:
        raise CannotRewrite(f"{values.size} scales or zero points do not fit an axis of size {like.shape[axis]}")
    return values.reshape(shape)


def _all_zero(graph: GraphEditor, name: str) -> bool:
    value = graph.constant(name)
    return value is not None and not np.any(value.astype(np.float32))


# ------------------------------------------------------------------------------------------------- integer arithmetic


def centred(carried: Carried, x: str, zero: str, axis: int) -> str:
    """X - zero point in float32, worked out where both are constant; `axis` is that of a vector of zero points."""
    graph = carried.graph
    stored = graph.constant(x) if carried.carrier(x) is None else None
    zeros = graph.constant(zero) if zero and carried.carrier(zero) is None else None
    if stored is not None and (zeros is not None or not zero):
        ones = np.ones((), np.float32)
        return graph.const(dequantized(stored, ones, zeros if zeros is not None else np.zeros((), np.int8), axis))
    value = carried.read(x, FLOAT)
    if not zero or _all_zero(graph, zero):
        return value
    return graph.op("Sub", [value, along(graph, carried.read(zero, FLOAT), x, axis)])


def multiplier(carried: Carried, scales: Sequence[str], over: str) -> Array | None:
    """The product of constant scales divided by another, in float32 as ONNX Runtime has it; None if one is computed."""
    values = [carried.graph.constant(name) for name in (*scales, over)]
    if any(value is None for value in values):
        return None
    product = np.float32(1) * np.asarray(values[0], np.float32)
    for value in values[1:-1]:
        product = product * np.asarray(value, np.float32)
    return np.asarray(product / np.asarray(values[-1], np.float32), np.float32)


def rescaled(carried: Carried, sums: str, scales: Sequence[str], over: str, rank: int, axis: int) -> str:
    """`sums` times the product of `scales` divided by `over`; a vector of them lies along `axis`."""
    graph = carried.graph
    factor = multiplier(carried, scales, over)
    if factor is not None:
        shape = [1] * rank
        if factor.size > 1 and factor.ndim == 1:
            shape[axis] = -1
            factor = factor.reshape(shape)
        return graph.op("Mul", [sums, graph.const(factor if factor.size > 1 else factor.reshape(()))])
    for name in scales:
        sums = graph.op("Mul", [sums, along(graph, carried.read(name, FLOAT), "", axis, rank)])
    return graph.op("Div", [sums, carried.read(over, FLOAT)])


def attributes_of(node: onnx.NodeProto) -> dict[str, Any]:
    """The attributes of a node by name."""
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def channels_second(graph: GraphEditor, name: str, rank: int) -> str:
    """A tensor whose channels are last with them behind the batch."""
    return graph.op("Transpose", [name], perm=[0, rank - 1, *range(1, rank - 1)])


def channels_last(graph: GraphEditor, name: str, rank: int, output: str = "") -> str:
    """The reverse of `channels_second`."""
    return graph.op("Transpose", [name], output, perm=[0, *range(2, rank), 1])


def qlinear_conv(node: onnx.NodeProto, carried: Carried) -> bool:
    """QLinearConv: the Conv of the integers, times one factor, rounded: in ONNX Runtime's order, so ties fall alike."""
    graph = carried.graph
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = node.input[:8]
    attributes, rank = attributes_of(node), graph.rank(w)
    last = bool(attributes.pop("channels_last", 0))
    value = centred(carried, x, x_zero, 1)
    inputs = [channels_second(graph, value, rank) if last else value, centred(carried, w, w_zero, 0)]
    if graph.input(node, 8):
        inputs.append(carried.read(node.input[8], FLOAT))
    sums = graph.op("Conv", inputs, **attributes)
    value = rescaled(carried, sums, [x_scale, w_scale], y_scale, rank, 1)
    if last:
        value = channels_last(graph, value, rank)
    requantized(carried, value, y_zero, node.output[0], carried.type(y_zero) or TensorProto.UINT8)
    return True


def qlinear_matmul(node: onnx.NodeProto, carried: Carried) -> bool:
    """QLinearMatMul: the MatMul of the integers, times one factor, rounded."""
    graph = carried.graph
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.input[:8]
    sums = graph.op("MatMul", [centred(carried, a, a_zero, -2), centred(carried, b, b_zero, -1)])
    factor = multiplier(carried, [a_scale, b_scale], y_scale)
    if factor is not None and factor.size == 1:
        value = graph.op("Mul", [sums, graph.const(factor.reshape(()))])
    else:
        by_row = along(graph, carried.read(a_scale, FLOAT), a, -2)
        by_column = along(graph, carried.read(b_scale, FLOAT), b, -1)
        value = graph.op("Mul", [sums, graph.op("Mul", [by_row, by_column])])
        value = graph.op("Div", [value, carried.read(y_scale, FLOAT)])
    requantized(carried, value, y_zero, node.output[0], carried.type(y_zero) or TensorProto.UINT8)
    return True


def integer_product(node: onnx.NodeProto, carried: Carried) -> bool:
    """MatMulInteger and ConvInteger: the product of the integers in float32, int32 for readers that want it."""
    graph, conv = carried.graph, node.op_type == "ConvInteger"
    a = centred(carried, node.input[0], graph.input(node, 2), 1 if conv else -2)
    b = centred(carried, node.input[1], graph.input(node, 3), 0 if conv else -1)
    sums = graph.op("Conv", [a, b], **attributes_of(node)) if conv else graph.op("MatMul", [a, b])
    carried.write(node.output[0], sums, FLOAT, INT32)
    return True


def dynamic_quantize(node: onnx.NodeProto, carried: Carried) -> bool:
    """DynamicQuantizeLinear: scale and zero point from the smallest and largest value, and x quantized with them."""
    quantized, scale, zero = (carried.graph.output(node, position) for position in range(3))
    integers, scale, zeros = dynamic_parts(carried, node.input[0], scale)
    carried.write(quantized, integers, FLOAT, TensorProto.UINT8)
    if zero:
        carried.write(zero, zeros, FLOAT, TensorProto.UINT8)
    return True


def dynamic_parts(carried: Carried, x: str, scale: str = "") -> tuple[str, str, str]:
    """X as uint8 numbers in float32, its scale (named `scale`) and zero point in float32; scale 1 of nothing but 0.

    That is what ONNX Runtime gives; the operator's definition divides by zero there.
    """
    graph = carried.graph

    def number(value: float) -> str:
        return graph.const(value, np.float32)

    low = graph.op("Min", [graph.op("ReduceMin", [x], keepdims=0), number(0)])
    high = graph.op("Max", [graph.op("ReduceMax", [x], keepdims=0), number(0)])
    extent = graph.op("Sub", [high, low])
    flat = graph.op("Equal", [extent, number(0)])
    scale = graph.op("Div", [graph.op("Where", [flat, number(255), extent]), number(255)], scale)
    shift = graph.op("Clip", [graph.op("Div", [graph.op("Neg", [low]), scale]), number(0), number(255)])
    zeros = graph.op("Round", [shift])
    steps = graph.op("Add", [graph.op("Round", [graph.op("Div", [x, scale])]), zeros])
    return graph.op("Clip", [steps, number(0), number(255)]), scale, zeros


QDQ: dict[tuple[str, str], Handler] = {
    ("", "QuantizeLinear"): quantize,
    ("", "DequantizeLinear"): dequantize,
    (MS, "QuantizeLinear"): quantize,
    (MS, "DequantizeLinear"): dequantize,
}
KERNELS: dict[tuple[str, str], Handler] = {
    ("", "QLinearConv"): qlinear_conv,
    ("", "QLinearMatMul"): qlinear_matmul,
    ("", "ConvInteger"): integer_product,
    ("", "MatMulInteger"): integer_product,
    ("", "DynamicQuantizeLinear"): dynamic_quantize,
}
