"""The columns of the shape editor: how wide they are, and what gives way where there is no room for all of it."""

from __future__ import annotations

from friction_tui.ui.look.lines import Span, cut, width_of
from friction_tui.ui.shapes.rows import Row
from friction_tui.vocabulary.recipe import POINTS

KEY_WIDTH = 16
"""Cells of the column of names, at most."""
CELL_WIDTH = 7
"""Cells of a size column, at least."""


def widths(made: list[Row], width: int) -> tuple[int, int]:
    """Cells of the names and of a size column, so that sizes and remarks fit beside each other if at all possible."""
    names = min(max((len(row.key) for row in made), default=4), KEY_WIDTH, max(width // 3, 6)) + 1
    longest = max((len(row.cell(point)) for row in made for point in POINTS), default=1)
    remark = max((width_of(_remark(row)) for row in made), default=0)
    wanted = min(max(longest + 2, CELL_WIDTH), (width - names - remark - 1) // 3)
    needed = min(longest + 1, (width - names) // 3)  # the sizes matter more than the remark, which gives way
    return names, max(wanted, needed, 5)


def remark_in(row: Row, room: int) -> tuple[Span, ...]:
    """The remark in so many cells; `?` where a guess has no room to be called one, the title counts them."""
    remark = _remark(row)
    if width_of(remark) <= room:
        return remark
    return (("?", "note"),) if row.guessed and room else tuple(cut(remark, room))


def _remark(row: Row) -> tuple[Span, ...]:
    if row.missing:
        return (("no such input", "warning"),)
    if row.fixed:
        return (("fixed", "muted"),)
    if row.overrides:
        return ((f"over {row.overrides}", "warning"),)
    return (("guessed", "note"),) if row.guessed else ()
