"""Which dimension is to blame for a node that breaks, and at which sizes of it the node works."""

from __future__ import annotations

import re
from dataclasses import dataclass

from friction_tui.model.graph import Node
from friction_tui.model.shapes.clashes import gap
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.shapes.dimensions import Assignment, Dimension, Dimensions
from friction_tui.rules.shapes.size_patterns import Pattern, Search, Works, find_pattern, rounded_multiples
from friction_tui.vocabulary.recipe import POINTS

_SHAPE_IN_TEXT = re.compile(r"\[[\d, ]*\]")

_NODES_FOLLOWED = 60_000
"""Nodes followed in the search for one broken node: a thousand-node model is tried at sixty sizes."""


@dataclass(frozen=True, slots=True)
class Broken:
    """A node that cannot work, with the assignments and the messages, by label (`min`, `opt`, `max`, `max-1`...)."""

    node: Node
    at: dict[str, tuple[Assignment, str]]

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
    def assignment(self) -> Assignment:
        """The assignment that belongs to `message`."""
        for label in ("opt", "max", "min"):
            if label in self.at:
                return self.at[label][0]
        return next(iter(self.at.values()))[0]


@dataclass(frozen=True, slots=True)
class Study:
    """What was found out. `blamed` are the dimensions that break the node when varied alone, with their patterns.

    `base` is an assignment at which it works, None if none was found. `together` are dimensions that only fail as a
    pair. `searched` says whether sizes were looked for at all.
    """

    blamed: dict[str, tuple[Dimension, Pattern]]
    base: Assignment | None = None
    together: tuple[Dimension, ...] = ()
    searched: bool = True
    square: bool = False
    """The sizes were varied together (height = width) because no single one helps."""

    @property
    def dimensions(self) -> tuple[Dimension, ...]:
        """Every dimension that has to do with it."""
        return tuple(dimension for dimension, _ in self.blamed.values()) or self.together

    @property
    def same(self) -> tuple[object, ...]:
        """Equal for nodes that break for the same reason."""
        return tuple((key, pattern) for key, (_, pattern) in self.blamed.items()), tuple(d.key for d in self.together)


@dataclass(frozen=True, slots=True)
class _Trial:
    """Whether one node works at an assignment."""

    dimensions: Dimensions
    broken: Node

    def node(self, assignment: Assignment) -> bool | None:
        """True, False, or None when something before the node fails."""
        return state(self.dimensions.shapes(assignment), self.broken)

    def varied(self, base: Assignment, *keys: str) -> Works:
        """Whether the node works at `base` with the dimensions `keys` at a size."""
        return lambda size: self.node({**base, **dict.fromkeys(keys, size)})

    def all_varied(self, base: Assignment, key: str) -> Works:
        """Whether nothing breaks at `base` with one dimension at a size, but what breaks at `base` anyway."""
        anyway = {failure.path for failure in self.dimensions.shapes(base).failures}

        def works(size: int) -> bool | None:
            return all(failure.path in anyway for failure in self.dimensions.shapes({**base, key: size}).failures)

        return works


def state(point: PointShapes, node: Node) -> bool | None:
    """Whether a node works at a point; None when its inputs are not known there."""
    if any(failure.path == node.path for failure in point.failures):
        return False
    types = point.inside(node.graph).types
    known = (types.get(name) for name in node.inputs if name)
    return True if all(found is not None and found.sizes is not None for found in known) else None


