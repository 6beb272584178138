"""What a check looks at: an opened model, the recipe, its shapes, and what the engine said."""

from __future__ import annotations

from dataclasses import dataclass

from friction_tui.engines.base import Refusal
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.protocol import EngineInfo
from friction_tui.vocabulary.recipe import Recipe


@dataclass(frozen=True, slots=True)
class CheckContext:
    """Everything a check may read. Checks never change it.

    `refusals` is None when TensorRT's parser was not asked (not installed, or turned off), else all it
    refused. `engine` is the label verdicts about TensorRT are signed with, such as `TensorRT-RTX 1.7.1`,
    "" when none is installed. `rtx` tells the consumer edition from the enterprise one. `builder` is what that engine
    can do, None when there is none, or nobody looked.
    """

    model: OpenedModel
    recipe: Recipe
    table: ShapeTable
    refusals: tuple[Refusal, ...] | None = None
    engine: str = ""
    rtx: bool = True
    builder: EngineInfo | None = None


def context_for(
    engine: EngineInfo | None,
    model: OpenedModel,
    recipe: Recipe,
    table: ShapeTable,
    refusals: tuple[Refusal, ...] | None = None,
) -> CheckContext:
    """What a check reads of a model that is made for `engine`."""
    label, rtx = (engine.label, engine.operator_table == "rtx") if engine else ("", True)
    return CheckContext(model, recipe, table, refusals, label, rtx, engine)
