"""One-hot codes of a computed depth, and TopK beyond TensorRT's limit."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS, nonnegative

TOPK_LIMIT = 3840
"""The largest K that TensorRT's TopK takes (its documentation of ITopKLayer; RTX 1.7.1 refuses 3841)."""
MOST_ROUNDS = 16
"""Rounds of TopK up to which a large K is split: each costs a pass over all elements."""


@node_rewrite(
    "one-hot-compare",
    "compare with a range instead of OneHot",
    ("", "OneHot"),
)
def one_hot(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """OneHot → Equal with 0 … depth-1 and Where: also for a depth computed from shapes, which the builder refuses.

    Indices outside -depth … depth-1 match nothing, as in OneHot.
    """
    indices, depth, values = node.input
    if graph.opset < 9:
        raise NeedsOpset(9, "Where")
    rank = graph.rank(indices)
    axis = graph.attribute(node, "axis", -1) % (rank + 1)
    count = graph.cast(graph.reshape(depth, [1]), TensorProto.INT64)
    slots = graph.reshape(graph.arange(count), [-1 if at == axis else 1 for at in range(rank + 1)])
    named = graph.op("Equal", [graph.unsqueeze(nonnegative(graph, indices, count), [axis]), slots])
    off, on = graph.split(values, [1, 1], 0)
    graph.op("Where", [named, on, off], node.output[0])


@node_rewrite(
    "topk-rounds",
    f"take the largest in rounds of {TOPK_LIMIT}",
    ("", "TopK"),
    exactness=Exactness.CHANGES,
    changes="equal unless the input holds infinities on the losing side, which are then taken twice",
)
def topk(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """TopK with K above TensorRT's limit → rounds of 3840; each round sets what it took to ∓infinity for the next."""
    given = graph.input(node, 1)
    wanted = graph.require_constant(given, "K") if given else np.array(graph.attribute(node, "k"))
    count, tensor = int(wanted.reshape(-1)[0]), node.input[0]
    if count <= TOPK_LIMIT:
        raise CannotRewrite(f"K is {count}; TensorRT takes up to {TOPK_LIMIT}")
    if count > TOPK_LIMIT * MOST_ROUNDS:
        raise CannotRewrite(f"K is {count}: more than {MOST_ROUNDS} rounds of {TOPK_LIMIT}")
    if graph.opset < 11:
        raise NeedsOpset(11, "ScatterElements")
    if graph.dtype(tensor) not in FLOATS:
        raise CannotRewrite("only floats have an infinity to mark what was taken")
    axis = graph.attribute(node, "axis", -1) % graph.rank(tensor)
    largest = graph.attribute(node, "largest", 1)
    lowest = graph.const(np.array([-np.inf if largest else np.inf], graph.numpy_dtype(tensor)))
    values, indices = [], []
    for start in range(0, count, TOPK_LIMIT):
        size = graph.const([min(TOPK_LIMIT, count - start)])
        value, index = graph.ops("TopK", [tensor, size], 2, axis=axis, largest=largest, sorted=1)
        values.append(value)
        indices.append(index)
        if start + TOPK_LIMIT < count:
            taken = graph.op("Expand", [lowest, graph.shape(index)])
            tensor = graph.op("ScatterElements", [tensor, index, taken], axis=axis)
    if graph.output(node, 0):
        graph.concat(values, axis, node.output[0])
    if graph.output(node, 1):
        graph.concat(indices, axis, node.output[1])


@node_rewrite("eye-like-compare", "compare row and column numbers instead of EyeLike", ("", "EyeLike"))
def eye_like(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """EyeLike of a free shape → column number equal to row number plus k, cast. Exact."""
    tensor = node.input[0]
    if graph.rank(tensor) != 2:
        raise CannotRewrite("the input is not a matrix")
    dtype = graph.attribute(node, "dtype", graph.dtype(tensor))
    rows, columns = (graph.arange(graph.size(tensor, axis)) for axis in range(2))
    diagonal = graph.op("Add", [graph.unsqueeze(rows, [1]), graph.const(graph.attribute(node, "k", 0))])
    graph.cast(graph.op("Equal", [graph.unsqueeze(columns, [0]), diagonal]), dtype, node.output[0])


REWRITES: tuple[Rewriter, ...] = (one_hot, topk, eye_like)
