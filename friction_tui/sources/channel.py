"""The export process's side of the pipe: events out on the real stdout, everybody else's prints to stderr."""

from __future__ import annotations

import os
import sys
import threading
import time

import msgspec

from friction_tui.finding import Finding
from friction_tui.sources.export_request import ExportEvent, Found, Log, Stage


class Channel:
    """Sends events and keeps the process's clock."""

    def __init__(self) -> None:
        """Claim stdout: fd 1 points at fd 2 from here on, since user code and native libraries print as they like."""
        self._started = time.monotonic()
        sys.stdout.flush()
        self._out = os.fdopen(os.dup(1), "wb")
        os.dup2(2, 1)
        self._encoder = msgspec.json.Encoder()

    @property
    def elapsed(self) -> float:
        """Seconds since the process took over its stdout."""
        return time.monotonic() - self._started

    def send(self, event: ExportEvent) -> None:
        """Send one event. When nobody reads any more the process has no reason to go on."""
        try:
            self._out.write(self._encoder.encode(event) + b"\n")
            self._out.flush()
        except BrokenPipeError:
            os._exit(1)

    def stage(self, name: str) -> None:
        """A stage begins."""
        self.send(Stage(name, self.elapsed))

    def log(self, level: str, text: str) -> None:
        """A line for the log view."""
        self.send(Log(level, text, self.elapsed))

    def found(self, *findings: Finding) -> None:
        """Report findings."""
        for finding in findings:
            self.send(Found(finding))


def end_with_parent(poll_s: float = 0.5) -> None:
    """End this process when the one that started it is gone, whatever the user's code is doing."""
    parent = os.getppid()

    def watch() -> None:
        while os.getppid() == parent:
            time.sleep(poll_s)
        os._exit(1)

    threading.Thread(target=watch, daemon=True).start()
