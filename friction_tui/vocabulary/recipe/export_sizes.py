"""Which sizes an export is asked to leave free, and when other sizes need another export."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence

from friction_tui.vocabulary.protocol import Dim, Port
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, SourceKind, dim_key

Limits = Mapping[str, tuple[int, int | None]]
"""What an export was asked for: `input[axis]` to its smallest and largest size, None for no largest."""

FREED_BY_RANGES = (SourceKind.PYTORCH, SourceKind.TORCHSCRIPT, SourceKind.HUGGING_FACE)
"""Sources whose export decides which sizes are free. The others come with theirs: they were captured before."""


def asked_profile(recipe: Recipe) -> Profile | None:
    """The sizes the exporter is asked for: over all profiles, without those that were not chosen."""
    if recipe.profile is None:
        return None
    ranges: dict[str, Range] = {}
    for profile in recipe.profiles:
        for key, chosen in profile.ranges.items():
            known = ranges.get(key, chosen)
            if key not in profile.guessed:
                low, high = min(known.min, chosen.min), max(known.max, chosen.max)
                ranges[key] = Range(low, known.opt, high)
    return Profile(ranges=ranges, values=recipe.profile.values)


def why_export_again(inputs: Sequence[Port], recipe: Recipe, limits: Limits) -> str:
    """Why the sizes of `recipe` need another export than the model with these `inputs`; "" where they do not.

    An export for 1..8 holds for 2..4, but not for 1..16: the exporter decides what the code asks of a size, such as
    `if n > 8`, by the sizes it was told.
    """
    asked = asked_profile(recipe)
    if recipe.source.kind not in FREED_BY_RANGES or asked is None:
        return ""
    known = {key for profile in recipe.profiles for key in profile.ranges}
    for port, axis, dim in _dims(inputs):
        location, names = dim_key(port.name, axis, ""), keys_of(port, axis)
        chosen = next((asked.ranges[name] for name in names if name in asked.ranges), None)
        if chosen is not None and chosen.min != chosen.max:
            if dim.size is not None and location not in limits:
                return f"{location} is {dim.size} in the model and is to be {chosen.min}..{chosen.max}"
            low, high = limits.get(location, (chosen.min, None))
            if chosen.min < low or (high is not None and chosen.max > high):
                was = f"{low}..{high}" if high is not None else f"{low} and up"
                return f"{location} was exported for {was} and is to be {chosen.min}..{chosen.max}"
        elif dim.size is None and known.isdisjoint(names):
            return f"{location} is free in the model and has no range any more"
    return ""


def keys_of(port: Port, axis: int) -> tuple[str, ...]:
    """The keys under which the range of a dimension may be kept, those of this dimension alone first.

    `x_0` is what the exporter is told to call a dimension freed by a range for `x[0]`.
    """
    symbol = port.dims[axis].symbol if port.dims is not None else ""
    own = (dim_key(port.name, axis, ""), f"{port.name}_{axis}")
    return (*own, symbol) if symbol and symbol not in own else own


def _dims(inputs: Sequence[Port]) -> Iterator[tuple[Port, int, Dim]]:
    for port in inputs:
        for axis, dim in enumerate(() if port.shape_tensor else port.dims or ()):
            yield port, axis, dim
