"""What the inspector shows: formal names, shapes at three points, values, statistics."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.model.initializer_stats import initializer_stats
from friction_tui.model.inspect import node_detail
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.provenance import line_of_trace, location_of
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.recipe import Profile, Range


def _reshaping() -> OpenedModel:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21]>
        g (float[N,4] x) => (float[A,B] y) <int64[1] zero = {0}, int64[1] minus = {-1}>
        {
            s = Shape(x)
            n = Gather(s, zero)
            target = Concat <axis = 0> (n, minus)
            y = Reshape <allowzero = 0> (x, target)
            lost = Add(y, nowhere)
        }"""
    )
    return from_proto(model, Path("model.onnx"))


def test_tensors_inside_bodies_have_shapes() -> None:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,4] x, bool k) => (float[N,a] y) {
            h = my.Twice (x)
            y = If (k) <
                then_branch = t () => (float[N,b] a) { s = Shape (h) a = Relu (h) },
                else_branch = e () => (float[N,c] c) { c = Concat <axis = 1> (h, x) }>
        }
        <domain: "my", opset_import: ["" : 21]> Twice (u) => (v) { v = Add (u, u) }"""
    )
    opened = from_proto(model, Path("model.onnx"))
    table = ShapeTable(opened, Profile(ranges={"N": Range(1, 2, 8)}))
    relu = node_detail(opened, table, "1.then_branch.1")
    shape = node_detail(opened, table, "1.then_branch.0")
    add = node_detail(opened, table, next(node.path for node in opened.index.nodes if node.proto.op_type == "Add"))
    assert relu is not None
    assert shape is not None
    assert add is not None
    assert relu.outputs[0].shapes == add.inputs[0].shapes == ((1, 4), (2, 4), (8, 4))
    assert shape.outputs[0].value == "[1, 4] · [2, 4] · [8, 4]"


def test_node_detail() -> None:
    model = _reshaping()
    table = ShapeTable(model, Profile(ranges={"N": Range(1, 2, 8)}))
    detail = node_detail(model, table, "3")
    assert detail is not None
    assert (detail.op, detail.opset, detail.attributes) == ("Reshape", 21, (("allowzero", "0"),))
    assert detail.doc.startswith("Reshape the input tensor")
    data, shape = detail.inputs
    assert (data.formal, data.dtype, data.role) == ("data", "float32", "input")
    assert data.shapes == ((1, 4), (2, 4), (8, 4))
    assert (shape.formal, shape.value) == ("shape", "[1, -1] · [2, -1] · [8, -1]")
    assert (detail.outputs[0].role, detail.outputs[0].shapes) == ("output", ((1, 4), (2, 4), (8, 4)))

    concat = node_detail(model, table, "2")
    assert concat is not None
    assert [tensor.formal for tensor in concat.inputs] == ["inputs", "inputs"]
    assert (concat.inputs[1].role, concat.inputs[1].value) == ("initializer", "[-1]")
    lost = node_detail(model, table, "4")
    assert lost is not None and lost.inputs[1].role == "missing"


def test_inputs_and_outputs_are_items_too() -> None:
    model = _reshaping()
    table = ShapeTable(model, Profile(ranges={"N": Range(1, 2, 8)}))
    fed = node_detail(model, table, "<x")
    assert fed is not None and (fed.op, fed.outputs[0].shapes) == ("Input", ((1, 4), (2, 4), (8, 4)))
    assert node_detail(model, table, ">y") is not None
    assert node_detail(model, table, ">x") is None
    assert node_detail(model, table, "99") is None


def test_nodes_in_bodies_show_what_is_known_without_following_sizes() -> None:
    model = from_proto(
        parser.parse_model(
            """<ir_version: 10, opset_import: ["" : 21]>
            g (float[N,4] x, bool c) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}>
            { y = If (c) <then_branch = t () => (float[N,4] t1) { t1 = Add(x, w) },
                          else_branch = e () => (float[N,4] e1) { e1 = com.example.Magic(x) }> }"""
        ),
        Path("model.onnx"),
    )
    table = ShapeTable(model, None)
    inside = node_detail(model, table, "0.then_branch.0")
    assert inside is not None and inside.inputs[1].value == "[1, 2, 3, 4]"
    assert inside.outputs[0].dtype == "float32"
    unknown = node_detail(model, table, "0.else_branch.0")
    assert unknown is not None and (unknown.domain, unknown.doc, unknown.inputs[0].formal) == ("com.example", "", "")


TRACE = """File "/home/me/model.py", line 88, in forward
    x = self.block(x)
  File "/home/me/block.py", line 12, in forward
    return self.fc(x.view(1, 256))
  File "/env/lib/python3.11/site-packages/torch/nn/modules/linear.py", line 134, in forward
    return F.linear(input, self.weight, self.bias)"""


def test_the_users_innermost_line_is_found() -> None:
    node = helper.make_node("Gemm", ["x", "w"], ["y"], name="fc")
    node.metadata_props.add(key="pkg.torch.onnx.stack_trace", value=TRACE)
    graph = helper.make_graph([node, helper.make_node("Relu", ["y"], ["z"])], "g", [], [])
    model = from_proto(helper.make_model(graph), Path("model.onnx"))
    location = location_of(model, model.index.main[0])
    assert location.source is not None
    assert (location.source.file, location.source.line) == ("/home/me/block.py", 12)
    assert location.source.code == "return self.fc(x.view(1, 256))"
    nameless = location_of(model, model.index.main[1])
    assert (nameless.name, nameless.source) == ("node_of_z", None)


def test_a_trace_wholly_inside_libraries_still_gives_a_line() -> None:
    line = line_of_trace('File "/env/lib/python3.11/site-packages/timm/layers.py", line 3, in forward\n    y = x + 1')
    assert line is not None and (line.line, line.function) == (3, "forward")
    assert (
        line_of_trace('File "/env/lib/python3.11/site-packages/torch/nn/modules/dropout.py", line 73, in forward')
        is None
    )
    assert line_of_trace("no frames here") is None


def _weights(tmp_path: Path, tensor: onnx.TensorProto) -> OpenedModel:
    model = onnx.ModelProto(ir_version=8)
    model.graph.initializer.append(tensor)
    return from_proto(model, tmp_path / "model.onnx")


def test_statistics_count_what_hurts_in_fp16(tmp_path: Path) -> None:
    values = np.array([0.0, 1.0, -2.0, 1e-6, 7e4, np.nan, np.inf, -np.inf], np.float32)
    stats = initializer_stats(_weights(tmp_path, numpy_helper.from_array(values, "w")), "w")
    assert (stats.nans, stats.infs, stats.zeros) == (1, 2, 1)
    assert (stats.fp16_subnormal, stats.fp16_overflow) == (1, 1)
    assert (stats.min, stats.max) == (-2.0, 7e4)
    assert len(stats.histogram) == 16 and sum(stats.histogram) == 5


@pytest.mark.parametrize("data_type", [TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.INT8, TensorProto.INT4])
def test_statistics_of_every_width(tmp_path: Path, data_type: int) -> None:
    array = np.arange(-4, 5).astype(helper.tensor_dtype_to_np_dtype(data_type))
    stats = initializer_stats(_weights(tmp_path, numpy_helper.from_array(array[:8], "w")), "w")
    assert (stats.error, stats.min, stats.max, stats.mean) == ("", -4.0, 3.0, -0.5)


def test_external_data_are_read_in_place(tmp_path: Path) -> None:
    values = np.linspace(-1, 1, 5000, dtype=np.float32)
    (tmp_path / "w.bin").write_bytes(bytes(128) + values.tobytes())
    tensor = TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[50, 100], data_location=TensorProto.EXTERNAL)
    tensor.external_data.add(key="location", value="w.bin")
    tensor.external_data.add(key="offset", value="128")
    stats = initializer_stats(_weights(tmp_path, tensor), "w")
    assert (stats.shape, stats.bytes, stats.error) == ((50, 100), 20000, "")
    assert stats.mean == pytest.approx(0, abs=1e-6) and stats.std == pytest.approx(values.std(), rel=1e-4)

    (tmp_path / "w.bin").write_bytes(bytes(1000))
    assert "has only 1,000" in initializer_stats(_weights(tmp_path, tensor), "w").error
    (tmp_path / "w.bin").unlink()
    assert "not beside the model" in initializer_stats(_weights(tmp_path, tensor), "w").error
    tensor.external_data[0].value = "/etc/hostname"
    assert "outside the model's folder" in initializer_stats(_weights(tmp_path, tensor), "w").error


def test_data_of_the_wrong_length_and_names_that_are_not_there(tmp_path: Path) -> None:
    model = _weights(tmp_path, TensorProto(name="w", data_type=TensorProto.FLOAT, dims=[64, 64], raw_data=bytes(100)))
    assert "100 bytes" in initializer_stats(model, "w").error
    assert "16,384" in initializer_stats(model, "w").error
    assert "no initializer" in initializer_stats(model, "v").error
