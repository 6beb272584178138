"""From folds to visible rows: `RowLayer`. Columns, not objects: 50 000 rows take about two megabytes."""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from friction_tui.drawing.groups import NONE, Groups
from friction_tui.vocabulary.protocol import GraphData

MAX_FRAMES = 4096
"""So many bodies are shown open at once; functions that call functions can make more than anyone can read."""
_REPEAT = 3
"""So many folded siblings that look alike share a row."""


class Kind(enum.IntEnum):
    """What a row stands for."""

    NODE = 0
    GROUP = 1
    """A folded scope."""
    HEADER = 2
    """The first line of an open scope."""
    REPEAT = 3
    """Folded scopes that look alike."""
    REPEAT_HEADER = 4
    """The first line of these, open."""
    BODY = 5
    """The first line of a body, below its node."""


KINDS = tuple(Kind)
UNWIRED = frozenset((Kind.HEADER, Kind.REPEAT_HEADER, Kind.BODY))
"""Kinds of rows that only title others; every other row has a glyph in the gutter."""


class Row(NamedTuple):
    """One visible row: items at positions `first` <= p < `last` of the graph's order.

    `number` is the group, repeat or body it stands for, -1 for a node; `frame` indexes `Rows.frames`.
    """

    kind: Kind
    first: int
    last: int
    number: int
    depth: int
    frame: int

    @property
    def wired(self) -> bool:
        """Whether values flow into and out of this row, so that it has a glyph in the gutter."""
        return self.kind not in UNWIRED


@dataclass(slots=True)
class Frame:
    """One graph drawn with lanes of its own: the main graph, or a body where it is open.

    `starts` and `shown` say which row shows a position: the last entry that starts at or before it.
    `first_row` <= r < `last_row` are its rows; those of bodies open inside it lie among them.
    """

    parent: int
    body: int
    depth: int
    """The depth of its outermost rows."""
    first_row: int
    last_row: int = 0
    starts: array[int] = field(default_factory=lambda: array("i"))
    shown: array[int] = field(default_factory=lambda: array("i"))


@dataclass(slots=True)
class Folds:
    """What is open. Everything else is folded."""

    groups: set[int] = field(default_factory=set)
    repeats: set[int] = field(default_factory=set)
    items: set[int] = field(default_factory=set)
    """Items whose bodies are shown in place."""
    closed_bodies: set[int] = field(default_factory=set)
    """Bodies of open items that were folded again, one by one."""


@dataclass(slots=True)
class Rows:
    """The visible rows as columns, and the frames they lie in."""

    kind: bytearray = field(default_factory=bytearray)
    first: array[int] = field(default_factory=lambda: array("i"))
    last: array[int] = field(default_factory=lambda: array("i"))
    number: array[int] = field(default_factory=lambda: array("i"))
    depth: array[int] = field(default_factory=lambda: array("i"))
    frame: array[int] = field(default_factory=lambda: array("h"))
    frames: list[Frame] = field(default_factory=list)

    def __len__(self) -> int:
        return len(self.kind)

    def __getitem__(self, row: int) -> Row:
        kind = KINDS[self.kind[row]]
        return Row(kind, self.first[row], self.last[row], self.number[row], self.depth[row], self.frame[row])

    def cover(self, frame: Frame, position: int) -> int:
        """The row of `frame` that shows `position`, or -1 where it is hidden."""
        entry = bisect_right(frame.starts, position) - 1
        if entry < 0:
            return NONE
        row = frame.shown[entry]
        return row if position < self.last[row] else NONE

    def add(self, kind: Kind, first: int, last: int, number: int, depth: int, frame: int) -> None:
        """Append one row."""
        if kind not in UNWIRED:
            self.frames[frame].starts.append(first)
            self.frames[frame].shown.append(len(self.kind))
        self.kind.append(kind)
        self.first.append(first)
        self.last.append(last)
        self.number.append(number)
        self.depth.append(depth)
        self.frame.append(frame)

    def add_nodes(self, positions: Sequence[int], depth: int, frame: int) -> None:
        """Append a row for each position."""
        count, begin = len(positions), len(self.kind)
        self.frames[frame].starts.extend(positions)
        self.frames[frame].shown.extend(range(begin, begin + count))
        self.kind.extend(bytes(count))
        self.first.extend(positions)
        self.last.extend(position + 1 for position in positions)
        self.number.extend((NONE,) * count)
        self.depth.extend((depth,) * count)
        self.frame.extend((frame,) * count)


