"""Rewrites that remove a problem, each with its proof. One file a family."""

from __future__ import annotations

from friction_tui.rewrites import (
    arithmetic,
    bits,
    convolution,
    data_dependent,
    deformable,
    detection,
    linear_algebra,
    losses,
    normalization,
    pooling,
    random_numbers,
    recurrent,
    sampling,
    scatter,
    selection,
    spectral,
)
from friction_tui.rewrites.base import Rewriter
from friction_tui.rewrites.constants import FOLD_CONSTANTS, REMOVE_UNUSED
from friction_tui.rewrites.control_flow import INLINE_IF
from friction_tui.rewrites.masks import NONZERO_MASK
from friction_tui.rewrites.names import RENAME_OP
from friction_tui.rewrites.shapes import DROP_SQUEEZE, RESHAPE_MINUS_ONE
from friction_tui.rewrites.training import EVAL_MODE
from friction_tui.rewrites.types import CAST_BETWEEN, CAST_INITIALIZER, CAST_INPUT

REWRITES: dict[str, Rewriter] = {
    rewriter.name: rewriter
    for rewriter in (
        RESHAPE_MINUS_ONE,
        DROP_SQUEEZE,
        CAST_INPUT,
        CAST_INITIALIZER,
        CAST_BETWEEN,
        EVAL_MODE,
        FOLD_CONSTANTS,
        RENAME_OP,
        INLINE_IF,
        NONZERO_MASK,
        REMOVE_UNUSED,
        *scatter.REWRITES,
        *selection.REWRITES,
        *data_dependent.REWRITES,
        *sampling.REWRITES,
        *pooling.REWRITES,
        *detection.REWRITES,
        *deformable.REWRITES,
        *linear_algebra.REWRITES,
        *spectral.REWRITES,
        *bits.REWRITES,
        *arithmetic.REWRITES,
        *convolution.REWRITES,
        *losses.REWRITES,
        *normalization.REWRITES,
        *recurrent.REWRITES,
        *random_numbers.REWRITES,
    )
}
"""Every rewrite by name, as `Fix.rewrite` and `Rewrite.name` spell it."""
