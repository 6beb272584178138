"""`friction-tui memory`: fits or not, up to which size, and the exit status of each answer."""

from __future__ import annotations

import json
from pathlib import Path

import onnx
import pytest
from click.testing import CliRunner, Result
from onnx import parser

from friction_tui.cli import main
from friction_tui.vocabulary.gpus import named

MODEL = """<ir_version: 10, opset_import: ["" : 21]>
    net (float[batch,3,64,64] x, float[8,3,3,3] w, float[8,8,3,3] v) => (float[batch,8,64,64] y)
    { a = Conv <pads = [1,1,1,1]> (x, w)  b = Relu(a)  y = Conv <pads = [1,1,1,1]> (b, v) }"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "net.onnx"
    onnx.save(parser.parse_model(MODEL), path)
    return path


def asked(*arguments: object) -> Result:
    return CliRunner().invoke(main, ["memory", *map(str, arguments)])


def test_the_table_names_each_gpu_and_the_tensor_to_blame(model: Path) -> None:
    found = asked(model, "--shapes", "x:1x3x64x64..2x3x64x64..4x3x64x64")
    assert found.exit_code == 0, found.output
    assert "at batch = 4: predicted from the shapes" in found.output
    assert "L4 (24 GB)" in found.output
    assert "H200 (141 GB)" in found.output
    assert "made by a Conv without a name" in found.output


def test_a_batch_that_does_not_fit_is_status_1_and_the_largest_that_does_fits(model: Path) -> None:
    shapes = ("--shapes", "x:1x3x64x64..2x3x64x64..4x3x64x64", "--format", "json", "--gpu", "1GB")
    small = json.loads(asked(model, *shapes).output)
    (gpu,) = small["gpus"]
    largest = gpu["largest_size"]
    assert (gpu["fits"], small["along"], small["at"]) == (True, "batch", {"batch": 4})
    assert asked(model, *shapes, "--batch", largest).exit_code == 0
    beyond = asked(model, *shapes, "--batch", largest + 1)
    assert beyond.exit_code == 1
    assert json.loads(beyond.output)["gpus"][0]["fits"] is False
    text = asked(model, *shapes[:2], "--gpu", "1GB", "--batch", largest + 1).output
    assert "does not fit" in text
    assert f"up to batch = {largest:,}" in text
    assert "--precision fp16" in text


def test_what_cannot_be_predicted_is_status_2(model: Path, tmp_path: Path) -> None:
    assert asked(model, "--gpu", "L44").exit_code == 2
    assert asked(model, "--gpu", "0.5GB").exit_code == 2
    assert asked(model, "--along", "width").exit_code == 2
    assert asked(tmp_path / "missing.onnx").exit_code == 2
    (tmp_path / "broken.onnx").write_bytes(b"not a model")
    assert asked(tmp_path / "broken.onnx").exit_code == 2


@pytest.mark.parametrize(
    ("text", "gigabytes"),
    [("L4", 24), ("l4", 24), ("rtx4090", 24), ("A100", 40), ("a100 80 gb", 80), ("6.5GB", 6.5), ("8GiB", 8.589934592)],
)
def test_a_gpu_is_named_by_name_or_by_memory(text: str, gigabytes: float) -> None:
    gpu = named(text)
    assert gpu is not None
    assert gpu.gigabytes == gigabytes


@pytest.mark.parametrize("text", ["", "L5", "8", "GB", "-8GB"])
def test_what_names_no_gpu(text: str) -> None:
    assert named(text) is None
