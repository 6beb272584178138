"""Putting one model to a worker for a command, consent included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence

import click

from friction_tui.protocol import Event, JobKind
from friction_tui.recipe import Recipe
from friction_tui.worker.headless import Answer, ask


def judged(
    recipe: Recipe,
    *,
    allow: bool,
    jobs: Sequence[JobKind] = (),
    on_event: Callable[[Event], None] = lambda _: None,
    on_finished: Callable[[Answer], None] = lambda _: None,
) -> Answer:
    """The worker's answer about one model; a failure to open it ends the command with status 2 and the reason.

    `on_finished` is called while the worker and its temporary files still exist.
    """
    answer = asyncio.run(ask(recipe, allow_code=allow, jobs=jobs, on_event=on_event, on_finished=on_finished))
    if not answer.could_run:
        raise click.ClickException(answer.failure)
    return answer
