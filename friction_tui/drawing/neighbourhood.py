"""The neighbourhood of one node as boxes and lines, for when a gutter is not enough.

    picture = neighbourhood(outline, item, width=80)
    picture.lines                       # segments, as of friction_tui.drawing.text
    picture.boxes                       # where each item is, for cursor and clicks

At most 60 nodes, fewer where they would not fit. Every edge between two boxes is drawn; those to nodes outside
the picture are counted in the box (`⇠2` read, `⇢3` reading it).
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, replace

from rich.cells import cell_len

from friction_tui.drawing.channels import DOWN, LEFT, RIGHT, UP, Channel, entries, route
from friction_tui.drawing.glyphs import ASCII, UNICODE, Glyphs
from friction_tui.drawing.layered import Spot, location
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import GLYPH_ROLES, Role, Segment
from friction_tui.drawing.signs import item_glyph, item_name
from friction_tui.drawing.width import cut_middle, visible

MOST = 60
HOPS = 4
"""Edges away from the node in the middle."""
_TRIES = ((60, 26), (40, 26), (40, 16), (25, 16), (15, 14), (8, 12), (4, 10), (2, 8), (1, 8))
"""(nodes, columns of text in a box): the first that fits is drawn."""

_LINES = {
    UP | DOWN: "│",
    LEFT | RIGHT: "─",
    DOWN | RIGHT: "╭",
    DOWN | LEFT: "╮",
    UP | RIGHT: "╰",
    UP | LEFT: "╯",
    UP | DOWN | RIGHT: "├",
    UP | DOWN | LEFT: "┤",
    DOWN | LEFT | RIGHT: "┬",
    UP | LEFT | RIGHT: "┴",
    UP | DOWN | LEFT | RIGHT: "┼",
}
_BORDERS = {False: tuple("╭─╮│╰╯┴┬"), True: tuple("┏━┓┃┗┛┷┯")}
_ASCII_BORDERS = {False: tuple(".-.|''++"), True: tuple("#=#H##++")}
"""Corners, sides, and where lines enter above and leave below; True: the node in the middle."""


@dataclass(frozen=True, slots=True)
class Box:
    """Where an item's box is: three lines from `line`, `width` columns from `column`."""

    item: int
    line: int
    column: int
    width: int


@dataclass(frozen=True, slots=True)
class Neighbourhood:
    """A picture of some items."""

    lines: list[list[Segment]]
    boxes: tuple[Box, ...]


def neighbourhood(outline: Outline, item: int, width: int, glyphs: Glyphs = UNICODE) -> Neighbourhood:
    """The nodes around `item`, in lines of at most `width` columns (at least 16), top to bottom."""
    near = _nearest(outline, outline.position[item])
    for most, label_width in _TRIES:
        chosen = sorted(near[: min(most, MOST)])
        picture = _draw(outline, chosen, outline.position[item], width, label_width, glyphs)
        if picture is not None:
            return picture
    return Neighbourhood([], ())


def _nearest(outline: Outline, middle: int) -> list[int]:
    """Positions by their distance from the middle, in edges."""
    found = {middle: 0}
    queue = [middle]
    for position in queue:
        if len(found) >= MOST or found[position] == HOPS:
            break
        for other in (*outline.sources[position], *outline.readers[position]):
            if other not in found:
                found[other] = found[position] + 1
                queue.append(other)
    return queue


def _draw(
    outline: Outline, chosen: list[int], middle: int, width: int, label_width: int, glyphs: Glyphs
) -> Neighbourhood | None:
    inside, order = set(chosen), outline.graph.order
    reads = {p: [q for q in outline.sources[p] if q in inside and q < p] for p in chosen}
    labels = {p: _label(outline, p, inside, label_width, glyphs) for p in chosen}
    roles = {p: GLYPH_ROLES[outline.marks.get(order[p])] for p in chosen}
    picture = drawn(chosen, reads, labels, roles, width, glyphs, middle)
    if picture is None:
        return None
    return Neighbourhood(picture.lines, tuple(replace(box, item=order[box.item]) for box in picture.boxes))


