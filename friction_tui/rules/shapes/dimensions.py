"""The free dimensions of a model: give each a size, see which nodes still work.

An *assignment* gives every dim key of the profile one size. Shapes at an assignment are cached by `friction_tui.model`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, replace

import msgspec

from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import beside_the_way, input_sizes, shapes_at
from friction_tui.model.shapes.profile import free_dims
from friction_tui.model.shapes.related import relations_of
from friction_tui.model.shapes.tensors import NodeFailure, PointShapes
from friction_tui.vocabulary.recipe import POINTS, Profile, Range
from friction_tui.vocabulary.recipe.relations import completed

Assignment = dict[str, int]


@dataclass(frozen=True, slots=True)
class Dimension:
    """One dim key with its range. `uses` are the (input, axis) pairs that take its size; `guessed`: nobody chose it."""

    key: str
    range: Range
    uses: tuple[tuple[str, int], ...]
    guessed: bool

    @property
    def phrase(self) -> str:
        """`the batch size N`, `N` or `x[2]` in a sentence."""
        if not self.is_batch:
            return f"the size {self.key}"
        return f"the batch size ({self.key})" if "batch" in self.key.lower() else f"the batch size {self.key}"

    @property
    def is_batch(self) -> bool:
        """Whether it is the first axis wherever it is used."""
        return all(axis == 0 for _, axis in self.uses)

    @property
    def points(self) -> str:
        """`1 · 4 · 8`, its sizes at min, opt and max."""
        sizes = dict.fromkeys((self.range.min, self.range.opt, self.range.max))
        return " · ".join(str(size) for size in sizes)


class Dimensions:
    """All dimensions of a profile, and the shapes of a model at any assignment of them.

    Of a model that is a part of a larger one, `paths` maps the paths of its nodes to those in the whole: the shapes
    then speak of these.
    """

    def __init__(self, model: OpenedModel, profile: Profile, paths: Mapping[str, str] | None = None) -> None:
        self.model = model
        self._paths = paths or {}
        self._profile = profile
        free = free_dims(model)
        uses = {f"{name}[{axis}]": (name, axis) for pairs in free.values() for name, axis in pairs}
        self.all = {
            key: Dimension(
                key,
                chosen,
                tuple(
                    pair for pair in free.get(key, ()) if key in uses or f"{pair[0]}[{pair[1]}]" not in profile.ranges
                )
                or ((uses[key],) if key in uses else ()),
                key in profile.guessed,
            )
            for key, chosen in profile.ranges.items()
            if key in free or key in uses
        }
        self.relations = [one for one in relations_of(free, profile) if set(one.keys) <= self.all.keys()]
        self._given = [self.at(point) for point in POINTS]

    @property
    def shape_values(self) -> tuple[str, ...]:
        """The inputs whose values decide shapes; these values only belong to min, opt and max."""
        return tuple(self._profile.values)

    def at(self, point: str) -> Assignment:
        """The assignment at "min", "opt" or "max"."""
        return {key: dimension.range.at(point) for key, dimension in self.all.items()}

    def between(self) -> list[tuple[str, Assignment]]:
        """Awkward assignments inside the ranges: one step below the max, and just beside opt (odd where that is even).

        Of a range with a step only sizes on it are taken, and what follows from other sizes by a relation follows.
        """
        below = {
            key: max(dimension.range.max - dimension.range.step, dimension.range.min)
            for key, dimension in self.all.items()
        }
        beside = {key: _beside(dimension.range) for key, dimension in self.all.items()}
        known = list(self._given)
        found = []
        for label, given in (("max-1", below), ("next to opt", beside)):
            assignment = self.following(given)
            if assignment not in known:
                known.append(assignment)
                found.append((label, assignment))
        return found

    def shapes(self, assignment: Mapping[str, int], point: str = "opt") -> PointShapes:
        """The shapes at an assignment; shape-tensor inputs have their values at `point`.

        Sizes that follow from others by a relation do so, except where the profile itself says otherwise.

        Among the failures are nodes of If branches that are not taken there: TensorRT works out the shapes of both.
        """
        if assignment not in self._given:
            assignment = self.following(assignment)
        ranges = {**self._profile.ranges, **{key: Range(size, size, size) for key, size in assignment.items()}}
        profile = msgspec.structs.replace(self._profile, ranges=ranges)
        values = {name: given.at(point) for name, given in self._profile.values.items()}
        found = shapes_at(self.model, input_sizes(self.model, profile, point), values, point)
        if not found.bodies and not found.failures:
            return found
        failures = (*found.failures, *beside_the_way(self.model, found))
        if not self._paths:
            return replace(found, failures=failures)
        return replace(
            found,
            failures=tuple(NodeFailure(self._whole(one.path), one.message) for one in failures),
            bodies={self._whole(prefix): body for prefix, body in found.bodies.items()},
        )

    def following(self, assignment: Mapping[str, int]) -> Assignment:
        """An assignment in which the left side of every relation is what the right side comes to."""
        left = {relation.key for relation in self.relations}
        free = {key: size for key, size in assignment.items() if key not in left}
        completed_sizes = completed(free, self.relations) if left else free
        return {key: max(completed_sizes.get(key, size), 0) for key, size in assignment.items()}

    def _whole(self, path: str) -> str:
        head, dot, rest = path.partition(".")
        return f"{self._paths.get(head, head)}{dot}{rest}"


def _beside(chosen: Range) -> int:
    """The size next to opt that still lies in the range."""
    return chosen.opt + chosen.step if chosen.opt < chosen.max else max(chosen.opt - chosen.step, chosen.min)
