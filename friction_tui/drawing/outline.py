"""The outline: a graph's rows, what is folded, and how to get to a problem.

    outline = Outline(graph)              # a GraphData that went through with_order
    outline.set_marks({"12": Severity.ERROR})
    len(outline), outline[row]            # a Row: kind, positions, depth; outline.path(row) for the inspector
    row = outline.toggle(row)             # fold or unfold; the row to put the cursor on
    row = outline.reveal("12")            # opens every fold, repeat and body on the way
    row = outline.row_of("12")            # where it is now, its fold's row if it is folded away

Only `toggle`, `fold_all`, `unfold`, `unfold_to`, `reveal`, `set_marks` and `set_filter` change an Outline;
each raises `version`. Characters are made by `friction_tui.drawing.text`.
"""

from __future__ import annotations

from array import array
from bisect import bisect_left, bisect_right
from collections.abc import Mapping
from functools import cached_property
from itertools import accumulate

from friction_tui.drawing.groups import NONE, find_groups
from friction_tui.drawing.marks import MarkCounts, ProblemMark, Tally, as_mark
from friction_tui.drawing.rows import Folds, Frame, Kind, Row, RowLayer, Rows, spliced
from friction_tui.drawing.scopes import PSEUDO, spans
from friction_tui.drawing.shape_only import shape_only_nodes
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import GraphData


