"""The relations between the free dimensions of a model: those that its symbols say, and those that were given."""

from __future__ import annotations

from collections.abc import Mapping

from friction_tui.vocabulary.recipe import Profile
from friction_tui.vocabulary.recipe.relations import Relation, RelationError, parse_relation

Free = Mapping[str, list[tuple[str, int]]]
"""Dim key to the (input, axis) pairs that take its size."""


def relations_of(free: Free, profile: Profile) -> list[Relation]:
    """Every relation that holds between dim keys of the model; one that names something else is left out.

    A key may be given as `input[axis]` where the dimension has a symbol.
    """
    names = {f"{name}[{axis}]": key for key, uses in free.items() for name, axis in uses}
    names = {own: key for own, key in names.items() if own not in profile.ranges}
    found = [*implied(free), *(parse_relation(text).renamed(names) for text in profile.relations)]
    known = free.keys() | profile.ranges.keys()
    unique = {relation.key: relation for relation in reversed(found) if known >= set(relation.keys)}
    return list(unique.values())


def implied(free: Free) -> list[Relation]:
    """What symbols say that are sums themselves: `past + seq`, where both of these are dimensions as well."""
    found: list[Relation] = []
    for key in free:
        if not any(sign in key for sign in "+-*"):
            continue
        try:
            relation = parse_relation(f"total = {key}")
        except RelationError:
            continue
        if all(name in free and name != key for name, _ in relation.terms):
            found.append(Relation(key, relation.terms, relation.constant))
    return found
