"""Which file a path stands for."""

from __future__ import annotations

from pathlib import Path

import pytest

from friction_tui.recipe import Source
from friction_tui.sources.onnx_file import resolve


def test_a_directory_stands_for_its_only_model(tmp_path: Path) -> None:
    with pytest.raises(ValueError, match=r"without an \.onnx file"):
        resolve(Source(path=str(tmp_path)))
    model = tmp_path / "model.onnx"
    model.touch()
    assert resolve(Source(path=str(tmp_path))) == model
    assert resolve(Source(path=str(model))) == model
    (tmp_path / "other.onnx").touch()
    with pytest.raises(ValueError, match=r"2 models \(model\.onnx, other\.onnx\)"):
        resolve(Source(path=str(tmp_path)))


def test_a_missing_file_is_left_for_opening_to_report(tmp_path: Path) -> None:
    assert resolve(Source(path=str(tmp_path / "gone.onnx"))) == tmp_path / "gone.onnx"
