"""Rewrites that remove a problem, each verified. One file a family; a family lists its own in `REWRITES`."""

from __future__ import annotations

from friction_tui.rewrites import (
    arithmetic,
    baked_sizes,
    bits,
    constants,
    control_flow,
    convolution,
    data_dependent,
    deformable,
    detection,
    expansion,
    linear_algebra,
    losses,
    masks,
    names,
    normalization,
    pooling,
    random_numbers,
    recurrent,
    sampling,
    scatter,
    selection,
    shapes,
    spectral,
    structure,
    training,
    types,
)
from friction_tui.rewrites.base import Rewriter

FAMILIES = (
    baked_sizes,
    shapes,
    types,
    training,
    constants,
    names,
    structure,
    control_flow,
    masks,
    scatter,
    selection,
    data_dependent,
    sampling,
    pooling,
    detection,
    deformable,
    linear_algebra,
    spectral,
    bits,
    arithmetic,
    convolution,
    losses,
    normalization,
    recurrent,
    random_numbers,
    expansion,
)
"""The order in which rewrites are offered; those for any refusal (`Rewriter.general`) come after all others."""

REWRITES: dict[str, Rewriter] = {rewriter.name: rewriter for family in FAMILIES for rewriter in family.REWRITES}
"""Every rewrite by name, as `Fix.rewrite` and `Rewrite.name` spell it."""
