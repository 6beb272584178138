"""What a judgement makes of the builder: asked after the parser, at usable sizes only, and never silently left out."""

from __future__ import annotations

import threading
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest
from onnx import parser

from friction_tui.engines.base import BuilderAnswer, Refusal, Said
from friction_tui.engines.found import deciding, found
from friction_tui.engines.tensorrt.engine import TensorRT
from friction_tui.engines.tensorrt.question import BuilderQuestion
from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.builder import answer_findings
from friction_tui.rules.operators import operators
from friction_tui.session import builder_verdict, judging
from friction_tui.session.asking import ParserQuestion, ProfileFreeResults
from friction_tui.session.at_once import judged
from friction_tui.session.builder_verdict import after_build, ask, refused_by_builder, why_not
from friction_tui.session.judging import BUILDER, Judgement, judge
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.protocol import CheckState, Event, Findings, JobEnded, JobKind, Judged
from friction_tui.vocabulary.recipe import Precision, Profile, Range, Recipe, Source

pytest.importorskip("tensorrt_rtx", reason="builds without a GPU with the RTX edition only")

HEALTHY = "g (float[n,4] x) => (float[n,4] y) { [only] y = Relu(x) }"
LARGE_K = """g (float[1,5000] x) => (float[1,4000] values, int64[1,4000] indices)
<int64[1] k = {4000}> { [before] a = Relu(x)  [best] values, indices = TopK(a, k) }"""
NO_KERNEL = "g (float[4,8] x, float[8,4] w) => (float[4,4] y) { [fc] y = MatMul(x, w) }"
GUESSED_WRONG = "g (float[n,4] x) => (float[2,6] y) <int64[2] s = {2, 6}> { [fold] y = Reshape(x, s) }"


def opened(graph: str, opset: int = 17) -> OpenedModel:
    proto = parser.parse_model(f'<ir_version: 10, opset_import: ["" : {opset}]>\n' + graph)
    return from_proto(proto, Path("model.onnx"))


def context_of(
    graph: str,
    *,
    profile: Profile | None = None,
    target: str = "",
    precision: Precision = Precision.AS_EXPORTED,
    opset: int = 17,
) -> CheckContext:
    model, engine = opened(graph, opset), deciding(found())
    assert engine is not None
    ranges = {"n": Range(1, 2, 4)} if "float[n" in graph else {}
    complete = default_profile(model, profile or Profile(ranges=ranges))
    recipe = Recipe(source=Source("model.onnx"), profile=complete, target=target, precision=precision)
    return CheckContext(model, recipe, ShapeTable(model, complete), None, engine.label, True, engine)


def whole_verdict(context: CheckContext) -> tuple[list[Finding], Findings, list[Judged]]:
    """All findings, the last event of the builder's check, and every verdict that was sent."""
    events: list[Event] = []
    kept = ProfileFreeResults(context.model, context.recipe, ParserQuestion(TensorRT(), context.model))
    findings = judge(Judgement(1, events.append, lambda: False), context, kept, lambda: None)
    assert findings is not None
    builder = [one for one in events if isinstance(one, Findings) and one.check == BUILDER][-1]
    return findings, builder, [one for one in events if isinstance(one, Judged)]


def test_a_model_that_builds_has_no_finding() -> None:
    findings, builder, verdicts = whole_verdict(context_of(HEALTHY))
    assert findings == []
    assert (builder.state, builder.note) == (CheckState.DONE, "shapes and layers: taken; kernels: not compiled")
    assert builder.source.endswith("builder")
    assert [one.complete for one in verdicts][-1]


def test_what_only_the_builder_refuses_is_one_finding_with_its_place_and_its_text() -> None:
    findings, builder, _ = whole_verdict(context_of(LARGE_K))
    assert builder.state is CheckState.DONE
    (error,) = [one for one in findings if one.severity is Severity.ERROR]
    assert (error.kind, error.tier, error.names[0]) == ("operators/size-limit", Tier.BUILDER, "best")
    assert any("K exceeds the maximum value allowed" in words.text for words in error.words)
    assert any(source.endswith("builder") for source in error.also)


def test_a_fix_sees_what_the_builder_refuses() -> None:
    context = context_of(LARGE_K)
    found = judged(context.model, context.recipe).findings
    assert any("K exceeds the maximum value allowed" in words.text for one in found for words in one.words)


