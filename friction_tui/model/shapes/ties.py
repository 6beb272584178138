"""Sizes that operators tie to each other, found by asking what would make the nodes work that fail.

Where two operands have to agree and one follows `past` and `seq`, the other `total`, their difference is a sum of the
sizes with whole factors: each size is moved by one to learn its factor, and the equation that closes the gap is tried.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterable, Mapping

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.clashes import Clash, clash_at, gap, recurrent_clash
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.vocabulary.recipe.relations import Relation, completed

Sizes = Mapping[str, int]
ShapesAt = Callable[[Sizes], PointShapes]
"""The shapes where every dim key has a size."""

MOST_KEYS = 24
"""Sizes that are moved, each for the price of following the whole model once."""
MOST_NODES = 16
"""Failing nodes that are looked at; those behind one that fails are not known to fail."""
_BEYOND = 3
"""By how much all sizes are raised for a second look at an equation: one that holds by chance does not hold there."""


def ties(
    model: OpenedModel, base: Sizes, shapes: ShapesAt, movable: Collection[str], known: Iterable[Relation] = ()
) -> list[Relation]:
    """Equations, each with a `movable` key on the left, with which nodes work that fail at `base`.

    `known` relations hold at `base` and are kept. A later equation may need an earlier one.
    """
    here = shapes(base)
    failing = [model.index.by_path[failure.path] for failure in here.failures[:MOST_NODES]]
    keys = [key for key in base if key in movable or len(base) <= MOST_KEYS][:MOST_KEYS]
    if not failing or len(keys) < 2:
        return []
    moved = {key: shapes({**base, key: base[key] + 1}) for key in keys}
    found: list[Relation] = []
    for node in failing:
        relation = relation_at(node, base, here, moved, movable)
        kept = (*known, *found)
        if relation is None or any(relation.key == other.key for other in kept):
            continue
        if all(_works(shapes(sizes), node) for sizes in _two_looks(base, (*kept, relation))):
            found.append(relation)
    return found


def relation_at(
    node: Node, base: Sizes, here: PointShapes, moved: Mapping[str, PointShapes], movable: Collection[str]
) -> Relation | None:
    """The equation that would close the gap at a node; None where it is no sum of at least two sizes.

    `moved` are the shapes with one size larger by one than at `base`, by its key.
    """
    clash = _clash(node, here)
    start = _gap(node, here, clash)
    if not start:
        return None
    factors: dict[str, int] = {}
    for key, there in moved.items():
        after = _gap(node, there, clash)
        if after is None:
            return None
        if after != start:
            factors[key] = after - start
    constant = start - sum(factor * base[key] for key, factor in factors.items())
    # The key that stands alone on its side is the one that depends on the others.
    candidates = [key for key, factor in factors.items() if abs(factor) == 1 and key in movable]
    if len(factors) < 2 or not candidates:
        return None

    def preference(key: str) -> tuple[bool, bool, int]:
        alone = all(factor * factors[key] < 0 for other, factor in factors.items() if other != key)
        return not alone, -constant * factors[key] < 0, -list(factors).index(key)

    key = min(candidates, key=preference)
    sign = -factors[key]
    terms = tuple((other, factor * sign) for other, factor in factors.items() if other != key)
    return Relation(key, terms, constant * sign)


def _clash(node: Node, point: PointShapes) -> Clash | None:
    inside = point.inside(node.graph)
    return clash_at(node, inside) or recurrent_clash(node, inside)


def _gap(node: Node, point: PointShapes, clash: Clash | None) -> int | None:
    """By how much two operands miss each other, at the axes of `clash` where there is one."""
    if clash is None:
        return gap(node, point)
    types = point.inside(node.graph).types
    sizes = [types[side.tensor].sizes if side.tensor in types else None for side in clash.sides]
    pairs = list(zip(sizes, clash.sides, strict=True))
    if any(found is None or side.axis >= len(found) for found, side in pairs):
        return None
    one, other = (found[side.axis] for found, side in pairs if found is not None)
    return one - other


def _two_looks(base: Sizes, relations: Iterable[Relation]) -> list[Sizes]:
    """The sizes of `base`, and larger ones, with everything on a left side made to fit."""
    every = tuple(relations)
    left = {relation.key for relation in every}
    free = {key: size for key, size in base.items() if key not in left}
    looks = [completed(sizes, every) for sizes in (free, {key: size + _BEYOND for key, size in free.items()})]
    return [{**base, **sizes} for sizes in looks]


def _works(point: PointShapes, node: Node) -> bool:
    types = point.inside(node.graph).types
    inputs_known = all(name in types and types[name].sizes is not None for name in node.inputs if name)
    return inputs_known and all(failure.path != node.path for failure in point.failures)
