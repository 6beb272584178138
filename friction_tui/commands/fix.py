"""`friction-tui fix`: rewrites applied until no error is left that one of them mends, each verified."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import click
import msgspec

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun, writable
from friction_tui.drawing.width import visible
from friction_tui.kinds import KINDS, nearest
from friction_tui.report.as_json import escaped, finding_of
from friction_tui.report.difference import lines
from friction_tui.report.text import ansi, describe, plain
from friction_tui.report.verdict import bounded, bounded_line, shortened
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import CutParts, Event, JobKind, JobProgress, Mended, StartJob
from friction_tui.vocabulary.recipe import Recipe


def run(
    recipe: Recipe,
    output: Path | None,
    *,
    level: str,
    only: Sequence[str],
    form: str,
    script: Path | None,
    diff: bool,
    cut: bool,
    allow: bool,
) -> int:
    """Mend the model and write it: 0 no error remains, 1 some do, 2 it could not be judged, not in full, or written.

    `check` of what is written ends alike, with the same options.
    """
    if cut and output is None:
        raise click.UsageError("--cut writes the parts beside the fixed model: give -o too")
    unknown = next((kind for kind in only if kind not in KINDS), None)
    if unknown is not None:
        near = nearest(unknown)
        hint = f"; did you mean {near}?" if near else "; `friction-tui explain` lists them all"
        raise click.UsageError(f"--only: there is no kind {unknown!r}{hint}")
    if output is not None:
        writable(output, "the model")
    if script is not None:
        writable(script, "the script")
    live = sys.stderr.isatty()

    def on_event(event: Event) -> None:
        if isinstance(event, JobProgress) and event.kind is JobKind.FIX and live:
            for line in event.lines:
                click.echo(visible(line.text), err=True)

    def request(number: int, kind: JobKind) -> StartJob:
        path = str(output.resolve()) if output else ""
        beside = str(script.resolve()) if script else ""
        return StartJob(
            job=number, kind=kind, level=level, only=tuple(only), output=path, script=beside, diff=diff, cut=cut
        )

    answer = judged(recipe, allow=allow, jobs=(JobKind.FIX,), job_request=request, on_event=on_event)
    ended = answer.jobs.get(JobKind.FIX)
    if ended is None or ended.mended is None:
        raise CouldNotRun(answer.job_error or (ended.error if ended else "") or "the source gave no model to fix")
    mended = ended.mended
    as_json = escaped(json.dumps(bounded(document(mended)), indent=2, ensure_ascii=False))
    click.echo(as_json if form == "json" else "\n".join(map(bounded_line, _lines(mended))))
    if mended.unanswered:
        return 2
    return int(any(finding.severity is Severity.ERROR for finding in mended.findings))


def _lines(mended: Mended) -> Iterator[str]:
    paint = ansi if sys.stdout.isatty() else plain
    for number, step in enumerate(mended.steps, 1):
        yield f"{number}. {visible(step.problem)}"
        changes = f": {step.changes}" if step.changes else ""
        yield f"   {step.rewrite.name}: {step.what} ({step.exactness}{changes})"
        yield f"   {visible(step.verified)}"
    errors = [finding for finding in mended.findings if finding.severity is Severity.ERROR]
    if mended.verified:
        yield f"original and result: {visible(mended.verified)}"
    if not mended.steps:
        known = not errors and not mended.unanswered
        yield "Nothing to fix: no error was found." if known else "No fix applies."
    if mended.difference is not None:
        yield from lines(mended.difference)
    if mended.script:
        yield f"script {visible(mended.script)}: {visible(mended.scripted)}"
    if mended.saved:
        yield f"saved to {visible(mended.saved)}"
    if mended.cut is not None:
        yield from _parts(mended.cut)
    if errors:
        yield f"{len(errors)} {'error remains' if len(errors) == 1 else 'errors remain'}:"
        for finding in errors:
            yield from describe(shortened(finding), paint)
        for why in mended.refused:
            yield f"  tried, not kept: {visible(why)}"
    for question in mended.unanswered:
        yield f"no answer: {visible(question)}"


def _parts(cut: CutParts) -> Iterator[str]:
    if cut.why_not:
        yield f"not cut: {visible(cut.why_not)}"
        return
    second = (cut.middle, "ONNX Runtime") if cut.middle else ("", "")
    last = (cut.tail, "TensorRT" if cut.middle else "ONNX Runtime")
    files = [(file, engine) for file, engine in ((cut.head, "TensorRT"), second, last) if file]
    for (file, engine), nodes in zip(files, cut.nodes, strict=True):
        yield f"for {engine}: {visible(file)}, {nodes} node{'s' * (nodes != 1)}"
    size = f" ({cut.bytes:,} bytes at opt)" if cut.bytes else ""
    yield from map(visible, cut.built)
    yield f"cut at {', '.join(map(visible, cut.tensors)) or 'no tensor'}{size}"
    yield f"parts and original: {visible(cut.verified)}"
    yield f"run them with {visible(cut.runner)}"


def document(mended: Mended) -> dict[str, Any]:
    """What was mended, as `--format json` prints it."""
    steps: list[dict[str, Any]] = [
        {
            "kind": step.kind,
            "problem": step.problem,
            "rewrite": step.rewrite.name,
            "nodes": list(step.rewrite.nodes),
            "what": step.what,
            "exactness": step.exactness,
            "changes": step.changes,
            "verified": step.verified,
            "holds": step.holds,
        }
        for step in mended.steps
    ]
    told: dict[str, Any] = {
        "schema": 1,
        "steps": steps,
        "verified": mended.verified,
        "holds": mended.holds,
        "saved": mended.saved,
        "remaining": [finding_of(shortened(finding)) for finding in mended.findings],
        "not_kept": list(mended.refused),
        "unanswered": list(mended.unanswered),
    }
    if mended.script:
        told |= {"script": mended.script, "scripted": mended.scripted}
    if mended.cut is not None:
        told["cut"] = msgspec.to_builtins(mended.cut)
    if mended.difference is not None:
        told["diff"] = msgspec.to_builtins(mended.difference)
    return told
