"""What the user named is understood from names and bytes, without running any of it."""

from __future__ import annotations

import io
import zipfile
from pathlib import Path

import pytest

from friction_tui.sources.target import NotASource, understand
from friction_tui.vocabulary.recipe import SourceKind


def test_a_python_file_names_its_factory_or_has_an_obvious_one(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("raise SystemExit\ndef helper(x): ...\ndef get_model(size=3): ...\ndef other(): ...\n")
    named = understand(f"{file}:other")
    assert (named.path, named.kind, named.factory) == (str(file), SourceKind.PYTORCH, "other")
    assert understand(str(file)).factory == "get_model"

    file.write_text("def one(): ...\ndef two(): ...\n")
    with pytest.raises(NotASource, match=r"one, two"):
        understand(str(file))


def test_an_importable_module_needs_no_file() -> None:
    source = understand("package.models:make_net")
    assert (source.path, source.factory) == ("package.models", "make_net")


@pytest.mark.parametrize(
    ("name", "head", "kind"),
    [
        ("m.onnx", b"\x08\x0a", SourceKind.ONNX),
        ("missing.onnx", None, SourceKind.ONNX),
        ("m.keras", b"PK\x03\x04", SourceKind.TENSORFLOW),
        ("m.h5", b"\x89HDF", SourceKind.TENSORFLOW),
        ("m.tflite", b"\x1c\x00\x00\x00TFL3", SourceKind.TENSORFLOW),
        ("renamed.onnx", b"\x1c\x00\x00\x00TFL3", SourceKind.ONNX),
        ("frozen.pb", b"\x0a\x10", SourceKind.TENSORFLOW),
        ("onnx_in_disguise.pb", b"\x08\x07", SourceKind.ONNX),
        ("m.engine", b"ftrt", SourceKind.ENGINE),
        ("renamed.bin", b"ftrt", SourceKind.ENGINE),
        ("m.pt2", b"PK\x03\x04", SourceKind.EXPORTED_PROGRAM),
        ("old.pth", b"\x80\x02", SourceKind.PYTORCH),
    ],
)
def test_files_are_told_apart(name: str, head: bytes | None, kind: SourceKind, tmp_path: Path) -> None:
    path = tmp_path / name
    if head is not None:
        path.write_bytes(head)
    assert understand(str(path)).kind is kind


def test_directories_and_archives_are_told_apart(tmp_path: Path) -> None:
    saved, hugging = tmp_path / "saved", tmp_path / "hf"
    saved.mkdir()
    hugging.mkdir()
    (saved / "saved_model.pb").write_bytes(b"")
    (hugging / "config.json").write_text("{}")
    assert understand(str(saved)).kind is SourceKind.TENSORFLOW
    assert understand(str(hugging)).kind is SourceKind.HUGGING_FACE
    script = tmp_path / "traced.pt"
    _zip(script, {"m/data.pkl": b"", "m/constants.pkl": b"", "m/code/__torch__.py": b""})
    assert understand(str(script)).kind is SourceKind.TORCHSCRIPT


def test_a_compiled_archive_is_no_exported_program(tmp_path: Path) -> None:
    compiled, both = tmp_path / "compiled.pt2", tmp_path / "both.pt2"
    machine_code = {"compiled/archive_format": b"pt2", "compiled/data/aotinductor/model/k.wrapper.so": b"\x7fELF"}
    _zip(compiled, machine_code)
    with pytest.raises(NotASource, match=r"compiled by AOTInductor.*torch\.export\.save"):
        understand(str(compiled))
    _zip(both, {**machine_code, "compiled/models/model.json": b"{}"})
    assert understand(str(both)).kind is SourceKind.EXPORTED_PROGRAM


@pytest.mark.parametrize("name", ["model.safetensors", "model.safetensors.index.json"])
def test_weights_without_a_model_say_what_they_need(name: str, tmp_path: Path) -> None:
    file = tmp_path / name
    file.write_bytes(b"{}")
    with pytest.raises(NotASource, match=rf"weights without the model.*--state-dict {file}"):
        understand(str(file))
    (tmp_path / "config.json").write_text("{}")
    with pytest.raises(NotASource, match="Open that folder"):
        understand(str(file))


def _zip(path: Path, entries: dict[str, bytes]) -> None:
    held = io.BytesIO()
    with zipfile.ZipFile(held, "w") as archive:
        for name, data in entries.items():
            archive.writestr(name, data)
    path.write_bytes(held.getvalue())


def test_a_python_file_without_a_factory_says_what_it_lacks(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("def model(classes, width): ...\ndef example_inputs(): ...\n")
    with pytest.raises(
        NotASource, match=r"model\(classes, width\) needs arguments.*return model\(classes=…, width=…\)"
    ):
        understand(str(file))

    file.write_text("def model()\n    pass\n")
    with pytest.raises(NotASource, match="line 1 is not valid Python"):
        understand(str(file))
