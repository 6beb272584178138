"""Which panels are on screen, from the size of the terminal and what the user looks at."""

from __future__ import annotations

from collections.abc import Collection

PANELS = ("graph", "problems", "shapes", "build", "memory", "latency", "inspector")
"""In the order of the digits that switch to them."""
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


def shown(width: int, height: int, current: str, drawer: str, *, zoomed: bool = False) -> Collection[str]:
    """The panels to show. `current` always is; `drawer` is the one of `DRAWER` looked at last."""
    if zoomed or width < WIDE or height < LOW:
        return {current}
    above = {"graph", "problems", "inspector"}
    if height < TALL:
        return above if current in above else {current}
    return above | {"shapes"} | (set(DRAWER) if width >= VERY_WIDE else {drawer})
