"""Writes the session while one works: after every edit, in a thread, so that a slow disk delays no key."""

from __future__ import annotations

import contextlib
import errno
import os
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec

from friction_tui.processes import locks
from friction_tui.ui import sessions
from friction_tui.ui.sessions import SavedSession
from friction_tui.vocabulary.recipe import History


class Autosave:
    """The file of the running session, locked as long as it is written to. Made at the first write.

    `path` continues a session that was saved before; one that another app has open is continued in a new file.
    `failed` hears from the thread why a write failed.
    """

    def __init__(self, failed: Callable[[str], None], path: Path | None = None) -> None:
        self._failed = failed
        self._path, self._lock = path, None if path is None else locked(path)
        if self._lock is None:
            self._path = None
        self._newest: SavedSession | None = None
        self._writing = False
        self._changed = threading.Condition()
        self._closed = False

    @property
    def path(self) -> Path | None:
        """Where the session is written, None before the first write."""
        return self._path

    def put(self, session: SavedSession) -> None:
        """Write this soon; a newer one that comes before that is written instead."""
        with self._changed:
            self._newest = session
            if not self._writing and not self._closed:
                self._writing = True
                threading.Thread(target=self._write_all, name="autosave", daemon=True).start()

    def write(self, session: SavedSession) -> Path:
        """Write this now. OSError where that fails."""
        with self._changed:
            self._newest = None
            self._changed.wait_for(lambda: not self._writing)
        path = self._write(session)
        sessions.forget_oldest(session.recipe)
        return path

    def close(self) -> None:
        """Write what waits, and let others have the file."""
        with self._changed:
            self._changed.wait_for(lambda: not self._writing)
            self._closed = True
        if self._lock is not None and self._path is not None:
            with contextlib.suppress(OSError):
                sessions.lock_file(self._path).unlink(missing_ok=True)
            os.close(self._lock)
            self._lock = None

    def _write_all(self) -> None:
        while True:
            with self._changed:
                session, self._newest = self._newest, None
                if session is None:
                    self._writing = False
                    self._changed.notify_all()
                    return
            try:
                self._write(session)
            except OSError as error:
                self._failed(str(error))

    def _write(self, session: SavedSession) -> Path:
        while self._path is None:
            path = sessions.free_file(session.recipe)
            path.parent.mkdir(parents=True, exist_ok=True)
            try:
                self._lock = locks.take(sessions.lock_file(path))
            except OSError as error:
                if error.errno not in (errno.ENOLCK, errno.ENOTSUP):  # a file system without locks
                    raise
                self._path = path
            if self._lock is not None:
                self._path = path
            if self._path is not None:
                path.touch()
        return sessions.save(session, self._path)


def locked(path: Path) -> int | None:
    """The lock of a session file, None where another app has it or the folder cannot be written."""
    try:
        return locks.take(sessions.lock_file(path))
    except OSError:
        return None


def session_of(history: History, *, folds: tuple[str, ...], cursor: str, panel: str, running: bool) -> SavedSession:
    """What is to be written of a running session."""
    return msgspec.structs.replace(
        sessions.new(history.present, folds, cursor, panel),
        running=running,
        past=tuple(sessions.Step(sessions.found_again(recipe)) for recipe in history.past),
        future=tuple(sessions.Step(sessions.found_again(recipe)) for recipe in history.future),
    )


def edits_between(before: History | None, now: History) -> int:
    """How many edits, undone ones included, lead from one history to another; from its beginning without one."""
    then, here = ((*before.past, before.present) if before else ()), (*now.past, now.present)
    if before is None:
        return len(now.past)
    common = next((i for i, (a, b) in enumerate(zip(then, here, strict=False)) if a != b), min(len(then), len(here)))
    return len(then) - common + len(here) - common
