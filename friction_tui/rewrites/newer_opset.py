"""Converting an old model to an opset that has the operators which replacements are made of."""

from __future__ import annotations

from collections.abc import Sequence

import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.model.opset import OpsetRefused, convert, opset_of
from friction_tui.rewrites.base import CannotRewrite, Rewriter

TARGETS = (17, 16, 14, 13, 11)
"""Opsets to convert to, the best first. 17 has every operator that replacements are made of but the low-precision
types, and TensorRT 8.6 and later read it; the others are for models that onnx cannot convert as far."""


def convert_opset(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The model at the first of TARGETS that it can be converted to. Raises CannotRewrite where none is newer."""
    del paths
    why = f"the model is at opset {opset_of(model.proto)} already"
    for target in TARGETS:
        if target <= opset_of(model.proto):
            break
        try:
            return convert(model.proto, target)
        except OpsetRefused as error:
            why = error.message
    raise CannotRewrite(why)


CONVERT = Rewriter(
    "convert-opset",
    f"convert the model to opset {TARGETS[0]}, or as near as it goes",
    convert_opset,
    prepares=True,
)
REWRITES = (CONVERT,)