def study(dimensions: Dimensions, broken: Broken, *, search: bool) -> Study:
    """Turn the dimensions one by one until it is clear which sizes of which of them work."""
    if not dimensions.all or dimensions.shape_values:
        return Study({}, None)
    trial = _Trial(dimensions, broken.node)
    tried = [(label, dimensions.at(label)) for label in POINTS]
    good = [assignment for label, assignment in tried if label not in broken.at and trial.node(assignment)]
    budget = max(16, min(160, _NODES_FOLLOWED // (len(dimensions.model.index.nodes) + 1)))
    if not good:
        return _without_example(dimensions, broken, trial, budget) if search else Study({}, None, searched=False)
    base = good[-1]
    blamed: dict[str, tuple[Dimension, Pattern]] = {}
    for dimension in dimensions.all.values():
        sizes = [
            assignment[dimension.key]
            for assignment, _ in broken.at.values()
            if assignment[dimension.key] != base[dimension.key]
        ]
        works = trial.varied(base, dimension.key)
        fails = [size for size in dict.fromkeys(sizes) if works(size) is False]
        if not fails:
            continue
        pattern = Pattern("unclear")
        if search:
            hints = (base[dimension.key], *fails, *_solved(dimensions, broken, dimension))
            own = Search(works, budget)
            pattern = find_pattern(own, dimension.range, hints)
            if pattern.kind == "unclear":
                # The sizes at which the whole model works are simpler than those at which one node does.
                pattern = find_pattern(Search(trial.all_varied(base, dimension.key), budget), dimension.range, hints)
            if pattern.kind == "unclear":
                own.budget = max(own.budget, budget // 2)
                pattern = rounded_multiples(own, dimension.range) or pattern
        blamed[dimension.key] = (dimension, pattern)
    if blamed:
        return Study(blamed, base, searched=search)
    differing = [
        dimension
        for key, dimension in dimensions.all.items()
        if any(s[key] != base[key] for s, _ in broken.at.values())
    ]
    return Study({}, base, tuple(_that_matter(trial, base, broken.assignment, differing)), searched=search)


def _that_matter(trial: _Trial, base: Assignment, bad: Assignment, dimensions: list[Dimension]) -> list[Dimension]:
    """The dimensions without whose change the node would still work."""
    needed = []
    for dimension in dimensions:
        if trial.node({**bad, dimension.key: base[dimension.key]}) is not False:
            needed.append(dimension)
    return needed or dimensions


def _without_example(dimensions: Dimensions, broken: Broken, trial: _Trial, budget: int) -> Study:
    """Nothing given works: look for a size that does, one dimension at a time, then height and width together."""
    bad = broken.assignment
    for dimension in dimensions.all.values():
        hints = _solved(dimensions, broken, dimension)
        if not hints and not _moves(dimensions, broken, dimension):
            continue
        search = Search(trial.varied(bad, dimension.key), budget // 2)
        pattern = find_pattern(search, dimension.range, hints)
        if pattern.kind != "none":
            return Study({dimension.key: (dimension, pattern)}, {**bad, dimension.key: search.good[0]})
    square = [dimension for dimension in dimensions.all.values() if not dimension.is_batch]
    if len(square) > 1:
        search = Search(trial.varied(bad, *(dimension.key for dimension in square)), budget // 2)
        pattern = find_pattern(search, square[0].range)
        if pattern.kind != "none":
            base = {**bad, **{dimension.key: search.good[0] for dimension in square}}
            return Study({dimension.key: (dimension, pattern) for dimension in square}, base, square=True)
    moving = [dimension for dimension in dimensions.all.values() if _matters(dimensions, broken, dimension)]
    shrinking = [dimension for dimension in moving if _solved(dimensions, broken, dimension)]
    moving = shrinking or moving
    return Study({dimension.key: (dimension, Pattern("none")) for dimension in moving}, None)


def _moves(dimensions: Dimensions, broken: Broken, dimension: Dimension) -> bool:
    """Whether varying a dimension changes the shapes the node gets."""
    bad = broken.assignment
    graph = broken.node.graph
    here = dimensions.shapes(bad).inside(graph).types
    there = dimensions.shapes({**bad, dimension.key: bad[dimension.key] + 1}).inside(graph).types
    return any(here.get(name) != there.get(name) for name in broken.node.inputs if name)


def _matters(dimensions: Dimensions, broken: Broken, dimension: Dimension) -> bool:
    """Whether a dimension has to do with the contradiction, and not only with other axes of the same tensors."""
    if not _moves(dimensions, broken, dimension):
        return False
    bad = broken.assignment
    varied = {**bad, dimension.key: bad[dimension.key] + 1}
    here, there = (_contradiction(broken.node, dimensions.shapes(assignment)) for assignment in (bad, varied))
    return here != there


def _contradiction(node: Node, point: PointShapes) -> object:
    """What does not fit, without the sizes beside it: the gap in numbers, else the message less its shapes."""
    distance = gap(node, point)
    if distance is not None:
        return distance
    message = next((failure.message for failure in point.failures if failure.path == node.path), "")
    return _SHAPE_IN_TEXT.sub("", message)


def _solved(dimensions: Dimensions, broken: Broken, dimension: Dimension) -> list[int]:
    """The size of the dimension at which the contradicting numbers would meet, if they depend on it linearly."""
    bad = broken.assignment
    one = gap(broken.node, dimensions.shapes(bad))
    step = max(bad[dimension.key], 1)
    other = gap(broken.node, dimensions.shapes({**bad, dimension.key: bad[dimension.key] + step}))
    if one is None or other is None or other == one:
        return []
    size = bad[dimension.key] - one * step / (other - one)
    return [int(size)] if size >= 1 and size == int(size) else []
