"""A job's phases and log lines, gathered and sent a few times a second at most."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable

from friction_tui.vocabulary.protocol import JobKind, JobProgress, LogLevel, LogLine, Phase

INTERVAL = 0.1
"""Seconds between messages: TensorRT sends its log in bursts of thousands of lines."""


class Progress:
    """Collects from any thread; a background thread sends what is new. `close` sends the rest."""

    def __init__(self, job: int, kind: JobKind, send: Callable[[JobProgress], None]) -> None:
        self._job, self._kind, self._send = job, kind, send
        self._started = time.monotonic()
        self._phases: dict[str, Phase] = {}
        self._begun: dict[str, float] = {}
        self._lines: list[LogLine] = []
        self._changed = True
        self._lock = threading.Lock()
        self._over = threading.Event()
        self._thread = threading.Thread(target=self._run, name="progress", daemon=True)
        self._thread.start()

    @property
    def elapsed(self) -> float:
        """Seconds since the job began."""
        return time.monotonic() - self._started

    @property
    def phases(self) -> tuple[Phase, ...]:
        """The phases so far, in the order they began."""
        with self._lock:
            return tuple(self._phases.values())

    def begin(self, phase: str) -> None:
        """A phase starts."""
        with self._lock:
            self._begun[phase] = time.monotonic()
            self._phases[phase] = Phase(phase)
            self._changed = True

    def end(self, phase: str) -> None:
        """A phase is over; its seconds are fixed. Unknown phases are ignored."""
        with self._lock:
            if phase in self._begun:
                self._phases[phase] = Phase(phase, time.monotonic() - self._begun[phase])
                self._changed = True

    def log(self, level: str, text: str) -> None:
        """A log line, stamped now."""
        line = LogLine(LogLevel(level), text, self.elapsed)
        with self._lock:
            self._lines.append(line)

    def close(self) -> None:
        """Send what is left and stop."""
        self._over.set()
        self._thread.join()
        self._flush()

    def _run(self) -> None:
        while not self._over.wait(INTERVAL):
            self._flush()

    def _flush(self) -> None:
        with self._lock:
            if not self._lines and not self._changed:
                return
            lines, self._lines, self._changed = tuple(self._lines), [], False
            phases = tuple(self._phases.values())
        self._send(JobProgress(job=self._job, kind=self._kind, phases=phases, lines=lines, elapsed=self.elapsed))
