"""The minimap strip beside the outline: where in the whole graph the problems are, two columns wide.

The left column shows errors, the right one warnings and what is unknown, each by braille of rising density
on a logarithmic scale: one error in ten thousand nodes must be seen, and a thousand must look like more.
"""

from __future__ import annotations

from collections import Counter
from itertools import pairwise

from friction_tui.drawing.glyphs import UNICODE, Glyphs
from friction_tui.drawing.marks import ProblemMark, Tally
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import Role, Segment


def minimap(outline: Outline, height: int, glyphs: Glyphs = UNICODE) -> list[list[Segment]]:
    """`height` lines of two columns for the visible rows from first to last, spread evenly.

    Where there are fewer rows than lines, a row is a line. O(height), or O(marks) while bodies are open.
    """
    return [
        [
            (_shade(tally.errors, glyphs), Role.MARK_ERROR),
            (
                _shade(tally.warnings or tally.unknown, glyphs),
                Role.MARK_WARNING if tally.warnings else Role.MARK_UNKNOWN,
            ),
        ]
        for tally in _tallies(outline, height)
    ]


def line_of_row(row: int, rows: int, height: int) -> int:
    """The line of the strip that stands for a row."""
    return row if rows <= height else row * height // rows


def row_of_line(line: int, rows: int, height: int) -> int:
    """The first row a line of the strip stands for."""
    return min(line, max(rows - 1, 0)) if rows <= height else -(-line * rows // height)


def _tallies(outline: Outline, height: int) -> list[Tally]:
    rows = outline.rows
    count = len(rows)
    if len(rows.frames) > 1:
        return _by_mark(outline, height)
    edges = [row if count <= height else row_of_line(row, count, height) for row in range(height + 1)]
    starts = [rows.first[row] if row < count else outline.graph.main for row in edges]
    return [outline.between(first, last) for first, last in pairwise(starts)]


def _by_mark(outline: Outline, height: int) -> list[Tally]:
    """One mark after the other: rows of open bodies are not in the order of positions."""
    lines: list[Counter[ProblemMark]] = [Counter() for _ in range(height)]
    for item, mark in outline.marks.items():
        row = outline.row_of(outline.graph.paths[item])
        if row is not None:
            lines[line_of_row(row, len(outline), height)][mark] += 1
    return [Tally(line[ProblemMark.ERROR], line[ProblemMark.WARNING], line[ProblemMark.UNKNOWN]) for line in lines]


def _shade(count: int, glyphs: Glyphs) -> str:
    """Denser for each doubling."""
    levels = glyphs.minimap
    return levels[min(count.bit_length(), len(levels) - 1)]
