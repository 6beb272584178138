"""`friction-tui report`: one HTML file about one model, to attach to an issue or to read in a browser."""

from __future__ import annotations

import asyncio
from pathlib import Path

import click

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun, writable, write
from friction_tui.drawing.width import visible_lines
from friction_tui.kinds import file
from friction_tui.processes.stdio import printable
from friction_tui.report import as_html
from friction_tui.vocabulary.protocol import Forecast, JobKind
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.worker.headless import forecast


def run(recipe: Recipe, output: Path, *, build: bool, measure: bool, anonymise: bool, allow: bool) -> int:
    """Write the report; 0 when it was written, whatever was found."""
    writable(output, "the report")
    jobs = (*((JobKind.BUILD,) if build else ()), *((JobKind.MEASURE,) if measure else ()))
    answer = judged(recipe, allow=allow, jobs=jobs)
    missing = next((finding for finding in answer.findings if finding.kind == file.MISSING.id), None)
    if missing is not None:
        raise CouldNotRun(visible_lines(printable(f"there is nothing to report on: {missing.cause}")))
    _, predicted = asyncio.run(forecast(recipe, lambda _: Forecast(), allow_code=allow))
    page = as_html.report(
        as_html.of_answer(answer, predicted.forecast if predicted else None),
        anonymise=anonymise,
    )
    write(output, page.encode(), "the report")
    click.echo(f"written to {output}: {len(page.encode()):,} bytes; open it in a browser")
    return 0
