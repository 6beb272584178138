"""LSTM, GRU and RNN: the batch first, which TensorRT misreads, and initial states baked in for one batch size."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper

from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.known_values import KnownValues

_OPERATORS = (("", "LSTM"), ("", "GRU"), ("", "RNN"))


@node_rewrite("rnn-layout", "transpose to sequence first", *_OPERATORS)
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


@node_rewrite("initial-state-follow-input", "let the initial state follow the batch", *_OPERATORS)
def initial_state(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A constant initial state, equal for the whole batch, for any batch size: left out where it is zero. Exact.

    Otherwise one row of it [directions, 1, hidden] is expanded to the batch of the sequence [length, batch, features].
    """
    if graph.attribute(node, "layout", 0):
        raise CannotRewrite("its layout is 1: the batch comes first")
    sizes = graph.dims(node.input[0])
    if sizes is not None and isinstance(sizes[1], int):
        raise CannotRewrite("the batch of the sequence is fixed")
    inputs, changed, values = list(node.input), False, KnownValues(graph)
    for at in (5, 6):  # the hidden state; an LSTM's cell state
        given = graph.input(node, at)
        state = (graph.constant(given) if graph.constant(given) is not None else values.of(given)) if given else None
        if state is None:
            continue
        if state.ndim != 3 or not np.array_equal(state, np.broadcast_to(state[:, :1], state.shape)):
            raise CannotRewrite("the initial state differs from sequence to sequence of the batch")
        changed = True
        inputs[at] = ""
        if state.any():
            row = graph.const(state[:, :1], state.dtype)
            one = graph.const([1])
            inputs[at] = graph.op("Expand", [row, graph.concat([one, graph.size(node.input[0], 1), one])])
    if not changed:
        raise CannotRewrite("its initial state is not a constant")
    while not inputs[-1]:
        inputs.pop()
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute}
    graph.op(node.op_type, inputs, node.output, **attributes)


@node_rewrite(
    "lstm-forget-weights",
    "give the forget gate the negated weights of the input gate",
    ("", "LSTM"),
    exactness=Exactness.ROUNDING,
)
def input_forget(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """LSTM with coupled gates (input_forget): f = 1 - i → a plain LSTM, as 1 - sigmoid(z) is sigmoid(-z).

    Weights are in the order of the gates i, o, f, c, peepholes i, o, f. They must be constant.
    """
    if not graph.attribute(node, "input_forget", 0):
        raise CannotRewrite("its gates are not coupled")
    activations = [each.decode() for each in graph.attribute(node, "activations", [])]
    if any(each.lower() != "sigmoid" for each in activations[::3]):
        raise CannotRewrite("the activation of its gates is not Sigmoid, which alone is symmetric")
    hidden = int(graph.attribute(node, "hidden_size", 0)) or graph.static_dim(node.input[2], -1)
    inputs = list(node.input)
    for at, parts in ((1, 4), (2, 4), (3, 8), (7, 3)):
        if not graph.input(node, at):
            continue
        weights = graph.require_constant(node.input[at], "a weight of the LSTM").copy()
        for start in range(0, parts, 4):
            gate = weights[:, start * hidden : (start + 1) * hidden]
            weights[:, (start + 2) * hidden : (start + 3) * hidden] = -gate
        inputs[at] = graph.const(weights, weights.dtype, name=f"{node.input[at]}_coupled")
    attributes = {each.name: helper.get_attribute_value(each) for each in node.attribute if each.name != "input_forget"}
    graph.op("LSTM", inputs, list(node.output), **attributes)


REWRITES: tuple[Rewriter, ...] = (layout, initial_state, input_forget)
