"""What a build repeats of a refusal joins it; what is new stays a finding of its own."""

import msgspec

from friction_tui.state.app_state import Job
from friction_tui.ui.builds.views import result
from friction_tui.verdicts.after_build import repeated, with_build
from friction_tui.vocabulary.finding import EngineWords, Finding, Fix, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult, JobKind, Phase
from friction_tui.vocabulary.recipe import Range, Recipe, Source

BUILDER = "TensorRT-RTX 1.7.1 builder"


def finding(kind: str, tier: Tier, source: str, node: str = "", severity: Severity = Severity.ERROR) -> Finding:
    locations = (Location(LocationKind.NODE, f"n{node}", node=node),) if node else ()
    words = (EngineWords(source, f"{kind} said"),)
    return Finding(
        kind=kind, severity=severity, tier=tier, title=kind, cause="", source=source, locations=locations, words=words
    )


def build(*phases: str, ok: bool = False) -> BuildResult:
    return BuildResult(ok=ok, source=BUILDER, seconds=1.0, phases=tuple(Phase(name, 0.1) for name in phases))


def test_a_parser_that_refuses_again_is_one_more_source() -> None:
    known = [
        finding("dynamic/baked-reshape", Tier.SHAPES, "rule", "11"),
        finding("operators/refused", Tier.PARSER, "parser", "16"),
    ]
    said = finding("engine/other", Tier.BUILDER, BUILDER)
    first, second = with_build(known, build("parse"), [said])
    assert (first.kind, first.also, first.words[-1]) == ("operators/refused", (BUILDER,), said.words[0])
    assert second == known[0]


def test_what_the_builder_met_later_is_new_unless_the_location_was_known_to_fail() -> None:
    known = [finding("dynamic/baked-reshape", Tier.SHAPES, "rule", "4")]
    elsewhere, there = (finding("engine/other", Tier.BUILDER, BUILDER, node) for node in ("9", "4"))
    joined = with_build(known, build("parse", "compile"), [elsewhere, there])
    assert [(one.kind, one.also) for one in joined] == [("engine/other", ()), ("dynamic/baked-reshape", (BUILDER,))]
    assert repeated(finding("engine/other", Tier.BUILDER, BUILDER), known, build("parse", "compile")) is None


def test_a_hazard_is_not_the_reason_for_a_refusal() -> None:
    known = [finding("weights/inf", Tier.HAZARD, "rule", "4")]
    assert repeated(finding("engine/other", Tier.BUILDER, BUILDER, "4"), known, build("parse")) is None


def test_messages_that_were_not_decoded_are_shown_as_they_are() -> None:
    raw = finding("engine/message", Tier.BUILDER, BUILDER)
    assert with_build([], msgspec.structs.replace(build("compile"), findings=(raw,)), []) == [raw]


def test_the_build_panel_names_the_problem_that_the_builder_repeats() -> None:
    fix = Fix("Keep N at 1.", ranges={"N": Range(1, 1, 1)})
    known = msgspec.structs.replace(finding("operators/refused", Tier.PARSER, "parser", "16"), fixes=(fix,))
    job = Job(
        number=1,
        kind=JobKind.BUILD,
        recipe=Recipe(source=Source(path="m.onnx")),
        running=False,
        build=build("parse"),
        findings=(finding("engine/other", Tier.BUILDER, BUILDER),) * 2,
    )
    lines = result(job, job.recipe, [known], 60, ascii_only=False)
    text = "\n".join("".join(said for said, _ in line.spans) for line in lines)
    assert text.count("operators/refused: n16") == 1
    assert "2 lists it, W explains" in text and "engine/other" not in text


def test_a_message_that_names_no_node_is_the_one_known_failure_of_its_kind() -> None:
    known = [finding("control/growing-state", Tier.BUILDER, "rule", "4")]
    said = msgspec.structs.replace(
        finding("control/growing-state", Tier.BUILDER, BUILDER), locations=(Location(LocationKind.TENSOR, "start"),)
    )
    assert [one.also for one in with_build(known, build("parse", "graph"), [said])] == [(BUILDER,)]
    two = [*known, finding("control/growing-state", Tier.BUILDER, "rule", "9")]
    assert len(with_build(two, build("parse", "graph"), [said])) == 3
