"""The free sizes of a model as dials: turn one, see which nodes still work.

A *setting* gives every dim key of the profile one size. Shapes at a setting are cached by the model room.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import msgspec

from friction_tui.model.opened import OpenedModel
from friction_tui.model.profile import free_dims
from friction_tui.model.shapes import PointShapes, input_sizes, shapes_at
from friction_tui.recipe import POINTS, Profile, Range

Setting = dict[str, int]


@dataclass(frozen=True, slots=True)
class Dial:
    """One dim key with its range. `uses` are the (input, axis) pairs that take its size; `guessed`: nobody chose it."""

    key: str
    range: Range
    uses: tuple[tuple[str, int], ...]
    guessed: bool

    @property
    def spoken(self) -> str:
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


class Dials:
    """All dials of a profile, and the shapes of a model at any setting of them."""

    def __init__(self, model: OpenedModel, profile: Profile) -> None:
        self.model = model
        self._profile = profile
        free = free_dims(model)
        uses = {f"{name}[{axis}]": (name, axis) for pairs in free.values() for name, axis in pairs}
        self.all = {
            key: Dial(
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

    @property
    def shape_values(self) -> tuple[str, ...]:
        """The inputs whose values decide shapes; these values only belong to min, opt and max."""
        return tuple(self._profile.values)

    def at(self, point: str) -> Setting:
        """The setting at "min", "opt" or "max"."""
        return {key: dial.range.at(point) for key, dial in self.all.items()}

    def between(self) -> list[tuple[str, Setting]]:
        """Awkward settings inside the ranges: one below the max, and just beside opt (odd where that is even)."""
        below = {key: max(dial.range.max - 1, dial.range.min) for key, dial in self.all.items()}
        beside = {key: _beside(dial.range) for key, dial in self.all.items()}
        known = [self.at(point) for point in POINTS]
        found = []
        for label, setting in (("max-1", below), ("next to opt", beside)):
            if setting not in known:
                known.append(setting)
                found.append((label, setting))
        return found

    def shapes(self, setting: Mapping[str, int], point: str = "opt") -> PointShapes:
        """The shapes at a setting; shape-tensor inputs have their values at `point`."""
        ranges = {**self._profile.ranges, **{key: Range(size, size, size) for key, size in setting.items()}}
        profile = msgspec.structs.replace(self._profile, ranges=ranges)
        values = {name: given.at(point) for name, given in self._profile.values.items()}
        return shapes_at(self.model, input_sizes(self.model, profile, point), values, point)


def _beside(chosen: Range) -> int:
    """The size next to opt that still lies in the range."""
    return chosen.opt + 1 if chosen.opt < chosen.max else max(chosen.opt - 1, chosen.min)
