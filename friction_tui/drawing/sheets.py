"""Sheets: lanes for the rows that are looked at, and who feeds whom across all rows.

Lanes are allocated sheet by sheet, when a sheet is first looked at; edges from sheet to sheet are far
references, as on the sheets of a circuit diagram. So folding costs the same wherever it happens and however
long the outline is. Sheets are cut where the rows are least indented, which is where few values live.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from functools import lru_cache

from friction_tui.drawing.glyphs import Glyphs
from friction_tui.drawing.groups import NONE
from friction_tui.drawing.lanes import Lanes, allocate
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.rows import UNWIRED, Rows

SHEET = 512
"""Rows of a sheet, about."""
_SLACK = 128
"""How far from that a sheet may be cut, in rows."""
_INSET = 8
"""The most columns a body's gutter is set in."""


@dataclass(slots=True)
class Sheet:
    """Lanes of the rows `first` <= r < `last`, for each frame that has rows among them."""

    first: int
    last: int
    lanes: dict[int, tuple[int, Lanes]] = field(default_factory=dict)
    """By frame: its first row in this sheet, and the lanes from there."""
    far: dict[int, list[int]] = field(default_factory=dict)
    """For each row, the rows it reads without a line between them."""


class Sheets:
    """Everything drawn in the gutter of an outline, laid out on demand with at most `lanes` lanes."""

    def __init__(self, outline: Outline, lanes: int = 8) -> None:
        self.outline = outline
        self.lanes = lanes
        self._rows = outline.rows
        self._cuts = [0]
        self._sheets: dict[int, Sheet] = {}
        self._widths: dict[int, int] = {}
        self._outside: dict[tuple[int, int], tuple[tuple[int, ...], tuple[int, ...]]] = {}

    def prepare(self, first: int, last: int) -> None:
        """Lay out the sheets of the rows `first` <= r < `last`.

        Gutters widen while one scrolls into busier parts, so do this for all rows of a screen before drawing any.
        """
        for row in range(first, min(last, len(self.outline.rows))):
            self._sheet(row)

    def gutter(self, row: int, glyph: str, glyphs: Glyphs) -> tuple[str, int]:
        """The row's gutter, and the column of its glyph, -1 for a row without one.

        A body's gutter comes after that of the graph around it, set in as far as the body is.
        """
        sheet = self._sheet(row)
        rows = self._rows
        number = rows.frame[row]
        around = self._around(row, number, sheet, glyphs)
        begin, lanes = sheet.lanes[number]
        at, width = row - begin, self._widths[number]
        own, below = lanes.own[at], lanes.below[at]
        if own < 0:
            return around + passing(below, width, glyphs), -1
        above = lanes.below[at - 1] if at else 0
        text = gutter(own, lanes.joins[at], above, below, width, glyph, glyphs)
        return around + text, len(around) + 2 * own

    def span(self, frame: int) -> tuple[int, int]:
        """The first column of a frame's gutter, and how many columns it takes; known once it is prepared."""
        frames = self._rows.frames
        first, number = 0, frame
        while (parent := frames[number].parent) >= 0:
            first += 2 * self._widths[parent] + self._inset(number)
            number = parent
        return first, 2 * self._widths.get(frame, 1)

    def _around(self, row: int, number: int, sheet: Sheet, glyphs: Glyphs) -> str:
        """What runs by in the graphs around a body, and how far the body is set in."""
        text = ""
        while (parent := self._rows.frames[number].parent) >= 0:
            begin, lanes = sheet.lanes[parent]
            by = passing(lanes.below[row - begin], self._widths[parent], glyphs)
            text = by + " " * self._inset(number) + text
            number = parent
        return text

    def _inset(self, number: int) -> int:
        frames = self._rows.frames
        return min(2 * (frames[number].depth - frames[frames[number].parent].depth), _INSET)

    # ------------------------------------------------------------------------------------------- edges

    def sources(self, row: int) -> list[int]:
        """The rows this row reads, itself only if it reads its own value, in the order of its operands."""
        rows = self._rows
        first, last = rows.first[row], rows.last[row]
        read = self.outline.sources[first] if last - first == 1 else self._beyond(first, last)[0]
        return self._shown(read, rows.frame[row])

    def _near_sources(self, row: int, shows: Mapping[int, int]) -> list[int]:
        """`sources`, most of which are found at once: `shows` tells the rows around by the first position of each."""
        first = self._rows.first[row]
        if self._rows.last[row] - first != 1:
            return self.sources(row)
        read = self.outline.sources[first]
        near = [shows.get(position, NONE) for position in read]
        if NONE in near:
            return self.sources(row)
        return near if len(near) < 2 else list(dict.fromkeys(near))

    def readers(self, row: int) -> list[int]:
        """The rows that read this row."""
        rows = self._rows
        first, last = rows.first[row], rows.last[row]
        readers = self.outline.readers[first] if last - first == 1 else self._beyond(first, last)[1]
        return self._shown(readers, rows.frame[row])

    def far_sources(self, row: int) -> list[int]:
        """The rows this row reads without a line between them."""
        return self._sheet(row).far.get(row, [])

    def far_readers(self, row: int) -> list[int]:
        """The rows that read this row without a line between them."""
        if not self._rows[row].wired:
            return []
        sheet = self._sheet(row)
        return [
            reader
            for reader in self.readers(row)
            if not sheet.first <= reader < sheet.last or row in sheet.far.get(reader, ())
        ]

    def _shown(self, positions: Iterable[int], frame: int) -> list[int]:
        shown_in, cover = self._rows.frames[frame], self._rows.cover
        rows = [cover(shown_in, position) for position in positions]
        if len(rows) > 1:
            rows = list(dict.fromkeys(rows))
        return [row for row in rows if row >= 0] if NONE in rows else rows

    def _beyond(self, first: int, last: int) -> tuple[tuple[int, ...], tuple[int, ...]]:
        """Positions outside an interval that it reads, and that read it."""
        known = self._outside.get((first, last))
        if known is None:
            sources, readers = self.outline.sources, self.outline.readers
            read = {q: None for p in range(first, last) for q in sources[p] if not first <= q < last}
            reading = {q: None for p in range(first, last) for q in readers[p] if not first <= q < last}
            known = self._outside[first, last] = tuple(read), tuple(reading)
        return known

    # ------------------------------------------------------------------------------------------ sheets

    def _sheet(self, row: int) -> Sheet:
        if self._rows is not self.outline.rows:
            self._rows = self.outline.rows
            self._cuts = [0]
            self._sheets.clear()
            self._widths.clear()
        while self._cuts[-1] <= row:
            self._cuts.append(_next_cut(self._rows, self._cuts[-1]))
        number = bisect_right(self._cuts, row) - 1
        sheet = self._sheets.get(number)
        if sheet is None:
            sheet = self._sheets[number] = self._lay(self._cuts[number], self._cuts[number + 1])
        return sheet

    def _lay(self, first: int, last: int) -> Sheet:
        sheet = Sheet(first, last)
        rows = self._rows
        inside = set(rows.frame[first:last])
        around = list(inside)
        for number in around:
            parent = rows.frames[number].parent
            if parent >= 0 and parent not in inside:
                inside.add(parent)
                around.append(parent)
        for number in inside:
            frame = rows.frames[number]
            begin, end = max(first, frame.first_row), min(last, frame.last_row)
            read: list[list[int] | None] = []
            wired = [rows.kind[row] not in UNWIRED and rows.frame[row] == number for row in range(begin, end)]
            shows = {rows.first[row]: row for row in range(begin, end) if wired[row - begin]}
            for row in range(begin, end):
                if not wired[row - begin]:
                    read.append(None)
                    continue
                sources = self._near_sources(row, shows)
                if sources and (min(sources) < begin or max(sources) >= end):
                    sheet.far[row] = [source for source in sources if not begin <= source < end]
                    sources = [source for source in sources if begin <= source < end]
                read.append([source - begin for source in sources])
            lanes = allocate(
                read,
                self.lanes if number == 0 else max(4, self.lanes // 2),
                continues=begin > frame.first_row,
                continued=end < frame.last_row,
            )
            for reader, source in lanes.far:
                sheet.far.setdefault(begin + reader, []).append(begin + source)
            sheet.lanes[number] = begin, lanes
            self._widths[number] = max(self._widths.get(number, 1), lanes.width)
        return sheet


def _next_cut(rows: Rows, cut: int) -> int:
    """Where the sheet that begins at `cut` ends: in a stretch of rows the first that is least indented, or the end."""
    if len(rows) - cut <= SHEET + _SLACK:
        return len(rows)
    first = cut + SHEET - _SLACK
    stretch = rows.depth[first : first + 2 * _SLACK]
    return first + stretch.index(min(stretch))


@lru_cache(maxsize=8192)
def gutter(own: int, joins: int, above: int, below: int, width: int, glyph: str, glyphs: Glyphs) -> str:
    """A row with a glyph in lane `own`, reading the lanes in `joins`; masks of lanes above and below it.

    `width` in lanes; the text is twice as wide. What it draws can be read back without doubt:
    tests/drawing/test_roundtrip.py does.
    """
    touched = joins | 1 << own
    left = (touched & -touched).bit_length() - 1
    right = touched.bit_length() - 1
    text: list[str] = []
    for lane in range(width):
        bit = 1 << lane
        if lane == own:
            text.append(glyph)
        elif joins & bit:
            corner = glyphs.on if below & bit else glyphs.end
            text.append(corner[0] if lane == left else corner[2] if lane == right else corner[1])
        elif above & below & bit:
            text.append(glyphs.lane)
        else:
            text.append(glyphs.across if left < lane < right else " ")
        text.append(glyphs.across if left <= lane < right else " ")
    return "".join(text)


@lru_cache(maxsize=1024)
def passing(below: int, width: int, glyphs: Glyphs) -> str:
    """A row without a glyph: only what runs by."""
    return "".join(f"{glyphs.lane if below >> lane & 1 else ' '} " for lane in range(width))
