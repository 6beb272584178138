"""Which dial is to blame for a node that breaks, and at which sizes of it the node works."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

import numpy as np

from friction_tui.model.graph import Node
from friction_tui.model.shapes.steps import plain
from friction_tui.model.shapes.tensors import Array, PointShapes
from friction_tui.rules.shapes.clashes import clash_at, volume
from friction_tui.rules.shapes.dials import Dial, Dials, Setting
from friction_tui.rules.shapes.size_patterns import Pattern, Search, Works, find_pattern, rounded_multiples
from friction_tui.vocabulary.recipe import POINTS

_SHAPE_IN_TEXT = re.compile(r"\[[\d, ]*\]")

_NODES_ASKED = 60_000
"""Nodes followed in the search for one broken node: a thousand-node model is asked at sixty sizes."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A node that cannot work, with the settings and the messages, by label (`min`, `opt`, `max`, `max-1`...)."""

    node: Node
    at: dict[str, tuple[Setting, str]]

    @property
    def at_points(self) -> list[str]:
        """Where of min, opt and max it breaks."""
        return [point for point in POINTS if point in self.at]

    @property
    def message(self) -> str:
        """The message at the most telling point: opt, else the largest."""
        for label in ("opt", "max", "min"):
            if label in self.at:
                return self.at[label][1]
        return next(iter(self.at.values()))[1]

    @property
    def setting(self) -> Setting:
        """The setting that belongs to `message`."""
        for label in ("opt", "max", "min"):
            if label in self.at:
                return self.at[label][0]
        return next(iter(self.at.values()))[0]


@dataclass(frozen=True, slots=True)
class Study:
    """What was found out. `blamed` are the dials that break the node when turned alone, with their patterns.

    `base` is a setting at which it works, None if none was found. `together` are dials that only fail as a pair.
    `searched` says whether sizes were looked for at all.
    """

    blamed: dict[str, tuple[Dial, Pattern]]
    base: Setting | None = None
    together: tuple[Dial, ...] = ()
    searched: bool = True
    square: bool = False
    """The sizes were turned together (height = width) because no single one helps."""

    @property
    def dials(self) -> tuple[Dial, ...]:
        """Every dial that has to do with it."""
        return tuple(dial for dial, _ in self.blamed.values()) or self.together

    @property
    def same(self) -> tuple[object, ...]:
        """Equal for nodes that break for the same reason."""
        return tuple((key, pattern) for key, (_, pattern) in self.blamed.items()), tuple(d.key for d in self.together)


@dataclass(frozen=True, slots=True)
class _Asker:
    """Whether one node works at a setting."""

    dials: Dials
    broken: Node

    def node(self, setting: Setting) -> bool | None:
        """True, False, or None when something before the node fails."""
        return state(self.dials.shapes(setting), self.broken)

    def turned(self, base: Setting, *keys: str) -> Works:
        """Whether the node works at `base` with the dials `keys` at a size."""
        return lambda size: self.node({**base, **dict.fromkeys(keys, size)})

    def all_turned(self, base: Setting, key: str) -> Works:
        """Whether nothing breaks at `base` with one dial at a size, but what breaks at `base` anyway."""
        anyway = {failure.path for failure in self.dials.shapes(base).failures}

        def works(size: int) -> bool | None:
            return all(failure.path in anyway for failure in self.dials.shapes({**base, key: size}).failures)

        return works


def state(point: PointShapes, node: Node) -> bool | None:
    """Whether a node works at a point; None when its inputs are not known there."""
    if any(failure.path == node.path for failure in point.failures):
        return False
    types = point.inside(node.graph).types
    known = (types.get(name) for name in node.inputs if name)
    return True if all(found is not None and found.sizes is not None for found in known) else None


