"""`friction-tui reduce`: the smallest part of a model that fails as the whole does, to look at or to report."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from pathlib import Path

import click
import msgspec

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun, writable
from friction_tui.drawing.width import visible
from friction_tui.report.text import ansi, describe, plain
from friction_tui.report.verdict import bounded_line
from friction_tui.vocabulary.protocol import Event, JobKind, JobProgress, Reduction, StartJob
from friction_tui.vocabulary.recipe import Recipe

_SHOWN = 12


def run(recipe: Recipe, output: Path | None, limit_s: float, *, allow: bool) -> int:
    """Reduce the model and write the part; 0 one was found. Raises CouldNotRun (status 2) when nothing fails.

    A build that takes longer than `limit_s` seconds counts as one that hangs.
    """
    if output is not None:
        writable(output, "the part")
    live = sys.stderr.isatty()

    def on_event(event: Event) -> None:
        if live and isinstance(event, JobProgress) and event.kind is JobKind.REDUCE:
            for line in event.lines:
                click.echo(f"\r\x1b[K{visible(line.text)}", nl=False, err=True)

    def request(number: int, kind: JobKind) -> StartJob:
        return StartJob(job=number, kind=kind, output=str(output.resolve()) if output else "", limit_s=limit_s)

    # Parser and builder are asked by the search itself, the whole verdict is not waited for.
    recipe = msgspec.structs.replace(recipe, parse=False)
    answer = judged(recipe, allow=allow, jobs=(JobKind.REDUCE,), job_request=request, on_event=on_event)
    if live:
        click.echo("\r\x1b[K", nl=False, err=True)
    ended = answer.jobs.get(JobKind.REDUCE)
    if ended is None or ended.reduced is None:
        raise CouldNotRun(answer.job_error or "the source gave no model to reduce")
    for line in _lines(ended.reduced, ended.seconds):
        click.echo(bounded_line(line))
    return 0


def _lines(found: Reduction, seconds: float) -> Iterator[str]:
    paint = ansi if sys.stdout.isatty() else plain
    tried = "runs" if found.said else "builds"
    yield f"{found.total:,} nodes → {len(found.nodes):,}, {found.builds} {tried} in {seconds:.1f} s"
    yield from (f"  {visible(node)}" for node in found.nodes[:_SHOWN])
    if len(found.nodes) > _SHOWN:
        yield f"  and {len(found.nodes) - _SHOWN} more"
    if not found.complete:
        yield "Time ran out: a smaller part may fail too."
    for finding in found.findings:
        yield from describe(finding, paint)
    if found.said:
        yield f"{visible(found.source)} fails to run it: {visible(found.said)}"
    if found.saved:
        yield f"saved to {visible(found.saved)}"
    if found.inputs:
        yield f"its inputs saved to {visible(found.inputs)}"
