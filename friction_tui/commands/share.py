"""`friction-tui share`, `join` and `replay`: one session on several screens, at once or later."""

from __future__ import annotations

import getpass
import importlib
from collections.abc import Sequence
from functools import partial
from pathlib import Path
from typing import Any

import click

from friction_tui.commands.failing import CouldNotRun
from friction_tui.sharing.joined import CannotJoin, Connection, join, start_hub, wait_for
from friction_tui.sharing.recording import BrokenRecording, Recorder, read
from friction_tui.sharing.session_code import BadSessionCode, read_code
from friction_tui.vocabulary.recipe import Recipe


def run_shared(
    recipe: Recipe | None,
    *,
    worker: Sequence[str] | None,
    watch_only: bool,
    name: str,
    record: Path | None,
    **look: Any,
) -> int:
    """Share a session and open the app on it."""
    try:
        hub, code = start_hub(worker, watch_only=watch_only)  # its worker starts while the app is imported
        importlib.import_module("friction_tui.ui.shared_app")
        wait_for(hub)
        connection = join(code, name or _login())
    except (BadSessionCode, CannotJoin) as error:
        raise CouldNotRun(str(error)) from None
    click.echo(f"shared; others type: friction-tui join {code}", err=True)
    return _run(connection, recipe, record, **look)


def run_joined(code: str, *, name: str, watch_only: bool, record: Path | None, **look: Any) -> int:
    """Open the app on a session that somebody shares."""
    try:
        connection = join(read_code(code), name or _login(), watch_only=watch_only)
    except (BadSessionCode, CannotJoin) as error:
        raise CouldNotRun(str(error)) from None
    return _run(connection, None, record, **look)


def _run(connection: Connection, recipe: Recipe | None, record: Path | None, **look: Any) -> int:
    from friction_tui.ui.app import run
    from friction_tui.ui.shared_app import SharedApp

    return run(SharedApp(connection, recipe, record=recorder(record, recipe), **look))


def run_recorded(recipe: Recipe | None, record: Path, *, worker: Sequence[str] | None, **look: Any) -> int:
    """Open the app as usual, and write down what passes."""
    from friction_tui.ui.app import FrictionApp, run
    from friction_tui.ui.live import LiveSession

    live = partial(LiveSession, worker=worker, record=recorder(record, recipe))
    return run(FrictionApp(recipe, live=live, **look))


def run_replay(file: Path, *, speed: float, **look: Any) -> int:
    """Open the app on a recording."""
    try:
        recording = read(file)
    except BrokenRecording as error:
        raise CouldNotRun(str(error)) from None
    from friction_tui.ui.app import run
    from friction_tui.ui.replay import ReplayApp

    return run(ReplayApp(recording, speed=speed, **look))


def recorder(record: Path | None, recipe: Recipe | None) -> Recorder | None:
    """What writes a session to `record`, None where nothing is to be written."""
    try:
        return Recorder(record, recipe.source.path if recipe else "") if record is not None else None
    except BrokenRecording as error:
        raise CouldNotRun(str(error)) from None


def _login() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # no such entry in the password file, as in some containers
        return "somebody"
