"""Putting one model to a worker for a command, consent included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible_lines
from friction_tui.processes.stdio import printable
from friction_tui.vocabulary.protocol import Event
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.worker.headless import Answer, ask


def judged(
    recipe: Recipe,
    *,
    allow: bool,
    on_event: Callable[[Event], None] = lambda _: None,
    **asked: Any,
) -> Answer:
    """The worker's answer about one model; a failure to open it ends the command with status 2 and the reason.

    `asked` are the jobs and whatever else `headless.ask` takes.
    """
    answer = asyncio.run(ask(recipe, allow_code=allow, on_event=on_event, **asked))
    if not answer.could_run:
        raise CouldNotRun(visible_lines(printable(answer.failure)))
    return answer