class _Span(NamedTuple):
    """Rows still to be made: positions `first` <= p < `last`, whose child groups are `siblings` from `child` on."""

    first: int
    last: int
    siblings: Sequence[int]
    child: int
    depth: int
    frame: int
    in_repeat: bool


class _Inside(NamedTuple):
    """A body still to be made."""

    body: int
    depth: int
    frame: int


class _Leave(NamedTuple):
    """A frame's rows end here."""

    frame: int


class RowLayer:
    """Lays rows out. `position` is the position of each item; `hidden[p]` leaves position p out."""

    def __init__(
        self, graph: GraphData, tree: Groups, folds: Folds, position: Sequence[int], hidden: bytearray
    ) -> None:
        self._graph = graph
        self._tree = tree
        self._folds = folds
        self._hidden = hidden
        self._opened = sorted(position[item] for item in folds.items)
        self._rows = Rows(frames=[Frame(NONE, NONE, 0, 0)])
        self._work: list[_Span | _Inside | _Leave] = []

    def all(self) -> Rows:
        """All visible rows."""
        self._work = [_Leave(0), _Span(0, self._graph.main, self._tree.roots.get(0, ()), 0, 0, 0, False)]
        return self._run()

    def part(self, siblings: Sequence[int], depth: int, *, in_repeat: bool) -> Rows:
        """The rows of adjacent groups of the main graph, as if they were the whole of it.

        `in_repeat` for a single member of a repeat whose members all have rows of their own.
        """
        groups = self._tree.groups
        first, last = groups[siblings[0]].first, groups[siblings[-1]].last
        self._work = [_Leave(0), _Span(first, last, siblings, 0, depth, 0, in_repeat)]
        return self._run()

    def _run(self) -> Rows:
        work = self._work
        while work:
            task = work.pop()
            if isinstance(task, _Span):
                self._span(*task)
            elif isinstance(task, _Inside):
                self._enter(task)
            else:
                self._rows.frames[task.frame].last_row = len(self._rows)
        return self._rows

    def _span(
        self, first: int, last: int, siblings: Sequence[int], child: int, depth: int, frame: int, in_repeat: bool
    ) -> None:
        """Make rows until something opens; what comes after it is put off."""
        groups, folds, rows, work = self._tree.groups, self._folds, self._rows, self._work
        count = len(siblings)
        while first < last:
            number = siblings[child] if child < count else NONE
            group = groups[number] if number >= 0 else None
            if group is None or first < group.first:
                stop = self._nodes(first, group.first if group else last, depth, frame)
                if stop < last:
                    work.append(_Span(stop, last, siblings, child, depth, frame, in_repeat))
                self._open(stop - 1, depth + 1, frame)
                return
            run = 1 if in_repeat or group.repeat < 0 else self._run_length(siblings, child)
            end = groups[siblings[child + run - 1]].last
            if run >= _REPEAT and group.repeat in folds.repeats:
                rows.add(Kind.REPEAT_HEADER, first, end, group.repeat, depth, frame)
                work.append(_Span(end, last, siblings, child + run, depth, frame, in_repeat))
                work.append(_Span(first, end, siblings[child : child + run], 0, depth + 1, frame, True))
                return
            if run >= _REPEAT:
                kind, number = Kind.REPEAT, group.repeat
            elif number in folds.groups:
                rows.add(Kind.HEADER, first, group.last, number, depth, frame)
                work.append(_Span(group.last, last, siblings, child + 1, depth, frame, in_repeat))
                work.append(_Span(first, group.last, group.children, 0, depth + 1, frame, False))
                return
            else:
                kind, run, end = Kind.GROUP, 1, group.last
            if self._hidden.find(0, first, end) >= 0:
                rows.add(kind, first, end, number, depth, frame)
            first, child = end, child + run

    def _nodes(self, first: int, last: int, depth: int, frame: int) -> int:
        """Make rows for positions up to and including the first whose bodies are open; the position after it."""
        owner = bisect_left(self._opened, first)
        if owner < len(self._opened) and self._opened[owner] < last:
            last = self._opened[owner] + 1
        hidden = self._hidden
        positions: Sequence[int] = range(first, last)
        if hidden.find(1, first, last) >= 0:
            positions = [position for position in positions if not hidden[position]]
        self._rows.add_nodes(positions, depth, frame)
        return last

    def _open(self, position: int, depth: int, frame: int) -> None:
        item = self._graph.order[position]
        if item in self._folds.items:
            bodies = self._graph.owners.get(item, ())
            self._work.extend(_Inside(body, depth, frame) for body in reversed(bodies))

    def _run_length(self, siblings: Sequence[int], child: int) -> int:
        """How many siblings from `child` on share a row: alike, adjacent, and none of them open by itself."""
        groups, folds = self._tree.groups, self._folds
        repeat = groups[siblings[child]].repeat
        whole = repeat in folds.repeats
        run = 0
        for number in siblings[child:]:
            if groups[number].repeat != repeat or (number in folds.groups and not whole):
                break
            run += 1
        return max(run, 1)

    def _enter(self, task: _Inside) -> None:
        """Make a body's first row and put off the rest of it."""
        body, rows = self._graph.bodies[task.body], self._rows
        rows.add(Kind.BODY, body.first, body.last, task.body, task.depth, task.frame)
        closed = task.body in self._folds.closed_bodies
        if closed or len(rows.frames) >= MAX_FRAMES or _inside_itself(task, rows.frames):
            return
        frame, depth = len(rows.frames), task.depth + 1
        rows.frames.append(Frame(task.frame, task.body, depth, len(rows)))
        top = self._tree.roots.get(body.first, ())
        self._work += [_Leave(frame), _Span(body.first, body.last, top, 0, depth, frame, False)]


