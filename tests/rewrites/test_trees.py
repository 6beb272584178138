"""Tree ensembles and linear models as ONNX's own operators: TensorRT-RTX builds them, ONNX Runtime gives the same."""

from __future__ import annotations

import tempfile
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.linear_models import (
    array_feature_extractor,
    binarizer,
    feature_vectorizer,
    imputer,
    linear_classifier,
    linear_regressor,
    normalizer,
    scaler,
)
from friction_tui.rewrites.trees import tree_classifier, tree_ensemble, tree_regressor
from tests.rewrites.mended import check_mends, difference, ran, rewritten

FEATURES = 5


def one_node(
    op: str,
    outputs: Mapping[str, tuple[int, Sequence[Any]]],
    *,
    inputs: int = TensorProto.FLOAT,
    version: int = 3,
    extra: dict[str, np.ndarray] | None = None,
    **attributes: Any,
) -> OpenedModel:
    """x [n, 5] through one operator of ai.onnx.ml; `extra` are further constant inputs."""
    node = helper.make_node(op, ["x", *(extra or {})], list(outputs), name=op, domain="ai.onnx.ml", **attributes)
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", inputs, ["n", FEATURES])],
        [helper.make_tensor_value_info(name, kind, sizes) for name, (kind, sizes) in outputs.items()],
        [numpy_helper.from_array(value, name) for name, value in (extra or {}).items()],
    )
    imports = [helper.make_opsetid("", 17), helper.make_opsetid("ai.onnx.ml", version)]
    proto = helper.make_model(graph, ir_version=9, opset_imports=imports)
    return from_proto(proto, Path(tempfile.gettempdir()) / "model.onnx")


def forest(
    seed: int, prefix: str, columns: int, *, modes: tuple[str, ...] = ("BRANCH_LEQ",), positive: bool = False
) -> dict[str, Any]:
    """Three random trees of up to four levels as the attributes of the older operators."""
    rng = np.random.default_rng(seed)
    nodes: dict[str, list[Any]] = {
        f"nodes_{name}": []
        for name in ("treeids", "nodeids", "featureids", "values", "modes", "truenodeids", "falsenodeids")
    }
    leaves: dict[str, list[Any]] = {f"{prefix}_{name}": [] for name in ("treeids", "nodeids", "ids", "weights")}
    for tree in range(3):
        waiting, number = [(0, 0)], 1
        while waiting:
            own, level = waiting.pop()
            inner = level < 3 and (level == 0 or rng.random() < 0.7)
            mode = str(rng.choice(modes)) if inner else "LEAF"
            values = (tree, own, int(rng.integers(FEATURES)), float(rng.integers(-2, 3)) / 2, mode)
            for key, value in zip(nodes, (*values, number, number + 1) if inner else (*values, 0, 0), strict=True):
                nodes[key].append(value)
            if inner:
                waiting += [(number, level + 1), (number + 1, level + 1)]
                number += 2
                continue
            for column in range(columns):
                weight = float(rng.standard_normal())
                weight = abs(weight) / 3 if positive else weight
                for key, value in zip(leaves, (tree, own, column, weight), strict=True):
                    leaves[key].append(value)
    return nodes | leaves


def labelled(labels: int, scores: int = 0) -> Mapping[str, tuple[int, Sequence[Any]]]:
    return {"label": (TensorProto.INT64, ["n"]), "scores": (TensorProto.FLOAT, ["n", scores or labels])}


def coarse(point: int, seed: int) -> dict[str, np.ndarray]:
    """Features that often meet a threshold."""
    rng = np.random.default_rng(seed)
    return {"x": (rng.integers(-3, 4, ((1, 4, 8)[point], FEATURES)) / 2).astype(np.float32)}


