"""Opset conversion: nothing lost, and what stands in the way is named."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.model.opset import OpsetRefused, convert, opset_of
from friction_tui.model.versions import (
    least_ir,
    newest_opset,
    newest_opset_of_ir,
    operator_exists,
    operator_versions,
)


def _model(opset: int = 17) -> onnx.ModelProto:
    """A classifier with a large weight, names, metadata and a reduction whose axes moved in opset 18."""
    rng = np.random.default_rng(7)
    weight = numpy_helper.from_array(rng.standard_normal((64, 64)).astype(np.float32), "fc.weight")
    nodes = [
        helper.make_node("MatMul", ["x", "fc.weight"], ["h"], name="fc"),
        helper.make_node("Relu", ["h"], ["r"], name="act"),
        helper.make_node("ReduceMean", ["r"], ["y"], name="pool", axes=[1], keepdims=0),
    ]
    for node in nodes:
        node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=f"line of {node.name}")
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes,
        "classifier",
        [value("x", TensorProto.FLOAT, ["N", 64])],
        [value("y", TensorProto.FLOAT, ["N"])],
        [weight],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8, producer_name="me")
    model.metadata_props.add(key="classes", value="64")
    return model


def _run(model: onnx.ModelProto) -> np.ndarray[Any, Any]:
    session = onnxruntime.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": np.linspace(-1, 1, 128, dtype=np.float32).reshape(2, 64)})[0])


@pytest.mark.parametrize("target", [14, 16, 18, 20, 22])
def test_conversion_keeps_results_weights_names_and_metadata(target: int) -> None:
    model = _model()
    before = model.SerializeToString()
    converted = convert(model, target)
    assert model.SerializeToString() == before
    assert opset_of(converted) == target
    assert converted.ir_version >= least_ir(target)
    assert (converted.producer_name, converted.metadata_props[0].value) == ("me", "64")
    assert [value.name for value in converted.graph.input] == ["x"]
    recorded = {node.name: [entry.value for entry in node.metadata_props] for node in converted.graph.node if node.name}
    assert recorded == {name: [f"line of {name}"] for name in ("fc", "act", "pool")}
    np.testing.assert_allclose(_run(converted), _run(model), rtol=1e-6)


def test_reductions_lose_an_attribute_they_did_not_have_before_18() -> None:
    upper = convert(_model(), 18)
    for node in upper.graph.node:
        if node.op_type == "ReduceMean":
            node.attribute.append(helper.make_attribute("noop_with_empty_axes", 0))
    lower = convert(upper, 17)
    onnx.checker.check_model(lower, full_check=True)
    np.testing.assert_allclose(_run(lower), _run(upper), rtol=1e-6)


def test_a_missing_adapter_is_named_with_its_node() -> None:
    with pytest.raises(OpsetRefused) as refused:
        convert(_model(), 13)
    assert (refused.value.op, refused.value.node_name, refused.value.node_path) == ("Relu", "act", "1")
    assert refused.value.adapter == "Relu 14 → 13"
    assert "no adapter that takes Relu from opset 14 to 13" in refused.value.message


def test_an_operator_that_did_not_exist_is_named() -> None:
    model = parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2,3] x) => (float[2,3] y) { y = LayerNormalization(x, x) }'
    )
    with pytest.raises(OpsetRefused, match="LayerNormalization exists only since opset 17 \\(node node_of_y\\)"):
        convert(model, 16)


def test_an_opset_that_does_not_exist() -> None:
    with pytest.raises(OpsetRefused, match="There is no opset 99"):
        convert(_model(), 99)


def test_functions_are_inlined_and_external_weights_stay_references() -> None:
    model = parser.parse_model(
        """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
        g (float[N,4] x) => (float[N,4] y) { h = own.twice(x)  y = Add(h, w) }
        <domain: "own", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }"""
    )
    weight = model.graph.initializer.add(name="w", data_type=TensorProto.FLOAT, dims=[4])
    weight.data_location = TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="not-there.bin")
    converted = convert(model, 18)
    assert [node.op_type for node in converted.graph.node] == ["Add", "Add"]
    assert converted.graph.initializer[0].external_data[0].value == "not-there.bin"
    assert len(converted.graph.input) == 1


def test_version_tables() -> None:
    assert newest_opset_of_ir(8) == 18
    assert least_ir(17) == 8
    assert newest_opset() >= 22
    assert operator_versions("LayerNormalization") == (17,)
    assert operator_versions("NoSuchThing") == ()
    assert not operator_exists("LayerNormalization", "", 16)
    assert not operator_exists("Upsample", "", 10)  # deprecated


@pytest.mark.parametrize(("given", "older"), [("linear", "bilinear"), ("cubic", "bicubic"), ("nearest", "nearest")])
def test_grid_sample_of_images_gets_its_older_mode(given: str, older: str) -> None:
    text = f"""<ir_version: 9, opset_import: ["" : 20]>
    g (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) {{
      t = GridSample <mode = "{given}"> (x, grid) y = Relu (t)
    }}"""
    before = onnx.parser.parse_model(text)
    after = convert(before, 19)
    (entry,) = after.opset_import
    assert (entry.domain, entry.version) == ("", 19)
    (mode,) = (attribute.s.decode() for attribute in after.graph.node[0].attribute if attribute.name == "mode")
    assert (mode, after.graph.node[0].domain) == (older, "")
    feeds = {
        "x": np.random.default_rng(0).random((1, 1, 4, 4), np.float32),
        "grid": np.full((1, 2, 2, 2), 0.3, np.float32),
    }
    ran = [onnxruntime.InferenceSession(one.SerializeToString()).run(None, feeds)[0] for one in (before, after)]
    np.testing.assert_array_equal(*ran)


def test_grid_sample_of_volumes_stays_refused() -> None:
    text = """<ir_version: 9, opset_import: ["" : 20]>
      g (float[1,1,4,4,4] x, float[1,2,2,2,3] grid) => (float[1,1,2,2,2] y) { y = GridSample (x, grid) }"""
    with pytest.raises(OpsetRefused, match="GridSample"):
        convert(onnx.parser.parse_model(text), 19)