def _inside_itself(task: _Inside, frames: Sequence[Frame]) -> bool:
    """A function that calls itself is not a valid model, but must not hang the program."""
    frame = task.frame
    while frame >= 0:
        if frames[frame].body == task.body:
            return True
        frame = frames[frame].parent
    return False


def spliced(old: Rows, part: Rows, first_row: int, last_row: int) -> Rows:
    """`old` with `part` in place of its rows `first_row` <= r < `last_row`; neither has bodies open."""
    begin, end = first_row, last_row
    grown = len(part) - (end - begin)
    shown, starts = old.frames[0].shown, old.frames[0].starts
    left, right = bisect_left(shown, begin), bisect_left(shown, end)
    frame = Frame(NONE, NONE, 0, 0, len(old) + grown)
    frame.starts = starts[:left] + part.frames[0].starts + starts[right:]
    frame.shown = shown[:left]
    frame.shown.extend([row + begin for row in part.frames[0].shown])
    frame.shown.extend([row + grown for row in shown[right:]] if grown else shown[right:])
    return Rows(
        old.kind[:begin] + part.kind + old.kind[end:],
        old.first[:begin] + part.first + old.first[end:],
        old.last[:begin] + part.last + old.last[end:],
        old.number[:begin] + part.number + old.number[end:],
        old.depth[:begin] + part.depth + old.depth[end:],
        old.frame[:begin] + part.frame + old.frame[end:],
        [frame],
    )