def study(dials: Dials, broken: Broken, *, search: bool) -> Study:
    """Turn the dials one by one until it is clear which sizes of which of them work."""
    if not dials.all or dials.shape_values:
        return Study({}, None)
    ask = _Asker(dials, broken.node)
    tried = [(label, dials.at(label)) for label in POINTS]
    good = [setting for label, setting in tried if label not in broken.at and ask.node(setting)]
    budget = max(16, min(160, _NODES_ASKED // (len(dials.model.index.nodes) + 1)))
    if not good:
        return _without_example(dials, broken, ask, budget) if search else Study({}, None, searched=False)
    base = good[-1]
    blamed: dict[str, tuple[Dial, Pattern]] = {}
    for dial in dials.all.values():
        sizes = [setting[dial.key] for setting, _ in broken.at.values() if setting[dial.key] != base[dial.key]]
        works = ask.turned(base, dial.key)
        fails = [size for size in dict.fromkeys(sizes) if works(size) is False]
        if not fails:
            continue
        pattern = Pattern("unclear")
        if search:
            hints = (base[dial.key], *fails, *_solved(dials, broken, dial))
            own = Search(works, budget)
            pattern = find_pattern(own, dial.range, hints)
            if pattern.kind == "unclear":
                # The sizes at which the whole model works are simpler than those at which one node does.
                pattern = find_pattern(Search(ask.all_turned(base, dial.key), budget), dial.range, hints)
            if pattern.kind == "unclear":
                own.budget = max(own.budget, budget // 2)
                pattern = rounded_multiples(own, dial.range) or pattern
        blamed[dial.key] = (dial, pattern)
    if blamed:
        return Study(blamed, base, searched=search)
    differing = [dial for key, dial in dials.all.items() if any(s[key] != base[key] for s, _ in broken.at.values())]
    return Study({}, base, tuple(_that_matter(ask, base, broken.setting, differing)), searched=search)


def _that_matter(ask: _Asker, base: Setting, bad: Setting, dials: list[Dial]) -> list[Dial]:
    """The dials without whose change the node would still work."""
    needed = []
    for dial in dials:
        if ask.node({**bad, dial.key: base[dial.key]}) is not False:
            needed.append(dial)
    return needed or dials


def _without_example(dials: Dials, broken: Broken, ask: _Asker, budget: int) -> Study:
    """Nothing given works: look for a size that does, one dial at a time, then height and width together."""
    bad = broken.setting
    for dial in dials.all.values():
        hints = _solved(dials, broken, dial)
        if not hints and not _moves(dials, broken, dial):
            continue
        search = Search(ask.turned(bad, dial.key), budget // 2)
        pattern = find_pattern(search, dial.range, hints)
        if pattern.kind != "none":
            return Study({dial.key: (dial, pattern)}, {**bad, dial.key: search.good[0]})
    square = [dial for dial in dials.all.values() if not dial.is_batch]
    if len(square) > 1:
        search = Search(ask.turned(bad, *(dial.key for dial in square)), budget // 2)
        pattern = find_pattern(search, square[0].range)
        if pattern.kind != "none":
            base = {**bad, **{dial.key: search.good[0] for dial in square}}
            return Study({dial.key: (dial, pattern) for dial in square}, base, square=True)
    moving = [dial for dial in dials.all.values() if _matters(dials, broken, dial)]
    shrinking = [dial for dial in moving if _solved(dials, broken, dial)]
    moving = shrinking or moving
    return Study({dial.key: (dial, Pattern("none")) for dial in moving}, None)


def _moves(dials: Dials, broken: Broken, dial: Dial) -> bool:
    """Whether turning a dial changes the shapes the node gets."""
    bad = broken.setting
    graph = broken.node.graph
    here = dials.shapes(bad).inside(graph).types
    there = dials.shapes({**bad, dial.key: bad[dial.key] + 1}).inside(graph).types
    return any(here.get(name) != there.get(name) for name in broken.node.inputs if name)


def _matters(dials: Dials, broken: Broken, dial: Dial) -> bool:
    """Whether a dial has to do with the contradiction, and not only with other axes of the same tensors."""
    if not _moves(dials, broken, dial):
        return False
    bad = broken.setting
    turned = {**bad, dial.key: bad[dial.key] + 1}
    here, there = (_contradiction(broken.node, dials.shapes(setting)) for setting in (bad, turned))
    return here != there


def _contradiction(node: Node, point: PointShapes) -> object:
    """What does not fit, without the sizes beside it: the gap in numbers, else the message less its shapes."""
    distance = gap(node, point)
    if distance is not None:
        return distance
    told = next((failure.message for failure in point.failures if failure.path == node.path), "")
    return _SHAPE_IN_TEXT.sub("", told)


def _solved(dials: Dials, broken: Broken, dial: Dial) -> list[int]:
    """The size of the dial at which the contradicting numbers would meet, if they depend on it linearly."""
    bad = broken.setting
    one = gap(broken.node, dials.shapes(bad))
    step = max(bad[dial.key], 1)
    other = gap(broken.node, dials.shapes({**bad, dial.key: bad[dial.key] + step}))
    if one is None or other is None or other == one:
        return []
    size = bad[dial.key] - one * step / (other - one)
    return [int(size)] if size >= 1 and size == int(size) else []


def gap(node: Node, point: PointShapes) -> int | None:
    """By how much the node's operands miss each other; None when that is no number."""
    op, inputs = node.proto.op_type, node.proto.input
    point = point.inside(node.graph)
    if op == "Reshape" and len(inputs) > 1:
        have, target = volume(point, inputs[0]), point.values.get(inputs[1])
        entries = [] if target is None else _integers(target)
        if have is None or target is None or min(entries, default=1) < 1:
            return None
        return have - math.prod(entries)
    if op == "Split":
        return _split_gap(node, point)
    clash = clash_at(node, point)
    return None if clash is None else clash.one.size - clash.other.size


def _split_gap(node: Node, point: PointShapes) -> int | None:
    """By how much the constant parts of a Split miss the size of its axis."""
    data = point.types.get(node.proto.input[0])
    attributes = {attribute.name: plain(attribute) for attribute in node.proto.attribute}
    parts = point.values.get(node.proto.input[1]) if len(node.proto.input) > 1 else attributes.get("split")
    if data is None or not data.sizes or parts is None:
        return None
    axis = int(attributes.get("axis", 0)) % len(data.sizes)
    return data.sizes[axis] - sum(_integers(parts))


def _integers(values: Array | list[int]) -> list[int]:
    return [int(value) for value in np.ravel(values).tolist()]