@pytest.mark.parametrize(
    ("modes", "attributes"),
    [
        (("BRANCH_LEQ",), {}),
        (("BRANCH_LT",), {"aggregate_function": "AVERAGE", "base_values": [0.5, -1.0]}),
        (("BRANCH_GT", "BRANCH_GTE"), {}),
        (("BRANCH_EQ", "BRANCH_NEQ", "BRANCH_LEQ"), {"post_transform": "SOFTMAX"}),
    ],
)
def test_tree_regressor(modes: tuple[str, ...], attributes: dict[str, Any]) -> None:
    y = {"y": (TensorProto.FLOAT, ["n", 2])}
    model = one_node("TreeEnsembleRegressor", y, n_targets=2, **forest(1, "target", 2, modes=modes), **attributes)
    check_mends(model, tree_regressor, "TreeEnsembleRegressor", feeds=coarse)


def test_missing_values_go_the_way_that_is_stated() -> None:
    given_trees = forest(2, "target", 1)
    tracks = [i % 2 for i in range(len(given_trees["nodes_modes"]))]
    y = {"y": (TensorProto.FLOAT, ["n", 1])}
    model = one_node("TreeEnsembleRegressor", y, n_targets=1, **given_trees, nodes_missing_value_tracks_true=tracks)

    def with_nan(point: int, seed: int) -> dict[str, np.ndarray]:
        feeds = coarse(point, seed)
        feeds["x"][np.random.default_rng(seed).random(feeds["x"].shape) < 0.3] = np.nan
        return feeds

    check_mends(model, tree_regressor, "TreeEnsembleRegressor", feeds=with_nan)


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_tree_classifier_of_three_classes(transform: str) -> None:
    attributes = forest(3, "class", 3)
    model = one_node(
        "TreeEnsembleClassifier", labelled(3), classlabels_int64s=[4, 7, 9], post_transform=transform, **attributes
    )
    check_mends(model, tree_classifier, "TreeEnsembleClassifier", feeds=coarse)


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC", "SOFTMAX"])
@pytest.mark.parametrize("positive", [False, True])
def test_tree_classifier_of_two_classes_and_one_score(transform: str, positive: bool) -> None:
    attributes = forest(4, "class", 1, positive=positive)
    model = one_node(
        "TreeEnsembleClassifier", labelled(2), classlabels_int64s=[0, 1], post_transform=transform, **attributes
    )
    check_mends(model, tree_classifier, "TreeEnsembleClassifier", feeds=coarse)


def test_text_labels_are_refused() -> None:
    labels: Mapping[str, tuple[int, Sequence[Any]]] = {
        "label": (TensorProto.STRING, ["n"]),
        "scores": (TensorProto.FLOAT, ["n", 3]),
    }
    model = one_node("TreeEnsembleClassifier", labels, classlabels_strings=["a", "b", "c"], **forest(3, "class", 3))
    with pytest.raises(CannotRewrite, match="text"):
        rewritten(model, tree_classifier, "TreeEnsembleClassifier")


@pytest.mark.parametrize("kind", [TensorProto.FLOAT, TensorProto.DOUBLE])
def test_tree_ensemble_of_version_5(kind: int) -> None:
    dtype = helper.tensor_dtype_to_np_dtype(kind)
    model = one_node(
        "TreeEnsemble",
        {"y": (kind, ["n", 2])},
        inputs=kind,
        version=5,
        n_targets=2,
        nodes_featureids=[0, 1, 2],
        nodes_splits=numpy_helper.from_array(np.array([0.5, -0.5, 1.0], dtype)),
        nodes_modes=numpy_helper.from_array(np.array([0, 0, 3], np.uint8)),
        nodes_truenodeids=[1, 0, 2],
        nodes_trueleafs=[0, 1, 1],
        nodes_falsenodeids=[2, 1, 3],
        nodes_falseleafs=[0, 1, 1],
        leaf_targetids=[0, 1, 0, 1],
        leaf_weights=numpy_helper.from_array(np.array([1.0, 2.0, -3.0, 4.0], dtype)),
        tree_roots=[0],
    )

    def typed(point: int, seed: int) -> dict[str, np.ndarray]:
        return {"x": coarse(point, seed)["x"].astype(dtype)}

    check_mends(model, tree_ensemble, "TreeEnsemble", feeds=typed)


