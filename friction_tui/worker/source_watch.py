"""Saying when the files a model came from are saved."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from friction_tui.sources.watch import changed, stamps
from friction_tui.vocabulary.protocol import SourceChanged

INTERVAL_S = 0.5
"""Between looks. A look is one stat a file, which also works on network file systems, where events do not."""


class SourceWatch:
    """Looks at `files()` while it is on. A file counts as saved, or as gone, when it stayed so for one interval."""

    def __init__(self, send: Callable[[SourceChanged], None], files: Callable[[], tuple[Path, ...]]) -> None:
        self._send, self._files = send, files
        self._on = threading.Event()
        self._thread: threading.Thread | None = None

    def set(self, on: bool) -> None:
        """Begin or stop watching."""
        if not on:
            self._on.clear()
            return
        self._on.set()
        if self._thread is None:
            self._thread = threading.Thread(target=self._run, name="source watch", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        pause = threading.Event()
        told = before = stamps(self._files())
        missed: set[Path] = set()
        while True:
            self._on.wait()
            pause.wait(INTERVAL_S)
            files = self._files()
            now = stamps(files)
            if set(now) - set(told):
                told = {**now, **{file: told[file] for file in told if file in now}}
            settled = {file: stamp for file, stamp in now.items() if before.get(file) == stamp}
            saved = changed({file: told[file] for file in settled}, settled)
            if saved:
                told = {**told, **{file: now[file] for file in saved}}
                self._send(SourceChanged(tuple(str(file) for file in saved)))
            gone = {file for file in files if file in told and file not in now and file not in before}
            if gone - missed:
                self._send(SourceChanged((), tuple(sorted(str(file) for file in gone - missed))))
            before, missed = now, gone
