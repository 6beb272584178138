"""Whether two latency runs differ by more than noise.

Consecutive inferences are not independent (clocks, caches, other processes), so single times would make every
difference look certain. Each run is cut into blocks and the blocks' medians are compared by a Mann-Whitney U test:
normal approximation with tie and continuity corrections (Mann and Whitney 1947, Annals of Mathematical Statistics 18).
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise
from statistics import median

BLOCKS = 10
"""Blocks a run is cut into; a run needs two times in each."""
LEVEL = 0.01
"""The p under which a difference counts as more than noise."""
SMALLEST = 0.01
"""Relative differences of the medians under this are called noise whatever p says: a change of 1 % decides nothing."""
TEST = f"Mann-Whitney U on the medians of {BLOCKS} blocks, p < {LEVEL}"


@dataclass(frozen=True, slots=True)
class Comparison:
    """`change` is the relative difference of the medians (0.1: 10 % slower); `p` None: too few runs to tell."""

    change: float
    p: float | None

    @property
    def real(self) -> bool:
        """Whether it is more than noise."""
        return self.p is not None and self.p < LEVEL and abs(self.change) >= SMALLEST


def compare(before: Sequence[float], after: Sequence[float]) -> Comparison:
    """How the times `after` compare with those `before`; both in the order in which they were measured."""
    old, new = median(before), median(after)
    change = (new - old) / old if old else 0.0
    if min(len(before), len(after)) < 2 * BLOCKS:
        return Comparison(change, None)
    return Comparison(change, mann_whitney(_block_medians(before), _block_medians(after)))


def mann_whitney(first: Sequence[float], second: Sequence[float]) -> float:
    """Two-sided p of the U test, by the normal approximation."""
    pooled = sorted((value, group) for group, values in enumerate((first, second)) for value in values)
    size, rank_sum, ties, at = len(pooled), 0.0, 0.0, 0
    while at < size:
        end = at
        while end < size and pooled[end][0] == pooled[at][0]:
            end += 1
        rank_sum += (at + 1 + end) / 2 * sum(group == 0 for _, group in pooled[at:end])
        ties += (end - at) ** 3 - (end - at)
        at = end
    n, m = len(first), len(second)
    u = rank_sum - n * (n + 1) / 2
    variance = n * m / 12 * (size + 1 - ties / (size * (size - 1)))
    if variance <= 0:
        return 1.0
    z = max(abs(u - n * m / 2) - 0.5, 0) / math.sqrt(variance)
    return math.erfc(z / math.sqrt(2))


def _block_medians(times: Sequence[float]) -> list[float]:
    edges = [round(block * len(times) / BLOCKS) for block in range(BLOCKS + 1)]
    return [median(times[start:end]) for start, end in pairwise(edges)]
