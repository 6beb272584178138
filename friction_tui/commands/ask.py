"""Putting one model to a worker for a command, consent included."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import msgspec

from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.width import visible, visible_lines
from friction_tui.processes import child
from friction_tui.processes.begin import command
from friction_tui.processes.stdio import printable
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.protocol import Event
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.worker.headless import ask

LIMIT_S = 3600.0
"""Seconds that a question to a child may take."""


def answered(module: str, question: object, failed: str) -> bytes:
    """What the child that runs `module` writes to stdout when `question` is on its stdin.

    Raises CouldNotRun, which begins with `failed`.
    """
    try:
        encoded = msgspec.json.encode(question)
    except UnicodeEncodeError:
        raise CouldNotRun(f"{failed}: a name is not in the encoding of this system (UTF-8)") from None
    done = child.run(command(module), encoded, limit_s=LIMIT_S)
    if done.code != 0:
        raise CouldNotRun(f"{failed}: {visible(done.last_line)}")
    return done.out


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
