"""Sizes beyond anything real are bounded and said, and cost no more than their number."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import msgspec
import pytest
from onnx import helper

from benchmarks.hardening.running import run
from friction_tui.report import as_json
from friction_tui.report.verdict import NAME, ModelVerdict, shortened
from friction_tui.rules import deduplicate
from friction_tui.rules.deduplicate import deduplicate as merged
from friction_tui.vocabulary.finding import RULE, EngineWords, Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.units import size_text
from tests.hardening.hostile import model


def found(number: int, *, source: str) -> Finding:
    """A refusal of one node, whose sentence is like no other."""
    return Finding(
        kind="operators/refused",
        severity=Severity.ERROR,
        tier=Tier.PARSER,
        title=f"{chr(0x4E00 + number)} is refused",
        cause=f"reason {chr(0x4E00 + number)}",
        source=source,
        locations=(Location(LocationKind.NODE, f"n{number}", op="Op", node=f"n{number}"),),
        words=(EngineWords(source, "no"),),
    )


def test_merging_looks_at_few_others(monkeypatch: pytest.MonkeyPatch) -> None:
    compared: list[int] = []
    same_reason = deduplicate._same_reason

    def counted(one: Finding, other: Finding) -> bool:
        compared.append(1)
        return same_reason(one, other)

    monkeypatch.setattr(deduplicate, "_same_reason", counted)
    count = 1000
    every = [found(number, source=source) for source in (RULE, "TensorRT parser") for number in range(count)]
    assert len(merged(every)) == count
    assert len(compared) <= 2 * count


def test_a_body_is_merged_into_the_node_around_it() -> None:
    inner = found(1, source=RULE)
    location = Location(LocationKind.NODE, "inner", op="Op", node="loop.body/inner")
    outer = Location(LocationKind.NODE, "loop", op="Loop", node="loop")
    one = msgspec.structs.replace(inner, locations=(location,))
    other = msgspec.structs.replace(inner, locations=(outer,), source="TensorRT parser", title="other", cause="other")
    assert len(merged([one, other])) == 1


@pytest.mark.parametrize(("size", "text"), [(10**18, "1,000,000 TB"), (10**400, "more than 1,000,000,000,000,000 TB")])
def test_a_size_no_number_holds(size: int, text: str) -> None:
    assert size_text(size) == text


def test_a_report_cuts_a_name_of_a_million_characters() -> None:
    name = "n" * 1_000_000
    finding = shortened(
        Finding(
            kind="operators/refused",
            severity=Severity.ERROR,
            tier=Tier.PARSER,
            title=name,
            cause=name,
            source=RULE,
            locations=(Location(LocationKind.NODE, name, op="Op", node=name),),
        )
    )
    report = as_json.report([ModelVerdict("m.onnx", (finding,))])
    assert len(report) < 20_000
    document: dict[str, Any] = json.loads(report)
    assert len(document["models"][0]["findings"][0]["nodes"][0]) <= NAME + 1


@pytest.mark.slow
@pytest.mark.parametrize("command", ["memory", "ranges", "report", "json", "sarif", "text"])
def test_no_output_grows_with_the_length_of_a_name(command: str, tmp_path: Path) -> None:
    long = "n" * 1_000_000
    nodes = [helper.make_node("Det", ["x"], ["y"], name=long), helper.make_node("Relu", ["y"], [long])]
    (tmp_path / "m.onnx").write_bytes(model(nodes, long, [long, 4, 4]).SerializeToString())
    arguments = {
        "memory": ["memory", "m.onnx", "--format", "json"],
        "ranges": ["ranges", "m.onnx"],
        "report": ["report", "m.onnx", "-o", "report.html"],
    }.get(command, ["check", "m.onnx", "--format", command])
    ended = run(arguments, tmp_path, limit_s=250)
    assert ended.fault() == ""
    written = (tmp_path / "report.html").read_bytes() if command == "report" else ended.out
    assert written
    assert len(written) < 1_000_000
