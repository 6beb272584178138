"""What an edit of the ranges asks again, and what it need not."""

from __future__ import annotations

from typing import NoReturn, cast

import pytest

from friction_tui.diagnosis.case import Case, Check
from friction_tui.diagnosis.checks import CHECKS, OF_THE_RANGES
from friction_tui.model.opened import open_model
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.recipe import Precision, Recipe
from friction_tui.samples import sample


class NoSizes:
    """A table, or a recipe, that fails whoever asks it for sizes."""

    target, precision, keep_float32 = "", Precision.FP16, ()

    def __getattr__(self, name: str) -> NoReturn:
        raise AssertionError(f"{name} was asked for")


RANGELESS = [pytest.param(check, id=name) for name, check, _ in CHECKS if name not in OF_THE_RANGES]


@pytest.mark.parametrize("check", RANGELESS)
def test_a_check_that_is_kept_over_edits_of_the_ranges_does_not_look_at_them(check: Check) -> None:
    assert {name for name, _, _ in CHECKS} > OF_THE_RANGES
    for name in ("detector", "baked_batch", "qdq_asymmetric", "fp16_hazard", "growing_loop", "healthy_transformer"):
        path = sample(name)
        assert path is not None
        no_sizes = NoSizes()
        list(
            check(Case(open_model(path), cast(Recipe, no_sizes), cast(ShapeTable, no_sizes), (), "TensorRT-RTX 1.7.1"))
        )
