"""The export process's side of the pipe: events out on the real stdout, everybody else's prints to stderr."""

from __future__ import annotations

import time

from friction_tui.processes.stdio import LineWriter, take_stdout
from friction_tui.sources.export_request import ExportEvent, Found, Log, Stage
from friction_tui.sources.failure import plain
from friction_tui.vocabulary.finding import Finding


class Channel:
    """Sends events and keeps the process's clock."""

    def __init__(self) -> None:
        """Claim stdout: what user code and native libraries print goes to stderr from here on."""
        self._started = time.monotonic()
        self._write = LineWriter(take_stdout())

    @property
    def elapsed(self) -> float:
        """Seconds since the process took over its stdout."""
        return time.monotonic() - self._started

    def send(self, event: ExportEvent) -> None:
        """Send one event."""
        self._write(event)

    def stage(self, name: str, limit: float = 0.0) -> None:
        """A stage begins, which may take `limit` seconds (0: as long as the export may)."""
        self.send(Stage(name, self.elapsed, limit))

    def log(self, level: str, text: str) -> None:
        """A line for the log view."""
        self.send(Log(level, plain(text), self.elapsed))

    def found(self, *findings: Finding) -> None:
        """Report findings. One that was reported before is replaced by another of its kind, title and places."""
        for finding in findings:
            self.send(Found(finding))
