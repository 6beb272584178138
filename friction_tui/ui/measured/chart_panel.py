"""A panel with charts: what comes in steadily is drawn steadily, what the user did at once."""

from __future__ import annotations

import time
from typing import ClassVar

from textual.timer import Timer

from friction_tui.state.app_state import AppState
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.pace import chart_seconds
from friction_tui.ui.panel import differs


class ChartPanel(LinesPanel):
    """Draws no more often than `chart_seconds` for the fields in `STEADY`."""

    STEADY: ClassVar[frozenset[str]] = frozenset({"gpu", "jobs"})

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self._drawn = 0.0
        self._due: Timer | None = None

    def state_changed(self, before: AppState) -> None:
        """Draw now, or when it is time again."""
        began_or_ended = [(j.number, j.running) for j in before.jobs] != [
            (j.number, j.running) for j in self.state.jobs
        ]
        wait = self._drawn + chart_seconds() - time.monotonic()
        if began_or_ended or wait <= 0 or differs(before, self.state, self.READS - self.STEADY):
            self._draw()
        elif self._due is None:
            self._due = self.set_timer(wait, self._draw)

    def _draw(self) -> None:
        if self._due is not None:
            self._due.stop()
            self._due = None
        self._drawn = time.monotonic()
        self.rebuild()
