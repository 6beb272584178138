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


def take(path: Path, *, create: bool = True, shared: bool = False) -> int | None:
    """Lock a file, which is made if need be, or a folder; the descriptor that holds the lock.

    Several processes may hold a `shared` lock. None where another process holds it. Raises OSError where it cannot be
    opened.
    """
    while True:
        flags = os.O_RDONLY if path.is_dir() else os.O_RDWR | (os.O_CREAT if create else 0)
        descriptor = os.open(path, flags | os.O_CLOEXEC, 0o600)
        try:
            fcntl.flock(descriptor, (fcntl.LOCK_SH if shared else fcntl.LOCK_EX) | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(descriptor)
            return None
        except OSError:
            os.close(descriptor)
            raise
        if _same(descriptor, path):
            return descriptor
        os.close(descriptor)  # it was removed in between: the lock is on nothing


def share(descriptor: int) -> None:
    """Let others hold the lock too, each of them shared."""
    fcntl.flock(descriptor, fcntl.LOCK_SH | fcntl.LOCK_NB)


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


_OPEN: list[weakref.finalize[[Path, int], TemporaryFolder]] = []
"""What removes the temporary folders of this process."""


class TemporaryFolder:
    """A temporary folder that `sweep` leaves alone for as long as this process lives.

    It is removed by `close`, or once nothing refers to this object any more.
    """

    def __init__(self, what: str) -> None:
        descriptor = None
        while descriptor is None:  # otherwise a sweep was faster than the lock
            self.path = Path(tempfile.mkdtemp(prefix=f"{PREFIX}{what}-"))
            with contextlib.suppress(FileNotFoundError):
                descriptor = take(self.path)
        self.close = weakref.finalize(self, _remove, self.path, descriptor)
        _OPEN[:] = [*(close for close in _OPEN if close.alive), self.close]


def _remove(folder: Path, descriptor: int) -> None:
    shutil.rmtree(folder, ignore_errors=True)
    os.close(descriptor)


@contextlib.contextmanager
def temporary_folder(what: str) -> Iterator[Path]:
    """A `TemporaryFolder` for the length of a block."""
    folder = TemporaryFolder(what)
    try:
        yield folder.path
    finally:
        folder.close()


def remove_lasting() -> None:
    """Remove every `TemporaryFolder` there is: a process that ends by `os._exit` runs no finalizer."""
    for close in list(_OPEN):
        close()


def sweep() -> None:
    """Remove the temporary folders of processes that were killed before they could."""
    for left in Path(tempfile.gettempdir()).glob(f"{PREFIX}*-*"):
        with contextlib.suppress(OSError):
            descriptor = take(left, create=False) if left.stat().st_uid == os.getuid() else None
            if descriptor is not None:
                shutil.rmtree(left, ignore_errors=True)
                os.close(descriptor)
