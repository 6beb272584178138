"""Transposed convolutions in forms that TensorRT refuses."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
from onnx import helper

from friction_tui.rewrites.base import CannotRewrite, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite


@node_rewrite("conv-transpose-dilations", "put the dilation into the kernel as zeros", ("", "ConvTranspose"))
def dilations(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """ConvTranspose with strides and dilations together → the kernel spread with zeros. Exact.

    Costs the multiplications with these zeros. The weights must be constant.
    """
    attributes = _attributes(node)
    spread = list(attributes.get("dilations", []))
    if not spread or max(spread) == 1:
        raise CannotRewrite("it has no dilations")
    weight = graph.require_constant(node.input[1], "the weight")
    sizes = [step * (size - 1) + 1 for step, size in zip(spread, weight.shape[2:], strict=True)]
    kernel = np.zeros([*weight.shape[:2], *sizes], weight.dtype)
    kernel[(slice(None), slice(None), *(slice(None, None, step) for step in spread))] = weight
    attributes.update(kernel_shape=sizes, dilations=[1] * len(sizes))
    inputs = [node.input[0], graph.const(kernel, weight.dtype, node.input[1]), *node.input[2:]]
    graph.op("ConvTranspose", inputs, node.output[0], **attributes)


@node_rewrite("conv-transpose-crop", "cut the whole result to its size instead of output_shape", ("", "ConvTranspose"))
def output_shape(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """ConvTranspose with output_shape and an image of free size → without padding, then cut or padded. Exact.

    The padding that output_shape implies depends on the size of the image, which the parser does not know.
    """
    attributes = _attributes(node)
    wanted = attributes.pop("output_shape", None)
    if not wanted:
        raise CannotRewrite("it has no output_shape")
    if graph.opset < 11:
        raise NeedsOpset(11)
    upper = graph.attribute(node, "auto_pad", "NOTSET") == "SAME_UPPER"
    for name in ("pads", "auto_pad"):
        attributes.pop(name, None)
    axes = list(range(2, 2 + len(wanted)))
    whole = graph.op("ConvTranspose", node.input, **attributes)
    sizes = graph.slice(graph.shape(whole), 2, 2 + len(wanted), 0)
    target, zero, two = graph.const(list(wanted)), graph.const(0), graph.const(2)
    surplus = graph.op("Max", [graph.op("Sub", [sizes, target]), zero])
    small = graph.op("Div", [surplus, two])
    start = small if upper else graph.op("Sub", [surplus, small])
    cut = graph.op("Slice", [whole, start, graph.op("Add", [start, target]), graph.const(axes)])
    missing = graph.op("Max", [graph.op("Sub", [target, sizes]), zero])
    pads = graph.concat([graph.const([0] * (len(wanted) + 4)), missing])
    graph.op("Pad", [cut, pads], node.output[0])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


REWRITES: tuple[Rewriter, ...] = (dilations, output_shape)
