"""Operators that ONNX replaced, written as their successors: TensorRT still takes them, ONNX Runtime does not."""

from __future__ import annotations

import onnx
from onnx import helper

from friction_tui.rewrites.base import CannotRewrite, NeedsOpset
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite


@node_rewrite("upsample-resize", "write Upsample as Resize", ("", "Upsample"))
def upsample(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Upsample, as opset 9 defined it, at an opset that has Resize. Exact.

    Output x is input x / scale, nearest rounded down: Resize's coordinates `asymmetric` and nearest mode `floor`.
    """
    if graph.opset < 11:
        raise NeedsOpset(11, "Resize with these coordinates")
    scales = graph.input(node, 1)
    if not scales:
        given = graph.attribute(node, "scales")
        if given is None:
            raise CannotRewrite("it has no scales")
        scales = graph.const(given, "float32")
    mode = str(graph.attribute(node, "mode", "nearest"))
    graph.op(
        "Resize",
        [node.input[0], "" if graph.opset >= 13 else graph.const([], "float32"), scales],
        node.output[0],
        mode="linear" if mode == "bilinear" else mode,
        coordinate_transformation_mode="asymmetric",
        nearest_mode="floor" if mode == "nearest" else None,
    )


@node_rewrite("scatter-elements", "write Scatter as ScatterElements", ("", "Scatter"))
def scatter(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Scatter is ScatterElements under its old name. Exact."""
    if graph.opset < 11:
        raise NeedsOpset(11, "ScatterElements")
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    graph.op("ScatterElements", node.input, node.output[0], **attributes)


REWRITES = (upsample, scatter)
