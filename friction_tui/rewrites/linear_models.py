"""Linear models and what stands around them in exports of scikit-learn (ai.onnx.ml), as ONNX's own operators.

Definitions: https://onnx.ai/onnx/operators/#ai-onnx-ml.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.trees import ML, label_of, transformed, two_from_one


def _float(graph: GraphEditor, name: str) -> str:
    return name if graph.dtype(name) == TensorProto.FLOAT else graph.cast(name, TensorProto.FLOAT)


def _affine(node: onnx.NodeProto, graph: GraphEditor, targets: int) -> str:
    coefficients = np.array(graph.attribute(node, "coefficients", []), np.float32)
    if not targets or coefficients.size % targets:
        raise CannotRewrite("the coefficients do not fit the number of targets")
    product = graph.op("MatMul", [_float(graph, node.input[0]), graph.const(coefficients.reshape(targets, -1).T)])
    intercepts = graph.attribute(node, "intercepts", [])
    if not intercepts:
        return product
    return graph.op("Add", [product, graph.const(np.array(intercepts, np.float32))])


@node_rewrite(
    "linear-regressor",
    "write MatMul and Add",
    (ML, "LinearRegressor"),
    exactness=Exactness.ROUNDING,
)
def linear_regressor(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """X · coefficientsᵀ + intercepts."""
    scores = _affine(node, graph, int(graph.attribute(node, "targets", 1)))
    transformed(graph, scores, graph.attribute(node, "post_transform", "NONE"), node.output[0])


@node_rewrite(
    "linear-classifier",
    "write MatMul, Add and ArgMax",
    (ML, "LinearClassifier"),
    exactness=Exactness.ROUNDING,
)
def linear_classifier(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Scores as of a regressor, the label of the largest; with integer labels."""
    labels = graph.attribute(node, "classlabels_ints", [])
    if not labels:
        raise CannotRewrite("the class labels are text, which TensorRT has no type for; give class numbers instead")
    rows = len(graph.attribute(node, "intercepts", [])) or len(labels)
    if rows not in (1, len(labels)):
        raise CannotRewrite(f"{rows} rows of coefficients for {len(labels)} classes")
    scores, transform = _affine(node, graph, rows), graph.attribute(node, "post_transform", "NONE")
    if rows == 1 and len(labels) == 2:
        two_from_one(graph, scores, transform, labels, node, complement=True, limit=0.0)
        return
    transformed(graph, scores, transform, graph.output(node, 1))
    label_of(graph, graph.op("ArgMax", [scores], axis=1, keepdims=0), labels, graph.output(node, 0))


@node_rewrite("scaler", "write Sub and Mul", (ML, "Scaler"), exactness=Exactness.ROUNDING)
def scaler(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """(x - offset) · scale."""
    offset, scale = (np.array(graph.attribute(node, name, []), np.float32) for name in ("offset", "scale"))
    x = _float(graph, node.input[0])
    x = graph.op("Sub", [x, graph.const(offset)]) if offset.size else x
    graph.op("Mul", [x, graph.const(scale if scale.size else np.ones(1, np.float32))], node.output[0])


@node_rewrite("normalizer", "write the norm and Div", (ML, "Normalizer"), exactness=Exactness.ROUNDING)
def normalizer(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Each row over its largest entry (MAX), the sum of absolute entries (L1) or the root of the sum of squares (L2).

    Where that is 0 the row stays as it is, as in ONNX Runtime.
    """
    if graph.opset < 11:
        raise NeedsOpset(11, "Equal of floats")
    x, axis = _float(graph, node.input[0]), [-1]
    size: dict[str, Callable[[], str]] = {
        "MAX": lambda: graph.reduce("ReduceMax", x, axis),
        "L1": lambda: graph.reduce("ReduceSum", graph.op("Abs", [x]), axis),
        "L2": lambda: graph.op("Sqrt", [graph.reduce("ReduceSum", graph.op("Mul", [x, x]), axis)]),
    }
    norm = graph.attribute(node, "norm", "MAX")
    if norm not in size:
        raise CannotRewrite(f"the norm {norm} is not known")
    length = size[norm]()
    zero = graph.op("Equal", [length, graph.const(np.float32(0), np.float32)])
    graph.op("Div", [x, graph.op("Where", [zero, graph.const(np.float32(1), np.float32), length])], node.output[0])


@node_rewrite("binarizer", "write Greater and Cast", (ML, "Binarizer"))
def binarizer(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """1 above the threshold, else 0. Exact."""
    kind = graph.dtype(node.input[0])
    limit = graph.const(np.array(graph.attribute(node, "threshold", 0.0), graph.numpy_dtype(node.input[0])))
    graph.cast(graph.op("Greater", [node.input[0], limit]), kind, node.output[0])


@node_rewrite("array-feature-extractor", "write Gather", (ML, "ArrayFeatureExtractor"))
def array_feature_extractor(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Gather along the last axis; one row of result for a vector. Exact."""
    if graph.dtype(node.input[0]) == TensorProto.STRING:
        raise CannotRewrite("it chooses text, which TensorRT has no type for; give class numbers instead")
    data = node.input[0]
    if graph.rank(data) == 1:
        data = graph.unsqueeze(data, [0])
    graph.op("Gather", [data, graph.reshape(node.input[1], [-1])], node.output[0], axis=-1)


@node_rewrite("feature-vectorizer", "write Concat", (ML, "FeatureVectorizer"))
def feature_vectorizer(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The columns of all inputs one beside another, in float32. Exact."""
    graph.concat([_float(graph, name) for name in node.input], 1, node.output[0])


@node_rewrite("imputer", "write Where", (ML, "Imputer"))
def imputer(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The values given for what is missing: NaN, or a certain number. Exact."""
    data = node.input[0]
    if graph.dtype(data) == TensorProto.FLOAT:
        missing = float(graph.attribute(node, "replaced_value_float", 0.0))
        filled = np.array(graph.attribute(node, "imputed_value_floats", []), np.float32)
    else:
        missing = float(graph.attribute(node, "replaced_value_int64", 0))
        filled = np.array(graph.attribute(node, "imputed_value_int64s", []), np.int64)
    if not filled.size:
        raise CannotRewrite("no values are given for what is missing")
    if np.isnan(missing):
        lacks = graph.op("IsNaN", [data])
    else:
        lacks = graph.op("Equal", [data, graph.const(np.array(missing, filled.dtype), filled.dtype)])
    graph.op("Where", [lacks, graph.const(filled, filled.dtype), data], node.output[0])


REWRITES = (
    linear_regressor,
    linear_classifier,
    scaler,
    normalizer,
    binarizer,
    array_feature_extractor,
    feature_vectorizer,
    imputer,
)
