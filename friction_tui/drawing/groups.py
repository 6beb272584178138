"""Groups: the scopes as intervals of the order, a tree that folds.

A group is an interval of positions, so folding any set of groups leaves a graph without new cycles. A scope
whose items could not be placed together makes several groups. Chains of single children are joined
(`model/decoder`), a scope of one item only names that item, and runs of siblings that look alike
(`layers.1 … layers.95`) are known as repeats.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence
from dataclasses import dataclass, field

from friction_tui.drawing.scopes import number_free, spans
from friction_tui.vocabulary.protocol import GraphData

NONE = -1
_REPEAT = 3
"""So many alike siblings in a row are shown as one."""


@dataclass(slots=True)
class Group:
    """A scope's items at positions `first` <= p < `last`. `parent` and `children` are group numbers."""

    label: str
    first: int
    last: int
    parent: int
    children: list[int] = field(default_factory=list)
    repeat: int = NONE
    """The number of the `Repeat` it belongs to."""


@dataclass(frozen=True, slots=True)
class Repeat:
    """Sibling groups `members`, side by side and alike in operators and wiring."""

    members: tuple[int, ...]


@dataclass(frozen=True, slots=True)
class Groups:
    """The fold tree of a graph. Positions index `GraphData.order`."""

    groups: list[Group]
    repeats: list[Repeat]
    roots: dict[int, list[int]]
    """Top groups of the main graph and of each body, by the position it begins at."""
    labels: dict[int, str]
    """The scope that holds all of a body, by the position the body begins at; it is not a group of its own."""
    captions: dict[int, str]
    """Positions that are alone in their scope: the scope's name."""

    def around(self, position: int, begin: int) -> list[int]:
        """The groups a position lies in, outermost first. Its graph's positions begin at `begin`."""
        found: list[int] = []
        siblings = self.roots.get(begin, [])
        while siblings:
            location = bisect_right(siblings, position, key=lambda number: self.groups[number].first) - 1
            if location < 0 or position >= self.groups[siblings[location]].last:
                break
            found.append(siblings[location])
            siblings = self.groups[siblings[location]].children
        return found


def find_groups(graph: GraphData, sources: Sequence[tuple[int, ...]]) -> Groups:
    """The fold tree of an ordered graph. `sources` are the positions each position reads."""
    groups: list[Group] = []
    captions: dict[int, str] = {}
    roots: dict[int, list[int]] = {}
    labels: dict[int, str] = {}
    for begin, end in spans(graph):
        top = roots[begin] = _nest(graph, begin, end, groups, captions)
        if begin and len(top) == 1 and (groups[top[0]].first, groups[top[0]].last) == (begin, end):
            labels[begin] = groups[top[0]].label
            roots[begin] = groups[top[0]].children
    repeats: list[Repeat] = []
    for siblings in (*roots.values(), *(group.children for group in groups)):
        if len(siblings) >= _REPEAT:
            repeats.extend(_repeats(siblings, groups, graph, sources))
    for number, repeat in enumerate(repeats):
        for member in repeat.members:
            groups[member].repeat = number
    return Groups(groups, repeats, roots, labels, captions)


def _nest(graph: GraphData, begin: int, end: int, groups: list[Group], captions: dict[int, str]) -> list[int]:
    """Find the groups of one span of the order, and return its top ones."""
    top: list[int] = []
    current: tuple[str, ...] = ()
    open_: list[tuple[str, int, list[int]]] = []
    previous = NONE
    scopes, table = graph.scopes, graph.scope_table
    for position, item in enumerate([*graph.order[begin:end], NONE], begin):
        scope = scopes[item] if item >= 0 else NONE
        if scope == previous and item >= 0:
            continue
        previous = scope
        path = table[scope] if item >= 0 else ()
        kept = 0
        for one, other in zip(path, current, strict=False):
            if one != other:
                break
            kept += 1
        while len(open_) > kept:
            label, first, children = open_.pop()
            siblings = open_[-1][2] if open_ else top
            _close(label, first, position, children, siblings, groups, captions)
        open_.extend((label, position, []) for label in path[kept:])
        current = path
    return top


def _close(
    label: str,
    first: int,
    last: int,
    children: list[int],
    siblings: list[int],
    groups: list[Group],
    captions: dict[int, str],
) -> None:
    if last - first == 1:
        inner = captions.get(first)
        captions[first] = f"{label}/{inner}" if inner else label
    elif len(children) == 1 and (groups[children[0]].first, groups[children[0]].last) == (first, last):
        groups[children[0]].label = f"{label}/{groups[children[0]].label}"
        siblings.append(children[0])
    else:
        for child in children:
            groups[child].parent = len(groups)
        siblings.append(len(groups))
        groups.append(Group(label, first, last, NONE, children))


def _repeats(
    siblings: list[int], groups: list[Group], graph: GraphData, sources: Sequence[tuple[int, ...]]
) -> list[Repeat]:
    """Runs of adjacent siblings with the same name but for numbers, the same operators and the same wiring."""
    found: list[Repeat] = []
    run: list[int] = []
    looks: tuple[list[str], list[int]] | None = None
    for number in siblings:
        group = groups[number]
        alike = (
            bool(run)
            and groups[run[-1]].last == group.first
            and _size_and_name(groups[run[-1]]) == _size_and_name(group)
        )
        if alike:
            if looks is None:
                looks = _wiring(groups[run[-1]], graph, sources)
            mine = _wiring(group, graph, sources)
            alike = mine == looks
            looks = mine
        else:
            looks = None
        if not alike:
            if len(run) >= _REPEAT:
                found.append(Repeat(tuple(run)))
            run = []
        run.append(number)
    if len(run) >= _REPEAT:
        found.append(Repeat(tuple(run)))
    return found


def _size_and_name(group: Group) -> tuple[int, str]:
    return group.last - group.first, number_free(group.label)


def _wiring(group: Group, graph: GraphData, sources: Sequence[tuple[int, ...]]) -> tuple[list[str], list[int]]:
    """Operators and inner edges relative to the group's first position; edges from outside all look the same."""
    first, last = group.first, group.last
    items = graph.order[first:last]
    end = first - last
    wires = [source - first if source >= first else -1 for read in sources[first:last] for source in (*read, end)]
    if graph.owners:
        wires += [len(graph.owners.get(item, ())) for item in items]
    return [graph.ops[item] for item in items], wires
