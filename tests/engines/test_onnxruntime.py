"""ONNX Runtime asked in a process of its own."""

from __future__ import annotations

from pathlib import Path

import onnx
import onnx.parser
import pytest

from friction_tui.child import Stopped
from friction_tui.engines import onnxruntime


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def saved(folder: Path, text: str) -> Path:
    path = folder / "model.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}'), path)
    return path


def test_a_session_and_why_not(tmp_path: Path) -> None:
    assert onnxruntime.session_error(saved(tmp_path, "g (float[2] x) => (float[2] y) { y = Relu(x) }")) == ""
    refused = onnxruntime.session_error(saved(tmp_path, "g (float[2] x) => (float[2] y) { y = Foo(x) }"))
    assert "No Op registered for Foo" in refused
    garbage = tmp_path / "garbage.onnx"
    garbage.write_bytes(b"<html>")
    assert "Protobuf parsing failed" in onnxruntime.session_error(garbage)


def test_every_refused_node_not_the_first(tmp_path: Path) -> None:
    model = saved(
        tmp_path,
        """g (float[N,3] x, float[4,5] w, int64[K] ids, bool c) => (float[N,3] y) <int64[2] s = {7, 2}> {
            a = MatMul(x, w)  b = Relu(x)  f = Foo(b)  r = Reshape(b, s)  e = Gather(w, ids)  q = Relu(r)
            z = If (c) <then_branch = t () => (float[k] o) { o = Relu(b) },
                        else_branch = u () => (float[k] p) { p = Reshape(b, s) }>
            y = Relu(b) }""",
    )
    found = onnxruntime.refused_nodes(model, {"x": (2, 3), "w": (4, 5), "ids": (3,), "c": ()})
    assert {(one.path, one.stage) for one in found} >= {("0", "load"), ("2", "load"), ("3", "run")}
    assert "requested shape:{7,2}" in next(one.text for one in found if one.path == "3")
    assert {one.path for one in found} <= {"0", "2", "3", "6"}


def test_the_same_nodes_at_other_sizes(tmp_path: Path) -> None:
    model = saved(tmp_path, "g (float[N,4] x) => (float[a,b] y) <int64[2] s = {1, 16}> { y = Reshape(x, s) }")
    assert onnxruntime.refused_nodes(model, {"x": (4, 4)}) == []
    (refused,) = onnxruntime.refused_nodes(model, {"x": (8, 4)})
    assert (refused.op, refused.name) == ("Reshape", "node_of_y")


def test_where_nodes_run(tmp_path: Path) -> None:
    model = saved(tmp_path, "g (float[2] x) => (float[2] y) { a = Sigmoid(x)  y = Softmax(a) }")
    placed = onnxruntime.placement(model)
    assert [one.op for one in placed] == ["Sigmoid", "Softmax"]
    assert all(one.provider.endswith("ExecutionProvider") for one in placed)


def test_limits_are_tried_out_once() -> None:
    first = onnxruntime.limits()
    assert first.ir >= 10
    assert first.opset >= 21
    assert onnxruntime.limits() == first


def test_stopped(tmp_path: Path) -> None:
    with pytest.raises(Stopped):
        onnxruntime.session_error(saved(tmp_path, "g (float[2] x) => (float[2] y) { y = Relu(x) }"), stop=lambda: True)
