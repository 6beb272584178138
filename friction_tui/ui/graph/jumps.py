"""Following a value from row to row, and the way back."""

from __future__ import annotations

from friction_tui.drawing.outline import Outline
from friction_tui.drawing.sheets import Sheets


class Jumps:
    """Where jumps began. Followed again at once, a jump goes to the next of several ends."""

    def __init__(self) -> None:
        self._begun: list[str] = []
        self._landed = ""
        self._turn = 0

    def follow(self, outline: Outline, sheets: Sheets, row: int, direction: int) -> int | None:
        """The row to go to: what `row` reads (-1), or what reads it (1). None when there is nothing."""
        here = _path(outline, row)
        again = bool(self._begun) and self._landed == here != self._begun[-1]
        origin = outline.row_of(self._begun[-1]) if again else row
        ends = _ends(sheets, origin, direction) if origin is not None else []
        if again and len(ends) < 2:
            again, ends = False, _ends(sheets, row, direction)
        if not ends:
            return None
        self._turn = self._turn + 1 if again else 0
        if not again:
            self._begun.append(here)
        target = ends[self._turn % len(ends)]
        self._landed = _path(outline, target)
        return target

    def back(self) -> str | None:
        """The path where the last jump began, which is forgotten then."""
        self._landed = ""
        return self._begun.pop() if self._begun else None


def _ends(sheets: Sheets, row: int, direction: int) -> list[int]:
    return sheets.sources(row) if direction < 0 else sheets.readers(row)


def _path(outline: Outline, row: int) -> str:
    return outline.graph.paths[outline.item(row)]
