"""Session codes: where a shared session is found, and the secret that opens it: `a7k2-m3n4p5q6r7s8t9v2`.

The first part names the socket, the second is the secret. Sockets lie in a directory that only this account can
enter; the secret protects it from other users of the account, and is not written to disk.
"""

from __future__ import annotations

import os
from dataclasses import dataclass
from pathlib import Path

import msgspec

from friction_tui.processes import private
from friction_tui.processes.private import ALPHABET, LONGEST_PATH

NAME_LENGTH, TOKEN_LENGTH = 4, 16
_ELSEWHERE = "Set XDG_RUNTIME_DIR to a directory of your own."


class BadSessionCode(Exception):
    """A directory or code that cannot be used: which, why, and what to do."""


@dataclass(frozen=True, slots=True)
class SessionCode:
    """What a viewer types: the socket and the secret."""

    socket: Path
    token: str

    def __str__(self) -> str:
        name = f"{self.socket.stem}-{self.token}"
        return name if self.socket.parent == runtime_dir() else str(self.socket.parent / name)


class Start(msgspec.Struct, frozen=True):
    """What a hub reads from its stdin: where to listen, and the worker's command (none for the usual one)."""

    socket: str
    token: str
    worker: tuple[str, ...] = ()
    watch_only: bool = False
    """Whether those who join may only watch; the first viewer may always edit."""


def runtime_dir() -> Path:
    """The directory of the sockets: under XDG_RUNTIME_DIR, else in the temporary directory under the user's number."""
    given = os.environ.get("XDG_RUNTIME_DIR")
    return Path(given) / "friction-tui" if given else private.temporary_dir()


def new_code() -> SessionCode:
    """A code for a session that begins now; its directory is made for this account only."""
    try:
        folder = private.made(runtime_dir())
    except private.NotPrivate as error:
        raise BadSessionCode(f"{error} {_ELSEWHERE}") from error
    private.sweep(folder)
    path = folder / f"{private.letters(NAME_LENGTH)}.sock"
    if len(os.fsencode(path)) > LONGEST_PATH:
        raise BadSessionCode(f"{path} is too long for a socket's path: set XDG_RUNTIME_DIR to a shorter one.")
    return SessionCode(path, private.letters(TOKEN_LENGTH))


def read_code(text: str) -> SessionCode:
    """What a viewer typed: a code, or a code behind the path of its directory."""
    folder, _, last = text.strip().rpartition("/")
    name, _, token = last.partition("-")
    if not name or not token or not set(name + token) <= set(ALPHABET):
        raise BadSessionCode(f"{text!r} is not the code of a shared session; a code looks like a7k2-m3n4p5q6r7s8t9v2")
    socket = (Path(folder) if folder else runtime_dir()) / f"{name}.sock"
    if not socket.exists():
        raise BadSessionCode(
            f"there is no shared session {name} in {socket.parent}: it is over, or belongs to another account or "
            "machine. Log in as the user who shares it; if XDG_RUNTIME_DIR is different there, put "
            "that directory before the code."
        )
    try:
        private.check(socket.parent)
    except private.NotPrivate as error:
        raise BadSessionCode(f"{error} {_ELSEWHERE}") from error
    return SessionCode(socket, token)
