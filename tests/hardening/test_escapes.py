"""No report hands a control character or a direction mark of a model's names to whoever reads it."""

from __future__ import annotations

import json
from collections.abc import Callable

import pytest

from friction_tui.report import as_github, as_json, as_junit, as_markdown, as_sarif, text
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import RULE, Finding, Location, LocationKind, Severity, Tier

HOSTILE = "a\x1b[31mb\x9bc\x7fd\u202ee\u2028f\u2066g\x85h"
REPORTS: dict[str, Callable[[ModelVerdict], str]] = {
    "json": lambda verdict: as_json.report([verdict]),
    "sarif": lambda verdict: as_sarif.report([verdict]),
    "junit": lambda verdict: as_junit.report([verdict], frozenset([Severity.ERROR])),
    "markdown": lambda verdict: as_markdown.report([verdict]),
    "github": lambda verdict: as_github.report([verdict]),
    "text": lambda verdict: text.report([verdict]),
}


@pytest.mark.parametrize("form", REPORTS)
def test_what_a_terminal_would_obey_is_escaped(form: str) -> None:
    finding = Finding(
        kind="operators/refused",
        severity=Severity.ERROR,
        tier=Tier.PARSER,
        title=HOSTILE,
        cause=HOSTILE,
        source=RULE,
        locations=(Location(LocationKind.NODE, HOSTILE, op=HOSTILE, node=HOSTILE),),
        evidence=(HOSTILE,),
    )
    report = REPORTS[form](ModelVerdict(HOSTILE, (finding,), failure=HOSTILE, unchecked=(HOSTILE,)))
    assert not [char for char in report if not char.isprintable() and char != "\n"]


def test_json_reads_back_the_same() -> None:
    verdict = ModelVerdict("m.onnx", failure=HOSTILE + "\U0001f600\U000e0001")
    assert json.loads(as_json.report([verdict]))["models"][0]["failure"] == verdict.failure
