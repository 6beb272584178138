"""The panels of the workbench by name. What a panel needs is imported when it is made: the first screen shows one."""

from __future__ import annotations

from importlib import import_module
from typing import cast

from friction_tui.ui.layout import DRAWER, PANELS
from friction_tui.ui.panel import Panel

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
    "problems": ("Enter why", "Space places", "g group", "F filter"),
    "inspector": ("Enter go there or compute",),
    "source": ("← → other files", "Enter go to the node"),
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
