"""`friction-tui precision`: which nodes must stay float32, found by trying."""

from __future__ import annotations

import sys
from pathlib import Path

import click
import msgspec

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible
from friction_tui.friction_toml import from_recipe, of_model, save
from friction_tui.report.precision import summary, table
from friction_tui.vocabulary.protocol import Event, JobKind, JobProgress, PrecisionResult, StartJob
from friction_tui.vocabulary.recipe import Precision, Recipe


def run(recipe: Recipe, tolerance: float, data: str, *, write: bool, allow: bool) -> int:
    """Search, print the table, and with `write` keep the result in friction.toml; 0 when it was found."""
    live = sys.stderr.isatty()

    def on_event(event: Event) -> None:
        if live and isinstance(event, JobProgress) and event.lines:
            click.echo(f"\r\x1b[K{visible(event.lines[-1].text)}  {event.elapsed:.1f} s", nl=False, err=True)

    def request(number: int, kind: JobKind) -> StartJob:
        return StartJob(job=number, kind=kind, tolerance=tolerance, data=str(Path(data).absolute()) if data else "")

    answer = judged(recipe, allow=allow, jobs=(JobKind.PRECISION,), job_request=request, on_event=on_event)
    if live:
        click.echo("\r\x1b[K", nl=False, err=True)
    ended = answer.jobs.get(JobKind.PRECISION)
    if ended is None or ended.precision is None:
        raise CouldNotRun(answer.job_error or "the search did not start")
    for line in (*summary(ended.precision), *table(ended.precision)):
        click.echo(visible(line))
    if write:
        click.echo(f"written to {_write(recipe, ended.precision)}")
    return 0


def _write(recipe: Recipe, found: PrecisionResult) -> Path:
    """Put precision and nodes into the model's friction.toml, whatever else is in it staying as it is."""
    path, held = of_model(Path(recipe.source.path))
    held = held or from_recipe(recipe)
    names = tuple(dict.fromkeys(node.name for node in found.kept))
    return save(msgspec.structs.replace(held, precision=Precision(found.precision), keep_float32=names), path)
