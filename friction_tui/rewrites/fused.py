"""Products, convolutions and activations that ONNX Runtime's optimiser fused (com.microsoft), back to ONNX's own.

Definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md. The same arithmetic in the
same order up to rounding; TensorRT fuses again on its own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import onnx
from onnx import helper

from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite

MS = "com.microsoft"
_KNOWN = "Relu Tanh Sigmoid LeakyRelu Clip HardSigmoid HardSwish Elu Softplus Softsign ThresholdedRelu"
_ACTIVATIONS = frozenset(_KNOWN.split())
_GELU_CUBE = 0.044715
"""The factor of x³ in GELU's tanh form (https://arxiv.org/abs/1606.08415)."""


def float_const(graph: GraphEditor, value: float, like: str) -> str:
    """A scalar of the element type of a tensor."""
    return graph.const(np.array(value, graph.numpy_dtype(like)))


def gelu(graph: GraphEditor, x: str, like: str, output: str = "") -> str:
    """x/2 · (1 + erf(x/√2)), of the element type of `like`."""
    half = graph.op("Mul", [x, float_const(graph, 0.5, like)])
    error = graph.op("Erf", [graph.op("Mul", [x, float_const(graph, math.sqrt(0.5), like)])])
    return graph.op("Mul", [half, graph.op("Add", [error, float_const(graph, 1.0, like)])], output)


@node_rewrite(
    "plain-gelu",
    "write GELU with Erf, Tanh or Sigmoid",
    (MS, "Gelu"),
    (MS, "BiasGelu"),
    (MS, "FastGelu"),
    (MS, "QuickGelu"),
    exactness=Exactness.ROUNDING,
)
def plain_gelu(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Gelu and BiasGelu with Erf, FastGelu (tanh) and QuickGelu (x · sigmoid(αx)); 5, 6, 10 and 3 nodes."""
    like = x = node.input[0]
    if graph.input(node, 1):
        x = graph.op("Add", [x, node.input[1]])
    if node.op_type == "FastGelu":
        _tanh_gelu(graph, x, like, node.output[0])
    elif node.op_type == "QuickGelu":
        alpha = float_const(graph, graph.attribute(node, "alpha", 1.702), like)
        graph.op("Mul", [x, graph.op("Sigmoid", [graph.op("Mul", [x, alpha])])], node.output[0])
    else:
        gelu(graph, x, like, node.output[0])


def _tanh_gelu(graph: GraphEditor, x: str, like: str, output: str) -> None:
    cube = graph.op("Mul", [graph.op("Mul", [x, x]), x])
    inner = graph.op("Add", [x, graph.op("Mul", [cube, float_const(graph, _GELU_CUBE, like)])])
    bent = graph.op("Tanh", [graph.op("Mul", [inner, float_const(graph, math.sqrt(2 / math.pi), like)])])
    half = graph.op("Mul", [x, float_const(graph, 0.5, like)])
    graph.op("Mul", [half, graph.op("Add", [bent, float_const(graph, 1.0, like)])], output)


@node_rewrite(
    "plain-matmul",
    "write the product with Transpose, MatMul and Mul",
    (MS, "FusedMatMul"),
    (MS, "FusedMatMulActivation"),
    (MS, "TransposeMatMul"),
    exactness=Exactness.ROUNDING,
)
def plain_matmul(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Alpha · A'B', A and B with their last two axes exchanged (transA) or the batch behind the rows (transBatchA)."""
    sides = [
        _side(
            graph,
            name,
            bool(graph.attribute(node, f"trans{key}", 0)),
            bool(graph.attribute(node, f"transBatch{key}", 0)),
        )
        for name, key in zip(node.input, "AB", strict=False)
    ]
    alpha = float(graph.attribute(node, "alpha", 1.0))
    result = graph.op("MatMul", sides)
    if alpha != 1.0:
        result = graph.op("Mul", [result, float_const(graph, alpha, node.input[0])])
    activated(node, graph, result, node.output[0])


def _side(graph: GraphEditor, name: str, transposed: bool, batch: bool) -> str:
    if not transposed and not batch:
        return name
    rank = graph.rank(name)
    if rank < 2:
        return name  # "If A is 1-D, transA is ignored"
    order = list(range(rank))
    if batch:
        order = [*order[1:-1], 0, order[-1]]
    if transposed:
        order[-2:] = order[:-3:-1]
    return name if order == list(range(rank)) else graph.op("Transpose", [name], perm=order)


def activated(node: onnx.NodeProto, graph: GraphEditor, x: str, output: str, like: str = "") -> str:
    """The node's `activation` applied to x; Identity where it has none. Raises CannotRewrite for an unknown one.

    `like` is a tensor of its element type, the first input where left out.
    """
    like = like or node.input[0]
    activation = graph.attribute(node, "activation", "")
    given = [float(value) for value in graph.attribute(node, "activation_params", [])]
    single = {
        key: graph.attribute(node, f"activation_{key}")
        for key in ("alpha", "beta", "gamma", "axis")
        if graph.attribute(node, f"activation_{key}") is not None
    }
    if not activation:
        return graph.op("Identity", [x], output)
    if activation == "HardSwish" and graph.opset < 14:
        bent = graph.op("HardSigmoid", [x], alpha=1 / 6, beta=0.5)
        return graph.op("Mul", [x, bent], output)
    if activation == "Gelu":
        return gelu(graph, x, like, output)
    if activation not in _ACTIVATIONS:
        raise CannotRewrite(f"the fused activation {activation} is not known")
    if activation == "Clip":
        if len(given) != 2:
            raise CannotRewrite("the fused Clip has no bounds")
        return graph.op("Clip", [x, *(float_const(graph, bound, like) for bound in given)], output)
    one = ("alpha",)
    names = {"LeakyRelu": one, "Elu": one, "ThresholdedRelu": one, "HardSigmoid": ("alpha", "beta")}.get(activation, ())
    attributes = {**dict(zip(names, given, strict=False)), **{key: single[key] for key in names if key in single}}
    return graph.op(activation, [x], output, **attributes)


@node_rewrite("plain-gemm", "write Gemm and its activation apart", (MS, "FusedGemm"), exactness=Exactness.ROUNDING)
def plain_gemm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Gemm followed by the activation."""
    kept = {key: graph.attribute(node, key) for key in ("alpha", "beta", "transA", "transB")}
    activated(node, graph, graph.op("Gemm", list(node.input), **kept), node.output[0])


@node_rewrite(
    "plain-conv",
    "write Conv, the sum and the activation apart",
    (MS, "FusedConv"),
    (MS, "NhwcConv"),
    (MS, "NhwcFusedConv"),
    exactness=Exactness.ROUNDING,
)
def plain_conv(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Conv, the addend Z and the activation; the Nhwc forms between two Transposes. Weights are in Conv's own order."""
    data, summand = node.input[0], graph.input(node, 3)
    nhwc = node.op_type.startswith("Nhwc")
    if nhwc:
        rank = graph.rank(data)
        first, last = [0, rank - 1, *range(1, rank - 1)], [0, *range(2, rank), 1]
        data = graph.op("Transpose", [data], perm=first)
        summand = graph.op("Transpose", [summand], perm=first) if summand else ""
    result = graph.op("Conv", [data, *(name for name in node.input[1:3] if name)], **_own_attributes(node))
    if summand:
        result = graph.op("Add", [result, summand])
    result = activated(node, graph, result, "" if nhwc else node.output[0])
    if nhwc:
        graph.op("Transpose", [result], node.output[0], perm=last)


def _own_attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if not attribute.name.startswith("activation")
    }


