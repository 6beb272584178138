"""A row as coloured text: `RowText(outline).segments(row, width)`.

    text = RowText(outline, labels=labels)          # labels: shape per item, may come later
    text.prepare(top, bottom)                       # once per screen, before its rows
    for row in range(top, bottom):
        for piece, role in text.segments(row, 80): ...

A segment is (text, `Role`); neighbours never have the same role. The pieces of a row are exactly `width`
columns wide: glyph and operator on the left, shape or counts on the right, an ellipsis wherever something had
to be left out. Colour is never the only carrier: every problem has its symbol.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from friction_tui.drawing.glyphs import UNICODE, Glyphs
from friction_tui.drawing.marks import ProblemMark, Tally
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import GLYPH_ROLES, MARK_ROLES, Role, Segment
from friction_tui.drawing.rows import Kind
from friction_tui.drawing.sheets import Sheets
from friction_tui.drawing.signs import item_glyph, item_name, mark_glyph
from friction_tui.drawing.width import cut, cut_middle, visible

_ROOMY = 48
"""With fewer columns for text, names are not lined up."""
_FAR_NAMES = 3
"""So many far references are named on a row; the rest are counted."""
_TO_ASCII = str.maketrans({"×": "x", "·": "*", "…": "..", "²": "^2", "³": "^3", "≤": "<=", "≥": ">="})


def lanes_for(width: int) -> int:
    """How many lanes suit a terminal of `width` columns: 8 at 80."""
    return 4 if width < 60 else 8 if width < 100 else 10 if width < 160 else 16


class RowText:
    """Draws rows of one outline.

    `labels` are shapes, one an item, parallel to `GraphData.names`; `notes` say by path in a few words what a
    mark is about. `changes` are the nodes that a preview would change: path to a sign and a text, which take the place
    of mark and note. All may be replaced at any time.
    """

    def __init__(
        self,
        outline: Outline,
        *,
        lanes: int = 8,
        glyphs: Glyphs = UNICODE,
        labels: Sequence[str] = (),
        notes: Mapping[str, str] | None = None,
    ) -> None:
        self.outline = outline
        self.sheets = Sheets(outline, lanes)
        self.glyphs = glyphs
        self.labels = labels
        self.notes = notes or {}
        self.changes: Mapping[str, tuple[str, str]] = {}
        self._op_column = _op_column(outline.graph.ops)

    def prepare(self, first: int, last: int) -> None:
        """Lay out the gutter of the rows `first` <= r < `last`, so that they line up."""
        self.sheets.prepare(first, last)

    def plain(self, row: int, width: int) -> str:
        """The row without roles and without blanks at the end."""
        return "".join(text for text, _ in self.segments(row, width)).rstrip()

    def segments(self, row: int, width: int) -> list[Segment]:
        """The row in exactly `width` columns."""
        left = self._gutter(row, width * 2 // 3)
        indent = " " * min(2 * self._depth(row), max(width // 4, 2))
        left.append((f" {indent}", Role.GUTTER))
        room = width - sum(cell_len(text) for text, _ in left)
        if self.outline[row].kind == Kind.NODE:
            left += self._node(row, room)
        else:
            left += self._scope(row, room)
        return merged(left, width, self.glyphs.dots)

    # ---------------------------------------------------------------------------------------- naming

    def name(self, row: int) -> str:
        """What the row is called among its neighbours: its module, or its name without its scope."""
        outline = self.outline
        kind, first, _, number, _, _ = outline[row]
        groups = outline.tree.groups
        if kind == Kind.NODE:
            item = outline.graph.order[first]
            return visible(item_name(outline, item) or outline.graph.ops[item])
        if kind == Kind.BODY:
            label, scope = outline.graph.bodies[number].label, outline.tree.labels.get(first, "")
            return visible(f"{label}  {scope}" if scope and scope != label else label)
        if kind in (Kind.GROUP, Kind.HEADER):
            return visible(groups[number].label)
        members = outline.members(row)
        first_label, last_label = groups[members[0]].label, groups[members[-1]].label
        return visible(f"{first_label} {self.glyphs.dots} {last_label}")

    # ---------------------------------------------------------------------------------------- pieces

    def _depth(self, row: int) -> int:
        rows = self.outline.rows
        return rows.depth[row] - rows.frames[rows.frame[row]].depth

    def _gutter(self, row: int, room: int) -> list[Segment]:
        """The gutter; of bodies deep inside others only the inner end, when all of it would leave no room for text."""
        glyphs, outline = self.glyphs, self.outline
        kind = outline[row].kind
        tally = outline.tally(row)
        if kind == Kind.NODE:
            glyph = item_glyph(outline, outline.item(row), glyphs)
            role = GLYPH_ROLES[outline.mark(row) or tally.worst]
            change = self.changes.get(outline.path(row))
            if change is not None:
                glyph, role = change[0], Role.GOES if change[0] == "-" else Role.CHANGES
        else:
            glyph, role = glyphs.group, GLYPH_ROLES[tally.worst]
        text, column = self.sheets.gutter(row, glyph, glyphs)
        over = len(text) - room
        if over > 0 and (column < 0 or column > over + 1):
            text, column = glyphs.dots + text[over + len(glyphs.dots) :], max(column - over, -1)
        if column < 0:
            return [(text, Role.GUTTER)]
        return [(text[:column], Role.GUTTER), (glyph, role), (text[column + 1 :], Role.GUTTER)]

    def _node(self, row: int, room: int) -> list[Segment]:
        outline, glyphs = self.outline, self.glyphs
        item = outline.item(row)
        op = visible(outline.graph.ops[item])
        name = item_name(outline, item)
        fold = outline.opens(row)
        head = "" if fold is None else f"{glyphs.opened if fold else glyphs.folded} "
        tail = self._tally(outline.tally(row)) if fold is not None else []
        label = self.labels[item] if item < len(self.labels) else ""
        if label:
            tail.append((self._plain(label), Role.SHAPE))
        mark, text = outline.marks.get(item), self.notes.get(outline.graph.paths[item], "")
        note = (f"{mark_glyph(mark, glyphs)} {self._plain(text)}", MARK_ROLES[mark]) if mark and text else None
        change = self.changes.get(outline.graph.paths[item])
        if change is not None:
            sign, text = change
            note = (f"{sign} {self._plain(text)}", Role.GOES if sign == "-" else Role.CHANGES)
        head += f"{op} ".ljust(self._op_column - len(head) if room >= _ROOMY else 0)
        parts = Parts((head, Role.OP), (visible(name), Role.NAME), self._far(row), note, tail)
        return arranged(parts, room, glyphs.dots)

    def _scope(self, row: int, room: int) -> list[Segment]:
        outline, glyphs = self.outline, self.glyphs
        kind, first, last, _, _, _ = outline[row]
        head = f"{glyphs.opened if outline.opens(row) else glyphs.folded} "
        name = self.name(row)
        if kind in (Kind.REPEAT, Kind.REPEAT_HEADER):
            name += f"  {glyphs.times}{len(outline.members(row))}"
        count = outline.nodes(first, last)
        tail: list[Segment] = [(f"{count} node{'s' * (count != 1)}", Role.COUNT)]
        tally = outline.tally(row)
        tail += self._tally(tally)
        if tally.worst and kind in (Kind.REPEAT, Kind.REPEAT_HEADER):
            bad = outline.members_with(row, tally.worst)
            tail.insert(2, (f"in {bad}/{len(outline.members(row))}", Role.COUNT))
        far = self._far(row) if outline[row].wired else []
        return arranged(Parts((head, Role.SCOPE), (name, Role.SCOPE), far, None, tail), room, self.glyphs.dots)

    def _tally(self, tally: Tally) -> list[Segment]:
        counted = (
            (ProblemMark.ERROR, tally.errors),
            (ProblemMark.WARNING, tally.warnings),
            (ProblemMark.UNKNOWN, tally.unknown),
        )
        return [(f"{mark_glyph(mark, self.glyphs)}{count}", MARK_ROLES[mark]) for mark, count in counted if count]

    def _far(self, row: int) -> list[str]:
        """Far references, the most telling first: one long form and one that only counts."""
        glyphs = self.glyphs
        outline = self.outline
        without = sum(map(outline.hides, outline.sources[outline[row].first])) if outline[row].kind == Kind.NODE else 0
        scope = self._scope_of(row)
        read, reading = self.sheets.far_sources(row), self.sheets.far_readers(row)
        named = [
            f"{glyphs.back if source >= row else glyphs.far_in}{self._partner(source, scope)}"
            for source in read[:_FAR_NAMES]
        ]
        if len(read) > _FAR_NAMES:
            named.append(f"{glyphs.far_in}+{len(read) - _FAR_NAMES}")
        if len(reading) == 1:
            arrow = glyphs.back if reading[0] <= row else glyphs.far_out
            named.append(f"{arrow}{self._partner(reading[0], scope)}")
        elif reading:
            named.append(f"{glyphs.far_out}{glyphs.times}{len(reading)}")
        counted = [f"{glyphs.far_in}{len(read)}"] * bool(read) + [f"{glyphs.far_out}{len(reading)}"] * bool(reading)
        if without:
            named.append(f"{glyphs.hidden}shape")
            counted.append(glyphs.hidden)
        return [" ".join(named), " ".join(counted)] if named else []

    def _scope_of(self, row: int) -> tuple[str, ...]:
        graph = self.outline.graph
        return graph.scope_table[graph.scopes[self.outline.item(row)]]

    def _partner(self, row: int, scope: tuple[str, ...]) -> str:
        """How a far row is called from elsewhere: a bare operator with the module it is in."""
        name, there = self.name(row), self._scope_of(row)
        bare = self.outline.rows.kind[row] == Kind.NODE and not item_name(self.outline, self.outline.item(row))
        return visible(f"{there[-1]}/{name}") if bare and there and there != scope else name

    def _plain(self, label: str) -> str:
        label = visible(label)
        return label.translate(_TO_ASCII) if self.glyphs.lane == "|" else label


def _op_column(ops: Sequence[str]) -> int:
    """Where names begin: wide enough for nine operators in ten, within reason."""
    widths = sorted(map(len, ops))
    return min(max(widths[len(widths) * 9 // 10] if widths else 0, 8), 18) + 1


_NAME = 12
"""A name keeps so many columns before other things give way."""
_SHAPE = 6
_NOTE = 10
"""Room in which a note still says something."""


@dataclass(frozen=True, slots=True)
class Parts:
    """What is to the right of a row's gutter.

    `far` are far references, once with names and once only counted. `tail` keeps to the right edge.
    """

    head: Segment
    name: Segment
    far: Sequence[str] = ()
    note: Segment | None = None
    tail: Sequence[Segment] = ()


def arranged(parts: Parts, room: int, dots: str) -> list[Segment]:
    """The parts in `room` columns, if that can be.

    What gives way first: the note, the middle of the name, the names of far references, the end of the shape.
    """
    fixed, name = cell_len(parts.head[0]), cell_len(parts.name[0])
    tail = list(parts.tail)
    ends = sum(cell_len(text) + 1 for text, _ in tail)
    refs = f"  {parts.far[0]}" if parts.far else ""
    least = fixed + min(name, _NAME) + ends + 1
    if parts.far and least + cell_len(refs) > room:
        refs = f"  {parts.far[-1]}"
    over = least + cell_len(refs) - room
    if over > 0 and tail and tail[-1][1] is Role.SHAPE:
        label = cut(tail[-1][0], max(cell_len(tail[-1][0]) - over, _SHAPE), dots)
        ends -= cell_len(tail[-1][0]) - cell_len(label)
        tail[-1] = label, Role.SHAPE
    space = room - fixed - cell_len(refs) - ends - 1
    row = [parts.head, (cut_middle(parts.name[0], max(space, 4), dots), parts.name[1]), (refs, Role.FAR)]
    left = room - sum(cell_len(text) for text, _ in row) - ends
    if parts.note and left >= _NOTE:
        row.append((f"  {cut(parts.note[0], left - 3, dots)}", parts.note[1]))
        left -= cell_len(row[-1][0])
    if tail:
        row.append((" " * max(left, 1), Role.DIM))
        for segment in tail:
            row += [segment, (" ", Role.DIM)]
    return row


def merged(segments: Sequence[Segment], width: int, dots: str) -> list[Segment]:
    """The segments in exactly `width` columns, neighbours of one role joined, the rest cut off with `dots`."""
    too_long = sum(cell_len(text) for text, _ in segments) > width
    result: list[Segment] = []
    left = width
    for text, role in (*segments, (" " * width, Role.DIM)):
        piece = text
        if cell_len(text) >= left:
            piece = cut(text + " " * len(dots), left, dots) if too_long else text[:left]
            piece += " " * (left - cell_len(piece))
        left -= cell_len(piece)
        if result and (result[-1][1] is role or not piece.strip()):
            result[-1] = result[-1][0] + piece, result[-1][1]
        elif piece:
            result.append((piece, role))
        if left <= 0:
            break
    return result
