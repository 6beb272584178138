"""The panels of the workbench by name, and which of them a terminal of some size shows.

What a panel needs is imported when it is made: the first screen shows one.
"""

from __future__ import annotations

from importlib import import_module
from typing import cast

from friction_tui.ui.panel import Panel

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


TYPES = {
    "graph": ("graph.view", "GraphView"),
    "problems": ("problems.panel", "Problems"),
    "inspector": ("graph.inspector", "Inspector"),
    "source": ("source.panel", "SourcePanel"),
    "shapes": ("shapes.panel", "ShapesPanel"),
    "build": ("builds.panel", "BuildPanel"),
    "memory": ("measured.memory", "MemoryPanel"),
    "latency": ("measured.latency", "LatencyPanel"),
}
"""Module and class of each panel, in the order in which the grids of workbench.tcss take them."""
ORDER = tuple(TYPES)
HINTS = {
    "graph": ("Enter why", "Space fold", "G around", "E open all", "C fold all", "H hide shape-only nodes"),
    "problems": ("Enter why", "Space locations", "g group", "F filter"),
    "inspector": ("Enter go there or compute",),
    "source": ("← → other files", "/ search", "Enter go to the node"),
    "shapes": ("Enter edit", "+ - step", "Del drop"),
    "build": ("← → views", "/ search", "v levels", "s save"),
    "memory": ("← → dimension",),
    "latency": ("← → point", "s measure there"),
}
"""The keys that a panel has for itself, in a few words."""

assert set(TYPES) == set(PANELS)


def panel_type(name: str) -> type[Panel]:
    """The class of a panel."""
    module, kind = TYPES[name]
    return cast("type[Panel]", getattr(import_module(f"friction_tui.ui.{module}"), kind))


def made(name: str) -> Panel:
    """A new panel, not shown yet."""
    panel = panel_type(name)(id=name)
    panel.set_class(name in DRAWER, "drawer")
    panel.hints = HINTS[name]
    panel.display = False
    return panel
