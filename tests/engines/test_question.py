"""What only compiling decides: nodes at risk alone, answers kept on disk, and places inside bodies and functions."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterator
from pathlib import Path

import pytest
from onnx import parser

from friction_tui.engines.base import BuilderAnswer, Probed, Terms
from friction_tui.engines.profiles import resolved
from friction_tui.engines.tensorrt.answers import Answers
from friction_tui.engines.tensorrt.builder import Builder
from friction_tui.engines.tensorrt.forms import forms_at_risk, key_of
from friction_tui.engines.tensorrt.parts import Parts
from friction_tui.engines.tensorrt.question import BuilderQuestion
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.recipe import Profile, Range

pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")

SHAPE = "float16[1,8,16,64]"
CRASHES = f"g ({SHAPE} x) => ({SHAPE} y) {{ [in] s = Relu(x) [both] a = Attention(s, s, x) [out] y = Neg(a) }}"
IN_A_BODY = f"""g ({SHAPE} x, bool c) => ({SHAPE} y) {{ [in] s = Relu(x)
[choose] y = If(c) <then_branch = t () => (a) {{ [inner] a = Attention(s, s, x) }},
                   else_branch = e () => (b) {{ b = Relu(s) }}> }}"""
IN_A_FUNCTION = f"""g ({SHAPE} x) => ({SHAPE} y) {{ [call] y = mine.block(x) }}
<domain: "mine", opset_import: ["" : 23]>
block (q) => (r) {{ [scaled] s = Relu(q) [both] r = Attention(s, s, q) }}"""
PAIR = """g (float[1,3,h,16] x, bool c) => (float[1,3,p,q] y) <float[4] z = {1,1,2,2}> { [in] s = Relu(x)
[choose] i = If(c) <then_branch = t () => (a) { a = Relu(s) }, else_branch = e () => (b) { b = Neg(s) }>
[larger] u = Resize<mode="cubic">(i, , z) [out] y = Neg(u) }"""
ONE_HOT = """g (float[n,8] x, int64[n] ids) => (float[n,d] y) <float[2] v = {0,1}>
{ [depth] m = ReduceMax<keepdims=0>(ids) [hot] o = OneHot(ids, m, v) [out] y = Neg(o) }"""
PRODUCT = "g (float[4,8] x, float[8,4] w) => (float[4,4] y) { [fc] a = MatMul(x, w) y = Relu(a) }"
CUBIC = (
    'g (float[1,1,8,8] x) => (float[1,1,16,16] y) <float[4] z = {1,1,2,2}> { [up] y = Resize<mode="cubic">(x, , z) }'
)


@pytest.fixture(scope="module")
def builder() -> Iterator[Builder]:
    one = Builder("tensorrt_rtx")
    yield one
    one.close()


def opened(graph: str) -> tuple[OpenedModel, ShapeTable]:
    head = '<ir_version: 10, opset_import: ["" : 23, "mine" : 1]>\n'
    model = from_proto(parser.parse_model(head + graph), Path("model.onnx"))
    ranges = {"h": Range(8, 16, 32)} if "[1,3,h" in graph else {"n": Range(1, 2, 4)} if "[n," in graph else {}
    return model, ShapeTable(model, default_profile(model, Profile(ranges=ranges)))


def whole(builder: Builder, graph: str, answers: Path) -> tuple[BuilderAnswer, set[str]]:
    """The answer of a build to the end, and the names of the nodes that were found."""
    model, table = opened(graph)
    terms = Terms(resolved(model, table.profile))
    answer = BuilderQuestion(model, builder, Answers(answers)).ask(terms, dry=False, table=table)
    return answer, {model.index.by_path[path].name for path in answer.located}


def at_risk(builder: Builder, graph: str, answers: Path, target: str = "", budget_s: float = 60.0) -> Probed:
    model, table = opened(graph)
    terms = Terms(resolved(model, table.profile), target)
    question = BuilderQuestion(model, builder, Answers(answers))
    return question.at_risk(terms, table, budget_s=budget_s, limit_s=60.0)


@pytest.mark.parametrize(
    ("graph", "verdict", "names"),
    [
        (CRASHES, "crashed", {"both"}),
        (IN_A_BODY, "refused", {"inner"}),
        (IN_A_FUNCTION, "crashed", {"both"}),
        (PAIR, "refused", {"choose", "larger"}),
        (ONE_HOT, "refused", {"depth", "hot"}),
    ],
    ids=["node", "body", "function", "pair", "one-hot"],
)
def test_the_place_of_what_only_compiling_refuses(
    builder: Builder, tmp_path: Path, graph: str, verdict: str, names: set[str]
) -> None:
    answer, found = whole(builder, graph, tmp_path / "answers")
    assert (answer.verdict, found, answer.alone) == (verdict, names, True)


@pytest.mark.parametrize("graph", [CRASHES, IN_A_BODY, IN_A_FUNCTION, PAIR, ONE_HOT])
def test_nodes_alone_show_what_the_whole_would(builder: Builder, tmp_path: Path, graph: str) -> None:
    assert at_risk(builder, graph, tmp_path / "answers").failing


def test_what_has_a_kernel_depends_on_the_target(builder: Builder, tmp_path: Path) -> None:
    assert at_risk(builder, PRODUCT, tmp_path / "answers") == Probed()
    assert len(at_risk(builder, PRODUCT, tmp_path / "answers", "SM75").failing) == 1
    assert at_risk(builder, PRODUCT, tmp_path / "answers", "SM89") == Probed()


def test_a_form_that_was_taken_is_not_built_again(builder: Builder, tmp_path: Path) -> None:
    renamed = CUBIC.replace("[up]", "[other]").replace(" x)", " image)").replace("(x,", "(image,")
    assert at_risk(builder, CUBIC, tmp_path / "answers", budget_s=0.0) == Probed(unknown=1)
    assert at_risk(builder, CUBIC, tmp_path / "answers") == Probed(taken=1)
    assert at_risk(builder, renamed, tmp_path / "answers", budget_s=0.0) == Probed(taken=1)
    larger = CUBIC.replace("8,8", "8,9").replace("16,16", "16,18")
    assert at_risk(builder, larger, tmp_path / "answers", budget_s=0.0) == Probed(unknown=1)


def test_a_build_to_the_end_is_remembered_for_the_same_question_only(builder: Builder, tmp_path: Path) -> None:
    model, table = opened(PRODUCT)
    terms = Terms(resolved(model, table.profile))
    assert BuilderQuestion(model, builder, Answers(tmp_path / "a")).remembered(terms) is None
    built = BuilderQuestion(model, builder, Answers(tmp_path / "a")).ask(terms, dry=False)
    again = BuilderQuestion(model, builder, Answers(tmp_path / "a"))
    known = again.remembered(terms)
    assert known is not None
    assert (known.verdict, known.plan) == ("taken", built.plan)
    assert again.remembered(dataclasses.replace(terms, target="SM75")) is None
    other, _ = opened(PRODUCT.replace("Relu", "Neg"))
    assert BuilderQuestion(other, builder, Answers(tmp_path / "a")).remembered(terms) is None


def test_a_refusal_is_remembered_with_its_place(builder: Builder, tmp_path: Path) -> None:
    answer, _ = whole(builder, IN_A_BODY, tmp_path / "answers")
    model, table = opened(IN_A_BODY)
    question = BuilderQuestion(model, builder, Answers(tmp_path / "answers"))
    known = question.remembered(Terms(resolved(model, table.profile)))
    assert known is not None
    assert (known.located, known.refusals) == (answer.located, answer.refusals)


def test_a_crash_is_not_remembered(builder: Builder, tmp_path: Path) -> None:
    whole(builder, CRASHES, tmp_path / "answers")
    model, table = opened(CRASHES)
    question = BuilderQuestion(model, builder, Answers(tmp_path / "answers"))
    assert question.remembered(Terms(resolved(model, table.profile))) is None


def test_a_file_of_answers_that_is_broken_is_made_again(tmp_path: Path) -> None:
    file = tmp_path / "answers"
    file.write_bytes(b"not a database" * 100)
    answers = Answers(file)
    assert answers.get("key") is None
    answers.put("key", {"verdict": "taken"})
    answers.put("other", {"verdict": "timeout"})
    answers.close()
    assert Answers(file).get("key") == {"verdict": "taken"}
    assert Answers(file).get("other") is None


def test_no_answers_are_kept_where_nothing_can_be_written(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    answers = Answers(tmp_path / "file" / "answers")
    answers.put("key", {"verdict": "taken"})
    assert answers.get("key") is None


def test_an_attention_of_one_tensor_is_another_form_than_of_two() -> None:
    keys = []
    for graph in (CRASHES, CRASHES.replace("Attention(s, s, x)", "Attention(s, x, x)")):
        model, table = opened(graph)
        ((key, _, _),) = forms_at_risk(Parts(model, table))
        keys.append(key)
    assert keys[0] != keys[1]


def test_weights_do_not_belong_to_a_form_and_sizes_that_are_free_do() -> None:
    def key(graph: str, **ranges: Range) -> str:
        head = '<ir_version: 10, opset_import: ["" : 23]>\n'
        model = from_proto(parser.parse_model(head + graph), Path("model.onnx"))
        parts = Parts(model, ShapeTable(model, default_profile(model, Profile(ranges=ranges))))
        part = parts.part(parts.order)
        assert part is not None
        return key_of(part)

    add = "g (float[{n},10] x) => (float[{n},10] y) <float[10] w = {{{w}}}> {{ y = Add(x, w) }}"
    ones, twos = (add.format(n=2, w=", ".join([value] * 10)) for value in ("1", "2"))
    assert key(ones) == key(twos)
    assert key(ones) != key(add.format(n="n", w=", ".join(["1"] * 10)), n=Range(2, 2, 2))
