"""Support vector machines of scikit-learn (ai.onnx.ml) as products with their vectors.

Definitions: https://onnx.ai/onnx/operators/#ai-onnx-ml; the order of the coefficients and the votes follow ONNX
Runtime's `svmclassifier.cc`.
"""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset
from friction_tui.rewrites.graph_editor import Array, GraphEditor, node_rewrite
from friction_tui.rewrites.trees import ML, label_of, transformed

_OPSET = 13


def _similarities(node: onnx.NodeProto, graph: GraphEditor, vectors: Array) -> str:
    """The kernel of each row of the input with each support vector, [N, vectors].

    The distances of RBF are summed from differences, [N, vectors, features], which keeps their digits.
    """
    if graph.opset < _OPSET:
        raise NeedsOpset(_OPSET)
    x = node.input[0]
    if graph.dtype(x) != TensorProto.FLOAT:
        x = graph.cast(x, TensorProto.FLOAT)
    if graph.rank(x if x == node.input[0] else node.input[0]) == 1:
        x = graph.unsqueeze(x, [0])
    kind = graph.attribute(node, "kernel_type", "LINEAR")
    gamma, offset, degree = (float(each) for each in graph.attribute(node, "kernel_params", [0.0, 0.0, 0.0]))

    def number(value: float) -> str:
        return graph.const(np.float32(value), np.float32)

    if kind == "RBF":
        apart = graph.op("Sub", [graph.unsqueeze(x, [1]), graph.const(vectors[None], np.float32)])
        distance = graph.reduce("ReduceSum", graph.op("Mul", [apart, apart]), [2], keep=False)
        return graph.op("Exp", [graph.op("Mul", [distance, number(-gamma)])])
    product = graph.op("MatMul", [x, graph.const(vectors.T, np.float32)])
    if kind == "LINEAR":
        return product
    bent = graph.op("Add", [graph.op("Mul", [product, number(gamma)]), number(offset)])
    if kind == "POLY":
        return graph.op("Pow", [bent, number(degree)])
    if kind == "SIGMOID":
        return graph.op("Tanh", [bent])
    raise CannotRewrite(f"the kernel {kind} is not known")


@node_rewrite(
    "svm-regressor",
    "multiply with the support vectors",
    (ML, "SVMRegressor"),
    exactness=Exactness.ROUNDING,
)
def svm_regressor(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """K(x, vectors) · coefficients + rho; 1 or -1 by its sign for one class."""
    coefficients = np.array(graph.attribute(node, "coefficients", []), np.float32)
    count = int(graph.attribute(node, "n_supports", 0))
    if not count:
        raise CannotRewrite("it has no support vectors")
    vectors = np.array(graph.attribute(node, "support_vectors", []), np.float32).reshape(count, -1)
    similar = _similarities(node, graph, vectors)
    rho = np.array(graph.attribute(node, "rho", [0.0])[:1], np.float32)
    score = graph.op("MatMul", [similar, graph.const(coefficients.reshape(count, 1), np.float32)])
    score = graph.op("Add", [score, graph.const(rho, np.float32)])
    if graph.attribute(node, "one_class", 0):
        above = graph.op("Greater", [score, graph.const(np.float32(0), np.float32)])
        one, other = (graph.const(np.float32(value), np.float32) for value in (1, -1))
        graph.op("Where", [above, one, other], node.output[0])
    else:
        transformed(graph, score, graph.attribute(node, "post_transform", "NONE"), node.output[0])


@node_rewrite(
    "svm-classifier",
    "multiply with the support vectors and count the votes",
    (ML, "SVMClassifier"),
    exactness=Exactness.ROUNDING,
)
def svm_classifier(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A score for each pair of classes, of which one gets a vote; the label with the most votes, the first of equals.

    Not with two classes, whose scores ONNX Runtime gives in several ways, and not with probabilities, which it finds
    by iteration.
    """
    labels = graph.attribute(node, "classlabels_ints", [])
    if not labels:
        raise CannotRewrite("the class labels are text, which TensorRT has no type for; give class numbers instead")
    if graph.attribute(node, "prob_a", []):
        raise CannotRewrite(
            "its probabilities are found by iteration; convert it without them (probability=False in scikit-learn)"
        )
    sizes = [int(each) for each in graph.attribute(node, "vectors_per_class", [])]
    if len(sizes) != len(labels) or len(labels) < 3:
        raise CannotRewrite("it has fewer than three classes, or no support vectors")
    if graph.attribute(node, "post_transform", "NONE") != "NONE":
        raise CannotRewrite("its post-transform is not known")
    total, classes = sum(sizes), len(labels)
    coefficients = np.array(graph.attribute(node, "coefficients", []), np.float32).reshape(classes - 1, total)
    vectors = np.array(graph.attribute(node, "support_vectors", []), np.float32).reshape(total, -1)
    starts = np.cumsum([0, *sizes])
    pairs = [(i, j) for i in range(classes) for j in range(i + 1, classes)]
    weights, votes = np.zeros((total, len(pairs)), np.float32), np.zeros((len(pairs), classes), np.float32)
    for column, (i, j) in enumerate(pairs):
        mine, theirs = slice(starts[i], starts[i + 1]), slice(starts[j], starts[j + 1])
        weights[mine, column] = coefficients[j - 1, mine]
        weights[theirs, column] = coefficients[i, theirs]
        votes[column, i], votes[column, j] = 1, -1
    rho = np.array(graph.attribute(node, "rho", []), np.float32)
    similar = _similarities(node, graph, vectors)
    scores = graph.op("MatMul", [similar, graph.const(weights, np.float32)])
    scores = graph.op("Add", [scores, graph.const(rho, np.float32)], graph.output(node, 1))
    won = graph.cast(graph.op("Greater", [scores, graph.const(np.float32(0), np.float32)]), TensorProto.FLOAT)
    # A pair that is not won counts for its second class: what the second classes start with is added to all.
    counted = graph.op("MatMul", [won, graph.const(votes, np.float32)])
    counted = graph.op("Add", [counted, graph.const(np.arange(classes), np.float32)])
    label_of(graph, graph.op("ArgMax", [counted], axis=1, keepdims=0), labels, graph.output(node, 0))


REWRITES = (svm_regressor, svm_classifier)
