"""The panels of the workbench by name, and which of them a terminal of some size shows.

What a panel needs is imported when it is made: the first screen shows one.
"""

from __future__ import annotations

from collections.abc import Mapping
from importlib import import_module
from typing import cast

from friction_tui.ui.panel import Panel

PANELS = ("graph", "problems", "shapes", "build", "memory", "latency", "inspector", "source")
"""In the order of the digits that switch to them."""
WHY = "why"
"""The panel that explains the chosen problem where there is room beside the list; elsewhere it is a screen."""
BESIDE = ("problems", "inspector", "source")
"""They share the place beside the graph: either the first two, or the source alone, which needs the width."""
DRAWER = ("build", "memory", "latency")
"""They share one place unless the terminal is very wide."""

WIDE = 100
"""Columns from which panels stand beside each other."""
VERY_WIDE = 160
"""Columns from which the whole drawer is open and the chosen problem is explained beside the list."""
ROOMY = 200
"""Columns from which problems and inspector need a smaller part of the width."""
TALL = 24
"""Rows from which the strip below the graph has room."""
LOW = 12
"""Rows under which one panel is all that is useful."""

CHARTS = ("memory", "latency")
"""In the drawer they take the place of the shapes too, and more of the height, while one looks at them."""

ARRANGEMENTS = ("single", "low", "wide", "charts", "very-wide")
"""Names of the grids in workbench.tcss."""


STRIP = {"wide": 35, "very-wide": 40}
"""Percent of the height that the panels below the graph take at most."""
ROW_STEP = 3
"""Rows by which a panel grows."""
LEAST = {"problems": 6, "shapes": 6, "build": 7}
"""Rows of a panel that holds nothing yet, its border included."""
CHART_ROWS = 14
"""Rows that a chart needs to be read."""


def arrangement(width: int, height: int, *, zoomed: bool = False) -> str:
    """Which of `ARRANGEMENTS` suits a terminal of this size."""
    if zoomed or width < WIDE or height < LOW:
        return "single"
    if height < TALL:
        return "low"
    return "very-wide" if width >= VERY_WIDE else "wide"


def shown(
    arranged: str, current: str, drawer: str, beside: str = BESIDE[0], *, explained: bool = False
) -> tuple[str, set[str]]:
    """The panels to show, and the arrangement they end up in.

    `explained` says that there is a problem to explain. `current` always is shown; `drawer` is the one of `DRAWER`
    looked at last, `beside` that of `BESIDE`. A panel for which a low terminal has no room beside the others gets it
    all.
    """
    above = {"graph", "source"} if beside == "source" else {"graph", "problems", "inspector"}
    if arranged == "single" or (arranged == "low" and current not in above):
        return "single", {current}
    if arranged == "low":
        return arranged, above
    if arranged == "wide" and current in CHARTS:
        return "charts", above | {current}
    if arranged == "very-wide":
        return arranged, above | {"shapes", *DRAWER} | ({WHY} if explained and beside != "source" else set())
    return arranged, above | {"shapes", drawer}


def row_heights(arranged: str, height: int, holds: Mapping[str, int], drawer: str) -> str:
    """The heights of the grid's rows, as Textual's `grid-rows` takes them; "" where the stylesheet says them.

    `holds` are the rows that each panel needs for what it holds, `height` those of the whole grid.
    """
    most = height * STRIP[arranged] // 100 if arranged in STRIP else 0
    if arranged == "wide":
        strip = min(max(_rows(holds, "shapes"), _rows(holds, drawer)), most)
        return f"1fr 1fr 1fr {strip}"
    if arranged == "very-wide":
        shapes = min(_rows(holds, "shapes"), most - LEAST["build"])
        build = max(min(_rows(holds, "build"), most - shapes), CHART_ROWS - shapes)
        problems = min(_rows(holds, "problems"), (height - shapes - build) * 2 // 3)
        return f"{problems} 1fr {shapes} {build}"
    return ""


def _rows(holds: Mapping[str, int], name: str) -> int:
    """What a panel needs in whole steps, so that not every new line lays out the screen."""
    return max(-(-holds.get(name, 0) // ROW_STEP) * ROW_STEP, LEAST.get(name, 0))


TYPES = {
    "graph": ("graph.view", "GraphView"),
    "problems": ("problems.panel", "Problems"),
    "why": ("problems.why", "WhyBeside"),
    "inspector": ("graph.inspector", "Inspector"),
    "source": ("source.panel", "SourcePanel"),
    "shapes": ("shapes.panel", "ShapesPanel"),
    "memory": ("measured.memory", "MemoryPanel"),
    "latency": ("measured.latency", "LatencyPanel"),
    "build": ("builds.panel", "BuildPanel"),
}
"""Module and class of each panel, in the order in which the grids of workbench.tcss take them."""
ORDER = tuple(TYPES)
HINTS = {
    "graph": ("Enter why", "Space fold", "G around", "E open all", "C fold all", "H hide shape-only nodes"),
    "problems": ("Enter why", "Space locations", "g group", "F filter"),
    "inspector": ("Enter go there or compute",),
    "why": ("Enter go there", "v engine's message", "a about this kind"),
    "source": ("← → other files", "/ search", "Enter go to the node"),
    "shapes": ("Enter edit", "+ - step", "Del drop"),
    "build": ("← → views", "/ search", "v levels", "s save"),
    "memory": ("← → dimension",),
    "latency": ("← → point", "s measure there"),
}
"""The keys that a panel has for itself, in a few words."""

assert set(TYPES) == {*PANELS, WHY}


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
