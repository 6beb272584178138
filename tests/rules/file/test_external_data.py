"""Weights in files beside the model."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from friction_tui.rules.file.external_data import check

MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[N,32] x) => (float[N,32] y) { y = MatMul(x, w) }'


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model whose 4,096 bytes of weights lie in `weights.bin`."""
    proto = parser.parse_model(MODEL)
    proto.graph.initializer.append(numpy_helper.from_array(np.ones((32, 32), np.float32), "w"))
    path = tmp_path / "model.onnx"
    onnx.save_model(proto, path, save_as_external_data=True, location="weights.bin", size_threshold=0)
    return path


def test_missing(model: Path, judge: Any, said: Any) -> None:
    (model.parent / "weights.bin").unlink()
    (finding,) = judge(check, model)
    assert finding.kind == "external/missing"
    assert finding.names == ("w",)
    assert "weights.bin" in said([finding])
    assert "save_as_external_data" in said([finding])


def test_cut_off(model: Path, judge: Any, said: Any) -> None:
    data = model.parent / "weights.bin"
    data.write_bytes(data.read_bytes()[:1000])
    (finding,) = judge(check, model)
    assert finding.kind == "external/too-short"
    assert "1,000 bytes" in finding.cause
    assert "4,096" in finding.cause


@pytest.mark.parametrize("location", ["../outside.bin", "/etc/hostname"])
def test_outside_the_folder(model: Path, judge: Any, location: str) -> None:
    proto = onnx.load(model, load_external_data=False)
    proto.graph.initializer[0].external_data[0].value = location
    onnx.save(proto, model)
    kinds = [finding.kind for finding in judge(check, model)]
    assert "external/escapes" in kinds


@pytest.mark.parametrize("key", ["offset", "length"])
def test_an_offset_that_is_not_a_number(model: Path, judge: Any, key: str) -> None:
    proto = onnx.load(model, load_external_data=False)
    for entry in proto.graph.initializer[0].external_data:
        if entry.key == key:
            entry.value = "-4096"
    onnx.save(proto, model)
    (finding,) = judge(check, model)
    assert finding.kind == "external/no-number"
    assert f"{key}=-4096" in finding.cause
