"""Moving through an outline: open folds, following a value from row to row and back, and search as one types."""

from __future__ import annotations

from bisect import bisect_left, bisect_right

from friction_tui.drawing.outline import Outline
from friction_tui.drawing.rows import Kind
from friction_tui.drawing.same_items import same_items
from friction_tui.drawing.search import SearchIndex
from friction_tui.drawing.sheets import Sheets
from friction_tui.vocabulary.protocol import GraphData

_HEADERS = (Kind.HEADER, Kind.REPEAT_HEADER, Kind.BODY)


def open_folds(outline: Outline) -> tuple[str, ...]:
    """For every open scope or body the path of its first item, which is enough to open it again."""
    rows = (row for row in range(len(outline)) if outline[row].kind in _HEADERS and outline.opens(row))
    return tuple(dict.fromkeys(outline.graph.paths[outline.item(row)] for row in rows))


def carried_over(outline: Outline, row: int, graph: GraphData) -> tuple[tuple[str, ...], str]:
    """The open folds of an outline and the item at `row`, as paths of another graph of the same model.

    Where that item is gone, the nearest one above it that is not.
    """
    folds = open_folds(outline)
    above = [outline.path(at) for at in range(row, -1, -1) if outline[at].kind == Kind.NODE]
    places = same_items(outline.graph, graph, (*folds, *above))
    cursor = next((places[path] for path in above if path in places), "")
    return tuple(places[fold] for fold in folds if fold in places), cursor


def row_around(outline: Outline, row: int) -> int:
    """The row of the scope or body that `row` lies in; `row` itself at the top."""
    depth = outline[row].depth
    return next((above for above in range(row - 1, -1, -1) if outline[above].depth < depth), row)


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


class GraphSearch:
    """Matches of one text in one outline. The index is made ahead by `prepare`, or at the first search."""

    def __init__(self, outline: Outline) -> None:
        self._outline = outline
        self._index: SearchIndex | None = None
        self._matches: list[int] = []
        self._at = 0

    def prepare(self) -> SearchIndex:
        """Make the index, unless it is there."""
        if self._index is None:
            self._index = SearchIndex(self._outline)
        return self._index

    def start(self, text: str, row: int) -> tuple[str, str]:
        """The path of the first match at or after `row`, round the end, and how many there are."""
        outline = self._outline
        self._matches = self.prepare().find(text) if text else []
        if self._matches:
            rank = outline.rank(outline.item(row))
            self._at = bisect_left(self._matches, rank, key=outline.rank) % len(self._matches)
        return self._current() if text.strip() else ("", "")

    def step(self, direction: int, row: int) -> tuple[str, str]:
        """The path of the next or previous match seen from `row`, round the ends."""
        if self._matches:
            outline = self._outline
            find = bisect_right if direction > 0 else bisect_left
            at = find(self._matches, outline.rank(outline.item(row)), key=outline.rank)
            self._at = (at if direction > 0 else at - 1) % len(self._matches)
        return self._current()

    def _current(self) -> tuple[str, str]:
        if not self._matches:
            return "", "no match"
        return self._outline.graph.paths[self._matches[self._at]], f"{self._at + 1} of {len(self._matches)}"
