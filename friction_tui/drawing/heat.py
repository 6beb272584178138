"""The heat strip beside the outline: where in the whole graph the problems are, two columns wide.

The left column shows errors, the right one warnings and what is unknown, each by braille of rising density
on a logarithmic scale: one error in ten thousand nodes must be seen, and a thousand must look like more.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

from friction_tui.drawing.glyphs import UNICODE, Glyphs
from friction_tui.drawing.marks import Mark
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.text import Role, Segment


def heat(outline: Outline, height: int, glyphs: Glyphs = UNICODE) -> list[list[Segment]]:
    """`height` lines of two columns for the visible rows from first to last, spread evenly.

    Where there are fewer rows than lines, a row is a line. O(marked items + height).
    """
    cells = _cells(outline, height)
    return [
        [
            (_shade(errors, glyphs), Role.MARK_ERROR),
            (_shade(warnings or unknown, glyphs), Role.MARK_WARNING if warnings else Role.MARK_UNKNOWN),
        ]
        for errors, warnings, unknown in cells
    ]


def line_of_row(row: int, rows: int, height: int) -> int:
    """The line of the strip that stands for a row."""
    return row if rows <= height else row * height // rows


def row_of_line(line: int, rows: int, height: int) -> int:
    """The first row a line of the strip stands for."""
    return min(line, max(rows - 1, 0)) if rows <= height else -(-line * rows // height)


def _cells(outline: Outline, height: int) -> Sequence[tuple[int, int, int]]:
    counts = [[0, 0, 0] for _ in range(height)]
    column = {Mark.ERROR: 0, Mark.WARNING: 1, Mark.UNKNOWN: 2}
    for item, mark in outline.marks.items():
        row = outline.row_of(outline.graph.paths[item])
        if row is not None and height:
            counts[line_of_row(row, len(outline), height)][column[mark]] += 1
    return [(errors, warnings, unknown) for errors, warnings, unknown in counts]


def _shade(count: int, glyphs: Glyphs) -> str:
    """Denser for each doubling."""
    levels = glyphs.heat
    return levels[min(1 + int(math.log2(count)), len(levels) - 1) if count else 0]
