"""Locks that end with the process that holds them, however it ends: `flock`, which the kernel gives back.

A process id says less: it is given to another process later, and means nothing in another container.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import shutil
import tempfile
import weakref
from collections.abc import Iterator
from pathlib import Path

PREFIX = "friction_tui-"
"""What the names of temporary folders begin with."""


def take(path: Path, *, create: bool = True) -> int | None:
    """Lock a file, which is made if need be, or a folder; the descriptor that holds the lock.

    None where another process holds it. Raises OSError where it cannot be opened.
    """
    while True:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | (os.O_CREAT if create else 0)
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        if _same(descriptor, path):
            return descriptor
        os.close(descriptor)  # it was removed in between: the lock is on nothing


def held(path: Path) -> bool:
    """Whether a process holds the lock of this file."""
    try:
        descriptor = take(path, create=False)
    except OSError:
        return False
    if descriptor is None:
        return True
    os.close(descriptor)
    return False


def _same(descriptor: int, path: Path) -> bool:
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


@contextlib.contextmanager
def temporary_folder(what: str) -> Iterator[Path]:
    """A temporary folder that `sweep` leaves alone for as long as this process lives."""
    while True:
        folder = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{what}-"))
        try:
            descriptor = take(folder)
        except FileNotFoundError:
            descriptor = None
        if descriptor is not None:
            break  # otherwise a sweep was faster than the lock
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        os.close(descriptor)


_LASTING: list[weakref.finalize[..., object]] = []


def lasting_folder(owner: object, what: str) -> Path:
    """The same for as long as `owner` lives, or until `remove_lasting`."""
    held = contextlib.ExitStack()
    folder = held.enter_context(temporary_folder(what))
    _LASTING[:] = [one for one in _LASTING if one.alive]
    _LASTING.append(weakref.finalize(owner, held.close))
    return folder


def remove_lasting() -> None:
    """Remove what `lasting_folder` made: a process that ends by `os._exit` runs no finalizer."""
    for one in _LASTING:
        one()


def sweep() -> None:
    """Remove the temporary folders of processes that were killed before they could."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        with contextlib.suppress(OSError):
            descriptor = take(left, create=False) if left.stat().st_uid == os.getuid() else None
            if descriptor is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(descriptor)
