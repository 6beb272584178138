"""An optimization profile as the builder wants it: sizes per input instead of ranges per symbol."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.vocabulary.recipe import POINTS, Profile

Points = tuple[tuple[int, ...], tuple[int, ...], tuple[int, ...]]
"""Something at min, opt and max."""


@dataclass(frozen=True, slots=True)
class ResolvedProfile:
    """One optimization profile.

    `shapes` are the dims of each input at min, opt and max; `values` the values of inputs read as shapes. An input
    missing from both has a dimension without a range; the builder says so.
    """

    shapes: Mapping[str, Points]
    values: Mapping[str, Points] = field(default_factory=dict)


def resolved(model: OpenedModel, profile: Profile | None) -> tuple[ResolvedProfile, ...]:
    """The profiles to build `model` with: none for None, which means deliberately none."""
    if profile is None:
        return ()
    at = [input_sizes(model, profile, point) for point in POINTS]
    shapes = {name: (at[0][name], at[1][name], at[2][name]) for name in at[0] if name in at[1] and name in at[2]}
    values = {name: (chosen.min, chosen.opt, chosen.max) for name, chosen in profile.values.items()}
    return (ResolvedProfile(shapes, values),)
