"""The smallest failing part of a model, for the parser, for shape analysis and for a crash of the compiler."""

from __future__ import annotations

from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import onnx
import pytest
from click.testing import CliRunner
from onnx import parser

from friction_tui.cli import main
from friction_tui.engines.base import NothingToReduce, Reduced, Terms
from friction_tui.engines.profiles import resolved
from friction_tui.engines.tensorrt.builder import Builder
from friction_tui.engines.tensorrt.parts import Parts
from friction_tui.engines.tensorrt.reduction import reduced
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.recipe import Profile, Range

pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")

HEADER = '<ir_version: 10, opset_import: ["" : 23]>\n'


def chain(middle: str, shape: str, dtype: str, outputs: str, before: int = 12, after: int = 12) -> str:
    """A model in text form: `before` nodes from x to s, the `middle`, which makes m of s, `after` nodes behind it."""
    names = ["x", *(f"b{number}" for number in range(before - 1)), "s"]
    head = [f"[before{at}] {new} = Relu({old})" for at, (old, new) in enumerate(pairwise(names))]
    names = ["m", *(f"a{number}" for number in range(after - 1)), "y"]
    tail = [f"[after{at}] {new} = Relu({old})" for at, (old, new) in enumerate(pairwise(names))]
    return f"g ({dtype}[{shape}] x) => ({outputs}) {{ {' '.join((*head, middle, *tail))} }}"


CRASH = chain("[both] m = Attention(s, s, x)", "1,8,16,64", "float16", "float16[1,8,16,64] y")
REFUSED = chain("[k] k = Constant<value_ints=[4000]>() [best] m, i = TopK(s, k)", "n,5000", "float", "float[n,4000] y")
UNPARSED = chain("[det] m = Det(s)", "4,4", "float", "float y")


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    one = Builder("tensorrt_rtx")
    yield one
    one.close()


def opened(graph: str) -> tuple[OpenedModel, Profile]:
    model = from_proto(parser.parse_model(HEADER + graph), Path("model.onnx"))
    ranges = {"n": Range(1, 2, 4)} if "[n," in graph else {}
    return model, default_profile(model, Profile(ranges=ranges))


def smallest(graph: str, builder: Builder) -> Reduced:
    model, profile = opened(graph)
    return reduced(model, ShapeTable(model, profile), Terms(resolved(model, profile)), builder)


@pytest.mark.parametrize(
    ("graph", "verdict", "name"),
    [(CRASH, "crashed", "both"), (REFUSED, "refused", "best"), (UNPARSED, "refused", "det")],
)
def test_the_one_node_that_fails_is_left(builder: Builder, graph: str, verdict: str, name: str) -> None:
    found = smallest(graph, builder)
    assert found.complete
    assert found.answer.verdict == verdict
    assert [node.name for node in found.nodes] == [name]


class Hangs(Builder):
    """A builder that never comes to an end where the real one crashes."""

    def build(self, model: bytes, terms: Terms, **more: Any) -> dict[str, Any]:
        answer = super().build(model, terms, **more)
        return {**answer, "verdict": "timeout", "errors": []} if answer["verdict"] == "crashed" else answer


def test_a_build_that_hangs_is_reduced_to_what_hangs() -> None:
    hanging = Hangs("tensorrt_rtx")
    try:
        found = smallest(CRASH, hanging)
    finally:
        hanging.close()
    assert (found.answer.verdict, [node.name for node in found.nodes]) == ("timeout", ["both"])


def test_a_reduction_goes_on_inside_a_body(builder: Builder) -> None:
    shape = "float[1,5000]"
    text = f"""g ({shape} x, bool c) => (float[1,4000] y) {{ [in] s = Relu(x) [choose] i = If(c)
        <then_branch = t () => (a) {{ [k] k = Constant<value_ints=[4000]>() [best] a, w = TopK(s, k) }},
        else_branch = e () => (b) {{ [l] l = Constant<value_ints=[4000]>() [also] v, b = TopK(x, l) }}>
        [out] y = Cast<to=1>(i) }}"""
    found = smallest(text.replace("=> (b)", "=> (v)").replace("v, b =", "v, u ="), builder)
    assert [node.name for node in found.nodes] == ["best"]


def test_what_builds_has_no_failing_part(builder: Builder) -> None:
    with pytest.raises(NothingToReduce):
        smallest("g (float[n,4] x) => (float[n,4] y) { y = Relu(x) }", builder)


def test_a_part_has_the_sizes_that_its_edges_have_in_the_whole() -> None:
    model, profile = opened(REFUSED)
    parts = Parts(model, ShapeTable(model, profile))
    (node,) = [node for node in parts.order if node.name == "best"]
    part = parts.part([node])
    assert part is not None
    assert part.profile.shapes == {"s": ((1, 5000), (2, 5000), (4, 5000))}
    assert [tensor.name for tensor in part.proto.graph.initializer] == ["k"]
    onnx.checker.check_model(part.proto)


def test_the_command_writes_a_model_that_fails_in_the_same_way(tmp_path: Path) -> None:
    whole, small = tmp_path / "whole.onnx", tmp_path / "small.onnx"
    onnx.save(parser.parse_model(HEADER + CRASH), whole)
    done = CliRunner().invoke(main, ["reduce", str(whole), "-o", str(small)])
    assert done.exit_code == 0, done.output
    assert "25 nodes → 1" in done.output
    assert "SIGSEGV" in done.output
    assert [node.name for node in onnx.load(small).graph.node] == ["both"]
    assert CliRunner().invoke(main, ["check", str(small), "--build"]).exit_code == 2
    onnx.save(parser.parse_model(HEADER + "g (float[2,4] x) => (float[2,4] y) { y = Relu(x) }"), whole)
    done = CliRunner().invoke(main, ["reduce", str(whole)])
    assert done.exit_code == 2
    assert "nothing to reduce" in done.output