@node_rewrite(
    "plain-bias-softmax",
    "write the sum and Softmax apart",
    (MS, "BiasSoftmax"),
    exactness=Exactness.ROUNDING,
)
def plain_bias_softmax(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Softmax(data + bias) over all axes from `axis` on, which the operator treats as one.

    With `is_inner_broadcast` 0 the bias has no batch of the data's inner axes: it repeats for whole blocks of rows,
    which is numpy's rule when both have one rank, as the optimiser writes them.
    """
    data, bias = node.input[:2]
    rank = graph.rank(data)
    axis = int(graph.attribute(node, "axis", 1)) % rank
    if graph.rank(bias) != rank and not graph.attribute(node, "is_inner_broadcast", 1):
        raise CannotRewrite("the bias is repeated over outer axes")
    total = graph.op("Add", [data, bias])
    if axis == rank - 1:
        graph.op("Softmax", [total], node.output[0], axis=axis if graph.opset < 13 else -1)
        return
    shape = graph.shape(total)
    rows = graph.reshape(total, graph.concat([graph.slice(shape, 0, axis, 0), graph.const([-1])]))
    graph.reshape(graph.op("Softmax", [rows], axis=axis if graph.opset < 13 else -1), shape, node.output[0])


@node_rewrite(
    "plain-bias-add",
    "add up with Add",
    (MS, "BiasAdd"),
    exactness=Exactness.ROUNDING,
)
def plain_bias_add(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """X + bias + skip."""
    graph.op("Add", [graph.op("Add", node.input[:2]), node.input[2]], node.output[0])


@node_rewrite("plain-expand-dims", "write Unsqueeze", (MS, "ExpandDims"))
def plain_expand_dims(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Unsqueeze with the constant axis. Exact."""
    axis = graph.require_constant(node.input[1], "the axis")
    graph.unsqueeze(node.input[0], [int(axis.reshape(-1)[0])], node.output[0])


REWRITES = (
    plain_gelu,
    plain_matmul,
    plain_gemm,
    plain_conv,
    plain_bias_softmax,
    plain_bias_add,
    plain_expand_dims,
)
