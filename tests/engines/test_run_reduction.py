"""The smallest part with which ONNX Runtime fails to run, on the values that reach it in the whole model."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner
from onnx import parser

from friction_tui.cli import main
from friction_tui.engines.onnxruntime_run import run
from friction_tui.engines.run_reduction import reduced_run
from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.recipe import Profile

pytest.importorskip("onnxruntime")

OUT_OF_RANGE = """
<ir_version: 10, opset_import: ["" : 17]>
g (float[4,8] x) => (float[4,8] y) <float hundred = {100.0}, float[10,8] table = {0}>
{
  [first] a = Relu(x)
  [square] s = Mul(a, a)
  [total] t = ReduceSum<keepdims=0>(s)
  [far] f = Add(t, hundred)
  [index] i = Cast<to=7>(f)
  [pick] row = Gather(table, i)
  [join] y = Add(a, row)
}
"""
"""The index depends on the values of x and is 100 or more: it parses, loads and builds, and fails when it runs."""


def model() -> onnx.ModelProto:
    proto = parser.parse_model(OUT_OF_RANGE)
    proto.graph.initializer[1].CopyFrom(onnx.numpy_helper.from_array(np.zeros((10, 8), np.float32), "table"))
    return proto


def test_the_node_that_fails_is_left_with_the_values_that_reach_it() -> None:
    opened = from_proto(model(), Path("model.onnx"))
    table = ShapeTable(opened, default_profile(opened, Profile()))
    found = reduced_run(opened, table, {"x": np.ones((4, 8), np.float32)})
    assert found is not None
    assert [node.name for node in found.part.nodes] == ["pick"]
    assert int(found.feeds["i"]) == 132
    assert "out of data bounds" in found.failure.text


def test_a_model_that_runs_has_no_failing_part() -> None:
    proto = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu(x) }'
    )
    opened = from_proto(proto, Path("model.onnx"))
    table = ShapeTable(opened, default_profile(opened, Profile()))
    assert reduced_run(opened, table, {"x": np.ones(2, np.float32)}) is None


def test_the_command_writes_the_part_and_its_inputs(tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="it builds first")
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    onnx.save(model(), whole)
    done = CliRunner().invoke(main, ["reduce", str(whole), "-o", str(small)])
    assert done.exit_code == 0, done.output
    assert "7 nodes → 1" in done.output
    assert "Gather pick" in done.output
    assert "out of data bounds" in run(str(small), str(small.with_suffix(".npz")), "")
