"""Asking the real builder: what a dry build sees, where a failure begins, and what becomes of a build that dies."""

from __future__ import annotations

import os
import signal
import threading
from collections.abc import Iterator
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.engines.base import BuilderAnswer, EngineCrashed, Terms
from friction_tui.engines.profiles import resolved
from friction_tui.engines.tensorrt.builder import Builder, failure
from friction_tui.engines.tensorrt.question import BuilderQuestion
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.processes.child import Stopped
from friction_tui.vocabulary.recipe import Profile, Range

pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")

CRASHES = """
g (float16[1,8,16,64] x) => (float16[1,8,16,64] y)
{ [scaled] s = Relu(x)
  [both] y = Attention(s, s, x) }
"""
"""An Attention whose query and key are one tensor: the builder of TensorRT-RTX 1.7.1 dies of it."""


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    one = Builder("tensorrt_rtx")
    yield one
    one.close()


def opened(graph: str, opset: int = 23) -> OpenedModel:
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]>\n' + graph)
    return from_proto(proto, Path("model.onnx"))


def asked(
    builder: Builder, model: OpenedModel, *, dry: bool = True, target: str = "", **ranges: Range
) -> BuilderAnswer:
    terms = Terms(resolved(model, Profile(ranges=ranges)), target)
    return BuilderQuestion(model, builder).ask(terms, dry=dry)


def test_a_dry_build_takes_what_builds(builder: Builder) -> None:
    model = opened("g (float[n,4] x) => (float[n,4] y) { y = Relu(x) }")
    answer = asked(builder, model, n=Range(1, 2, 4))
    assert (answer.verdict, answer.refusals, answer.plan) == ("taken", (), None)
    whole = asked(builder, model, dry=False, n=Range(1, 2, 4))
    assert whole.verdict == "taken"
    assert whole.plan


def test_a_refusal_that_names_its_node_leads_back_to_it(builder: Builder) -> None:
    model = opened(
        """g (float[1,5000] x) => (float[1,4000] values, int64[1,4000] indices)
        <int64[1] k = {4000}> { [before] a = Relu(x)  [best] values, indices = TopK(a, k) }"""
    )
    answer = asked(builder, model)
    assert answer.verdict == "refused"
    (said,) = answer.refusals
    assert "K exceeds the maximum value allowed (3840)" in said.text
    assert "‹" not in said.text
    assert said.nodes == ("1",)


def test_the_place_of_a_crash_is_found_by_trying_beginnings(builder: Builder) -> None:
    answer = asked(builder, opened(CRASHES), dry=False)
    assert (answer.verdict, answer.how, answer.located) == ("crashed", "was killed by SIGSEGV", ("1",))


def test_a_crash_costs_its_fork_only(builder: Builder) -> None:
    healthy = opened("g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }")
    assert asked(builder, opened(CRASHES), dry=False).verdict == "crashed"
    assert asked(builder, healthy, dry=False).verdict == "taken"


def test_the_verdict_is_for_the_chosen_target(builder: Builder) -> None:
    """SM75 has no float32 matrix product in TensorRT-RTX; only a build to the end says so."""
    model = opened("g (float[4,8] x) => (float[4,4] y) <float[8,4] w = {0.5}> { [fc] y = MatMul(x, w) }")
    model.proto.graph.initializer[0].CopyFrom(numpy_helper.from_array(np.ones((8, 4), np.float32), "w"))
    assert asked(builder, model, target="SM75").verdict == "taken"
    refused = asked(builder, model, target="SM75", dry=False)
    assert refused.verdict == "refused"
    assert any("SM75" in said.text for said in refused.refusals)
    assert asked(builder, model, target="SM89", dry=False).verdict == "taken"


def test_a_build_that_takes_too_long_is_ended(builder: Builder) -> None:
    model = opened("g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }")
    answer = BuilderQuestion(model, builder).ask(Terms(), limit_s=0.0)
    assert answer.verdict == "timeout"
    assert "no result" in answer.how


def test_nobody_waits_for_an_answer_that_is_not_wanted(builder: Builder) -> None:
    model = opened("g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }")
    with pytest.raises(Stopped):
        BuilderQuestion(model, builder).ask(Terms(), stop=lambda: True)
    assert asked(builder, model).verdict == "taken"


def test_a_builder_that_is_killed_is_an_error_and_starts_again() -> None:
    model, builder = opened("g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }"), Builder("tensorrt_rtx")
    try:
        assert asked(builder, model).verdict == "taken"
        assert builder.pid is not None
        os.kill(builder.pid, signal.SIGSTOP)
        killer = threading.Timer(0.1, os.kill, (builder.pid, signal.SIGKILL))
        killer.start()
        with pytest.raises(EngineCrashed):
            asked(builder, model)
        killer.join()
        assert asked(builder, model).verdict == "taken"
    finally:
        builder.close()


def test_weights_are_not_read(tmp_path: Path, builder: Builder) -> None:
    """A model whose external file is missing is asked about as any other: zeros stand in for what is large."""
    weight = helper.make_tensor("w", TensorProto.FLOAT, [64, 64], np.ones(64 * 64, np.float32).tobytes(), raw=True)
    node = helper.make_node("MatMul", ["x", "w"], ["y"], name="fc")
    shape = [4, 64]
    graph = helper.make_graph(
        [node],
        "g",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, shape)],
        [weight],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)], ir_version=8)
    onnx.save_model(proto, tmp_path / "m.onnx", save_as_external_data=True, location="w.bin", size_threshold=0)
    (tmp_path / "w.bin").unlink()
    model = from_proto(onnx.load(tmp_path / "m.onnx", load_external_data=False), tmp_path / "m.onnx")
    assert asked(builder, model).verdict == "taken"


def test_what_kind_of_failure_it_is_does_not_depend_on_names() -> None:
    one = {"verdict": "refused", "errors": ["n0: bad (In validate at /_src/optimizer/api/network.cpp:4023)"]}
    other = {"verdict": "refused", "errors": ["n7: bad (In validate at /_src/optimizer/api/network.cpp:4023)"]}
    assert failure(one) == failure(other)
    assert failure(one) != failure({"verdict": "crashed", "errors": []})
