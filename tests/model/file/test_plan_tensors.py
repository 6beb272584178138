"""Inputs and outputs read from the bytes of plans that TensorRT-RTX built here, against the models they came from."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import onnx.parser
import pytest

from friction_tui.model.file.plan_tensors import PlanTensor, read_tensors
from friction_tui.model.opened import open_model

pytest.importorskip("tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu")

MODEL = """<ir_version: 9, opset_import: ["": 18]>
g (float[N,3] a, float16[2,3] b, int64[N] ids, bool[N,3] mask, float scale)
  => (float[N,3] sum, float16[2,3] half, int64[N] twice)
{ scaled = Mul(a, scale) sum = Where(mask, a, scaled) half = Relu(b) twice = Add(ids, ids) }"""


@pytest.fixture(scope="module")
def plan(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("plan")
    onnx.save(onnx.parser.parse_model(MODEL), folder / "many.onnx")
    command = [sys.executable, "-m", "friction_tui", "build", "many.onnx", "--save", "many.plan"]
    subprocess.run(command, cwd=folder, check=True, capture_output=True)
    return folder / "many.plan"


def test_names_types_and_sizes_are_those_of_the_model(plan: Path) -> None:
    assert read_tensors(plan) == (
        PlanTensor("a", "float32", (None, 3), True),
        PlanTensor("b", "float16", (2, 3), True),
        PlanTensor("ids", "int64", (None,), True),
        PlanTensor("mask", "bool", (None, 3), True),
        PlanTensor("scale", "float32", (), True),
        PlanTensor("sum", "float32", (None, 3), False),
        PlanTensor("half", "float16", (2, 3), False),
        PlanTensor("twice", "int64", (None,), False),
    )


def test_a_plan_opens_with_its_inputs_and_outputs(plan: Path) -> None:
    model = open_model(plan)
    assert model.file.kind == "engine"
    assert [port.name for port in model.proto.graph.input] == ["a", "b", "ids", "mask", "scale"]
    assert model.proto.graph.input[1].type.tensor_type.elem_type == onnx.TensorProto.FLOAT16


def test_nothing_is_told_of_bytes_that_are_laid_out_otherwise(plan: Path, tmp_path: Path) -> None:
    whole = plan.read_bytes()
    at = whole.index(b"\x43\x80\x01\x00\x16\x80\x01\x00")
    for name, content in {
        "cut": whole[: at + 40],
        "shifted": whole[: at + 60] + b"\x00" + whole[at + 60 :],
        "other": whole[: at - 8] + b"\xff" * 8 + whole[at:],
        "header": whole[:64],
    }.items():
        broken = tmp_path / f"{name}.plan"
        broken.write_bytes(content)
        assert read_tensors(broken) == (), name
