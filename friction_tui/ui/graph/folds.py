"""What of an outline is open, and what a row lies in."""

from __future__ import annotations

from friction_tui.drawing.outline import Outline
from friction_tui.drawing.rows import Kind

_HEADERS = (Kind.HEADER, Kind.REPEAT_HEADER, Kind.BODY)


def open_folds(outline: Outline) -> tuple[str, ...]:
    """For every open scope or body the path of its first item, which is enough to open it again."""
    rows = (row for row in range(len(outline)) if outline[row].kind in _HEADERS and outline.opens(row))
    return tuple(dict.fromkeys(outline.graph.paths[outline.item(row)] for row in rows))


def row_around(outline: Outline, row: int) -> int:
    """The row of the scope or body that `row` lies in; `row` itself at the top."""
    depth = outline[row].depth
    return next((above for above in range(row - 1, -1, -1) if outline[above].depth < depth), row)
