"""Tree ensembles (ai.onnx.ml) as lookups: all trees are walked at once, one level at a time.

Definitions: https://onnx.ai/onnx/operators/onnx_aionnxml_TreeEnsemble.html and its predecessors; what the classifier
does with two classes and one score follows ONNX Runtime's `tree_ensemble_aggregator.h`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.graph_editor import Array, GraphEditor, node_rewrite

ML = "ai.onnx.ml"
_COMPARE = {
    "BRANCH_LEQ": "LessOrEqual",
    "BRANCH_LT": "Less",
    "BRANCH_GTE": "GreaterOrEqual",
    "BRANCH_GT": "Greater",
    "BRANCH_EQ": "Equal",
    "BRANCH_NEQ": "",
}
_MODES = ("BRANCH_LEQ", "BRANCH_LT", "BRANCH_GTE", "BRANCH_GT", "BRANCH_EQ", "BRANCH_NEQ", "BRANCH_MEMBER")
"""The modes of TreeEnsemble by number."""
_AGGREGATES = ("AVERAGE", "SUM", "MIN", "MAX")
_TRANSFORMS = ("NONE", "SOFTMAX", "LOGISTIC", "SOFTMAX_ZERO", "PROBIT")
_DEEPEST = 512
_OPSET = 13


@dataclass(frozen=True, slots=True)
class Forest:
    """Nodes and leaves of all trees in one numbering; a leaf leads to itself.

    `feature`, `threshold`, `mode`, `missing` (whether NaN goes the true way), `yes` and `no` per node; `weights` is
    [nodes, targets], 0 but at leaves; `roots` one per tree.
    """

    feature: Array
    threshold: Array
    mode: Array
    missing: Array
    yes: Array
    no: Array
    weights: Array
    roots: Array

    @property
    def depth(self) -> int:
        """The number of steps after which every tree has reached a leaf."""
        front, depth = set(self.roots.tolist()), 0
        while front := {step for node in front for step in (self.yes[node], self.no[node]) if step != node}:
            depth += 1
            if depth > _DEEPEST:
                raise CannotRewrite(f"a tree is deeper than {_DEEPEST}, or its nodes form a circle")
        return depth


def scores_of(graph: GraphEditor, data: str, forest: Forest, aggregate: str) -> str:
    """[N, features] as [N, targets]: 6 nodes for each level, 2 more for NaN and for each further branch mode.

    Features are compared in float32: a double within rounding of a threshold may take the other way.
    """
    if graph.opset < _OPSET:
        raise CannotRewrite(f"needs opset {_OPSET}; convert first with o")
    if graph.dtype(data) != TensorProto.FLOAT:
        data = graph.cast(data, TensorProto.FLOAT)
    if len(graph.dims(data) or [0, 0]) == 1:
        data = graph.unsqueeze(data, [0])
    tables = {name: graph.const(getattr(forest, name).astype(np.int64)) for name in ("feature", "yes", "no")}
    threshold = graph.const(forest.threshold.astype(np.float32))
    missing = graph.const(forest.missing) if forest.missing.any() else ""
    inner = forest.yes != np.arange(len(forest.yes))
    modes = sorted(set(forest.mode[inner].tolist()))
    is_mode = {mode: graph.const(forest.mode == mode) for mode in modes} if len(modes) > 1 else {}
    count = graph.op("Gather", [graph.shape(data), graph.const([0])], axis=0)
    trees = graph.const([len(forest.roots)])
    at = graph.op("Expand", [graph.const(forest.roots.astype(np.int64)[None]), graph.concat([count, trees])])
    for _ in range(forest.depth):
        value = graph.op("GatherElements", [data, _looked_up(graph, tables["feature"], at)], axis=1)
        limit = _looked_up(graph, threshold, at)
        goes = ""
        for mode in modes:
            holds = _holds(graph, mode, value, limit)
            if is_mode:
                holds = graph.op("And", [holds, _looked_up(graph, is_mode[mode], at)])
            goes = graph.op("Or", [goes, holds]) if goes else holds
        if missing:
            lacks = graph.op("And", [graph.op("IsNaN", [value]), _looked_up(graph, missing, at)])
            goes = graph.op("Or", [goes, lacks])
        at = graph.op("Where", [goes, _looked_up(graph, tables["yes"], at), _looked_up(graph, tables["no"], at)])
    gathered = _looked_up(graph, graph.const(forest.weights.astype(np.float32)), at)
    if aggregate in ("MIN", "MAX") and forest.weights.shape[1] > 1:
        raise CannotRewrite(f"the {aggregate.lower()} over trees is taken for several targets")
    op = {"SUM": "ReduceSum", "AVERAGE": "ReduceMean", "MIN": "ReduceMin", "MAX": "ReduceMax"}[aggregate]
    return graph.reduce(op, gathered, [1], keep=False)


def _holds(graph: GraphEditor, mode: str, value: str, limit: str) -> str:
    if mode not in _COMPARE:
        raise CannotRewrite(f"the branch mode {mode} is not known")
    if mode == "BRANCH_NEQ":
        return graph.op("Not", [graph.op("Equal", [value, limit])])
    return graph.op(_COMPARE[mode], [value, limit])


def _looked_up(graph: GraphEditor, table: str, at: str) -> str:
    return graph.op("Gather", [table, at], axis=0)


def transformed(graph: GraphEditor, scores: str, transform: str, output: str = "") -> str:
    """`post_transform` of [N, targets]."""
    if transform == "NONE":
        return graph.op("Identity", [scores], output)
    if transform == "LOGISTIC":
        return graph.op("Sigmoid", [scores], output)
    if transform == "SOFTMAX":
        return graph.op("Softmax", [scores], output, axis=1)
    raise CannotRewrite(f"the post-transform {transform} is not known")


# --------------------------------------------------------------------------------------------------- versions


def _older_forest(node: onnx.NodeProto, graph: GraphEditor, prefix: str, columns: int) -> tuple[Forest, bool]:
    """The forest of TreeEnsembleRegressor or -Classifier; whether no weight is negative."""

    def listed(name: str, dtype: type) -> Array:
        tensor = graph.attribute(node, f"{name}_as_tensor")
        if tensor is not None:
            return numpy_helper.to_array(tensor).astype(dtype)
        return np.array(graph.attribute(node, name, []), dtype)

    modes = np.array([_text(mode) for mode in graph.attribute(node, "nodes_modes", [])])
    trees, numbers = listed("nodes_treeids", np.int64), listed("nodes_nodeids", np.int64)
    place = {key: i for i, key in enumerate(zip(trees.tolist(), numbers.tolist(), strict=True))}
    leaf, own = modes == "LEAF", np.arange(len(trees))
    try:
        yes, no = (
            np.array(
                [
                    i if leaf[i] else place[tree, child]
                    for i, (tree, child) in enumerate(zip(trees.tolist(), listed(name, np.int64).tolist(), strict=True))
                ]
            )
            for name in ("nodes_truenodeids", "nodes_falsenodeids")
        )
        weights = np.zeros((len(trees), columns), np.float32)
        given = listed(f"{prefix}_weights", np.float64)
        ids = listed(f"{prefix}_ids", np.int64)
        owners = zip(listed(f"{prefix}_treeids", np.int64), listed(f"{prefix}_nodeids", np.int64), strict=True)
        for (tree, number), target, weight in zip(owners, ids, given, strict=True):
            weights[place[int(tree), int(number)], 0 if columns == 1 else target] += weight
    except (KeyError, ValueError, IndexError) as error:
        raise CannotRewrite(f"the lists of the trees contradict each other ({error})") from None
    children = set(yes[~leaf].tolist()) | set(no[~leaf].tolist())
    roots = np.array([i for i in own.tolist() if i not in children])
    missing = listed("nodes_missing_value_tracks_true", np.int64)
    forest = Forest(
        listed("nodes_featureids", np.int64),
        listed("nodes_values", np.float64),
        modes,
        missing.astype(bool) if len(missing) else np.zeros(len(trees), bool),
        yes,
        no,
        weights,
        roots,
    )
    return forest, bool((given >= 0).all())


def _text(value: object) -> str:
    return value.decode() if isinstance(value, bytes) else str(value)


@node_rewrite(
    "tree-regressor-lookups",
    "walk the trees with Gather and Where",
    (ML, "TreeEnsembleRegressor"),
    exactness=Exactness.ROUNDING,
)
def tree_regressor(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """TreeEnsembleRegressor, versions 1 and 3."""
    forest, _ = _older_forest(node, graph, "target", int(graph.attribute(node, "n_targets", 1)))
    scores = scores_of(graph, node.input[0], forest, graph.attribute(node, "aggregate_function", "SUM"))
    base = _base_values(node, graph)
    if len(base):
        scores = graph.op("Add", [scores, graph.const(base)])
    transformed(graph, scores, graph.attribute(node, "post_transform", "NONE"), node.output[0])


@node_rewrite(
    "tree-classifier-lookups",
    "walk the trees with Gather and Where",
    (ML, "TreeEnsembleClassifier"),
    exactness=Exactness.ROUNDING,
)
def tree_classifier(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """TreeEnsembleClassifier, versions 1 and 3, with integer labels."""
    labels = graph.attribute(node, "classlabels_int64s", [])
    if not labels:
        raise CannotRewrite("the class labels are text, which TensorRT has no type for; give class numbers instead")
    ids = set(graph.attribute(node, "class_ids", []))
    binary = len(labels) == 2 and len(ids) == 1
    forest, positive = _older_forest(node, graph, "class", 1 if binary else len(labels))
    scores = scores_of(graph, node.input[0], forest, "SUM")
    base = _base_values(node, graph)
    if len(base):
        if binary and len(base) > 1:
            raise CannotRewrite("two base values for one score")
        scores = graph.op("Add", [scores, graph.const(base)])
    transform = graph.attribute(node, "post_transform", "NONE")
    if binary:
        limit = 0.5 if positive else 0.0
        two_from_one(graph, scores, transform, labels, node, complement=positive, limit=limit)
    else:
        transformed(graph, scores, transform, node.output[1] if graph.output(node, 1) else "")
        label_of(graph, graph.op("ArgMax", [scores], axis=1, keepdims=0), labels, graph.output(node, 0))


def two_from_one(
    graph: GraphEditor,
    score: str,
    transform: str,
    labels: Sequence[int],
    node: onnx.NodeProto,
    *,
    complement: bool,
    limit: float,
) -> None:
    """The label and both scores of a classifier with one score s, [N, 1], as ONNX Runtime gives them.

    The second label above `limit`. The scores are the logistic function of [-s, s] where that is asked; else, whatever
    the post-transform, [1 - s, s] where `complement`, or [-s, s].
    """
    if transform == "PROBIT":
        raise CannotRewrite("the post-transform PROBIT is not known")
    chosen = graph.cast(graph.op("Greater", [score, graph.const(np.float32(limit), np.float32)]), TensorProto.INT64)
    label_of(graph, graph.squeeze(chosen, [1]), labels, graph.output(node, 0))
    logistic = transform == "LOGISTIC"
    if complement and not logistic:
        other = graph.op("Sub", [graph.const(np.float32(1), np.float32), score])
    else:
        other = graph.op("Neg", [score])
    if graph.output(node, 1):
        transformed(graph, graph.concat([other, score], 1), "LOGISTIC" if logistic else "NONE", node.output[1])


def label_of(graph: GraphEditor, number: str, labels: Sequence[int], output: str) -> None:
    """The label of each class number [N]."""
    if output and list(labels) == list(range(len(labels))):
        graph.op("Identity", [number], output)
    elif output:
        graph.op("Gather", [graph.const(np.array(labels, np.int64)), number], output, axis=0)


def _base_values(node: onnx.NodeProto, graph: GraphEditor) -> Array:
    tensor = graph.attribute(node, "base_values_as_tensor")
    if tensor is not None:
        return numpy_helper.to_array(tensor).astype(np.float32)
    return np.array(graph.attribute(node, "base_values", []), np.float32)


@node_rewrite(
    "tree-lookups",
    "walk the trees with Gather and Where",
    (ML, "TreeEnsemble"),
    exactness=Exactness.ROUNDING,
)
def tree_ensemble(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """TreeEnsemble, version 5: leaves apart from nodes, numbers for modes. Set membership is refused."""

    def listed(name: str) -> Array:
        return np.array(graph.attribute(node, name, []), np.int64)

    def tensor(name: str) -> Array:
        value = graph.attribute(node, name)
        if value is None:
            raise CannotRewrite(f"{name} is not given")
        return numpy_helper.to_array(value)

    modes = np.array([_MODES[int(mode)] for mode in tensor("nodes_modes").reshape(-1)])
    if "BRANCH_MEMBER" in modes:
        raise CannotRewrite("a branch tests whether a value is in a set")
    count, leaves = len(modes), tensor("leaf_weights").astype(np.float64)
    own = np.arange(count, count + len(leaves))
    yes = np.where(listed("nodes_trueleafs") > 0, listed("nodes_truenodeids") + count, listed("nodes_truenodeids"))
    no = np.where(listed("nodes_falseleafs") > 0, listed("nodes_falsenodeids") + count, listed("nodes_falsenodeids"))
    weights = np.zeros((count + len(leaves), int(graph.attribute(node, "n_targets", 1))))
    weights[own, listed("leaf_targetids")] = leaves
    missing = listed("nodes_missing_value_tracks_true").astype(bool)
    nothing = np.zeros(len(leaves))
    forest = Forest(
        np.concatenate([listed("nodes_featureids"), nothing]),
        np.concatenate([tensor("nodes_splits").astype(np.float64), nothing]),
        np.concatenate([modes, np.full(len(leaves), "LEAF")]),
        np.concatenate([missing if len(missing) else np.zeros(count, bool), nothing.astype(bool)]),
        np.concatenate([yes, own]),
        np.concatenate([no, own]),
        weights,
        listed("tree_roots"),
    )
    aggregate = _AGGREGATES[int(graph.attribute(node, "aggregate_function", 1))]
    scores = scores_of(graph, node.input[0], forest, aggregate)
    transform = _TRANSFORMS[int(graph.attribute(node, "post_transform", 0))]
    wide = graph.dtype(node.input[0])
    if wide in (TensorProto.DOUBLE, TensorProto.FLOAT16):
        graph.cast(transformed(graph, scores, transform), wide, node.output[0])
    else:
        transformed(graph, scores, transform, node.output[0])


REWRITES = (tree_regressor, tree_classifier, tree_ensemble)