@pytest.mark.parametrize("text", ["float[1,4,6] x", "float[n,4,6] x"])
def test_a_profile_for_a_fixed_size_is_one_finding(text: str) -> None:
    """The builder names the input in two ways, by whether another of its dimensions is dynamic."""
    graph = f"g ({text}) => (float[a,b,c] y) {{ [first] z = Relu(x) [last] y = Abs(z) }}"
    ranges = {"x[2]": Range(7, 7, 7)} | ({"n": Range(1, 2, 4)} if "[n" in text else {})
    findings, builder, _ = whole_verdict(context_of(graph, profile=Profile(ranges)))
    (error,) = [one for one in findings if one.severity is Severity.ERROR]
    assert (error.kind, error.names) == ("profile/static-size", ("x",))
    assert builder.source in error.also
    assert error.fixes[0].ranges == {"x[2]": Range(6, 6, 6)}


def test_what_the_parser_refuses_is_not_asked_of_the_builder() -> None:
    context = context_of("g (float[4,4] x) => (float y) { [det] y = Det(x) }")
    _, builder, _ = whole_verdict(context)
    assert (builder.state, builder.findings, builder.source) == (CheckState.PENDING, [], "")
    assert refused_by_builder(context, refusals(context.model, on_batch=lambda _: None)) == []


def test_sizes_that_were_guessed_and_do_not_fit_prove_nothing() -> None:
    context = context_of(GUESSED_WRONG, profile=Profile())
    findings, builder, _ = whole_verdict(context)
    assert builder.state is CheckState.UNAVAILABLE
    assert "guessed" in builder.note
    assert not any("builder" in source for one in findings for source in (one.source, *one.also))
    chosen = context_of(GUESSED_WRONG, profile=Profile(ranges={"n": Range(3, 3, 3)}))
    assert why_not(chosen) == ""


def test_kernels_for_a_chosen_target_are_compiled() -> None:
    findings, builder, _ = whole_verdict(context_of(NO_KERNEL, target="SM75"))
    (error,) = [one for one in findings if one.severity is Severity.ERROR]
    assert (error.kind, error.names, error.tier) == ("operators/no-implementation", ("fc",), Tier.BUILDER)
    findings, builder, _ = whole_verdict(context_of(NO_KERNEL, target="SM89"))
    assert findings == []
    assert builder.kernels
    assert builder.note.startswith("shapes and layers: taken; kernels for SM89: compiled (")


@pytest.mark.parametrize(("options", "said"), [({"target": "SM999"}, "SM999"), ({"precision": Precision.INT8}, "int8")])
def test_the_builder_is_not_asked_for_what_it_does_not_offer(options: dict[str, str], said: str) -> None:
    target, precision = options.get("target", ""), Precision(options.get("precision", "as-exported"))
    findings, builder, _ = whole_verdict(context_of(HEALTHY, target=target, precision=precision))
    assert builder.state is CheckState.UNAVAILABLE
    assert said in builder.note
    assert [one.kind for one in findings] == ["engine/target" if target else "engine/precision-flag"]


def test_a_build_that_takes_too_long_is_an_error() -> None:
    context = context_of(HEALTHY)
    (step,) = ask(BuilderQuestion(context.model), context, lambda: False, limit_s=0.0)
    assert step.state is CheckState.FAILED
    assert [one.kind for one in step.findings] == ["engine/build-timeout"]
    assert step.findings[0].severity is Severity.ERROR


def test_a_build_without_memory_says_so() -> None:
    ended = JobEnded(job=1, kind=JobKind.BUILD, seconds=1.0, error="std::bad_alloc", died="ran out of memory")
    (finding,) = after_build(context_of(HEALTHY), ended)
    assert (finding.kind, finding.severity) == ("engine/out-of-host-memory", Severity.ERROR)
    assert finding.words[0].text == "std::bad_alloc"


def test_a_build_that_ends_without_a_word_is_an_error() -> None:
    """It dies once and builds when asked again: that it gave no result stands."""
    ended = JobEnded(job=1, kind=JobKind.BUILD, seconds=0.1, error="", died="exited with status 3")
    (finding,) = after_build(context_of(HEALTHY), ended)
    assert (finding.kind, finding.node_paths) == ("engine/builder-crashed", ())
    assert "exited with status 3" in finding.cause


def test_a_cancelled_build_is_no_finding() -> None:
    assert after_build(context_of(HEALTHY), JobEnded(job=1, kind=JobKind.BUILD, seconds=1.0, cancelled=True)) == ()


def test_a_rule_and_the_builder_about_one_node_are_one_finding() -> None:
    """The builder's text decodes to another kind than the rule's, which says more."""
    context = context_of(
        "g (float16[4] x) => (int4[4] y) { [low] y = Cast<to: int = 22>(x) }", profile=Profile(), opset=21
    )
    findings, builder, _ = whole_verdict(context)
    assert builder.findings
    (error,) = [one for one in findings if one.severity is Severity.ERROR]
    assert error.kind == "operators/low-precision-cast"
    assert error.words[0].source.endswith("builder")


