"""What an edit of the recipe asks for: another model, another export, or neither."""

from __future__ import annotations

import msgspec

from friction_tui.session.exporting import READ_AS_THEY_ARE, understood
from friction_tui.sources.target import NotASource
from friction_tui.vocabulary.recipe import Precision, Recipe


def edits(recipe: Recipe) -> Recipe:
    """The recipe as far as it edits the ONNX model. An exported source is exported at its opset instead."""
    converted = recipe.opset if recipe.source.kind in READ_AS_THEY_ARE else None
    kept = recipe.keep_float32 if recipe.precision in (Precision.FP16, Precision.BF16) else ()
    return Recipe(
        source=recipe.source,
        opset=converted,
        precision=recipe.precision,
        keep_float32=kept,
        rewrites=recipe.rewrites,
    )


def same_export(recipe: Recipe, other: Recipe) -> bool:
    """Whether both ask for the same export, the sizes apart. The kind of a source may still have to be worked out."""
    try:
        return exports(understood(recipe)) == exports(other) != ()
    except NotASource:
        return False


def exports(recipe: Recipe) -> tuple[object, ...]:
    """The part of a recipe that decides what an export gives; empty for a source that needs none."""
    if recipe.source.kind in READ_AS_THEY_ARE:
        return ()
    agreed_apart = msgspec.structs.replace(recipe.source, consent_hash="")
    return agreed_apart, recipe.opset, recipe.export
