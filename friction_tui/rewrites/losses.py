"""Training losses that were exported along, as gathers and reductions."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS, scalar


@node_rewrite(
    "nll-loss-gather",
    "gather the targets' values instead of NegativeLogLikelihoodLoss",
    ("", "NegativeLogLikelihoodLoss"),
    exactness=Exactness.ROUNDING,
)
def nll_loss(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """NegativeLogLikelihoodLoss → GatherElements at the targets, weights gathered alike, then the reduction."""
    _loss(node, graph, node.input[0])


@node_rewrite(
    "cross-entropy-log-softmax",
    "take LogSoftmax and gather instead of SoftmaxCrossEntropyLoss",
    ("", "SoftmaxCrossEntropyLoss"),
    exactness=Exactness.ROUNDING,
)
def cross_entropy(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """SoftmaxCrossEntropyLoss → LogSoftmax over the classes (also an output), then the negative log-likelihood."""
    if graph.opset < 13:
        raise NeedsOpset(13, "LogSoftmax over one axis")
    _loss(node, graph, graph.op("LogSoftmax", [node.input[0]], graph.output(node, 1), axis=1))


def _loss(node: onnx.NodeProto, graph: GraphEditor, log_likelihood: str) -> None:
    scores, target, weight = node.input[0], graph.input(node, 1), graph.input(node, 2)
    if graph.dtype(scores) not in FLOATS:
        raise CannotRewrite("the scores are not float")
    ignored, reduction = graph.attribute(node, "ignore_index"), graph.attribute(node, "reduction", "mean")
    classes = graph.cast(target, TensorProto.INT64)
    kept = ""
    if ignored is not None:
        keep = graph.op("Not", [graph.op("Equal", [classes, graph.const(int(ignored))])])
        classes = graph.op("Where", [keep, classes, graph.const(0)])
        kept = graph.cast(keep, graph.dtype(scores))
    chosen = graph.op("GatherElements", [log_likelihood, graph.unsqueeze(classes, [1])], axis=1)
    loss = graph.op("Neg", [graph.squeeze(chosen, [1])])
    weights = graph.op("Gather", [weight, classes], axis=0) if weight else ""
    if kept:
        weights = graph.op("Mul", [weights, kept]) if weights else kept
        # A target that does not count may stand at -inf; 0 times that would be NaN.
        loss = graph.op("Where", [keep, loss, scalar(graph, 0, scores)])
    if weights:
        loss = graph.op("Mul", [loss, weights])
    if reduction == "none":
        graph.op("Identity", [loss], node.output[0])
    elif reduction == "sum":
        graph.op("ReduceSum", [loss], node.output[0], keepdims=0)
    elif not weights:
        graph.op("ReduceMean", [loss], node.output[0], keepdims=0)
    else:
        sums = [graph.op("ReduceSum", [each], keepdims=0) for each in (loss, weights)]
        graph.op("Div", sums, node.output[0])


REWRITES: tuple[Rewriter, ...] = (nll_loss, cross_entropy)
