"""The parser's process: many questions, a crash, a silence, TensorRT missing."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator

import onnx.parser
import psutil
import pytest

from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.tensorrt.parser import Parser

GOOD = "g (float[2,3] x) => (float[2,3] y) { y = Relu(x) }"
BAD = "g (float[2,3] x) => (float[2,3] y) { y = MatMul(x, x) }"


def crash_stopped(pid: int) -> None:
    os.kill(pid, signal.SIGSEGV)
    os.kill(pid, signal.SIGCONT)


def serialized(text: str) -> bytes:
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    data: bytes = model.SerializeToString()
    return data


@pytest.fixture(scope="module")
def parser() -> Iterator[Parser]:
    parser = Parser()
    yield parser
    parser.close()


def test_several_questions_to_one_process(parser: Parser) -> None:
    assert parser.parse(serialized(GOOD)).ok
    refused = parser.parse(serialized(BAD))
    assert not refused.ok
    assert [(e.op, e.node) for e in refused.errors] == [("MatMul", 0)]
    assert any("must match" in line for line in refused.log)
    again = parser.parse(serialized(GOOD))
    assert (again.ok, again.errors, again.log) == (True, (), ())


def test_shapes_the_parser_knows(parser: Parser) -> None:
    text = "g (float[N,3,8] x) => (float[a,b] y) { z = Flatten(x) y = MatMul(z, z) }"
    model = onnx.parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]> {text}')
    model.graph.node[0].name, model.graph.node[1].name = "flatten", "product"
    assert parser.parse(model.SerializeToString(), keep=True).ok
    parser.parse(serialized(GOOD))
    assert parser.dims([("flatten", 0), ("nobody", 0)]) == [(-1, 24), None]


def test_garbage_is_an_answer_not_an_end(parser: Parser) -> None:
    for garbage in (b"", b"<html>not found</html>", b"\x00" * 100, serialized(GOOD)[:40]):
        parser.parse(garbage)
    assert parser.parse(serialized(GOOD)).ok


def test_a_crash_is_told_and_the_next_call_starts_anew() -> None:
    parser = Parser()
    try:
        assert parser.parse(serialized(GOOD)).ok
        assert parser.pid is not None
        os.kill(parser.pid, signal.SIGSTOP)
        threading.Timer(0.3, crash_stopped, [parser.pid]).start()
        with pytest.raises(EngineCrashed, match="killed by SIGSEGV") as crash:
            parser.parse(serialized(GOOD))
        assert crash.value.code == -signal.SIGSEGV
        assert parser.parse(serialized(GOOD)).ok
    finally:
        parser.close()


def test_silence_ends_the_process() -> None:
    parser = Parser(timeout_s=1.0)
    try:
        assert parser.parse(serialized(GOOD)).ok
        assert parser.pid is not None
        process = psutil.Process(parser.pid)
        process.suspend()
        with pytest.raises(EngineCrashed, match="did not answer in time"):
            parser.parse(serialized(GOOD))
        assert not process.is_running()
    finally:
        parser.close()


def test_a_tensorrt_that_is_not_there() -> None:
    parser = Parser("tensorrt_of_tomorrow")
    with pytest.raises(EngineMissing, match="tensorrt_of_tomorrow"):
        parser.parse(b"")
    parser.close()
