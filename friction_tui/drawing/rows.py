"""From folds to visible rows: `lay_rows`. Columns, not objects: 50 000 rows take about two megabytes."""

from __future__ import annotations

import enum
from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import NamedTuple

from friction_tui.drawing.groups import NONE, Groups
from friction_tui.protocol import GraphData

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
WIRED = frozenset((Kind.NODE, Kind.GROUP, Kind.REPEAT))


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
        return self.kind in WIRED


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
    depth: array[int] = field(default_factory=lambda: array("h"))
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
        if kind in WIRED:
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
    """Rows still to be made: positions from `first` on, child groups from number `child` on."""

    first: int
    last: int
    siblings: Sequence[int]
    child: int
    depth: int
    frame: int
    in_repeat: bool = False


class _Inside(NamedTuple):
    """A body still to be made."""

    body: int
    depth: int
    frame: int


class _Leave(NamedTuple):
    """A frame's rows end here."""

    frame: int


def lay_rows(graph: GraphData, tree: Groups, folds: Folds, position: Sequence[int], hidden: bytearray) -> Rows:
    """The visible rows. `position` is the position of each item; `hidden[p]` leaves a position out."""
    rows = Rows()
    rows.frames.append(Frame(NONE, NONE, 0, 0))
    opened = sorted(position[item] for item in folds.items)
    work: list[_Span | _Inside | _Leave] = [_Leave(0), _Span(0, graph.main, tree.roots.get(0, ()), 0, 0, 0)]
    while work:
        task = work.pop()
        if isinstance(task, _Leave):
            rows.frames[task.frame].last_row = len(rows)
        elif isinstance(task, _Inside):
            work.extend(_enter(task, graph, tree, folds, rows))
        else:
            work.extend(_span(task, graph, tree, folds, opened, hidden, rows))
    return rows


def _enter(task: _Inside, graph: GraphData, tree: Groups, folds: Folds, rows: Rows) -> list[_Span | _Inside | _Leave]:
    body = graph.bodies[task.body]
    rows.add(Kind.BODY, body.first, body.last, task.body, task.depth, task.frame)
    if task.body in folds.closed_bodies or len(rows.frames) >= MAX_FRAMES or _inside_itself(task, rows.frames):
        return []
    frame = len(rows.frames)
    rows.frames.append(Frame(task.frame, task.body, task.depth + 1, len(rows)))
    return [_Leave(frame), _Span(body.first, body.last, tree.roots.get(body.first, ()), 0, task.depth + 1, frame)]


def _inside_itself(task: _Inside, frames: Sequence[Frame]) -> bool:
    """A function that calls itself is no valid model, but must not hang us."""
    frame = task.frame
    while frame >= 0:
        if frames[frame].body == task.body:
            return True
        frame = frames[frame].parent
    return False


def _span(
    task: _Span,
    graph: GraphData,
    tree: Groups,
    folds: Folds,
    opened: Sequence[int],
    hidden: bytearray,
    rows: Rows,
) -> list[_Span | _Inside | _Leave]:
    """Make rows until something opens; what is left to do afterwards is returned, last thing first."""
    first, last, siblings, child, depth, frame, in_repeat = task
    groups = tree.groups
    while first < last:
        until = groups[siblings[child]].first if child < len(siblings) else last
        if first < until:
            owner = bisect_left(opened, first)
            stop = opened[owner] + 1 if owner < len(opened) and opened[owner] < until else until
            _nodes(first, stop, hidden, depth, frame, rows)
            first = stop
            item = graph.order[first - 1]
            if item in folds.items:
                bodies = [_Inside(body, depth + 1, frame) for body in graph.owners.get(item, ())]
                return [task._replace(first=first, child=child), *reversed(bodies)]
            continue
        number = siblings[child]
        group = groups[number]
        run = 1 if in_repeat else _run(siblings, child, tree, folds)
        end = groups[siblings[child + run - 1]].last
        if run >= _REPEAT and group.repeat in folds.repeats:
            rows.add(Kind.REPEAT_HEADER, first, end, group.repeat, depth, frame)
            members = _Span(first, end, siblings[child : child + run], 0, depth + 1, frame, True)
            return [task._replace(first=end, child=child + run), members]
        if run >= _REPEAT:
            if hidden.find(0, first, end) >= 0:
                rows.add(Kind.REPEAT, first, end, group.repeat, depth, frame)
        elif number in folds.groups:
            rows.add(Kind.HEADER, first, group.last, number, depth, frame)
            inside = _Span(first, group.last, group.children, 0, depth + 1, frame)
            return [task._replace(first=group.last, child=child + 1), inside]
        else:
            run, end = 1, group.last
            if hidden.find(0, first, end) >= 0:
                rows.add(Kind.GROUP, first, end, number, depth, frame)
        first, child = end, child + run
    return []


def _run(siblings: Sequence[int], child: int, tree: Groups, folds: Folds) -> int:
    """How many siblings from `child` on share a row: alike, adjacent, and none of them open by itself."""
    repeat = tree.groups[siblings[child]].repeat
    if repeat < 0:
        return 1
    whole = repeat in folds.repeats
    run = 0
    for number in siblings[child:]:
        if tree.groups[number].repeat != repeat or (number in folds.groups and not whole):
            break
        run += 1
    return max(run, 1)


def _nodes(first: int, last: int, hidden: bytearray, depth: int, frame: int, rows: Rows) -> None:
    if hidden.find(1, first, last) < 0:
        rows.add_nodes(range(first, last), depth, frame)
    else:
        rows.add_nodes([position for position in range(first, last) if not hidden[position]], depth, frame)
