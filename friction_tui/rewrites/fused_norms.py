"""Normalizations that ONNX Runtime's optimiser fused with the additions before them, back to ONNX's own operators.

Definitions: https://github.com/microsoft/onnxruntime/blob/main/docs/ContribOperators.md.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.fused import MS, float_const
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite

_EPSILON = 1e-12
"""The default epsilon of SkipLayerNormalization and EmbedLayerNormalization."""


def layer_norm(graph: GraphEditor, x: str, scale: str, bias: str, epsilon: float, like: str, output: str = "") -> str:
    """LayerNormalization over the last axis, written out below opset 17. `bias` may be ""."""
    if graph.opset >= 17:
        given = [x, scale, bias] if bias else [x, scale]
        return graph.op("LayerNormalization", given, output, axis=-1, epsilon=epsilon)
    centred = graph.op("Sub", [x, graph.reduce("ReduceMean", x, [-1])])
    variance = graph.reduce("ReduceMean", graph.op("Mul", [centred, centred]), [-1])
    deviation = graph.op("Sqrt", [graph.op("Add", [variance, float_const(graph, epsilon, like)])])
    scaled = graph.op("Mul", [graph.op("Div", [centred, deviation]), scale], "" if bias else output)
    return graph.op("Add", [scaled, bias], output) if bias else scaled


def rms_norm(graph: GraphEditor, x: str, scale: str, epsilon: float, like: str, output: str = "") -> str:
    """X / sqrt(mean(x²) + epsilon) · scale over the last axis; the mean in float32, as ONNX Runtime takes it."""
    half = graph.dtype(like) == TensorProto.FLOAT16
    wide = graph.cast(x, TensorProto.FLOAT) if half else x
    mean = graph.reduce("ReduceMean", graph.op("Mul", [wide, wide]), [-1])
    deviation = graph.op("Sqrt", [graph.op("Add", [mean, graph.const(np.array(epsilon, np.float32))])])
    divided = graph.op("Div", [wide, deviation])
    return graph.op("Mul", [graph.cast(divided, TensorProto.FLOAT16) if half else divided, scale], output)


@node_rewrite(
    "plain-skip-layer-norm",
    "write the additions and the normalization apart",
    (MS, "SkipLayerNormalization"),
    (MS, "SkipSimplifiedLayerNormalization"),
    exactness=Exactness.ROUNDING,
)
def plain_skip_layer_norm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Add(input, skip), the bias, then LayerNormalization or its RMS form; the sum is the fourth output."""
    simple = node.op_type == "SkipSimplifiedLayerNormalization"
    data, skip, scale = node.input[:3]
    beta = "" if simple else graph.input(node, 3)
    bias = graph.input(node, 3 if simple else 4)
    _unread(node, graph, 1, 2)
    total_output = graph.output(node, 3)
    total = graph.op("Add", [data, skip], "" if bias else total_output)
    if bias:
        total = graph.op("Add", [total, bias], total_output)
    epsilon = float(graph.attribute(node, "epsilon", _EPSILON))
    if simple:
        rms_norm(graph, total, scale, epsilon, data, node.output[0])
    else:
        layer_norm(graph, total, scale, beta, epsilon, data, node.output[0])


@node_rewrite(
    "plain-rms-norm",
    "write the RMS normalization with ReduceMean, Sqrt and Div",
    ("", "SimplifiedLayerNormalization"),
    (MS, "SimplifiedLayerNormalization"),
    exactness=Exactness.ROUNDING,
)
def plain_rms_norm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """SimplifiedLayerNormalization over the last axis."""
    _unread(node, graph, 1)
    data = node.input[0]
    if int(graph.attribute(node, "axis", -1)) not in (-1, graph.rank(data) - 1):
        raise CannotRewrite("it normalizes over more than the last axis")
    rms_norm(graph, data, node.input[1], float(graph.attribute(node, "epsilon", 1e-5)), data, node.output[0])


@node_rewrite(
    "plain-embed-layer-norm",
    "write the embeddings with Gather, Add and LayerNormalization",
    (MS, "EmbedLayerNormalization"),
    exactness=Exactness.ROUNDING,
)
def plain_embed_layer_norm(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Word, position and segment embeddings gathered, added up and normalized.

    The second output, the number of unmasked positions of each row, is the sum of the mask, or 0 without one.
    """
    ids, segments, words, positions, segment_table, scale, bias = node.input[:7]
    mask, position_ids = graph.input(node, 7), graph.input(node, 8)
    found = graph.op("Gather", [words, ids], axis=0)
    if position_ids:
        placed = graph.op("Gather", [positions, position_ids], axis=0)
    else:
        placed = graph.slice(positions, 0, graph.size(ids, 1), 0)
    total_output = graph.output(node, 2)
    total = graph.op("Add", [found, placed], "" if segments else total_output)
    if segments:
        total = graph.op("Add", [total, graph.op("Gather", [segment_table, segments], axis=0)], total_output)
    layer_norm(graph, total, scale, bias, float(graph.attribute(node, "epsilon", _EPSILON)), words, node.output[0])
    count = graph.output(node, 1)
    if count and mask:
        graph.reduce("ReduceSum", graph.cast(mask, TensorProto.INT32), [1], keep=False, output=count)
    elif count:
        graph.op("Expand", [graph.const(np.zeros(1, np.int32), np.int32), graph.size(ids, 0)], count)


def _unread(node: onnx.NodeProto, graph: GraphEditor, *positions: int) -> None:
    for position in positions:
        name = graph.output(node, position)
        if name and graph.readers(name):
            raise CannotRewrite("its mean or inverse deviation is read")


REWRITES = (plain_skip_layer_norm, plain_rms_norm, plain_embed_layer_norm)