def test_a_verdict_does_not_wait_long_for_the_builder(monkeypatch: pytest.MonkeyPatch) -> None:
    """What is known is sent without the builder's answer, and again with it."""
    first = threading.Event()

    def slow(*_: object, **__: object) -> Iterator[builder_verdict.Step]:
        assert first.wait(60)
        yield builder_verdict.Step(CheckState.DONE, "answered")

    context = context_of(HEALTHY)
    events: list[Event] = []

    def emit(event: Event) -> None:
        events.append(event)
        if isinstance(event, Judged):
            first.set()

    monkeypatch.setattr(judging, "BUILDER_WAIT_S", 0.01)
    monkeypatch.setattr(builder_verdict, "ask", slow)
    kept = ProfileFreeResults(context.model, context.recipe, ParserQuestion(TensorRT(), context.model))
    assert judge(Judgement(1, emit, lambda: False), context, kept, lambda: None) == []
    assert [one.complete for one in events if isinstance(one, Judged)] == [False, True]


def test_an_input_that_is_an_output_is_an_error_only_where_the_builder_refuses_it() -> None:
    text = "g (float[{0},4] x, float[{0},2] s) => (float[{0},4] y, float[{0},2] s) {{ y = Relu (x) }}"
    for size, severity in (("2", Severity.WARNING), ("n", Severity.ERROR)):
        findings, _, _ = whole_verdict(context_of(text.format(size)))
        (one,) = findings
        assert (one.kind, one.severity, one.names) == ("structure/input-is-output", severity, ("s",))
        assert any("__s" in words.text for words in one.words) is (severity is Severity.ERROR)


def test_the_parser_and_a_rule_about_nodes_in_a_row_are_one_finding() -> None:
    chain = " ".join(f"y{i} = ScatterElements <axis = 0> ({f'y{i - 1}' if i else 'x'}, i, u)" for i in range(5))
    findings, _, _ = whole_verdict(
        context_of(f"g (float[4,4] x, int64[2] i, float[2] u) => (float[4,4] y4) {{{chain}}}")
    )
    (one,) = [finding for finding in findings if finding.severity is Severity.ERROR]
    assert [location.name for location in one.locations] == [f"node_of_y{i}" for i in range(5)]
    assert any("must have the same rank" in words.text for words in one.words)
    assert "out of the range" not in one.cause


def test_a_message_that_nobody_knows_comes_with_what_is_known() -> None:
    """The text of a later release is what this machine cannot have."""
    context = context_of("""g (float[4,4] x, int64[2,4] i, float[2,4] u) => (float[4,4] y) {
        [put] y = ScatterElements <axis = 0> (x, i, u) }""")
    text = "the flux capacitor is misaligned"
    refusal = Refusal("0", "put", "ScatterElements", "INVALID_NODE", text, "parseNode", "", "dynamic", False, ())
    (one,) = operators.check(replace(context, refusals=(refusal,)))
    assert "ScatterElements put: axis=0; reads x float32 [4, 4], i int64 [2, 4], u float32 [2, 4]" in one.evidence[0]
    assert text in one.cause
    assert "friction-tui reduce model.onnx -o small.onnx" in one.fixes[0].text
    said = BuilderAnswer("refused", "TensorRT", 0.1, dry=False, refusals=(Said(text),), located=("0",), alone=True)
    (built,) = answer_findings(context, said)
    assert "put" in built.names
    assert any("reads x float32" in line for line in built.evidence)
    assert any(line.startswith("tried: the whole model") and "1 of 1 nodes" in line for line in built.evidence)


@pytest.mark.slow
def test_a_cubic_resize_behind_an_if_and_attention_in_one_are_known() -> None:
    attention = """g (bool c, float16[1,2,8,16] q, float16[1,2,8,16] k) => (float16[1,2,8,16] y) {
        z = Mul (k, k)
        y = If (c) <then_branch = t () => (float16[1,2,8,16] a) { a = Attention (q, k, z) },
                    else_branch = e () => (float16[1,2,8,16] b) { b = Identity (z) }> }"""
    resize = """g (bool c, float[1,3,h,w] x) => (float[1,3,a,b] y) <float[4] s = {1, 1, 2, 2}> {
        u = If (c) <then_branch = t () => (float[1,3,h,w] p) { p = Relu (x) },
                    else_branch = e () => (float[1,3,h,w] q) { q = Neg (x) }>
        y = Resize <mode = "cubic"> (u, , s) }"""
    sizes = Profile(ranges={"h": Range(8, 12, 16), "w": Range(8, 12, 16)})
    for graph, opset, profile in ((attention, 23, None), (resize, 18, sizes)):
        findings, _, _ = whole_verdict(context_of(graph, opset=opset, profile=profile))
        errors = [one for one in findings if one.severity is Severity.ERROR]
        assert [one.kind for one in errors] == ["operators/no-implementation"]
