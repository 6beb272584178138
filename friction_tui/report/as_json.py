"""The published JSON: `{"schema": 1, "models": [{"path": …, "findings": […]}]}`.

The schema is `friction_tui/report/schema.json` and only ever grows; `SCHEMA` changes when something in it does not.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from importlib.resources import files
from typing import Any

from friction_tui import __version__
from friction_tui.kinds import KINDS
from friction_tui.report.applicability import fix_of
from friction_tui.report.verdict import Judged, ModelVerdict, bounded
from friction_tui.verdicts.kernel_types import counts_of
from friction_tui.verdicts.side_by_side import EngineVerdict
from friction_tui.vocabulary.finding import Finding, Location
from friction_tui.vocabulary.protocol import BuildResult

SCHEMA = 1


def report(verdicts: Sequence[ModelVerdict]) -> str:
    """All models, indented, ending in a newline."""
    document = {"schema": SCHEMA, "tool": f"friction-tui {__version__}", "models": [model(v) for v in verdicts]}
    return escaped(json.dumps(bounded(document), indent=2, ensure_ascii=False)) + "\n"


def escaped(document: str) -> str:
    """JSON with every character that a terminal would obey or not show as an escape; it reads back the same.

    These are control characters, also those of C1, and marks that turn the direction of text: JSON has them in strings
    only.
    """
    return document if document.isprintable() else "".join(map(_escaped, document))


def _escaped(char: str) -> str:
    if char.isprintable() or char == "\n":
        return char
    return json.dumps(char)[1:-1] if char != "\x7f" else "\\u007f"


def schema() -> dict[str, Any]:
    """The JSON Schema of the report, with the kinds of this version as the values that `kind` may have."""
    text = files("friction_tui.report").joinpath("schema.json").read_text(encoding="utf-8")
    document = dict(json.loads(text))
    document["$defs"]["finding"]["properties"]["kind"]["enum"] = list(KINDS)
    return document


def text_of(finding: Finding) -> str:
    """Title, cause and evidence as one text."""
    parts = [finding.title.rstrip("."), finding.cause.rstrip("."), *finding.evidence]
    return ". ".join(part for part in parts if part) + "."


def model(verdict: ModelVerdict) -> dict[str, Any]:
    """One model as the schema has it."""
    told: dict[str, Any] = {
        "path": verdict.path,
        "findings": [finding_of(finding) for finding in verdict.findings],
        "seconds": round(verdict.seconds, 4),
        "guessed": list(verdict.guessed),
        "unchecked": list(verdict.unchecked),
    }
    if verdict.judged is not None:
        told["judged"] = _judged(verdict.judged)
    if verdict.engines:
        told["verdicts"] = [_engine(engine) for engine in verdict.engines]
    if verdict.builder:
        asked = {"answered": verdict.asked_builder, "note": verdict.builder, "kernels": verdict.kernels}
        told["builder"] = asked
    if verdict.unanswered:
        told["unanswered"] = list(verdict.unanswered)
    if verdict.build is not None:
        told["build"] = _build(verdict.build)
    if verdict.failure:
        told["failure"] = verdict.failure
    return told


def _judged(judged: Judged) -> dict[str, Any]:
    return {
        "opset": judged.opset,
        "target": judged.target,
        "precision": judged.precision,
        **({"builder": list(judged.builder)} if judged.builder else {}),
        "profiles": [
            {
                "ranges": {name: [r.min, r.opt, r.max] for name, r in profile.ranges.items()},
                "values": {name: [list(v.min), list(v.opt), list(v.max)] for name, v in profile.values.items()},
            }
            for profile in judged.profiles
        ],
        "engines": list(judged.engines),
    }


def _build(result: BuildResult) -> dict[str, Any]:
    return {
        "ok": result.ok,
        "engine": result.source,
        "seconds": round(result.seconds, 4),
        "bytes": result.engine_bytes,
        "activation": list(result.activation_bytes),
        "kernel_types": counts_of(result),
    }


def _engine(verdict: EngineVerdict) -> dict[str, Any]:
    said: dict[str, Any] = {"engine": f"{verdict.label} parser" if verdict.label else "", "python": verdict.python}
    if verdict.why_not:
        return said | {"asked": False, "why_not": verdict.why_not}
    return said | {"asked": True, "refused": [_location(location) for location in verdict.refused]}


def finding_of(finding: Finding) -> dict[str, Any]:
    """One finding as the schema has it."""
    return {
        "level": finding.severity.value,
        "kind": finding.kind,
        "tier": finding.tier.value,
        "text": text_of(finding),
        "title": finding.title,
        "cause": finding.cause,
        "evidence": list(finding.evidence),
        "nodes": list(finding.names),
        "places": [_location(location) for location in finding.locations],
        "fix": " Or: ".join(fix.text for fix in finding.fixes),
        "fixes": [fix.text for fix in finding.fixes],
        "fix_details": [fix_of(fix) for fix in finding.fixes],
        "source": finding.source,
        "also": list(finding.also),
        "engine": [{"source": words.source, "text": words.text} for words in finding.words],
        "provisional": finding.provisional,
    }


def _location(location: Location) -> dict[str, Any]:
    where: dict[str, Any] = {"kind": location.kind.value, "name": location.name}
    if location.op:
        where["op"] = location.op
    if location.node:
        where["path"] = location.node
    if location.source:
        where |= {"file": location.source.file, "line": location.source.line}
    return where
