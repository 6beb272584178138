"""Support vector machines as products with their vectors, against ONNX Runtime's own kernels."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.support_vectors import svm_classifier, svm_regressor
from tests.rewrites.mended import check_mends, difference, ran, random_feeds

FEATURES = 4


def machine(op: str, outputs: dict[str, int], **attributes: Any) -> OpenedModel:
    """One node of ai.onnx.ml on [n, FEATURES] floats; `outputs` by element type."""
    node = helper.make_node(op, ["x"], list(outputs), name=op, domain="ai.onnx.ml", **attributes)
    ports = [helper.make_tensor_value_info(name, kind, None) for name, kind in outputs.items()]
    graph = helper.make_graph([node], "g", [helper.make_tensor_value_info("x", 1, ["n", FEATURES])], ports)
    imports = [helper.make_opsetid("ai.onnx.ml", 1)]  # none for ONNX's own operators, as converters write it
    return from_proto(helper.make_model(graph, opset_imports=imports, ir_version=8), Path("model.onnx"))


def regressor(kernel: str, seed: int = 0, **attributes: Any) -> OpenedModel:
    rng = np.random.default_rng(seed)
    return machine(
        "SVMRegressor",
        {"y": TensorProto.FLOAT},
        kernel_type=kernel,
        kernel_params=[0.3, 0.2, 2.0],
        n_supports=5,
        support_vectors=rng.standard_normal(5 * FEATURES).tolist(),
        coefficients=rng.standard_normal(5).tolist(),
        rho=[0.1],
        **attributes,
    )


def _numbered(classes: int) -> dict[str, Any]:
    return {"classlabels_ints": [3 * i + 1 for i in range(classes)]}


def classifier(sizes: list[int], kernel: str = "RBF", seed: int = 0, **attributes: Any) -> OpenedModel:
    rng, pairs = np.random.default_rng(seed), len(sizes) * (len(sizes) - 1) // 2
    given = attributes if "classlabels_strings" in attributes else {**attributes, **_numbered(len(sizes))}
    return machine(
        "SVMClassifier",
        {"label": TensorProto.INT64, "scores": TensorProto.FLOAT},
        kernel_type=kernel,
        kernel_params=[0.3, 0.2, 2.0],
        vectors_per_class=sizes,
        support_vectors=rng.standard_normal(sum(sizes) * FEATURES).tolist(),
        coefficients=rng.standard_normal((len(sizes) - 1) * sum(sizes)).tolist(),
        rho=rng.standard_normal(pairs).tolist(),
        **given,
    )


@pytest.mark.parametrize(
    ("kernel", "attributes"), [("RBF", {}), ("LINEAR", {"one_class": 1}), ("POLY", {}), ("SIGMOID", {})]
)
def test_regressor(kernel: str, attributes: dict[str, Any]) -> None:
    check_mends(regressor(kernel, **attributes), svm_regressor, "SVMRegressor")


@pytest.mark.parametrize(("sizes", "kernel"), [([2, 3, 2], "RBF"), ([1, 2, 1, 3], "LINEAR"), ([2, 2, 2], "POLY")])
def test_classifier(sizes: list[int], kernel: str) -> None:
    check_mends(classifier(sizes, kernel), svm_classifier, "SVMClassifier")


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (classifier([2, 2]), "fewer than three classes"),
        (classifier([2, 2, 2], prob_a=[1.0] * 3, prob_b=[0.0] * 3), "probability=False"),
        (classifier([2, 2, 2], classlabels_strings=["a", "b", "c"]), "text"),
    ],
)
def test_where_it_does_not_apply(model: OpenedModel, why: str) -> None:
    with pytest.raises(CannotRewrite, match=why):
        svm_classifier.run(model, ["0"])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.lists(st.integers(1, 4), min_size=3, max_size=5))
def test_any_vectors(seed: int, sizes: list[int]) -> None:
    model = classifier(sizes, "RBF", seed)
    after = svm_classifier.run(model, ["0"])
    feeds = random_feeds(model.proto, None, 2, seed)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-5
