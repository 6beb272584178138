"""ONNX Runtime and the checker asked in a process of their own."""

from __future__ import annotations

import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import onnx
import onnx.parser
import pytest

from friction_tui.engines import onnxruntime
from friction_tui.engines.base import EngineCrashed
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.processes.child import Stopped


@pytest.fixture(autouse=True)
def own_cache(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))


def opened(text: str) -> OpenedModel:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    return from_proto(model, Path("model.onnx"))


def test_a_model_that_loads_has_no_words() -> None:
    said = onnxruntime.verdict(opened("g (float[2] x) => (float[2] y) { y = Relu(x) }"))
    assert (said.error, said.nodes, said.checker) == ("", (), "")


def test_every_refused_node_not_the_first() -> None:
    said = onnxruntime.verdict(
        opened("""g (float[N,3] x, float[4,5] w) => (float[N,3] y) {
            [a] a = MatMul(x, w)  b = Relu(x)  [f] f = Foo(b)  [c] c = Clip <min = 0.0> (b)  y = Relu(b) }""")
    )
    assert [node.path for node in said.nodes] == ["0", "2", "3"]
    assert "No Op registered for Foo" in said.nodes[1].text
    assert "Foo" in said.checker


def test_a_node_is_named_although_loading_the_model_names_none() -> None:
    said = onnxruntime.verdict(
        opened("""g (float[2,3,4] x, float[1,16,4] w, float[1,16,4] r) => (y) {
            b = Relu(x)  [rnn] y = LSTM <hidden_size = 4, layout = 1> (b, w, r) }""")
    )
    assert "[rnn]" not in said.error and "(rnn)" not in said.error
    assert [node.path for node in said.nodes] == ["1"]


def test_large_weights_need_not_be_there(tmp_path: Path) -> None:
    """The verdict is about the graph: missing weights are another check's, and reading them is nobody's."""
    proto = onnx.parser.parse_model(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[N,4096] x) => (float[N,4096] y) { y = MatMul(x, w) }'
    )
    weight = proto.graph.initializer.add(name="w", data_type=onnx.TensorProto.FLOAT, dims=[4096, 4096])
    weight.data_location = onnx.TensorProto.EXTERNAL
    weight.external_data.add(key="location", value="gone.data")
    (tmp_path / "model.onnx").write_bytes(proto.SerializeToString())
    assert onnxruntime.verdict(open_model(tmp_path / "model.onnx")).error == ""


def test_limits_are_tried_out_once() -> None:
    first = onnxruntime.limits()
    assert first.ir >= 10
    assert first.opset >= 21
    assert onnxruntime.limits() == first


def test_nobody_waits_longer_than_wanted(monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    with pytest.raises(Stopped):
        onnxruntime.verdict(model, stop=lambda: True)
    monkeypatch.setattr(onnxruntime._SERVER, "limit_s", 0.0)
    monkeypatch.setattr(onnxruntime, "PER_NODE_S", 0.0)
    with pytest.raises(EngineCrashed, match="did not answer in time"):
        onnxruntime.verdict(model)


def test_the_newest_question_stops_the_one_before_it() -> None:
    model = opened("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    chain = "".join(f"t{i + 1} = Relu(t{i}) " for i in range(20_000))
    large = opened(f"g (float[2] t0) => (float[2] y) {{ {chain} y = Relu(t20000) }}")
    with ThreadPoolExecutor() as pool:
        older = pool.submit(onnxruntime.verdict, large)
        time.sleep(0.3)
        assert onnxruntime.verdict(model).error == ""
        with pytest.raises(Stopped):
            older.result()


def test_a_process_that_died_is_told_and_replaced(monkeypatch: pytest.MonkeyPatch) -> None:
    model = opened("g (float[2] x) => (float[2] y) { y = Relu(x) }")
    command = sys.executable
    onnxruntime._SERVER.close()
    monkeypatch.setattr(sys, "executable", "/bin/false")
    with pytest.raises(EngineCrashed, match="exited with status 1"):
        onnxruntime.verdict(model)
    monkeypatch.setattr(sys, "executable", command)
    assert onnxruntime.verdict(model).error == ""
