"""How far two arrays are apart, in every way that is told."""

from __future__ import annotations

import math

import ml_dtypes
import numpy as np
import pytest

from friction_tui.measure.differences import apart
from friction_tui.vocabulary.protocol import NotFinite


def test_the_largest_difference_is_told_with_its_place_and_in_proportion() -> None:
    first = np.array([[1.0, -8.0], [2.0, 0.5]], np.float32)
    second = first.copy()
    second[1, 1] = 1.0
    found = apart("y", 3, first, second)
    assert (found.absolute, found.index, found.first, found.second) == (0.5, (1, 1), 0.5, 1.0)
    assert (found.relative, found.elementwise, found.inputs) == (0.0625, 1.0, 3)
    assert found.same(0.07)
    assert not found.same(0.06)


def test_equal_tensors_are_apart_by_nothing() -> None:
    for array in (np.arange(6.0), np.array([], np.float32), np.array(["a", "b"]), np.array([True]), np.array(3)):
        found = apart("y", 0, array, array.copy())
        assert (found.absolute, found.relative) == (0.0, 0.0)
        assert found.same(0.0)


def test_what_cannot_be_compared_by_value_says_why() -> None:
    assert apart("y", 0, np.zeros(2), np.zeros((1, 2))).unlike == "shapes [2] and [1, 2]"
    text = apart("y", 0, np.array(["a"]), np.array(["b"]))
    assert "not the same" in text.unlike
    assert not text.same(1e9)


def test_nan_and_inf_are_located_and_never_the_same() -> None:
    first = np.array([1.0, np.nan, np.inf, 4.0, -np.inf])
    second = np.array([1.0, np.nan, 3.0, np.nan, np.inf])
    found = apart("y", 0, first, second)
    assert found.not_finite == (
        NotFinite(2, "NaN", 1, 5, (3,)),
        NotFinite(1, "Inf", 1, 5, (2,)),
        NotFinite(2, "Inf", 1, 5, (4,)),
        NotFinite(1, "-Inf", 1, 5, (4,)),
    )
    assert found.absolute == 0.0
    assert not found.same(1.0)
    assert apart("y", 0, np.array([np.nan]), np.array([np.nan])).same(0.0)
    nothing = apart("y", 0, np.array([np.nan]), np.array([1.0]))
    assert nothing.relative is None
    assert not nothing.same(1.0)


def test_the_angle_is_that_of_the_whole_tensor() -> None:
    found = apart("y", 0, np.array([1.0, 0.0]), np.array([0.0, 1.0]))
    assert found.cosine == 0.0
    assert apart("y", 0, np.array([1.0, 2.0]), np.array([3.0, 6.0])).cosine == pytest.approx(1.0)
    assert apart("y", 0, np.zeros(2), np.zeros(2)).cosine is None
    huge = apart("y", 0, np.array([1e300, 1e300]), np.array([1e300, -1e300]))
    assert huge.cosine == pytest.approx(0.0)


def test_the_order_of_the_largest_values_is_compared_row_by_row() -> None:
    rng = np.random.default_rng(0)
    first = rng.standard_normal((4, 10))
    second = first.copy()
    second[2, first[2].argmin()] = 100.0
    found = apart("y", 0, first, second)
    assert (found.top1, found.top5) == (0.75, 0.75)
    short = apart("y", 0, np.array([1.0, 2.0]), np.array([2.0, 1.0]))
    assert (short.top1, short.top5) == (0.0, None)
    assert apart("y", 0, np.array(1.0), np.array(2.0)).top1 is None


def test_types_that_numpy_lacks_are_numbers_too() -> None:
    first = np.array([1.0, 2.0], ml_dtypes.bfloat16)
    found = apart("y", 0, first, np.array([1.0, 2.5], np.float32))
    assert found.absolute == 0.5
    assert math.isclose(found.relative or 0, 0.25)


def test_whole_numbers_are_compared_as_numbers() -> None:
    found = apart("y", 0, np.array([10, 20]), np.array([10, 21]))
    assert (found.absolute, found.relative) == (1.0, 0.05)
