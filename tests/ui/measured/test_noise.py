"""A difference between two runs is called real only when it is more than noise."""

import random

from friction_tui.ui.measured.noise import compare, mann_whitney


def test_mann_whitney_agrees_with_known_values() -> None:
    # Tie-free example of Mann and Whitney's test: every one of 10 is below every other of 10.
    assert mann_whitney(range(10), range(10, 20)) < 0.0002
    assert mann_whitney([1, 2, 3, 4], [1, 2, 3, 4]) == 1.0
    assert mann_whitney([5] * 10, [5] * 10) == 1.0
    # By hand: U = 7, its mean 15, its deviation sqrt(5 * 6 * 12 / 12), so z = (8 - 0.5) / sqrt(30) = 1.3693.
    assert abs(mann_whitney([1.1, 2.2, 3.3, 4.4, 5.5], [2.5, 3.5, 4.5, 5.0, 6.5, 7.5]) - 0.17090) < 1e-4


def test_equal_runs_are_noise_and_shifted_ones_are_not() -> None:
    source = random.Random(7)
    runs = [[10 + source.expovariate(2) for _ in range(400)] for _ in range(20)]
    assert sum(compare(first, second).real for first, second in zip(runs[::2], runs[1::2], strict=True)) <= 1
    slower = compare(runs[0], [time * 1.2 for time in runs[1]])
    assert slower.real and 0.1 < slower.change < 0.3


def test_a_drifting_run_is_not_taken_for_a_difference() -> None:
    source = random.Random(1)
    drifting = [10 + at / 200 + source.random() for at in range(400)]
    steady = [11 + source.random() for _ in range(400)]
    assert not compare(steady, drifting).real


def test_few_runs_cannot_tell() -> None:
    assert compare([1.0] * 5, [2.0] * 5).p is None
