"""Which file a folder stands for, and what is said of one that stands for none."""

from __future__ import annotations

from pathlib import Path

import pytest

from friction_tui.commands.checking import NothingToCheckError, expand
from friction_tui.sources.target import NotASource, kind_of, understand
from friction_tui.vocabulary.recipe import SourceKind


def test_a_folder_stands_for_its_only_model(tmp_path: Path) -> None:
    with pytest.raises(NotASource, match=r"without an \.onnx file"):
        understand(str(tmp_path))
    model = tmp_path / "model.onnx"
    model.touch()
    assert understand(str(tmp_path)).path == str(model)
    (tmp_path / "other.onnx").touch()
    with pytest.raises(NotASource, match=r"2 models \(model\.onnx, other\.onnx\)"):
        understand(str(tmp_path))


def test_what_to_open_instead_is_said_from_what_is_there(tmp_path: Path) -> None:
    (tmp_path / "tokenizer.json").touch()
    with pytest.raises(NotASource, match="a tokenizer only"):
        understand(str(tmp_path))
    (tmp_path / "model_index.json").touch()
    with pytest.raises(NotASource, match="diffusers pipeline"):
        understand(str(tmp_path))
    (tmp_path / "onnx").mkdir()
    (tmp_path / "onnx" / "model.onnx").touch()
    with pytest.raises(NotASource, match=r"There is one in .*onnx"):
        understand(str(tmp_path))


def test_a_check_of_such_a_folder_says_the_same(tmp_path: Path) -> None:
    (tmp_path / "model_index.json").touch()
    with pytest.raises(NothingToCheckError, match=r"no \.onnx file in this folder. It is a diffusers pipeline"):
        expand([str(tmp_path)])


def test_a_folder_that_optimum_exported_is_onnx_one_with_weights_is_exported(tmp_path: Path) -> None:
    (tmp_path / "config.json").touch()
    assert kind_of(tmp_path) is SourceKind.HUGGING_FACE
    (tmp_path / "model.onnx").touch()
    assert understand(str(tmp_path)).path == str(tmp_path / "model.onnx")
    (tmp_path / "model.safetensors").touch()
    assert kind_of(tmp_path) is SourceKind.HUGGING_FACE


def test_python_is_tensorflows_when_it_imports_it_and_not_torch(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("from keras import layers\ndef model(): pass\n")
    assert understand(str(file)).kind is SourceKind.TENSORFLOW
    file.write_text("import keras, torch\ndef model(): pass\n")
    assert understand(str(file)).kind is SourceKind.PYTORCH
