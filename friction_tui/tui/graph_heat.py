"""The heat strip at the graph's right edge: where in the whole model the problems are, and where one looks."""

from __future__ import annotations

import math

from friction_tui.drawing.glyphs import UNICODE
from friction_tui.drawing.outline import Outline
from friction_tui.tui.lines import Span

HEAT_COLUMNS = 2


class HeatStrip:
    """One cell per line of the panel; each stands for an equal part of the visible rows."""

    def __init__(self) -> None:
        self.glyphs = UNICODE
        self._outline: Outline | None = None
        self._cells: list[Span] = []
        self._for: tuple[int, int] = (-1, -1)

    def take(self, outline: Outline) -> None:
        """Show another outline."""
        self._outline = outline
        self.outdate()

    def outdate(self) -> None:
        """The marks or rows changed."""
        self._for = (-1, -1)

    def spans(self, y: int, height: int) -> list[Span]:
        """The strip's cells in line `y` of `height`."""
        outline = self._outline
        if outline is None:
            return []
        if self._for != (outline.version, height):
            self._cells = _cells(outline, height, self.glyphs.heat)
            self._for = (outline.version, height)
        return [(" ", "gutter"), self._cells[y] if y < len(self._cells) else (" ", "gutter")]


def _cells(outline: Outline, height: int, steps: tuple[str, ...]) -> list[Span]:
    rows = len(outline)
    cells: list[Span] = []
    for y in range(height):
        first, last = y * rows // height, max((y + 1) * rows // height, y * rows // height + 1)
        errors = warnings = unknown = 0
        for row in range(first, min(last, rows)):
            tally = outline.tally(row)
            errors, warnings, unknown = errors + tally.errors, warnings + tally.warnings, unknown + tally.unknown
        total = errors + warnings + unknown
        level = min(len(steps) - 1, math.ceil(2 * math.log2(total + 1))) if total else 0
        cells.append((steps[level], "error" if errors else "warning" if warnings else "note"))
    return cells
