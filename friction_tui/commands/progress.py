"""What a command is busy with, on stderr: one line written over on a terminal, a line for each stage elsewhere."""

from __future__ import annotations

import os
import threading
import time
from typing import TextIO

from friction_tui.drawing.width import visible_lines
from friction_tui.processes.stdio import printable
from friction_tui.vocabulary.protocol import EXPORT_JOB, Event, Exported, JobProgress

_EVERY_S = 0.5
"""How often the line on a terminal is written: its seconds show that the work goes on."""


class Progress:
    """The stages of `total` models; a context manager. `terminal` is whether `stream` is one that people look at."""

    def __init__(self, stream: TextIO, total: int, *, terminal: bool) -> None:
        self._stream, self._total, self._terminal = stream, total, terminal
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._done = 0
        self._stages: dict[int, tuple[str, str, float]] = {}
        self._ticking = threading.Thread(target=self._tick, name="progress", daemon=True)

    def __enter__(self) -> Progress:
        if self._terminal:
            self._ticking.start()
        return self

    def __exit__(self, *_error: object) -> None:
        self._over.set()
        if self._terminal:
            self._ticking.join()
            self._write("\r\x1b[K")

    def hear(self, number: int, path: str, event: Event) -> None:
        """An event of the worker about the model `path`, the `number`-th."""
        match event:
            case JobProgress(job=job, phases=phases) if job == EXPORT_JOB and phases and phases[-1].seconds is None:
                self._begin(number, path, phases[-1].name)
            case Exported(cancelled=False):
                self._begin(number, path, "judge" if event.onnx_path else "report")
            case _:
                pass

    def over(self, number: int) -> None:
        """A model is judged."""
        with self._lock:
            self._done += 1
            self._stages.pop(number, None)

    def begin(self, number: int, path: str) -> None:
        """A model is being looked at."""
        with self._lock:
            self._stages[number] = (path, "", time.monotonic())

    def _begin(self, number: int, path: str, stage: str) -> None:
        with self._lock:
            known = self._stages.get(number, (path, "", time.monotonic()))
            if known[1] == stage:
                return
            self._stages[number] = (path, stage, known[2])
        if not self._terminal:
            self._write(f"{_clean(path)}: {stage} (after {time.monotonic() - known[2]:.1f} s)\n")

    def _tick(self) -> None:
        while not self._over.wait(_EVERY_S):
            with self._lock:
                stages, done = list(self._stages.values()), self._done
            if stages:
                path, stage, since = stages[-1]
                counted = f"{done}/{self._total}  " if self._total > 1 else ""
                said = f"{counted}{_clean(path)}  {stage or 'open and judge'}  {time.monotonic() - since:.0f} s"
                self._write(f"\r\x1b[K{said[: _columns(self._stream)]}")

    def _write(self, text: str) -> None:
        self._stream.write(text)
        self._stream.flush()


def _columns(stream: TextIO) -> int:
    try:
        return max(20, os.get_terminal_size(stream.fileno()).columns - 1)
    except OSError:
        return 79


def _clean(path: str) -> str:
    return visible_lines(printable(path))
