"""LSTM, GRU and RNN with the batch first, which TensorRT reads as if the sequence came first."""

from __future__ import annotations

import onnx
from onnx import helper

from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite


@node_rewrite("rnn-layout", "transpose to sequence first", ("", "LSTM"), ("", "GRU"), ("", "RNN"))
def layout(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """LSTM, GRU or RNN of layout 1 → layout 0 between Transposes. Exact.

    TensorRT-RTX 1.7.1 does not refuse layout 1: it iterates over the batch. ONNX Runtime's CPU kernels refuse it.
    """
    if not graph.attribute(node, "layout", 0):
        raise CannotRewrite("its layout is 0 already")
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute if each.name != "layout"}
    inputs = list(node.input)
    for at in (0, 5, 6):  # the sequence and the initial states
        if graph.input(node, at):
            inputs[at] = graph.op("Transpose", [inputs[at]], perm=[1, 0, 2])
    outputs = graph.ops(node.op_type, inputs, len(node.output), **attributes)
    for at, name in enumerate(node.output):
        if name:
            graph.op("Transpose", [outputs[at]], name, perm=[1, 0, 2] if at else [2, 0, 1, 3])


REWRITES: tuple[Rewriter, ...] = (layout,)
