"""Lines between two layers of boxes, at right angles, each value on a track of its own.

As in the gutter, a line that is only crossed is drawn unbroken and the crossing one passes below it (`─│─`):
where lines connect there is a corner or a tee, where they cross there is none.
"""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from friction_tui.drawing.layered import Spot

UP, DOWN, LEFT, RIGHT = 1, 2, 4, 8
_APART = 2
"""Columns kept free on both sides of a track's end, so that lines on one track do not seem to touch."""


@dataclass(frozen=True, slots=True)
class Channel:
    """`cells` maps (line, column) to the directions a line leaves it in; `height` lines in all."""

    cells: dict[tuple[int, int], int]
    height: int


@dataclass(frozen=True, slots=True)
class _Net:
    """One value: where it comes from above and where it goes below."""

    top: int
    bottom: tuple[int, ...]

    @property
    def left(self) -> int:
        return min(self.top, *self.bottom)

    @property
    def right(self) -> int:
        return max(self.top, *self.bottom)

    @property
    def straight(self) -> bool:
        return self.left == self.right


def entries(layer: Sequence[Spot]) -> dict[tuple[int, int], int] | None:
    """The column at which each box of a layer is entered by each box it reads, keyed (source box, box).

    None when a box is too narrow for all its lines.
    """
    leaving = {upper.middle: upper.box for spot in layer for upper in spot.above}
    taken = {spot.middle for spot in layer if spot.via}
    columns: dict[tuple[int, int], int] = {}
    for spot in layer:
        if spot.via:
            continue
        upper = sorted(spot.above, key=lambda each: each.middle)
        first = spot.column + 2
        for at, source in enumerate(upper):
            last = spot.column + spot.width - 3 - 2 * (len(upper) - 1 - at)
            near = min(max(source.middle, first), last)
            free = (
                column
                for column in sorted(range(first, last + 1), key=lambda column: abs(column - near))
                if leaving.get(column, source.box) == source.box and column not in taken
            )
            column = next(free, -1)
            if column < 0:
                return None
            columns[source.box, spot.box] = column
            taken.add(column)
            first = column + 2
    return columns


def route(upper: Iterable[Spot], entry: dict[tuple[int, int], int]) -> Channel | None:
    """The lines below a layer. None when two values would have to run over each other."""
    nets = [
        _Net(
            spot.middle,
            tuple(lower.middle if lower.via else entry[spot.box, lower.box] for lower in spot.below),
        )
        for spot in upper
        if spot.below
    ]
    tracks = _tracks(nets)
    if tracks is None:
        return None
    height = max((track for track in tracks if track >= 0), default=0) + 1
    cells: dict[tuple[int, int], int] = {}
    for net, track in zip(nets, tracks, strict=True):
        own: dict[tuple[int, int], int] = {}
        for column in net.bottom if not net.straight else ():
            _vertical(own, column, track, height, DOWN)
        _vertical(own, net.top, 0, track if not net.straight else height, UP)
        if not net.straight:
            own[track, net.top] = own.get((track, net.top), 0) | UP
            for column in range(net.left, net.right):
                own[track, column] = own.get((track, column), 0) | RIGHT
                own[track, column + 1] = own.get((track, column + 1), 0) | LEFT
        for location, directions in own.items():
            there = cells.get(location)
            if there is None:
                cells[location] = directions
            elif {there, directions} == {UP | DOWN, LEFT | RIGHT}:
                cells[location] = UP | DOWN
            else:
                return None
    return Channel(cells, height)


def _vertical(cells: dict[tuple[int, int], int], column: int, first: int, last: int, towards: int) -> None:
    """A vertical piece over lines `first` <= l < `last`; `towards` says which end stands on a track."""
    for line in range(first, last):
        on_track = towards == DOWN and line == first
        cells[line, column] = cells.get((line, column), 0) | (DOWN if on_track else UP | DOWN)


def _tracks(nets: Sequence[_Net]) -> list[int] | None:
    """A line for each net's horizontal piece, -1 where it needs none.

    A net that leaves a column from above lies higher than one that enters it below; None for a circle of these.
    """
    higher: dict[int, set[int]] = {at: set() for at, net in enumerate(nets)}
    leaving = {net.top: at for at, net in enumerate(nets)}
    for at, net in enumerate(nets):
        for column in net.bottom:
            other = leaving.get(column, at)
            if other != at:
                if nets[other].straight or net.straight:
                    return None
                higher[at].add(other)
    tracks: dict[int, int] = {at: -1 for at, net in enumerate(nets) if net.straight}
    waiting = sorted((at for at in higher if at not in tracks), key=lambda at: (nets[at].left, nets[at].right))
    while waiting:
        ready = next((at for at in waiting if all(other in tracks for other in higher[at])), None)
        if ready is None:
            return None
        waiting.remove(ready)
        track = max((tracks[other] + 2 for other in higher[ready]), default=0)
        while any(tracks[at] == track and _touch(nets[at], nets[ready]) for at in tracks):
            track += 1
        tracks[ready] = track
    return [tracks[at] for at in range(len(nets))]


def _touch(one: _Net, other: _Net) -> bool:
    return one.left - _APART <= other.right + _APART and other.left - _APART <= one.right + _APART
