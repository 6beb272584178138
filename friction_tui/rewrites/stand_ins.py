"""Operators that ONNX's shape inference does not know, stood for by ones of the same result type and shape.

Only for inference on a copy that is thrown away: a model that ONNX Runtime's optimiser wrote has such nodes all along,
and nothing would be known behind the first.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import onnx
from onnx import helper

_MS = "com.microsoft"
_SAME = frozenset(
    {
        "Gelu",
        "BiasGelu",
        "FastGelu",
        "QuickGelu",
        "BiasSoftmax",
        "BiasAdd",
        "SkipLayerNormalization",
        "SkipSimplifiedLayerNormalization",
        "SimplifiedLayerNormalization",
        "RotaryEmbedding",
        "Inverse",
        "QLinearSigmoid",
        "QLinearLeakyRelu",
    }
)
"""Operators whose first output (and fourth, the sum of a skip connection) is like their first input."""


def stand_in(proto: onnx.ModelProto) -> None:
    """Replace the operators of com.microsoft that are known here, in place; others stay."""
    nodes: list[onnx.NodeProto] = []
    changed = False
    for node in proto.graph.node:
        found = _of(node) if node.domain == _MS or node.op_type in _SAME else None
        changed |= found is not None
        nodes.extend([node] if found is None else found)
    if changed:
        copies = [_copy(node) for node in nodes]
        del proto.graph.node[:]
        proto.graph.node.extend(copies)


def _copy(node: onnx.NodeProto) -> onnx.NodeProto:
    copied = onnx.NodeProto()
    copied.CopyFrom(node)
    return copied


def _of(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    if node.op_type in _SAME or (node.op_type in ("MultiHeadAttention", "Attention") and len(node.input) > 1):
        outputs = [node.output[0]]
        if node.op_type.startswith("Skip") and len(node.output) > 3:
            outputs.append(node.output[3])
        return [helper.make_node("Identity", [node.input[0]], [output]) for output in outputs if output]
    make = _MAKERS.get(node.op_type)
    return make(node) if make is not None else None


def _conv(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [helper.make_node("Conv", list(node.input[:2]), [node.output[0]], **_kept(node))]


def _gemm(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [helper.make_node("Gemm", list(node.input), [node.output[0]], **_kept(node))]


def _matmul(node: onnx.NodeProto) -> list[onnx.NodeProto] | None:
    """An Einsum, which says which axes are exchanged whatever the rank; None where the batch is behind the rows."""
    given = _kept(node)
    if given.get("transBatchA") or given.get("transBatchB"):
        return None
    left, right = "...ki" if given.get("transA") else "...ik", "...jk" if given.get("transB") else "...kj"
    equation = f"{left},{right}->...ij"
    return [helper.make_node("Einsum", list(node.input[:2]), [node.output[0]], equation=equation)]


def _gather(node: onnx.NodeProto) -> list[onnx.NodeProto]:
    return [helper.make_node("Gather", [node.input[2], node.input[0]], [node.output[0]], axis=0)]


def _kept(node: onnx.NodeProto) -> dict[str, Any]:
    return {
        attribute.name: helper.get_attribute_value(attribute)
        for attribute in node.attribute
        if not attribute.name.startswith("activation")
    }


_MAKERS: dict[str, Callable[[onnx.NodeProto], list[onnx.NodeProto] | None]] = {
    "FusedConv": _conv,
    "FusedGemm": _gemm,
    "FusedMatMul": _matmul,
    "EmbedLayerNormalization": _gather,
}
