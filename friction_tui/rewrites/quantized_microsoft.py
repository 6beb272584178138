"""com.microsoft's quantized operators, which ONNX Runtime's optimiser and its quantizer write.

Definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset
from friction_tui.rewrites.carried import FLOAT, Carried, Handler
from friction_tui.rewrites.graph_editor import Array, GraphEditor, node_rewrite
from friction_tui.rewrites.quantized import (
    MS,
    along,
    attributes_of,
    centred,
    channels_last,
    channels_second,
    dequantized,
    dynamic_parts,
    qlinear_conv,
    requantized,
    rescaled,
)


def _floats(carried: Carried, x: str, scale: str, zero: str) -> str:
    """(x - zero point) · scale of one scale for the tensor."""
    graph = carried.graph
    stored, scales = graph.constant(x) if carried.carrier(x) is None else None, graph.constant(scale)
    zeros = graph.constant(zero) if zero else np.zeros((), np.int8)
    if stored is not None and scales is not None and zeros is not None:
        return graph.const(dequantized(stored, scales, zeros))
    return graph.op("Mul", [centred(carried, x, zero, -1), along(graph, scale, x, -1)])


def _back(carried: Carried, value: str, scale: str, zero: str, output: str) -> None:
    of_type = carried.type(zero) if zero else TensorProto.UINT8
    steps = carried.graph.op("Div", [value, along(carried.graph, scale, "", -1, 1)])
    requantized(carried, steps, zero, output, of_type)


def binary(node: onnx.NodeProto, carried: Carried) -> bool:
    """QLinearAdd, QLinearMul."""
    a, a_scale, a_zero, b, b_scale, b_zero, scale = node.input[:7]
    values = [_floats(carried, a, a_scale, a_zero), _floats(carried, b, b_scale, b_zero)]
    zero = carried.graph.input(node, 7)
    _back(carried, carried.graph.op(node.op_type.removeprefix("QLinear"), values), scale, zero, node.output[0])
    return True


def unary(node: onnx.NodeProto, carried: Carried) -> bool:
    """The operator of one input between dequantizing and quantizing: QLinearSigmoid, QLinearSoftmax and the like."""
    graph, op = carried.graph, node.op_type.removeprefix("QLinear")
    given = attributes_of(node)
    last = bool(given.pop("channels_last", 0))
    rank = len(given["kernel_shape"]) + 2 if last and "kernel_shape" in given else 4  # its kernels are 2-D
    given.pop("opset", None)
    value = _floats(carried, node.input[0], node.input[1], graph.input(node, 2))
    if last:
        value = channels_second(graph, value, rank)
    if op == "ReduceMean":
        value = graph.reduce(op, value, given.get("axes", []), bool(given.get("keepdims", 1)))
    else:
        value = graph.op(op, [value], **given)
    if last:
        value = channels_last(graph, value, rank)
    _back(carried, value, node.input[3], graph.input(node, 4), node.output[0])
    return True


def nhwc_max_pool(node: onnx.NodeProto, carried: Carried) -> bool:
    """NhwcMaxPool of quantized integers, which are as they were."""
    graph, attributes = carried.graph, attributes_of(node)
    rank, of_type = len(attributes["kernel_shape"]) + 2, carried.type(node.input[0])
    if not of_type:
        raise CannotRewrite(f"the type of {node.input[0]} is not known")
    pooled = graph.op("MaxPool", [channels_second(graph, carried.read(node.input[0], FLOAT), rank)], **attributes)
    carried.write(node.output[0], channels_last(graph, pooled, rank), FLOAT, of_type)
    return True


def concat(node: onnx.NodeProto, carried: Carried) -> bool:
    """QLinearConcat."""
    parts = [_floats(carried, *node.input[i : i + 3]) for i in range(2, len(node.input), 3)]
    value = carried.graph.concat(parts, carried.graph.attribute(node, "axis"))
    _back(carried, value, node.input[0], node.input[1], node.output[0])
    return True


def where(node: onnx.NodeProto, carried: Carried) -> bool:
    """QLinearWhere."""
    condition, a, a_scale, a_zero, b, b_scale, b_zero, scale, zero = node.input[:9]
    values = [_floats(carried, a, a_scale, a_zero), _floats(carried, b, b_scale, b_zero)]
    _back(carried, carried.graph.op("Where", [condition, *values]), scale, zero, node.output[0])
    return True


def qgemm(node: onnx.NodeProto, carried: Carried) -> bool:
    """QGemm: alpha · scales · (A·B + C) of the integers, quantized where an output scale is given."""
    graph = carried.graph
    a, a_scale, a_zero, b, b_scale, b_zero = node.input[:6]
    transposed = bool(graph.attribute(node, "transB", 0))
    inputs = [centred(carried, a, a_zero, -1), centred(carried, b, b_zero, 0 if transposed else 1)]
    alpha = graph.const(float(graph.attribute(node, "alpha", 1.0)), np.float32)
    if bias := graph.input(node, 6):
        inputs.append(carried.read(bias, FLOAT))
    sums = graph.op("Gemm", inputs, transA=graph.attribute(node, "transA"), transB=graph.attribute(node, "transB"))
    out_scale = graph.input(node, 7) or graph.const(1.0, np.float32)
    value = rescaled(carried, sums, [alpha, a_scale, b_scale], out_scale, 2, 1)
    if graph.input(node, 7):
        zero = graph.input(node, 8)
        requantized(carried, value, zero, node.output[0], carried.type(zero) if zero else TensorProto.UINT8)
    else:
        graph.op("Identity", [value], node.output[0])
    return True


def integer_to_float(node: onnx.NodeProto, carried: Carried) -> bool:
    """MatMulIntegerToFloat: the integer product, scaled, and a bias."""
    graph = carried.graph
    a, b, a_scale, b_scale = node.input[:4]
    product = graph.op(
        "MatMul", [centred(carried, a, graph.input(node, 4), -2), centred(carried, b, graph.input(node, 5), -1)]
    )
    _scaled(graph, product, [along(graph, a_scale, a, -2), b_scale], graph.input(node, 6), node.output[0])
    return True


def dynamic_matmul(node: onnx.NodeProto, carried: Carried) -> bool:
    """DynamicQuantizeMatMul: A quantized with its own range, the integer product, scaled, and a bias."""
    graph = carried.graph
    a, b, b_scale = node.input[:3]
    integers, scale, zeros = dynamic_parts(carried, a)
    weights = centred(carried, b, graph.input(node, 3), -1)
    product = graph.op("MatMul", [graph.op("Sub", [integers, zeros]), weights])
    _scaled(graph, product, [scale, b_scale], graph.input(node, 4), node.output[0])
    return True


def _scaled(graph: GraphEditor, product: str, scales: list[str], bias: str, output: str) -> None:
    value = graph.op("Mul", [product, graph.op("Mul", scales)], "" if bias else output)
    if bias:
        graph.op("Add", [value, bias], output)


KERNELS: dict[tuple[str, str], Handler] = {
    **{(MS, f"QLinear{op}"): binary for op in ("Add", "Mul")},
    **{
        (MS, f"QLinear{op}"): unary
        for op in ("Sigmoid", "LeakyRelu", "Softmax", "AveragePool", "GlobalAveragePool", "ReduceMean")
    },
    (MS, "NhwcMaxPool"): nhwc_max_pool,
    (MS, "QLinearConcat"): concat,
    (MS, "QLinearWhere"): where,
    (MS, "QLinearConv"): qlinear_conv,
    (MS, "QGemm"): qgemm,
    (MS, "MatMulIntegerToFloat"): integer_to_float,
    (MS, "DynamicQuantizeMatMul"): dynamic_matmul,
}


@node_rewrite(
    "dynamic-quantize-lstm",
    "compute the LSTM in float32 with its dequantized weights",
    (MS, "DynamicQuantizeLSTM"),
    exactness=Exactness.CHANGES,
    changes="the activations are no longer rounded to 8 bits, which is closer to the float model",
)
def dynamic_lstm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """W and R are stored transposed, [directions, inputs, 4·hidden]; they become the LSTM's float32 weights."""
    x, w, r = node.input[:3]
    scales = [graph.input(node, position) for position in range(8, 12)]

    def weights(name: str, scale: str, zero: str) -> str:
        stored = graph.require_constant(name, "a weight of the LSTM")
        factor = graph.require_constant(scale, "a scale of the LSTM").astype(np.float32)
        shift = graph.require_constant(zero, "a zero point of the LSTM") if zero else np.zeros((), np.int8)
        spread = [v.reshape(stored.shape[0], 1, -1) if v.size > 1 else v.reshape(()) for v in (shift, factor)]
        floats = (stored.astype(np.float32) - spread[0].astype(np.float32)) * spread[1]
        return graph.const(floats.transpose(0, 2, 1), np.float32, name=f"{name}_dequantized")

    inputs = [x, weights(w, scales[0], scales[1]), weights(r, scales[2], scales[3])]
    inputs += [graph.input(node, position) for position in range(3, 8)]
    while not inputs[-1]:
        inputs.pop()
    graph.op("LSTM", inputs, list(node.output), **attributes_of(node))


