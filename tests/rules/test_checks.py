"""Which checks run again when the ranges change, and that the others do not look at them."""

from __future__ import annotations

from typing import NoReturn, cast

import pytest

from friction_tui.model.opened import open_model
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.check import Check
from friction_tui.rules.checks import CHECKS
from friction_tui.rules.context import CheckContext
from friction_tui.samples import sample
from friction_tui.vocabulary.recipe import Precision, Recipe


class NoSizes:
    """A table, or a recipe, that fails whoever asks it for sizes."""

    target, precision, keep_float32, required_opset = "", Precision.FP16, (), None

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was asked for")


OF_SIZES = {
    *("parser", "builder limits", "quantization", "profile", "shapes", "fragile shapes", "folded batch"),
    *("control flow", "largest activation", "older forms", "output sizes"),
}
RANGELESS = [pytest.param(check, id=check.name) for check in CHECKS if not check.reads_sizes]


def test_only_these_checks_are_asked_again_when_the_ranges_change() -> None:
    assert {check.name for check in CHECKS if check.reads_sizes} == OF_SIZES


@pytest.mark.parametrize("check", RANGELESS)
def test_the_other_checks_do_not_look_at_the_ranges(check: Check) -> None:
    for name in ("detector", "baked_batch", "qdq_asymmetric", "fp16_hazard", "growing_loop", "healthy_transformer"):
        path = sample(name)
        assert path is not None
        no_sizes = NoSizes()
        list(
            check(
                CheckContext(
                    open_model(path), cast(Recipe, no_sizes), cast(ShapeTable, no_sizes), (), "TensorRT-RTX 1.7.1"
                )
            )
        )