def drawn(
    chosen: Sequence[int],
    reads: Mapping[int, Sequence[int]],
    labels: Mapping[int, str],
    roles: Mapping[int, Role],
    width: int,
    glyphs: Glyphs,
    middle: int | None = None,
) -> Neighbourhood | None:
    """Boxes with these labels in layers, and a line for each of `reads`; None where they need more than `width`.

    `chosen` come in an order in which each follows what it reads; `roles` colour the first sign of a label. The box
    `middle` has a stronger border. `Box.item` is the number in `chosen`.
    """
    widths = {p: max(cell_len(labels[p]) + 4, 2 * len(reads[p]) + 5) for p in chosen}
    layers = location(chosen, reads, widths)
    if max(spot.column + spot.width for layer in layers for spot in layer) > width:
        return None
    canvas = _Canvas(glyphs)
    boxes: list[Box] = []
    line = 0
    entered: dict[tuple[int, int], int] = {}
    for number, layer in enumerate(layers):
        for spot in layer:
            if spot.via:
                canvas.via(line, spot)
                continue
            tops = [entered[source, spot.box] for source in reads[spot.box]]
            canvas.box(line, spot, labels[spot.box], roles[spot.box], tops, spot.box == middle)
            boxes.append(Box(spot.box, line, spot.column, spot.width))
        line += 3
        if number + 1 < len(layers):
            columns_in = entries(layers[number + 1])
            channel = route(layer, columns_in) if columns_in is not None else None
            if columns_in is None or channel is None:
                return None
            entered |= columns_in
            canvas.channel(line, channel)
            line += channel.height
    return Neighbourhood(canvas.lines(line), tuple(boxes))


def _label(outline: Outline, position: int, inside: set[int], width: int, glyphs: Glyphs) -> str:
    graph = outline.graph
    item = graph.order[position]
    text = visible(f"{graph.ops[item]} {item_name(outline, item)}".rstrip())
    read = sum(source not in inside or source >= position for source in outline.sources[position])
    reading = sum(reader not in inside or reader <= position for reader in outline.readers[position])
    counts = (f" {glyphs.far_in}{read}" if read else "") + (f" {glyphs.far_out}{reading}" if reading else "")
    glyph = item_glyph(outline, item, glyphs)
    return f"{glyph} {cut_middle(text, max(width - cell_len(counts), 6), glyphs.dots)}{counts}"


class _Canvas:
    """Characters by line and column; text in boxes is put in when a line is made, it may be wide."""

    def __init__(self, glyphs: Glyphs) -> None:
        self._ascii = glyphs is ASCII
        self._cells: dict[tuple[int, int], tuple[str, Role]] = {}

    def _put(self, line: int, column: int, char: str, role: Role = Role.GUTTER) -> None:
        self._cells[line, column] = char, role

    def via(self, line: int, spot: Spot) -> None:
        """A line that passes a layer."""
        for each in range(line, line + 3):
            self._put(each, spot.column, "|" if self._ascii else "│")

    def box(self, line: int, spot: Spot, label: str, role: Role, tops: Iterable[int], chosen: bool) -> None:
        """A box with its text and the places where lines enter and leave."""
        corner, across, right, side, low, low_right, enter, leave = (_ASCII_BORDERS if self._ascii else _BORDERS)[
            chosen
        ]
        first, last = spot.column, spot.column + spot.width - 1
        border = Role.SCOPE if chosen else Role.DIM
        for column in range(first + 1, last):
            self._put(line, column, across, border)
            self._put(line + 2, column, across, border)
        for at, column, char in (
            *((line, first, corner), (line, last, right), (line + 1, first, side), (line + 1, last, side)),
            *((line + 2, first, low), (line + 2, last, low_right)),
            *((line, column, enter) for column in tops),
        ):
            self._put(at, column, char, border)
        if spot.below:
            self._put(line + 2, spot.middle, leave, border)
        column = first + 2
        glyph, text = label[0], label[1:]
        self._put(line + 1, column, glyph, role)
        self._put(line + 1, column + 1, text, Role.NAME)

    def channel(self, line: int, channel: Channel) -> None:
        """The lines between two layers."""
        for (at, column), directions in channel.cells.items():
            self._put(line + at, column, self._line(directions))

    def _line(self, directions: int) -> str:
        if not self._ascii:
            return _LINES[directions]
        return {UP | DOWN: "|", LEFT | RIGHT: "-"}.get(directions, "+")

    def lines(self, height: int) -> list[list[Segment]]:
        """Everything drawn, neighbours of one role joined."""
        rows: list[dict[int, tuple[str, Role]]] = [{} for _ in range(height)]
        for (line, column), cell in self._cells.items():
            rows[line][column] = cell
        return [_joined(row) for row in rows]


def _joined(row: Mapping[int, tuple[str, Role]]) -> list[Segment]:
    segments: list[Segment] = []
    at = 0
    for column in sorted(row):
        text, role = row[column]
        text = " " * (column - at) + text
        at = column + cell_len(row[column][0])
        if segments and segments[-1][1] is role:
            segments[-1] = segments[-1][0] + text, role
        else:
            segments.append((text, role))
    return segments
