"""How a command ends that could not do what it is for, and files that could not be written."""

from __future__ import annotations

from pathlib import Path

import click

from friction_tui.drawing.width import visible
from friction_tui.files import write_whole


class CouldNotRun(click.ClickException):
    """The command did not come to an answer. Exit status 2: 1 says that the answer is a bad one."""

    exit_code = 2


def write(path: Path, content: bytes, what: str) -> None:
    """Write a file the user asked for; `what` it is stands in the message of CouldNotRun when that fails."""
    try:
        write_whole(path, content)
    except OSError as error:
        raise CouldNotRun(f"{what} was not written to {visible(str(path))}: {error.strerror}") from None


def writable(path: Path, what: str) -> None:
    """Find out before the work is done whether its result can be written to `path`. Raises CouldNotRun."""
    try:
        folder, parent = path.is_dir(), path.absolute().parent.is_dir()
        path.exists()
    except OSError as error:  # a name that is too long
        raise CouldNotRun(f"{what} cannot be written to {visible(str(path))}: {error.strerror}") from None
    if folder:
        raise CouldNotRun(f"{what} cannot be written to {path}: it is a folder; name a file in it")
    if not parent:
        raise CouldNotRun(f"{what} cannot be written to {path}: there is no folder {path.parent}")
