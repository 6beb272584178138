"""The whole graph as one picture: its groups as boxes, with how much lies in each and what is wrong there.

    picture = overview(outline, width=80)
    picture.lines                       # segments, as of friction_tui.drawing.text
    picture.groups[box.item]            # what a box stands for

Groups are modules, as deep as there is room for; nodes in no module are taken together as they follow each other.
"""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass

from friction_tui.drawing.glyphs import ASCII, UNICODE, Glyphs
from friction_tui.drawing.marks import ProblemMark
from friction_tui.drawing.neighbourhood import Box, drawn
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import GLYPH_ROLES, Segment
from friction_tui.drawing.scopes import PSEUDO
from friction_tui.drawing.width import cut_middle, visible

MOST = 40
"""Boxes in the picture."""
DEEPEST = 6
"""Levels of modules that are tried."""
_LABEL_WIDTHS = (28, 18, 12, 6, 3)
"""Columns of a group's name, the widest first."""
_SHADES = {False: "▁▂▃▄▅▆▇█", True: ".:-=+*#@"}
"""From few nodes to the most nodes that a group has; True: in ASCII."""
_SIGNS = {False: "?!✗", True: "?!X"}


@dataclass(frozen=True, slots=True)
class Group:
    """Items that follow each other: positions `first` <= p < `last`; `nodes` of them are nodes."""

    name: str
    first: int
    last: int
    nodes: int
    marks: Counter[ProblemMark]

    @property
    def worst(self) -> ProblemMark | None:
        """The most severe mark in it."""
        return max(self.marks, default=None)


@dataclass(frozen=True, slots=True)
class Overview:
    """The picture; `Box.item` is the number of a group."""

    lines: list[list[Segment]]
    boxes: tuple[Box, ...]
    groups: tuple[Group, ...]


def overview(outline: Outline, width: int, glyphs: Glyphs = UNICODE) -> Overview:
    """The main graph's groups in lines of at most `width` columns (at least 16), top to bottom."""
    tried: list[tuple[Group, ...]] = []
    for depth in range(DEEPEST, 0, -1):
        found = tuple(_groups(outline, depth))
        if 1 < len(found) <= MOST and found not in tried:
            tried.append(found)
    coarse = tuple(_groups(outline, 1))
    for most in (MOST, MOST // 2, MOST // 5, 4, 1):  # too many modules for any picture: neighbours are taken together
        tried.append(tuple(_together(coarse, most)))
    for groups in tried:
        for label_width in _LABEL_WIDTHS:
            picture = _drawn(outline, groups, width, label_width, glyphs)
            if picture is not None:
                return picture
    return Overview([], (), ())


def worst_item(outline: Outline, group: Group) -> int:
    """The item of a group to go to: the first of those with the most severe mark, else its first."""
    items = outline.graph.order[group.first : group.last]
    return max(items, key=lambda item: outline.marks.get(item, 0))


def _groups(outline: Outline, depth: int) -> list[Group]:
    """The main graph cut where the module, looked at `depth` levels deep, changes."""
    graph = outline.graph
    found: list[Group] = []
    begin = 0
    modules = [graph.scope_table[graph.scopes[item]][:depth] for item in graph.order[: graph.main]]
    for at in range(1, graph.main + 1):
        if at == graph.main or modules[at] != modules[begin]:
            found.append(_group(outline, "/".join(modules[begin]), begin, at))
            begin = at
    return found


def _group(outline: Outline, name: str, first: int, last: int) -> Group:
    graph = outline.graph
    items = graph.order[first:last]
    nodes = sum(graph.ops[item] not in PSEUDO for item in items)
    marks = Counter(outline.marks[item] for item in items if item in outline.marks)
    kinds = list(dict.fromkeys(graph.ops[item] for item in items))
    return Group(name or " ".join(kinds[:3]) + (" …" if len(kinds) > 3 else ""), first, last, nodes, marks)


def _together(groups: tuple[Group, ...], most: int) -> list[Group]:
    """At most so many groups: neighbours become one, named after the first and the last of them."""
    size = -(-len(groups) // most)
    runs = (groups[at : at + size] for at in range(0, len(groups), size))
    return [
        Group(
            run[0].name if len(run) == 1 else f"{run[0].name} to {run[-1].name}",
            run[0].first,
            run[-1].last,
            sum(group.nodes for group in run),
            sum((group.marks for group in run), Counter()),
        )
        for run in runs
    ]


def _drawn(
    outline: Outline, groups: tuple[Group, ...], width: int, label_width: int, glyphs: Glyphs
) -> Overview | None:
    group_of = [number for number, group in enumerate(groups) for _ in range(group.first, group.last)]
    reads: dict[int, list[int]] = {number: [] for number in range(len(groups))}
    for position in range(len(group_of)):
        here = group_of[position]
        for source in outline.sources[position]:
            there = group_of[source]
            if there < here and there not in reads[here]:
                reads[here].append(there)
    most = max((group.nodes for group in groups), default=1)
    labels = {number: _label(group, most, label_width, glyphs) for number, group in enumerate(groups)}
    roles = {number: GLYPH_ROLES[group.worst] for number, group in enumerate(groups)}
    picture = drawn(range(len(groups)), reads, labels, roles, width, glyphs)
    return Overview(picture.lines, picture.boxes, groups) if picture is not None else None


def _label(group: Group, most: int, width: int, glyphs: Glyphs) -> str:
    """`▄ backbone 12  ✗1`: the share of the nodes, the name, how many nodes, what is wrong."""
    plain = glyphs is ASCII
    shades = _SHADES[plain]
    shade = shades[min(group.nodes * len(shades) // (most + 1), len(shades) - 1)]
    signs = "".join(f" {_SIGNS[plain][mark - 1]}{count}" for mark, count in sorted(group.marks.items(), reverse=True))
    return f"{shade} {cut_middle(visible(group.name), width, glyphs.dots)} {group.nodes or ''}{signs}".rstrip()
