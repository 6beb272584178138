"""GitHub Actions workflow commands: annotations on the line of Python, or on the model file."""

from __future__ import annotations

from collections.abc import Sequence

from friction_tui.drawing.width import visible_lines
from friction_tui.report.as_json import text_of
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import Finding, Severity

COMMAND = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "notice"}


def report(verdicts: Sequence[ModelVerdict]) -> str:
    """One annotation a line."""
    lines = [_failure(verdict) for verdict in verdicts if verdict.open_question]
    lines += [_annotation(verdict, finding) for verdict in verdicts for finding in verdict.findings]
    return "".join(f"{line}\n" for line in lines)


def _annotation(verdict: ModelVerdict, finding: Finding) -> str:
    line = finding.line
    where = f"file={_property(line.file)},line={line.line}" if line else f"file={_property(verdict.path)}"
    fixes = "".join(f"\n{i}. {fix.text}" for i, fix in enumerate(finding.fixes, 1))
    title = _property(f"{finding.title} ({finding.kind})")
    return f"::{COMMAND[finding.severity]} {where},title={title}::{_data(text_of(finding) + fixes)}"


def _failure(verdict: ModelVerdict) -> str:
    title = "could not be judged" if verdict.failure else "a question has no answer"
    return f"::error file={_property(verdict.path)},title={title}::{_data(verdict.open_question)}"


def _data(text: str) -> str:
    """Line breaks as GitHub wants them; other control characters would reach the log's reader, and are written out."""
    return visible_lines(text).replace("%", "%25").replace("\r", "%0D").replace("\n", "%0A")


def _property(text: str) -> str:
    return _data(text).replace(":", "%3A").replace(",", "%2C")
