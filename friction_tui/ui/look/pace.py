"""How often charts and clocks are drawn again: less often over ssh, where every redraw goes down the line."""

from __future__ import annotations

import os

CHART_SECONDS = 0.5
SLOW_CHART_SECONDS = 1.0


def slow_line() -> bool:
    """Whether the terminal is at the other end of ssh."""
    return bool(os.environ.get("SSH_TTY"))


def chart_seconds() -> float:
    """Seconds between two drawings of one chart, and between two steps of a clock."""
    return SLOW_CHART_SECONDS if slow_line() else CHART_SECONDS
