"""Nothing is reported twice: engines' refusals are joined to the rules that explain them, equal findings united."""

from __future__ import annotations

import msgspec

from friction_tui.rules.deduplicate import FROM, deduplicate
from friction_tui.vocabulary.finding import RULE, EngineWords, Finding, Fix, Location, LocationKind, Severity, Tier

PARSER = "TensorRT-RTX 1.7.1 parser"


def finding(
    kind: str,
    *nodes: str,
    source: str = RULE,
    severity: Severity = Severity.ERROR,
    tier: Tier = Tier.MODEL,
    words: str = "",
    location: Location | None = None,
) -> Finding:
    return Finding(
        kind=kind,
        severity=severity,
        tier=tier,
        title=kind,
        cause=f"{kind} by {source}",
        source=source,
        locations=(location,)
        if location
        else tuple(Location(LocationKind.NODE, f"n{path}", node=path) for path in nodes),
        fixes=(Fix("mend it"),),
        words=(EngineWords(source, words),) if words else (),
    )


def test_a_rule_takes_over_the_engines_refusal_with_its_message() -> None:
    rule = finding("types/mismatch", "3")
    refusal = finding("types/mismatch", "3", source=PARSER, tier=Tier.PARSER, words="must have same input types")
    (merged,) = deduplicate([refusal, rule])
    assert (merged.source, merged.also) == (RULE, (PARSER,))
    assert merged.words[0].text == "must have same input types"


def test_a_vague_refusal_goes_into_whatever_knows_a_reason() -> None:
    vague = finding("engine/shape-analysis", "3", source=PARSER, words="isInFlight")
    (merged,) = deduplicate([vague, finding("types/mismatch", "3")])
    assert (merged.kind, merged.words[0].text) == ("types/mismatch", "isInFlight")
    assert [one.kind for one in deduplicate([vague])] == ["engine/shape-analysis"]


def test_what_says_nothing_of_the_reason_takes_no_refusal_over() -> None:
    vague = finding("operators/refused", "3", source=PARSER)
    older = finding("older/computed-scales", "3", severity=Severity.NOTE, tier=Tier.PARSER)
    damaged = finding("weights/nan", "3", tier=Tier.HAZARD)
    parts = finding("operators/partitions", "2", "3", severity=Severity.NOTE, tier=Tier.PARSER)
    merged = {one.kind: one.severity for one in deduplicate([parts, vague, older, damaged])}
    assert merged == {
        "operators/refused": Severity.ERROR,
        "weights/nan": Severity.ERROR,
        "operators/partitions": Severity.NOTE,
    }


def test_a_false_declaration_is_no_reason_for_a_refusal() -> None:
    refusal = finding("operators/attribute", "3", source=PARSER, tier=Tier.PARSER)
    declared = finding("structure/false-shape", "3", severity=Severity.NOTE)
    assert [(one.kind, one.severity) for one in deduplicate([refusal, declared])] == [
        ("operators/attribute", Severity.ERROR)
    ]


def test_a_refusal_that_names_its_reason_takes_over_one_of_the_node_around_it() -> None:
    inner = finding("operators/data-dependent", "0.body.2", source="operator table", tier=Tier.BUILDER)
    outer = finding("operators/refused", "0", source=PARSER, tier=Tier.PARSER, words="Invalid Node")
    (merged,) = deduplicate([outer, inner])
    assert (merged.kind, merged.also) == ("operators/data-dependent", (PARSER,))


def test_a_rule_that_knows_little_hosts_an_engine_that_knows_less() -> None:
    (merged,) = deduplicate([finding("operators/refused", "3", source=PARSER), finding("dynamic/cannot-work", "3")])
    assert (merged.kind, merged.also) == ("dynamic/cannot-work", (PARSER,))


def test_a_refusal_of_the_whole_model_goes_to_what_is_wrong_at_its_border() -> None:
    refused = finding("operators/refused", source=PARSER, location=Location(LocationKind.MODEL, ""))
    (merged,) = deduplicate(
        [refused, finding("structure/no-outputs", location=Location(LocationKind.MODEL, "outputs"))]
    )
    assert (merged.kind, merged.also) == ("structure/no-outputs", (PARSER,))


def test_two_reasons_at_one_node_stay_two() -> None:
    found = deduplicate([finding("operators/data-dependent", "3", source=PARSER), finding("weights/nan", "3")])
    assert {one.kind for one in found} == {"operators/data-dependent", "weights/nan"}


def test_of_thirty_places_only_those_explained_are_taken_over() -> None:
    refusal = finding("operators/dtype", "1", "2", "3", source=PARSER)
    rule, rest = deduplicate([finding("types/uint8-inside", "2"), refusal])
    assert rule.also == (PARSER,)
    assert rest.node_paths == ("1", "3")


def test_a_hazard_the_parser_refuses_is_an_error() -> None:
    hazard = finding("training/batch-norm", "0", severity=Severity.WARNING, tier=Tier.HAZARD)
    (merged,) = deduplicate([hazard, finding("training/batch-norm", "0", source=PARSER, tier=Tier.PARSER)])
    assert (merged.severity, merged.tier) == (Severity.ERROR, Tier.PARSER)


def test_an_initializer_is_found_by_name_and_a_model_by_kind() -> None:
    weight = Location(LocationKind.INITIALIZER, "fc.w")
    missing = finding("external/missing", location=weight)
    refused = finding("engine/initializer", source=PARSER, location=weight, words="Failed to import initializer")
    cycle = finding("structure/cycle", "1", "2")
    sorting = finding(
        "structure/cycle", source=PARSER, location=Location(LocationKind.MODEL, ""), words="Failed to sort"
    )
    merged = deduplicate([missing, refused, cycle, sorting])
    assert [one.kind for one in merged] == ["external/missing", "structure/cycle"]
    assert all(one.words for one in merged)


def test_equal_findings_become_one_with_all_places() -> None:
    (merged,) = deduplicate([finding("dynamic/squeeze", "1"), finding("dynamic/squeeze", "2")])
    assert merged.node_paths == ("1", "2")


def baked(name: str, size: int = 4) -> Finding:
    return Finding(
        kind="dynamic/baked-reshape",
        severity=Severity.ERROR,
        tier=Tier.SHAPES,
        title=f"Reshape {name} works only at N = 1",
        cause=f"{name} has the constant {size}.",
        source="rule",
        locations=(Location(LocationKind.NODE, name, "Reshape", f"p{name}"),),
        fixes=(Fix(f"Rewrite {name}.", rewrite="reshape-minus-one", nodes=(f"p{name}",)),),
    )


def test_the_same_sentence_about_many_nodes_is_one_finding_with_one_fix_for_all() -> None:
    (one,) = deduplicate([baked(name) for name in ("a", "a/b", "c.d")])
    assert one.title == "Reshape a works only at N = 1, and 2 more likewise"
    assert one.cause == "a has the constant 4. It is the same with a/b, c.d."
    assert one.names == ("a", "a/b", "c.d")
    assert one.fixes[0].nodes == ("pa", "pa/b", "pc.d")


def test_another_constant_or_too_few_stay_apart() -> None:
    assert len(deduplicate([baked("a"), baked("b"), baked("c", 8)])) == 3
    assert FROM == 3


def test_what_names_no_location_stays() -> None:
    findings = [msgspec.structs.replace(finding("structure/no-outputs"), cause=f"cause {n}") for n in range(4)]
    assert deduplicate(findings) == findings
