"""A copy without weights: every shape and dtype kept, parsers satisfied."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.opened import open_model
from friction_tui.model.weightless import ZEROS, weightless

TYPES = [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8, TensorProto.INT64]


@st.composite
def models(draw: st.DrawFn) -> onnx.ModelProto:
    graph = onnx.GraphProto(name="weights")
    for number in range(draw(st.integers(1, 5))):
        dims = draw(st.lists(st.integers(0, 40), max_size=3))
        data_type = draw(st.sampled_from(TYPES))
        array = np.ones(dims, helper.tensor_dtype_to_np_dtype(data_type))
        tensor = numpy_helper.from_array(array, f"w{number}")
        if draw(st.booleans()):
            graph.initializer.append(tensor)
        else:
            graph.node.append(helper.make_node("Constant", [], [f"w{number}"], value=tensor))
    return helper.make_model(graph)


def _tensors(model: onnx.ModelProto) -> list[onnx.TensorProto]:
    return [*model.graph.initializer, *(node.attribute[0].t for node in model.graph.node)]


@settings(max_examples=60, deadline=None)
@given(model=models())
def test_shapes_and_types_stay_and_every_reference_is_long_enough(
    tmp_path_factory: pytest.TempPathFactory, model: onnx.ModelProto
) -> None:
    folder = tmp_path_factory.mktemp("weightless")
    before = model.SerializeToString()
    copy = weightless(model, folder)
    assert model.SerializeToString() == before
    for tensor, original in zip(_tensors(copy), _tensors(model), strict=True):
        assert (tensor.name, tensor.data_type, tensor.dims) == (original.name, original.data_type, original.dims)
        loaded = numpy_helper.to_array(tensor, base_dir=str(folder))
        assert loaded.shape == tuple(original.dims)
        if tensor.data_location != TensorProto.EXTERNAL:
            assert tensor == original
        else:
            assert loaded.nbytes > 4096 and not loaded.any()
            assert tensor.data_type != TensorProto.INT64


def _quantized() -> onnx.ModelProto:
    rng = np.random.default_rng(3)
    stored = [
        numpy_helper.from_array(rng.integers(-128, 127, (2048, 64), np.int8), "w"),
        numpy_helper.from_array(rng.random(2048, np.float32), "w.scale"),
        numpy_helper.from_array(np.zeros(2048, np.int8), "w.zero"),
    ]
    nodes = [
        helper.make_node("DequantizeLinear", ["w", "w.scale", "w.zero"], ["wf"], axis=0, name="dq"),
        helper.make_node("Transpose", ["wf"], ["wt"], perm=[1, 0], name="t"),
        helper.make_node("MatMul", ["x", "wt"], ["y"], name="fc"),
    ]
    value = helper.make_tensor_value_info
    graph = helper.make_graph(
        nodes, "q", [value("x", TensorProto.FLOAT, [2, 64])], [value("y", TensorProto.FLOAT, [2, 2048])], stored
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)


def test_scales_keep_their_values_and_tensorrt_parses_the_copy(tmp_path: Path) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    model = _quantized()
    copy = weightless(model, tmp_path)
    by_name = {tensor.name: tensor for tensor in copy.graph.initializer}
    assert by_name["w"].data_location == TensorProto.EXTERNAL
    np.testing.assert_array_equal(
        numpy_helper.to_array(by_name["w.scale"]), numpy_helper.to_array(model.graph.initializer[1])
    )
    assert copy.ByteSize() < model.ByteSize() / 8
    assert (tmp_path / ZEROS).stat().st_size == 2048 * 64
    path = tmp_path / "copy.onnx"
    path.write_bytes(copy.SerializeToString())
    assert not any(file.missing or file.short or file.escapes for file in open_model(path).external)
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    assert parser.parse_from_file(str(path)), parser.get_error(0).desc()


def test_small_external_values_are_read_from_the_models_folder(tmp_path: Path) -> None:
    (tmp_path / "w.bin").write_bytes(np.array([7, 9], np.int64).tobytes())
    model = onnx.ModelProto(ir_version=8)
    tensor = model.graph.initializer.add(name="k", data_type=TensorProto.INT64, dims=[2])
    tensor.data_location = TensorProto.EXTERNAL
    tensor.external_data.add(key="location", value="w.bin")
    with_values = weightless(model, tmp_path / "copy", folder=tmp_path)
    assert numpy_helper.to_array(with_values.graph.initializer[0]).tolist() == [7, 9]
    without = weightless(model, tmp_path / "copy")
    assert without.graph.initializer[0].data_location == TensorProto.EXTERNAL
