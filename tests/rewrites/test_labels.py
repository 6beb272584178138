"""Numbers instead of labels of text, tables instead of maps: TensorRT-RTX builds it, and the results stand."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from tests.rewrites.mended import built, model_of, ran
from tests.rewrites.test_trees import coarse, forest, one_node

NUMBERS = REWRITES["number-labels"]
NAMES = ["cat", "dog", "bird"]


def looked_up(op: str, *, domain: str = "", rows: bool = False) -> OpenedModel:
    """scores → ArgMax → the name of the class."""
    model = model_of("g (float[n,3] x) => (string[n] label) { i = ArgMax <axis = 1, keepdims = 0> (x) }")
    proto = model.proto
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    proto.graph.initializer.append(numpy_helper.from_array(np.array(NAMES, object), "names"))
    proto.graph.node.append(helper.make_node(op, ["names", "i"], ["label"], name=op, domain=domain))
    if rows:
        proto.graph.output[0].type.CopyFrom(helper.make_tensor_type_proto(TensorProto.STRING, [1, "n"]))
    return from_proto(proto, model.path)


@pytest.mark.parametrize(("op", "domain"), [("Gather", ""), ("ArrayFeatureExtractor", "ai.onnx.ml")])
def test_the_number_of_the_label(op: str, domain: str) -> None:
    model = looked_up(op, domain=domain, rows=bool(domain))
    after = NUMBERS.run(model, [])
    assert built(model.proto).verdict != "ok"
    assert built(after).verdict == "ok"
    feeds = {"x": np.random.default_rng(0).standard_normal((5, 3)).astype(np.float32)}
    [labels], [numbers] = ran(model.proto, feeds), ran(after, feeds)
    assert numbers.shape == labels.shape
    assert np.array(NAMES, object)[numbers].tolist() == labels.tolist()


@pytest.mark.parametrize("op", ["TreeEnsembleClassifier", "LinearClassifier"])
def test_a_classifier_with_text_labels(op: str) -> None:
    outputs: dict[str, tuple[int, list[Any]]] = {
        "label": (TensorProto.STRING, ["n"]),
        "scores": (TensorProto.FLOAT, ["n", 3]),
    }
    attributes: dict[str, Any] = {"classlabels_strings": NAMES}
    if op == "LinearClassifier":
        weights = np.random.default_rng(0).standard_normal(15).tolist()
        attributes |= {"coefficients": weights, "intercepts": [0.1, 0.2, 0.3]}
    else:
        attributes |= forest(3, "class", 3)
    model = one_node(op, outputs, **attributes)
    after = NUMBERS.run(model, ["0"])
    assert built(after).verdict == "ok"
    feeds = coarse(2, 1)
    before, now = ran(model.proto, feeds), ran(after, feeds)
    assert np.array(NAMES, object)[now[0]].tolist() == before[0].tolist()
    assert np.allclose(before[1], now[1], atol=1e-5)


def test_a_table_instead_of_maps() -> None:
    model = model_of("g (float[n,3] x) => (float[n,3] p) { p = Softmax <axis = 1> (x) }")
    proto = model.proto
    proto.opset_import.append(helper.make_opsetid("ai.onnx.ml", 3))
    attributes: dict[str, Any] = {"classlabels_int64s": [0, 1, 2]}
    proto.graph.node.append(helper.make_node("ZipMap", ["p"], ["m"], name="z", domain="ai.onnx.ml", **attributes))
    map_type = helper.make_map_type_proto(TensorProto.INT64, helper.make_tensor_type_proto(TensorProto.FLOAT, []))
    port = onnx.ValueInfoProto(name="m", type=helper.make_sequence_type_proto(map_type))
    del proto.graph.output[:]
    proto.graph.output.append(port)
    after = NUMBERS.run(from_proto(proto, model.path), [])
    assert built(after).verdict == "ok"
    [table] = ran(after, {"x": np.zeros((2, 3), np.float32)})
    assert np.allclose(table, 1 / 3)


def test_text_that_is_read_elsewhere_is_refused() -> None:
    model = looked_up("Gather")
    node = helper.make_node("StringNormalizer", ["names"], ["lower"], name="lower", case_change_action="LOWER")
    model.proto.graph.node.append(node)
    model.proto.graph.output.append(helper.make_tensor_value_info("lower", TensorProto.STRING, [3]))
    with pytest.raises(CannotRewrite, match="more than the look-up"):
        NUMBERS.run(from_proto(model.proto, model.path), [])


def test_a_model_without_text_is_refused() -> None:
    with pytest.raises(CannotRewrite, match="no label"):
        NUMBERS.run(model_of("g (float[n,3] x) => (float[n,3] y) { y = Relu (x) }"), [])


def test_a_list_of_names_beside_the_result_is_left_out() -> None:
    model = model_of("g (float[n,3] x) => (float[n,3] y, string[3] all) { y = Abs (x)  all = Identity (names) }")
    model.proto.graph.initializer.append(numpy_helper.from_array(np.array(NAMES, object), "names"))
    after = NUMBERS.run(from_proto(model.proto, model.path), [])
    assert [value.name for value in after.graph.output] == ["y"]
    assert built(after).verdict == "ok"


@pytest.mark.parametrize("dtype", ["float", "int64"])
def test_a_number_that_was_printed_stays_a_number(dtype: str) -> None:
    model = model_of(f"g ({dtype}[n,3] x) => (string[n,3] y) {{ a = Abs (x)  y = Cast <to = 8> (a) }}")
    after = NUMBERS.run(model, [])
    onnx.checker.check_model(after, full_check=True)
    assert built(after).verdict == "ok"
    feeds = {"x": np.array([[-1, 2, 3]], dtype if dtype == "int64" else np.float32)}
    assert ran(after, feeds)[0].tolist() == [[1, 2, 3]]