class Outline:
    """Rows of an ordered graph; everything is folded at first. A *position* indexes `graph.order`."""

    def __init__(self, graph: GraphData) -> None:
        self.graph = graph
        self.version = 0
        self.position = array("i", bytes(4 * len(graph.order)))
        """The position of each item."""
        for location, item in enumerate(graph.order):
            self.position[item] = location
        at, inputs = self.position.__getitem__, graph.inputs
        self.sources: list[tuple[int, ...]] = [tuple(map(at, inputs[item])) for item in graph.order]
        """The positions each position reads."""
        self.tree = find_groups(graph, self.sources)
        self.marks: dict[int, ProblemMark] = {}
        """The mark of each marked item."""
        self.rows = Rows()
        self._item_of = {path: item for item, path in enumerate(graph.paths)}
        self._spans = [first for first, _ in spans(graph)]
        self._body_at = {body.first: number for number, body in enumerate(graph.bodies)}
        self._owners: dict[int, list[int]] = {}
        for owner, bodies in graph.owners.items():
            for body in bodies:
                self._owners.setdefault(body, []).append(owner)
        ops = graph.ops
        real = (ops[item] not in PSEUDO for item in graph.order)
        self._node_sums = array("i", accumulate(real, initial=0))
        self._folds = Folds()
        self._hidden = bytearray(len(graph.order))
        self._filtered = False
        self._counts = MarkCounts()
        self._ranks: array[int] | None = None
        self._toggled = (-1, NONE, self.rows)
        """After the last fold: version, group, and the rows before, for as long as nothing else changes."""
        self._lay()

    # ----------------------------------------------------------------------------------------- reading

    def __len__(self) -> int:
        return len(self.rows)

    def __getitem__(self, row: int) -> Row:
        return self.rows[row]

    @cached_property
    def readers(self) -> list[list[int]]:
        """The positions that read each position."""
        readers: list[list[int]] = [[] for _ in self.sources]
        for position, read in enumerate(self.sources):
            for source in read:
                readers[source].append(position)
        return readers

    def item(self, row: int) -> int:
        """The item of a node's row; of a group, repeat or body its first item."""
        return self.graph.order[self.rows.first[row]]

    def path(self, row: int) -> str:
        """The node path of a node's row, "" for a row that is not a single item."""
        return self.graph.paths[self.item(row)] if self.rows.kind[row] == Kind.NODE else ""

    def item_of(self, path: str) -> int | None:
        """The item with this path."""
        return self._item_of.get(path)

    def opens(self, row: int) -> bool | None:
        """Whether the row is open (True), folded (False), or neither because nothing is inside (None)."""
        kind, first, _, number, _, frame = self.rows[row]
        if kind == Kind.NODE:
            item = self.graph.order[first]
            return item in self._folds.items if self.graph.owners.get(item) else None
        if kind == Kind.BODY:
            return row + 1 < len(self.rows) and self._body_frame(row, number, frame) is not None
        return kind in (Kind.HEADER, Kind.REPEAT_HEADER)

    def tally(self, row: int) -> Tally:
        """How many marked items the row stands for, those inside its folds and bodies included."""
        return self._counts.between(self.rows.first[row], self.rows.last[row])

    def between(self, first: int, last: int) -> Tally:
        """How many marked items lie at positions `first` <= p < `last`, bodies included."""
        return self._counts.between(first, last)

    def mark(self, row: int) -> ProblemMark | None:
        """The mark of a node's own, None for any other row."""
        return self.marks.get(self.item(row)) if self.rows.kind[row] == Kind.NODE else None

    def nodes(self, first: int, last: int) -> int:
        """How many nodes lie at positions `first` <= p < `last`; inputs and outputs are none."""
        return self._node_sums[last] - self._node_sums[first]

    def members(self, row: int) -> list[int]:
        """The group numbers a repeat's row stands for."""
        _, first, last, number, _, _ = self.rows[row]
        groups = self.tree.groups
        return [m for m in self.tree.repeats[number].members if first <= groups[m].first < last]

    def members_with(self, row: int, mark: ProblemMark) -> int:
        """How many members of a repeat's row hold a mark of this kind."""
        groups = self.tree.groups
        return sum(
            self._counts.of_mark(mark, groups[member].first, groups[member].last) > 0 for member in self.members(row)
        )

    def repeats_around(self, item: int) -> set[int]:
        """The repeats an item is in a member of."""
        groups = self.tree.groups
        return {groups[number].repeat for number in self._groups_around(item) if groups[number].repeat >= 0}

    # ----------------------------------------------------------------------------------------- folding

    def toggle(self, row: int) -> int:
        """Open what is folded, fold what is open; the row that shows the same thing afterwards."""
        kind, first, _, number, _, frame = self.rows[row]
        folds = self._folds
        item = self.graph.order[first]
        if kind in (Kind.GROUP, Kind.HEADER):
            folds.groups ^= {number}
        elif kind in (Kind.REPEAT, Kind.REPEAT_HEADER):
            folds.repeats ^= {number}
            folds.groups.difference_update(self.tree.repeats[number].members)
        elif kind == Kind.BODY:
            folds.closed_bodies ^= {number}
        elif self.graph.owners.get(item):
            folds.items ^= {item}
            folds.closed_bodies.difference_update(self.graph.owners[item])
        else:
            return row
        body = self.rows.frames[frame].body
        before, undone = self.rows, self._toggled
        if kind in (Kind.GROUP, Kind.HEADER) and undone[:2] == (self.version, number):
            self.rows = undone[2]  # the fold just made is taken back
            self.version += 1
        elif not self._relay_around(row):
            self._lay()
        self._toggled = (self.version, number if kind in (Kind.GROUP, Kind.HEADER) else NONE, before)
        same = row < len(self.rows) and self.rows.first[row] == first and self.rows.depth[row] == self.rows.depth[row]
        return row if same else max(self._row_at(first, body), 0)

    def fold_all(self) -> None:
        """Fold everything."""
        self._folds = Folds()
        self._lay()

    def unfold(self, depth: int | None = None) -> None:
        """Open scopes and bodies down to `depth` levels, of repeated ones the first; None opens everything."""
        graph, groups, repeats = self.graph, self.tree.groups, self.tree.repeats
        folds = Folds()
        if depth is None:
            folds.groups.update(range(len(groups)))
            folds.repeats.update(range(len(repeats)))
        level = [(number, 0) for siblings in self.tree.roots.values() for number in siblings] if depth else []
        for number, below in level:
            repeat = groups[number].repeat
            if repeat < 0 or repeats[repeat].members[0] == number:
                folds.groups.add(number)
                if depth is not None and below + 1 < depth:
                    level.extend((child, below + 1) for child in groups[number].children)
        if depth != 0:
            folds.items.update(item for item, bodies in graph.owners.items() if bodies)
        self._folds = folds
        self._lay()

    def unfold_to(self, rows: int) -> None:
        """Open level by level as long as no more than `rows` are shown; a small graph ends up all open."""
        if len(self.graph.order) <= rows:
            self.unfold()
            if len(self.rows) <= rows:
                return
        self.fold_all()
        depth, kept, shown = 1, self._folds, len(self.rows)
        while True:
            self.unfold(depth)
            if len(self.rows) > rows:
                self._folds = kept
                self._lay()
                return
            if len(self.rows) == shown:
                return
            depth, kept, shown = depth + 1, self._folds, len(self.rows)

    def reveal(self, path: str) -> int | None:
        """Open everything on the way to `path`; its row, or None when there is no such item."""
        item = self._item_of.get(path)
        if item is None:
            return None
        changed = self._open_to(item)
        position = self.position[item]
        if self._hidden[position]:
            self._hidden[position] = 0
            changed = True
        if changed:
            self._lay()
        return self._row_at(position, self._body_of(item))

    def row_of(self, path: str) -> int | None:
        """The row that shows `path`, itself or folded into something; None when there is none."""
        item = self._item_of.get(path)
        if item is None:
            return None
        seen: set[int] = set()
        while True:
            body = self._body_of(item)
            row = self._row_at(self.position[item], body)
            if row >= 0:
                return row
            if body < 0 or body in seen or body not in self._owners:
                return None
            seen.add(body)
            item = self._owners[body][0]

    def set_filter(self, hide_shape_only: bool) -> None:
        """Leave shape-only nodes out, or show it again. What has a mark is always shown."""
        self._filtered = hide_shape_only
        self._hidden = (
            shape_only_nodes(self.graph, self.sources, self.readers)
            if hide_shape_only
            else bytearray(len(self.sources))
        )
        self._show_marked()
        self._lay()

    @property
    def hidden(self) -> int:
        """How many items the filter leaves out."""
        return sum(self._hidden)

    def hides(self, position: int) -> bool:
        """Whether the filter leaves the position out."""
        return bool(self._hidden[position])

    # ------------------------------------------------------------------------------------------- marks

    def set_marks(self, judgements: Mapping[str, Severity | ProblemMark]) -> None:
        """Replace all marks. Paths that are not in the graph are ignored, and so are notes."""
        marks: dict[int, ProblemMark] = {}
        for path, judgement in judgements.items():
            item, mark = self._item_of.get(path), as_mark(judgement)
            if item is not None and mark is not None:
                marks[item] = mark
        weights: dict[ProblemMark, dict[int, int]] = {mark: {} for mark in ProblemMark}
        for item, mark in marks.items():
            for holder in self._holders(item):
                at = self.position[holder]
                weights[mark][at] = weights[mark].get(at, 0) + 1
        self.marks = marks
        self._counts = MarkCounts.of(weights)
        self.version += 1
        if self._filtered:
            self.set_filter(True)

    def rank(self, item: int) -> int:
        """The item's place when everything is open: bodies come right after the node they belong to."""
        if not self.graph.bodies:
            return self.position[item]
        if self._ranks is None:
            self._ranks = _display_ranks(self.graph)
        return self._ranks[item]

    # ------------------------------------------------------------------------------------------ private

    def _show_marked(self) -> None:
        for item in self.marks:
            self._hidden[self.position[item]] = 0

    def _lay(self) -> None:
        self.rows = RowLayer(self.graph, self.tree, self._folds, self.position, self._hidden).all()
        self.version += 1

    def _relay_around(self, row: int) -> bool:
        """Lay out anew only what a group's or repeat's row stands for; False where that is not enough."""
        kind, _, _, number, depth, _ = self.rows[row]
        if len(self.rows.frames) > 1 or kind in (Kind.NODE, Kind.BODY):
            return False
        groups = self.tree.groups
        repeated = kind in (Kind.REPEAT, Kind.REPEAT_HEADER)
        repeat = number if repeated else groups[number].repeat
        siblings: tuple[int, ...] = (number,)
        if repeat >= 0 and (repeated or repeat not in self._folds.repeats):
            siblings = self.tree.repeats[repeat].members  # which of them share a row depends on all
        starts = self.rows.first
        begin = bisect_left(starts, groups[siblings[0]].first)
        while self.rows.depth[begin] < depth:
            begin += 1
        end = bisect_left(starts, groups[siblings[-1]].last, begin)
        part = RowLayer(self.graph, self.tree, self._folds, self.position, self._hidden).part(
            siblings, depth, in_repeat=repeat >= 0 and len(siblings) == 1
        )
        self.rows = spliced(self.rows, part, begin, end)
        self.version += 1
        return True

    def _body_of(self, item: int) -> int:
        """The body an item lies in, -1 for the main graph."""
        return (
            self._body_at.get(self._spans[bisect_right(self._spans, item) - 1], NONE)
            if item >= self.graph.main
            else NONE
        )

    def _groups_around(self, item: int) -> list[int]:
        return self.tree.around(self.position[item], self._spans[bisect_right(self._spans, item) - 1])

    def _row_at(self, position: int, body: int) -> int:
        for frame in self._frames_of(body):
            row = self.rows.cover(frame, position)
            if row >= 0:
                return row
        return NONE

    def _frames_of(self, body: int) -> list[Frame]:
        return [frame for frame in self.rows.frames if frame.body == body]

    def _body_frame(self, row: int, body: int, parent: int) -> Frame | None:
        return next(
            (f for f in self.rows.frames if f.body == body and f.parent == parent and f.first_row == row + 1), None
        )

    def _holders(self, item: int) -> list[int]:
        """The item and every item whose bodies it lies in."""
        if item < self.graph.main:
            return [item]
        found = {item: None}
        for holder in (queue := [item]):
            for owner in self._owners.get(self._body_of(holder), ()):
                if owner not in found:
                    found[owner] = None
                    queue.append(owner)
        return list(found)

    def _open_to(self, item: int) -> bool:
        folds = self._folds
        changed = False
        seen: set[int] = set()
        while True:
            around = self._groups_around(item)
            changed |= not folds.groups.issuperset(around)
            folds.groups.update(around)
            body = self._body_of(item)
            if body < 0 or body in seen or body not in self._owners:
                return changed
            seen.add(body)
            item = self._owners[body][0]
            changed |= item not in folds.items or body in folds.closed_bodies
            folds.items.add(item)
            folds.closed_bodies.discard(body)


def _display_ranks(graph: GraphData) -> array[int]:
    """The rank of each item: a body's items come right after the first node they belong to."""
    ranks = array("i", [-1]) * len(graph.order)
    rank = 0
    entered: set[int] = set()
    work = [iter(graph.order[: graph.main])]
    while work:
        for item in work[-1]:
            ranks[item] = rank
            rank += 1
            bodies = [body for body in graph.owners.get(item, ()) if body not in entered]
            if bodies:
                entered.update(bodies)
                inside = (graph.order[graph.bodies[body].first : graph.bodies[body].last] for body in bodies)
                work.append(iter([each for items in inside for each in items]))
                break
        else:
            work.pop()
    for item in graph.order:
        if ranks[item] < 0:
            ranks[item] = rank
            rank += 1
    return ranks
