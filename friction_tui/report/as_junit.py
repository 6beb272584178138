"""JUnit XML: a test suite per model, a failing case per finding that fails the check."""

from __future__ import annotations

import re
from collections.abc import Sequence
from xml.etree import ElementTree as ET

from friction_tui.drawing.width import visible
from friction_tui.report.as_json import text_of
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import Severity

_FORBIDDEN = re.compile("[^\t\n\r\x20-\ud7ff\ue000-\ufffd\U00010000-\U0010ffff]")
"""Characters XML 1.0 cannot hold, whatever the escaping."""


def report(verdicts: Sequence[ModelVerdict], fail_on: frozenset[Severity]) -> str:
    """All models; findings of a severity in `fail_on` are failures, the others passing cases with output."""
    root = ET.Element("testsuites", name="friction-tui")
    for verdict in verdicts:
        open_question = verdict.open_question
        failing = [f for f in verdict.findings if f.severity in fail_on]
        suite = ET.SubElement(
            root,
            "testsuite",
            name=_clean(verdict.path),
            tests=str(max(len(verdict.findings), 1)),
            failures=str(len(failing)),
            errors=str(int(bool(open_question))),
            time=f"{verdict.seconds:.3f}",
        )
        if open_question or not verdict.findings:
            case = ET.SubElement(suite, "testcase", classname=_clean(verdict.path), name="friction")
            if open_question:
                ET.SubElement(case, "error", message=_clean(open_question))
        for finding in verdict.findings:
            name = f"{finding.kind}: {finding.title}"
            case = ET.SubElement(suite, "testcase", classname=_clean(verdict.path), name=_clean(name))
            fixes = "\n".join(f"{i}. {fix.text}" for i, fix in enumerate(finding.fixes, 1))
            body = _clean(f"{text_of(finding)}\n{fixes}\n{finding.source}")
            if finding.severity in fail_on:
                ET.SubElement(case, "failure", type=finding.kind, message=_clean(finding.cause)).text = body
            else:
                ET.SubElement(case, "system-out").text = body
    for count in ("tests", "failures", "errors"):
        root.set(count, str(sum(int(suite.get(count, "0")) for suite in root)))
    root.set("time", f"{sum(verdict.seconds for verdict in verdicts):.3f}")
    ET.indent(root)
    return '<?xml version="1.0" encoding="UTF-8"?>\n' + ET.tostring(root, encoding="unicode") + "\n"


def _clean(text: str) -> str:
    """The text with control characters and direction marks as escapes, as in the text report."""
    return _FORBIDDEN.sub("\ufffd", "\n".join(visible(line) for line in text.split("\n")))
