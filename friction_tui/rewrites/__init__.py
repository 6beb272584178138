"""Rewrites that remove a problem, each verified. One file a family; a family lists its own in `REWRITES`."""

from __future__ import annotations

from friction_tui.rewrites import (
    baked_sizes,
    constants,
    control_flow,
    expansion,
    masks,
    names,
    narrow_types,
    quantized_microsoft,
    scales,
    shapes,
    structure,
    training,
    types,
)
from friction_tui.rewrites.base import Rewriter

FAMILIES = (
    baked_sizes,
    shapes,
    types,
    scales,
    narrow_types,
    quantized_microsoft,
    training,
    constants,
    names,
    structure,
    control_flow,
    masks,
    expansion,
)
"""The order in which rewrites are offered; those for any refusal (`Rewriter.general`) come after all others."""

REWRITES: dict[str, Rewriter] = {rewriter.name: rewriter for family in FAMILIES for rewriter in family.REWRITES}
"""Every rewrite by name, as `Fix.rewrite` and `Rewrite.name` spell it."""