def _unpacked(graph: GraphEditor, node: onnx.NodeProto) -> tuple[Array, Array, Array, int]:
    """MatMulNBits' weights [N, K padded] as numbers, zero points and scales [N, blocks], and K."""
    bits, block = int(graph.attribute(node, "bits", 4)), int(graph.attribute(node, "block_size", 32))
    rows, k = int(graph.attribute(node, "N")), int(graph.attribute(node, "K"))
    if bits not in (2, 4, 8):
        raise CannotRewrite(f"{bits}-bit weights are not known")
    if graph.input(node, 4):
        raise CannotRewrite("its rows are permuted (g_idx)")
    blocks, per_byte = -(-k // block), 8 // bits

    def numbers(packed: Array) -> Array:
        spread = [(packed >> (bits * i)) & (2**bits - 1) for i in range(per_byte)]
        return np.stack(spread, -1).reshape(rows, -1)

    packed = graph.require_constant(node.input[1], "the weight").reshape(rows, -1)
    scale = graph.require_constant(node.input[2], "the scale").reshape(rows, blocks).astype(np.float32)
    zero = np.full((rows, blocks), 2.0 ** (bits - 1), np.float32)
    if graph.input(node, 3):
        stored = graph.require_constant(node.input[3], "the zero point")
        packed_zeros = stored.dtype == np.uint8
        zero = (numbers(stored.reshape(rows, -1)) if packed_zeros else stored.reshape(rows, -1))[:, :blocks]
    return numbers(packed), zero.astype(np.float32), scale, k


def _product(graph: GraphEditor, node: onnx.NodeProto, weights: str) -> None:
    bias = graph.input(node, 5)
    value = graph.op("MatMul", [node.input[0], weights], "" if bias else node.output[0])
    if bias:
        graph.op("Add", [value, bias], node.output[0])


@node_rewrite(
    "matmul-nbits-int4",
    "store the weights as int4 in front of a DequantizeLinear",
    (MS, "MatMulNBits"),
    exactness=Exactness.ROUNDING,
)
def matmul_nbits_int4(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Weights [K, N] of int4 with a scale per block of K: the file stays as small. Opset 21 brought int4 and blocks."""
    block = int(graph.attribute(node, "block_size", 32))
    if graph.opset < 21:
        raise NeedsOpset(21, "int4")
    if int(graph.attribute(node, "bits", 4)) != 4:
        raise CannotRewrite("its weights are not of 4 bits")
    numbers, zero, scale, k = _unpacked(graph, node)
    if k % block or np.any(zero != 8):
        raise CannotRewrite("its zero points are not in the middle, or its last block is not full")
    weights = (numbers[:, :k].astype(np.int8) - 8).T
    tensor = helper.make_tensor(graph.fresh(f"{node.input[1]}_int4"), TensorProto.INT4, weights.shape, weights.ravel())
    graph.add_initializer(tensor)
    factor = graph.const(scale.T, graph.numpy_dtype(node.input[0]))
    _product(graph, node, graph.op("DequantizeLinear", [tensor.name, factor], axis=0, block_size=block))


@node_rewrite(
    "matmul-nbits-float",
    "store the weights dequantized (eight times as large for 4 bits)",
    (MS, "MatMulNBits"),
    exactness=Exactness.ROUNDING,
)
def matmul_nbits_float(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """(number - zero point) · scale of each block, as the input's own float type."""
    numbers, zero, scale, k = _unpacked(graph, node)
    block = int(graph.attribute(node, "block_size", 32))
    spread = [np.repeat(value, block, axis=1)[:, :k] for value in (zero, scale)]
    floats = (numbers[:, :k].astype(np.float32) - spread[0]) * spread[1]
    _product(graph, node, graph.const(floats.T, graph.numpy_dtype(node.input[0]), name=f"{node.input[1]}_dequantized"))


REWRITES = (dynamic_lstm, matmul_nbits_int4, matmul_nbits_float)
