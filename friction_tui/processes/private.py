"""Directories that only this account can enter, and the sockets in them."""

from __future__ import annotations

import os
import secrets
import socket
import stat
import tempfile
from pathlib import Path

ALPHABET = "23456789abcdefghjkmnpqrstvwxyz"
"""Without what is mistaken for something else when read aloud: 0 and o, 1, i and l, u and v. 16 letters are 78 bits."""
LONGEST_PATH = 100
"""Bytes of a socket's path that every platform takes (`sun_path` in unix(7): 108 on Linux, 104 on macOS)."""


class NotPrivate(Exception):
    """A directory that cannot be used: which, why, and what to do."""


def temporary_dir() -> Path:
    """The account's own directory among the temporary ones. It outlives a login, as XDG_RUNTIME_DIR does not."""
    return Path(tempfile.gettempdir()) / f"friction-tui.{os.getuid()}"


def made(folder: Path) -> Path:
    """The folder, made if need be. Raises NotPrivate when it cannot be, or is open to others."""
    try:
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
    except OSError as error:
        raise NotPrivate(f"{folder} cannot be made: {error.strerror}.") from error
    check(folder)
    return folder


def check(folder: Path) -> None:
    """Raise NotPrivate when another account could have put a file there, or could reach ours."""
    about = folder.lstat()
    if not stat.S_ISDIR(about.st_mode) or about.st_uid != os.getuid() or about.st_mode & 0o077:
        raise NotPrivate(f"{folder} is open to others: `chmod 700 {folder}`.")


def sweep(folder: Path) -> None:
    """Remove the sockets of processes that were killed before they could."""
    for left in folder.glob("*.sock"):
        with socket.socket(socket.AF_UNIX) as link:
            try:
                link.connect(str(left))
            except ConnectionRefusedError:
                left.unlink(missing_ok=True)
            except OSError:
                continue


def letters(count: int) -> str:
    """As many random letters, from a source fit for secrets."""
    return "".join(secrets.choice(ALPHABET) for _ in range(count))
