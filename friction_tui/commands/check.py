"""`friction-tui check`: every model judged, one report, one exit status."""

from __future__ import annotations

import asyncio
import datetime
import os
import sys
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import click

from friction_tui.commands import checking
from friction_tui.commands.agreements import under
from friction_tui.commands.failing import write
from friction_tui.commands.progress import Progress
from friction_tui.environments import also
from friction_tui.friction_toml import RecipeFileError, with_file
from friction_tui.report import answered, text
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.protocol import JobKind, StartJob
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.recipe.text import ProfileRuleError, RecipeTextError
from friction_tui.worker.client import Process
from friction_tui.worker.headless import ask_all

BUILD_LIMIT_S = 3600.0
"""Seconds a build in a check may take where nobody chose a limit."""


def run(
    models: Sequence[str],
    options: Mapping[str, Any],
    recipe_of: Callable[[str, Mapping[str, Any]], Recipe],
    early: Process | None = None,
) -> int:
    """Judge `models`, print the report, return the exit status. `early` is a worker that was started already."""
    try:
        paths = checking.expand(models)
        baseline = checking.read_baseline(options["baseline"]) if options["baseline"] else frozenset()
    except (checking.NothingToCheckError, ValueError) as error:
        raise click.UsageError(str(error)) from None
    missing = next((python for python in options["also"] if not Path(python).exists()), None)
    if missing is not None:
        raise click.UsageError(f"--also: there is no {missing}; name an environment or its interpreter")
    verdicts = _verdicts(paths, options, recipe_of, early)
    if options["write_baseline"]:
        known = checking.as_baseline(verdicts)
        write(options["write_baseline"], known, "the baseline")
        count = sum(len(verdict.findings) for verdict in verdicts)
        click.echo(f"{options['write_baseline']}: {count} findings are known from now on", err=True)
    verdicts = [checking.only_new(verdict, baseline) for verdict in verdicts] if baseline else verdicts
    counted = checking.fail_on(options["fail_on"])
    _write(_report(options["form"], verdicts, counted, to_file=options["output"] is not None), options["output"])
    return checking.exit_code(verdicts, counted)


def _verdicts(
    paths: Sequence[str],
    options: Mapping[str, Any],
    recipe_of: Callable[[str, Mapping[str, Any]], Recipe],
    early: Process | None,
) -> list[ModelVerdict]:
    try:
        agreed = [with_file(recipe_of(path, options)) for path in paths]
    except ProfileRuleError as error:
        return [checking.refused_profile(path, str(error)) for path in paths]
    except (RecipeTextError, RecipeFileError) as error:
        raise click.UsageError(str(error)) from None
    recipes = [recipe for recipe, _ in agreed]
    terminal = sys.stderr.isatty() and not os.environ.get("CI")
    names = [answered.name_of(recipe) for recipe in recipes]

    with Progress(sys.stderr, len(paths), terminal=terminal) as progress:
        answers = asyncio.run(
            ask_all(
                recipes,
                parallel=options["jobs"],
                allow_code=options["allow_code"],
                jobs=(JobKind.BUILD,) if options["build"] else (),
                job_request=lambda number, kind: StartJob(job=number, kind=kind, limit_s=BUILD_LIMIT_S),
                also=[also(recipe, options["also"], allow_code=options["allow_code"]) for recipe in recipes],
                on_begin=lambda number: progress.begin(number, names[number]),
                on_event=lambda number, event: progress.hear(number, names[number], event),
                on_answer=lambda number, _: progress.over(number),
                limit_s=options["timeout"],
                early=early,
            )
        )
    today = datetime.datetime.now().astimezone().date()
    return under([answered.verdict_of(answer) for answer in answers], [held for _, held in agreed], today)


def _report(form: str, verdicts: Sequence[ModelVerdict], counted: frozenset[Any], *, to_file: bool) -> str:
    match form:
        case "json":
            from friction_tui.report import as_json

            return as_json.report(verdicts)
        case "sarif":
            from friction_tui.report import as_sarif

            return as_sarif.report(verdicts)
        case "junit":
            from friction_tui.report import as_junit

            return as_junit.report(verdicts, counted)
        case "markdown":
            from friction_tui.report import as_markdown

            return as_markdown.report(verdicts)
        case "github":
            from friction_tui.report import as_github

            return as_github.report(verdicts)
    coloured = sys.stdout.isatty() and not to_file and not os.environ.get("NO_COLOR")
    return text.report(verdicts, paint=text.ansi if coloured else text.plain)


def _write(report: str, output: Path | None) -> None:
    if output is None:
        sys.stdout.write(report)
    else:
        write(output, report.encode(), "the report")
