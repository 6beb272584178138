"""Quantized kernels as the float operator between DequantizeLinear and QuantizeLinear, which TensorRT fuses again.

The kernels are QLinearConv, QLinearMatMul and com.microsoft's QLinear*.

TensorRT wants int8 with zero point 0. A model quantized so keeps its integers; any other is quantized anew, symmetric.
A result that lies in the middle of two integers may be rounded to the other one.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
import onnx

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.opset import OpsetRefused, convert, opset_of
from friction_tui.rewrites import scales
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.carried import OPSET
from friction_tui.rewrites.editing import copy_of
from friction_tui.rewrites.graph_editor import GraphEditor
from friction_tui.rewrites.graph_parts import forget_shapes, remove_unused
from friction_tui.rewrites.quantized import MS, attributes_of, channels_last, channels_second

_MOVING = (
    "MaxPool NhwcMaxPool Resize Concat Slice Gather Pad Tile Expand Split Transpose Reshape Squeeze Unsqueeze Flatten "
    "Identity DepthToSpace SpaceToDepth"
)
_MOVES = frozenset(_MOVING.split())
"""Operators that move quantized integers about and are computed on the numbers they stand for."""


class _Kernels:
    """`quantized` are the scale and zero point of each quantized tensor so far. `symmetric`: others are refused."""

    def __init__(self, graph: GraphEditor, *, symmetric: bool) -> None:
        self.graph, self.symmetric = graph, symmetric
        self.quantized: dict[str, tuple[str, str]] = {}
        self.changed = 0
        self.shifted = False

    def rewrite(self, node: onnx.NodeProto) -> bool:
        """Put the float operator in place of a kernel; False for any other node."""
        domain = "" if node.domain == "ai.onnx" else node.domain
        handler = _HANDLERS.get((domain, node.op_type))
        if handler is not None:
            handler(self, node)
            self.changed += 1
            return True
        if node.op_type in ("QuantizeLinear", "DequantizeLinear"):
            stored = self.graph.constant(node.input[0]) if node.op_type == "DequantizeLinear" else None
            if stored is not None and stored.dtype == np.int32:
                self.graph.op("Identity", [_bias(self.graph, node.input[0], node.input[1])], node.output[0])
                return True
            tensor = node.output[0] if node.op_type == "QuantizeLinear" else node.input[0]
            self.quantized.setdefault(tensor, (node.input[1], self.graph.input(node, 2)))
            return False
        return self._moved(node)

    def _moved(self, node: onnx.NodeProto) -> bool:
        known = [name for name in node.input if name in self.quantized]
        if not known or node.op_type not in _MOVES or node.domain not in ("", "ai.onnx", MS):
            return False
        scale, zero = self.quantized[known[0]]
        floats = [self.read(name, *self.quantized[name]) if name in known else name for name in node.input]
        if node.op_type == "NhwcMaxPool":
            rank = len(attributes_of(node)["kernel_shape"]) + 2
            pooled = self.graph.op("MaxPool", [channels_second(self.graph, floats[0], rank)], **attributes_of(node))
            self.write(channels_last(self.graph, pooled, rank), scale, zero, node.output[0])
            return True
        values = self.graph.ops(node.op_type, floats, len(node.output), **attributes_of(node))
        for value, name in zip(values, node.output, strict=True):
            self.write(value, scale, zero, name)
        return True

    def read(self, x: str, scale: str, zero: str, axis: int | None = None) -> str:
        """The numbers that a quantized tensor stands for; a vector of scales lies along `axis`."""
        self._check(zero)
        factor = self.graph.constant(scale)
        several = factor is not None and factor.size > 1
        if factor is not None and factor.ndim and not several:
            scale = self.graph.const(factor.reshape(()), factor.dtype)
            zero = self._scalar(zero)
        inputs = [x, scale, zero] if zero else [x, scale]
        return self.graph.op("DequantizeLinear", inputs, axis=axis if several else None)

    def write(self, value: str, scale: str, zero: str, output: str) -> None:
        """Quantize a result to `output`."""
        self._check(zero)
        inputs = [value, scale, zero] if zero else [value, scale]
        self.graph.op("QuantizeLinear", inputs, output)
        self.quantized[output] = scale, zero

    def _scalar(self, zero: str) -> str:
        value = self.graph.constant(zero) if zero else None
        return self.graph.const(value.reshape(()), value.dtype) if value is not None and value.ndim else zero

    def _check(self, zero: str) -> None:
        if not self.symmetric:
            return
        value = self.graph.constant(zero) if zero else None
        if value is not None and value.dtype == np.uint8 and np.all(value == 128):
            self.shifted = True  # int8 less the sign, as ONNX Runtime rewrites it for some processors
        elif value is None or value.dtype != np.int8 or np.any(value):
            raise CannotRewrite("not all is quantized to int8 with zero point 0, as TensorRT needs it")


def _conv(kernels: _Kernels, node: onnx.NodeProto) -> None:
    graph = kernels.graph
    x, x_scale, x_zero, w, w_scale, w_zero, y_scale, y_zero = node.input[:8]
    attributes, rank = attributes_of(node), graph.rank(w)
    last = bool(attributes.pop("channels_last", 0))
    value = kernels.read(x, x_scale, x_zero)
    inputs = [channels_second(graph, value, rank) if last else value, kernels.read(w, w_scale, w_zero, 0)]
    if bias := graph.input(node, 8):
        inputs.append(_bias(graph, bias, x_scale, w_scale))
    result = graph.op("Conv", inputs, **attributes)
    kernels.write(channels_last(graph, result, rank) if last else result, y_scale, y_zero, node.output[0])


def _bias(graph: GraphEditor, bias: str, *scales: str) -> str:
    """A bias of integers times the scales of the product, in float32."""
    stored = graph.require_constant(bias, "the bias").astype(np.float64)
    for name in scales:
        stored = stored * graph.require_constant(name, "a scale").astype(np.float64).reshape(-1)
    return graph.const(stored, np.float32, name=f"{bias}_dequantized")


def _matmul(kernels: _Kernels, node: onnx.NodeProto) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, y_scale, y_zero = node.input[:8]
    rank = len(kernels.graph.dims(b) or [0, 0])
    values = [kernels.read(a, a_scale, a_zero), kernels.read(b, b_scale, b_zero, rank - 1)]
    kernels.write(kernels.graph.op("MatMul", values), y_scale, y_zero, node.output[0])


def _gemm(kernels: _Kernels, node: onnx.NodeProto) -> None:
    graph = kernels.graph
    a, a_scale, a_zero, b, b_scale, b_zero = node.input[:6]
    across = 0 if graph.attribute(node, "transB", 0) else 1
    inputs = [kernels.read(a, a_scale, a_zero), kernels.read(b, b_scale, b_zero, across)]
    if bias := graph.input(node, 6):
        alpha = graph.const(np.float32(graph.attribute(node, "alpha", 1.0)))
        inputs.append(_bias(graph, bias, a_scale, b_scale, alpha))
    given = {name: graph.attribute(node, name) for name in ("alpha", "transA", "transB")}
    scale = graph.input(node, 7)
    result = graph.op("Gemm", inputs, "" if scale else node.output[0], **given)
    if scale:
        kernels.write(result, scale, graph.input(node, 8), node.output[0])


def _binary(kernels: _Kernels, node: onnx.NodeProto) -> None:
    a, a_scale, a_zero, b, b_scale, b_zero, scale = node.input[:7]
    values = [kernels.read(a, a_scale, a_zero), kernels.read(b, b_scale, b_zero)]
    result = kernels.graph.op(node.op_type.removeprefix("QLinear"), values)
    kernels.write(result, scale, kernels.graph.input(node, 7), node.output[0])


def _unary(kernels: _Kernels, node: onnx.NodeProto) -> None:
    graph, op, given = kernels.graph, node.op_type.removeprefix("QLinear"), attributes_of(node)
    last = bool(given.pop("channels_last", 0))
    rank = len(given["kernel_shape"]) + 2 if last and "kernel_shape" in given else 4  # its kernels are 2-D
    given.pop("opset", None)
    value = kernels.read(node.input[0], node.input[1], graph.input(node, 2))
    value = channels_second(graph, value, rank) if last else value
    if op == "ReduceMean":
        value = graph.reduce(op, value, given.get("axes", []), bool(given.get("keepdims", 1)))
    else:
        value = graph.op(op, [value], **given)
    value = channels_last(graph, value, rank) if last else value
    kernels.write(value, node.input[3], graph.input(node, 4), node.output[0])


def _concat(kernels: _Kernels, node: onnx.NodeProto) -> None:
    parts = [kernels.read(*node.input[i : i + 3]) for i in range(2, len(node.input), 3)]
    value = kernels.graph.concat(parts, kernels.graph.attribute(node, "axis"))
    kernels.write(value, node.input[0], node.input[1], node.output[0])


_HANDLERS: dict[tuple[str, str], Callable[[_Kernels, onnx.NodeProto], None]] = {
    ("", "QLinearConv"): _conv,
    (MS, "QLinearConv"): _conv,
    ("", "QLinearMatMul"): _matmul,
    (MS, "QGemm"): _gemm,
    (MS, "QLinearAdd"): _binary,
    (MS, "QLinearMul"): _binary,
    (MS, "QLinearConcat"): _concat,
    **{
        (MS, f"QLinear{op}"): _unary
        for op in ("Sigmoid", "LeakyRelu", "Softmax", "AveragePool", "GlobalAveragePool", "ReduceMean")
    },
}


def _run(symmetric: bool) -> Callable[[OpenedModel, Sequence[str]], onnx.ModelProto]:
    def run(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
        del paths  # the integers between two kernels are those of both
        proto = copy_of(model)
        if opset_of(proto) < OPSET:
            try:
                proto = convert(proto, OPSET)
            except OpsetRefused as error:
                raise CannotRewrite(f"it needs opset {OPSET}, and the model does not convert: {error}") from None
        graph = GraphEditor(proto, model.path.parent)
        kernels = _Kernels(graph, symmetric=symmetric)
        graph.rebuild(proto.graph, kernels.rewrite)
        if not kernels.changed:
            raise CannotRewrite("the model has no quantized kernel")
        forget_shapes(proto)
        remove_unused(proto)
        if symmetric and not kernels.shifted:
            return proto
        return (scales.shifted if symmetric else scales.symmetric)(from_proto(proto, model.path), [])

    return run


KEPT = Rewriter(
    "kernels-to-qdq",
    "write the float operators between DequantizeLinear and QuantizeLinear, which keeps int8",
    _run(symmetric=True),
    Exactness.ROUNDING,
    ops=tuple(_HANDLERS),
)
WIDENED = Rewriter(
    "kernels-to-symmetric-qdq",
    "write the float operators between DequantizeLinear and QuantizeLinear and quantize symmetric about 0",
    _run(symmetric=False),
    Exactness.CHANGES,
    changes="steps become up to twice as wide; the integer kernels stay in use",
    ops=tuple(_HANDLERS),
)
REWRITES = (KEPT, WIDENED)
