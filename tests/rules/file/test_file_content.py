"""Files that are not a model, each made as it comes into being."""

from __future__ import annotations

import pickle
import zipfile
from pathlib import Path
from typing import Any

import onnx
import pytest
from onnx import parser

from friction_tui.rules.file.file_content import check
from friction_tui.vocabulary.finding import Severity

MODEL = '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Relu(x) }'


def _zip(path: Path) -> None:
    with zipfile.ZipFile(path, "w") as archive:
        archive.writestr("archive/data.pkl", b"")


BAD: dict[str, tuple[Any, str]] = {
    "file/empty": (lambda p: p.write_bytes(b""), "0 bytes"),
    "file/html": (lambda p: p.write_text("<!DOCTYPE html><html><title>Sign in</title></html>"), "HTML"),
    "file/git-lfs": (
        lambda p: p.write_text(f"version https://git-lfs.github.com/spec/v1\noid sha256:{'0' * 64}\nsize 4711\n"),
        "git lfs pull",
    ),
    "file/text": (lambda p: p.write_text('{"error": "Repository not found"}'), "Repository not found"),
    "file/onnx-text": (lambda p: onnx.save(parser.parse_model(MODEL), p, format="textproto"), "format='textproto'"),
    "file/zip": (_zip, "export"),
    "file/pickle": (lambda p: p.write_bytes(pickle.dumps({"weight": [1.0] * 100}, protocol=2)), "pickle"),
    "file/directory": (lambda p: p.mkdir(), "SavedModel"),
    "file/missing": (lambda p: None, "There is no file"),
    "file/engine": (lambda p: p.write_bytes(b"ftrt" + bytes(20) + bytes([8, 6, 1, 6]) + bytes(400)), "8.6.1.6"),
    "file/not-protobuf": (lambda p: p.write_bytes(b"\x1c\x00\x00\x00TFL3" + bytes(range(200))), "TensorFlow Lite"),
    "file/truncated": (lambda p: p.write_bytes(_large()[:3000]), "truncated"),
}


def _large() -> bytes:
    model = parser.parse_model(MODEL)
    model.graph.initializer.append(onnx.helper.make_tensor("w", onnx.TensorProto.FLOAT, [4096], bytes(16384), raw=True))
    return bytes(model.SerializeToString())


@pytest.mark.parametrize("kind", BAD)
def test_what_is_not_a_model_is_one_error_that_says_what_it_is(
    kind: str, tmp_path: Path, judge: Any, said: Any
) -> None:
    path = tmp_path / "model.onnx"
    make, word = BAD[kind]
    make(path)
    (finding,) = judge(check, path)
    assert finding.kind == kind
    assert finding.severity is Severity.ERROR
    assert "model.onnx" in finding.names
    assert word.lower() in (said([finding]) + finding.kind).lower()


def test_a_whole_model_has_no_finding(tmp_path: Path, judge: Any) -> None:
    path = tmp_path / "model.onnx"
    path.write_bytes(parser.parse_model(MODEL).SerializeToString())
    assert judge(check, path) == []


def test_a_file_of_blank_lines_is_text(tmp_path: Path, judge: Any) -> None:
    path = tmp_path / "model.onnx"
    path.write_text("\n\n")
    (finding,) = judge(check, path)
    assert finding.kind == "file/text"
    assert finding.evidence[-1] == "first line: (white space only)"
