"""Search as one types: which items match, and which comes next."""

from __future__ import annotations

from bisect import bisect_left

from friction_tui.drawing.outline import Outline
from friction_tui.drawing.search import SearchIndex


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
        self._matches = self.prepare().find(text)
        if self._matches:
            rank = outline.rank(outline.item(row))
            self._at = bisect_left(self._matches, rank, key=outline.rank) % len(self._matches)
        return self._current() if text.strip() else ("", "")

    def step(self, direction: int) -> tuple[str, str]:
        """The path of the next or previous match."""
        if self._matches:
            self._at = (self._at + direction) % len(self._matches)
        return self._current()

    def _current(self) -> tuple[str, str]:
        if not self._matches:
            return "", "no match"
        return self._outline.graph.paths[self._matches[self._at]], f"{self._at + 1} of {len(self._matches)}"