@pytest.mark.parametrize("transform", ["NONE", "SOFTMAX", "LOGISTIC"])
def test_linear_classifier(transform: str) -> None:
    coefficients = np.random.default_rng(0).standard_normal(3 * FEATURES).tolist()
    model = one_node(
        "LinearClassifier",
        labelled(3),
        classlabels_ints=[2, 3, 5],
        coefficients=coefficients,
        intercepts=[0.1, 0.2, -0.3],
        post_transform=transform,
    )
    check_mends(model, linear_classifier, "LinearClassifier")


@pytest.mark.parametrize("transform", ["NONE", "LOGISTIC"])
def test_linear_classifier_with_one_score(transform: str) -> None:
    model = one_node(
        "LinearClassifier",
        labelled(2),
        classlabels_ints=[0, 1],
        coefficients=np.random.default_rng(0).standard_normal(FEATURES).tolist(),
        intercepts=[0.1],
        post_transform=transform,
    )
    check_mends(model, linear_classifier, "LinearClassifier")


FLOATS = {"y": (TensorProto.FLOAT, ["n", FEATURES])}


@pytest.mark.parametrize(
    ("rewriter", "op", "outputs", "attributes"),
    [
        (
            linear_regressor,
            "LinearRegressor",
            {"y": (TensorProto.FLOAT, ["n", 2])},
            {"targets": 2, "coefficients": [0.5, -1.0, 2.0, 0.0, 1.0] * 2, "intercepts": [1.0, 2.0]},
        ),
        (scaler, "Scaler", FLOATS, {"offset": [1.0, 2.0, 3.0, 4.0, 5.0], "scale": [2.0, 1.0, 0.5, 3.0, 1.0]}),
        (scaler, "Scaler", FLOATS, {"offset": [1.0], "scale": [2.0]}),
        (normalizer, "Normalizer", FLOATS, {"norm": "MAX"}),
        (normalizer, "Normalizer", FLOATS, {"norm": "L1"}),
        (normalizer, "Normalizer", FLOATS, {"norm": "L2"}),
        (binarizer, "Binarizer", FLOATS, {"threshold": 0.25}),
        (feature_vectorizer, "FeatureVectorizer", FLOATS, {"inputdimensions": [FEATURES]}),
        (imputer, "Imputer", FLOATS, {"imputed_value_floats": [9.0], "replaced_value_float": float("nan")}),
    ],
)
def test_what_stands_around_a_model(
    rewriter: Rewriter, op: str, outputs: Mapping[str, tuple[int, Sequence[Any]]], attributes: dict[str, Any]
) -> None:
    check_mends(one_node(op, outputs, **attributes), rewriter, op)


def test_array_feature_extractor() -> None:
    y = {"y": (TensorProto.FLOAT, ["n", 2])}
    model = one_node("ArrayFeatureExtractor", y, extra={"i": np.array([3, 0])})
    check_mends(model, array_feature_extractor, "ArrayFeatureExtractor")


@settings(max_examples=15, derandomize=True, deadline=None)
@given(
    st.integers(0, 1000),
    st.integers(1, 3),
    st.lists(st.sampled_from(["BRANCH_LEQ", "BRANCH_LT", "BRANCH_GT", "BRANCH_EQ"]), min_size=1, max_size=3),
)
def test_any_forest_gives_the_same(seed: int, targets: int, modes: list[str]) -> None:
    y = {"y": (TensorProto.FLOAT, ["n", targets])}
    attributes = forest(seed, "target", targets, modes=tuple(modes))
    model = one_node("TreeEnsembleRegressor", y, n_targets=targets, **attributes)
    after = rewritten(model, tree_regressor, "TreeEnsembleRegressor")
    feeds = coarse(2, seed)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-5


def test_lists_that_contradict_each_other_are_refused() -> None:
    attributes = forest(1, "target", 1)
    attributes["target_nodeids"][0] = 99
    model = one_node("TreeEnsembleRegressor", {"y": (TensorProto.FLOAT, ["n", 1])}, n_targets=1, **attributes)
    with pytest.raises(CannotRewrite, match="contradict"):
        rewritten(model, tree_regressor, "TreeEnsembleRegressor")
