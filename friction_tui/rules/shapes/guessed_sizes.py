"""A size the tool guessed because no other one works: a dimension that is declared free and is not.

The guess then hides what is wrong with the model, since everything works at that one size.
"""

from __future__ import annotations

import msgspec

from friction_tui.model.opened import OpenedModel
from friction_tui.rules.shapes.dials import Dials
from friction_tui.vocabulary.recipe import Profile, Range

_LARGEST_MODEL = 20_000
"""Nodes up to which other sizes are tried, as for the guess itself."""


def widened(model: OpenedModel, profile: Profile) -> Profile:
    """`profile` with a range for each guessed single size beside which nothing works, so that it is looked into.

    Sizes that only have to change together, such as height and width of a square, are left alone.
    """
    single = {key: chosen.opt for key in profile.guessed if (chosen := profile.ranges.get(key)) and _is_single(chosen)}
    if not single or len(model.index.nodes) > _LARGEST_MODEL:
        return profile
    dials = Dials(model, profile)
    base = dials.at("opt")

    def works(**sizes: int) -> bool:
        return not dials.shapes({**base, **sizes}).failures

    if not works():
        return profile
    stuck = {
        key: size
        for key, size in single.items()
        if key in dials.all and not any(works(**{key: other}) for other in _others(size))
    }
    if not stuck or any(works(**{key: size * factor for key, size in stuck.items()}) for factor in (2, 3)):
        return profile
    around = {key: Range(max(size // 2, 1), size, 2 * size) for key, size in stuck.items()}
    return msgspec.structs.replace(profile, ranges={**profile.ranges, **around})


def _is_single(chosen: Range) -> bool:
    return chosen.min == chosen.opt == chosen.max


def _others(size: int) -> list[int]:
    """Multiples first: they work wherever strides are all that matters."""
    return [other for other in (2 * size, 3 * size, size // 2, size - 1) if other > 0]
