"""Making a row fit its columns: what gives way, in which order, and never without an ellipsis."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from rich.cells import cell_len

from friction_tui.drawing.roles import Role, Segment
from friction_tui.drawing.width import cut, cut_middle

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
