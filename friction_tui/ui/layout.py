"""Which panels are on screen, from the size of the terminal and what the user looks at."""

from __future__ import annotations

PANELS = ("graph", "problems", "shapes", "build", "memory", "latency", "inspector", "source")
"""In the order of the digits that switch to them."""
BESIDE = ("problems", "inspector", "source")
"""They share the place beside the graph: either the first two, or the source alone, which needs the width."""
DRAWER = ("build", "memory", "latency")
"""They share one place unless the terminal is very wide."""

WIDE = 100
"""Columns from which panels stand beside each other."""
VERY_WIDE = 170
"""Columns from which the whole drawer is open."""
TALL = 24
"""Rows from which the strip below the graph has room."""
LOW = 12
"""Rows under which one panel is all that is useful."""

CHARTS = ("memory", "latency")
"""In the drawer they take the place of the shapes too, and more of the height, while one looks at them."""

ARRANGEMENTS = ("single", "low", "wide", "charts", "very-wide")
"""Names of the grids in workbench.tcss."""


def arrangement(width: int, height: int, *, zoomed: bool = False) -> str:
    """Which of `ARRANGEMENTS` suits a terminal of this size."""
    if zoomed or width < WIDE or height < LOW:
        return "single"
    if height < TALL:
        return "low"
    return "very-wide" if width >= VERY_WIDE else "wide"


def shown(arranged: str, current: str, drawer: str, beside: str = BESIDE[0]) -> tuple[str, set[str]]:
    """The panels to show, and the arrangement they end up in.

    `current` always is shown; `drawer` is the one of `DRAWER` looked at last, `beside` that of `BESIDE`. A panel for
    which a low terminal has no room beside the others gets it all.
    """
    above = {"graph", "source"} if beside == "source" else {"graph", "problems", "inspector"}
    if arranged == "single" or (arranged == "low" and current not in above):
        return "single", {current}
    if arranged == "low":
        return arranged, above
    if arranged == "wide" and current in CHARTS:
        return "charts", above | {current}
    return arranged, above | {"shapes"} | (set(DRAWER) if arranged == "very-wide" else {drawer})
