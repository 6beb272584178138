"""SARIF 2.1.0, for code scanning: a finding points at the Python line it came from, else at the model file."""

from __future__ import annotations

import json
from collections.abc import Sequence
from pathlib import PurePath
from typing import Any

from friction_tui import __version__
from friction_tui.kinds import KINDS, explain
from friction_tui.report.applicability import command, fix_of
from friction_tui.report.as_json import escaped, text_of
from friction_tui.report.verdict import ModelVerdict, bounded, fingerprint
from friction_tui.vocabulary.finding import Finding, Fix, Severity, SourceLine

LEVEL = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}


def report(verdicts: Sequence[ModelVerdict]) -> str:
    """One run with a rule per kind and a result per finding."""
    found = sorted({finding.kind for verdict in verdicts for finding in verdict.findings})
    index = {kind: i for i, kind in enumerate(found)}
    run = {
        "tool": {
            "driver": {
                "name": "friction-tui",
                "version": __version__,
                "semanticVersion": __version__,
                "rules": [_rule(kind) for kind in found],
            }
        },
        "results": [
            _result(verdict, finding, index[finding.kind]) for verdict in verdicts for finding in verdict.findings
        ],
        "invocations": [
            {
                "executionSuccessful": not any(verdict.open_question for verdict in verdicts),
                "toolExecutionNotifications": [
                    {"level": "error", "message": {"text": f"{verdict.path}: {verdict.open_question}"}}
                    for verdict in verdicts
                    if verdict.open_question
                ],
            }
        ],
        "columnKind": "unicodeCodePoints",
    }
    document = {
        "$schema": "https://json.schemastore.org/sarif-2.1.0.json",
        "version": "2.1.0",
        "runs": [run],
    }
    return escaped(json.dumps(bounded(document), indent=2, ensure_ascii=False)) + "\n"


def _rule(kind: str) -> dict[str, Any]:
    """A kind with its page, which code scanning shows beside every result."""
    page = explain(kind) or ""
    return {
        "id": kind,
        "name": _pascal(kind),
        "shortDescription": {"text": KINDS[kind].summary.replace("`", "")},
        "defaultConfiguration": {"level": LEVEL[KINDS[kind].severities[0]]},
        "help": {"text": page.replace("`", ""), "markdown": page},
    }


def _result(verdict: ModelVerdict, finding: Finding, rule: int) -> dict[str, Any]:
    fixes = "".join(f"\n{i}. {fix.text}" for i, fix in enumerate(finding.fixes, 1))
    edits = ((fix, finding.line if not fix.applicable else None) for fix in finding.fixes)
    applicable = [
        _source_edit(line, fix) if line else _fix(verdict.path, finding.kind, fix)
        for fix, line in edits
        if line or fix.rewrite
    ]
    return {
        "ruleId": finding.kind,
        "ruleIndex": rule,
        "level": LEVEL[finding.severity],
        "message": {"text": text_of(finding) + (f"\nWhat to do:{fixes}" if fixes else "")},
        "locations": [_location(verdict, finding)],
        "partialFingerprints": {"frictionTui/v1": fingerprint(verdict.path, finding)},
        "properties": {"source": finding.source, "tier": finding.tier.value},
        **({"fixes": applicable} if applicable else {}),
    }


def _fix(path: str, kind: str, fix: Fix) -> dict[str, Any]:
    """A rewrite as a SARIF fix (2.1.0, §3.55).

    A fix must hold replacements of regions of a file. The rewritten model is not known when the report is written, and
    its bytes would be of no use to a viewer, so the replacement deletes nothing and inserts nothing: applying it leaves
    the file valid. What carries the fix out is in the properties: the rewrite, its nodes and the command.
    """
    nothing = {"deletedRegion": {"byteOffset": 0, "byteLength": 0}}
    change = {"artifactLocation": {"uri": _uri(_file(path))}, "replacements": [nothing]}
    details = {key: value for key, value in fix_of(fix).items() if key != "text"}
    return {
        "description": {"text": fix.text},
        "artifactChanges": [change],
        "properties": {**details, "command": command(path, kind, fix)},
    }


def _source_edit(line: SourceLine, fix: Fix) -> dict[str, Any]:
    """What the user may change in their own code, at its line. The text is for people: nothing is replaced."""
    nothing = {"deletedRegion": {"startLine": line.line, "startColumn": 1, "endColumn": 1}}
    details = {key: value for key, value in fix_of(fix).items() if key != "text"}
    return {
        "description": {"text": fix.text},
        "artifactChanges": [{"artifactLocation": {"uri": _uri(line.file)}, "replacements": [nothing]}],
        "properties": details,
    }


def _file(path: str) -> str:
    """The file of a source such as `net.py:make`."""
    file, _, factory = path.rpartition(":")
    return file if file.endswith(".py") and factory.isidentifier() else path


def _location(verdict: ModelVerdict, finding: Finding) -> dict[str, Any]:
    line = finding.line
    path = line.file if line else _file(verdict.path)
    physical: dict[str, Any] = {"artifactLocation": {"uri": _uri(path)}}
    if line:
        region: dict[str, Any] = {"startLine": line.line}
        if line.code:
            region["snippet"] = {"text": line.code}
        physical["region"] = region
    logical = [
        {"name": location.name, "fullyQualifiedName": location.name, "kind": location.kind.value}
        for location in finding.locations[:20]
        if location.name
    ]
    return {"physicalLocation": physical, **({"logicalLocations": logical} if logical else {})}


def _uri(path: str) -> str:
    from urllib.parse import quote

    plain = PurePath(path)
    return plain.as_uri() if plain.is_absolute() else quote(plain.as_posix())


def _pascal(kind: str) -> str:
    return "".join(part.capitalize() for part in kind.replace("/", "-").split("-"))
