"""Inputs of other sizes or other values than the example's, drawn so that they stay what they are.

Floating-point values are drawn at random. Integers mean something: a length, an index, an offset, a mask. What they
are is read from the example (their order, whether the largest is a size of some input) and kept.
"""

from __future__ import annotations

import random
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import numpy as np
import torch

from friction_tui.sources.pytorch.dynamic_shapes import AskedDim, tensors

_MOST = 100_000
"""Integers that are looked at one by one: more of them are data, such as pixels."""


@dataclass(frozen=True, slots=True)
class Drawn:
    """Inputs by forward's parameters, and the names of those whose integers were made up."""

    inputs: dict[str, Any]
    invented: tuple[str, ...]


def draw(bound: Mapping[str, Any], sizes: Mapping[AskedDim, int], seed: int = 0, *, held: bool = False) -> Drawn:
    """Inputs like the example `bound` at other `sizes`; the same for the same `seed`.

    `held`: integers stay those of the example, no larger than the sizes allow, where they would be drawn anew.
    """
    wanted = {(dim.input, dim.axis): size for dim, size in sizes.items()}
    resized = {
        (size, wanted.get((name, axis), size))
        for name, value in tensors(bound)
        for axis, size in enumerate(value.shape)
        if size > 1
    }
    generator = random.Random(seed)
    invented = []

    def visit(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: visit(f"{name}_{key}", inner) for key, inner in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(visit(f"{name}_{i}", inner) for i, inner in enumerate(value))
        if not isinstance(value, torch.Tensor) or not value.numel():
            return value
        shape = [wanted.get((name, axis), size) for axis, size in enumerate(value.shape)]
        if value.dtype.is_floating_point or value.dtype.is_complex:
            return _floats(value, shape)
        if value.dtype in (torch.bool, torch.uint8, torch.int8) or value.numel() > _MOST:
            return _picked(value, shape)
        drawn, made_up = _integers(value, shape, resized, generator, held=held)
        if made_up:
            invented.append(name)
        return drawn

    # The same seed every time: a difference that is found once is found again.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(seed)
        inputs = {name: visit(name, value) for name, value in bound.items()}
    return Drawn(inputs, tuple(invented))


def _floats(value: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    flat = value.detach().flatten()
    plain = not value.dtype.is_complex and flat.numel() > 1 and flat.min() != flat.max() and flat.min() >= 0
    if plain:  # floats that are never negative are so for a reason
        return _picked(value.detach(), shape)
    spread = flat.std() if flat.numel() > 1 else flat.new_zeros(())
    return torch.randn(shape, dtype=value.dtype) * torch.where(spread == 0, torch.ones_like(spread), spread)


def _picked(value: torch.Tensor, shape: Sequence[int]) -> torch.Tensor:
    """Values of the example, drawn at random."""
    flat = value.flatten()
    return flat[torch.randint(flat.numel(), list(shape))]


def _integers(
    value: torch.Tensor,
    shape: Sequence[int],
    resized: set[tuple[int, int]],
    generator: random.Random,
    *,
    held: bool,
) -> tuple[torch.Tensor, bool]:
    """Integers of the new shape, and whether they had to be made up."""
    if value.dim() == 0:
        return value, False
    low, high = int(value.min()), int(value.max())
    bound = _largest(high, resized)
    rows = value.reshape(-1, value.shape[-1]).tolist()
    ordered = any(_ordered([b - a for a, b in pairwise(row)]) for row in rows)
    made_up = bound is not None and low != high and (ordered or bound[0] != bound[1] or high in dict(resized))
    count = int(np.prod(shape[:-1]))
    drawn = [_row(rows[number % len(rows)], shape[-1], bound, low, generator, held=held) for number in range(count)]
    return torch.tensor(drawn, dtype=value.dtype).reshape(list(shape)), made_up


def _largest(high: int, resized: set[tuple[int, int]]) -> tuple[int, int] | None:
    """The largest value of the example and what it becomes: a length is at most a size, an index is below one.

    None for values that no size of an input bounds (a vocabulary's).
    """
    changed_first = sorted(resized, key=lambda sizes: (sizes[0] == sizes[1], sizes))
    for old, new in changed_first:
        if high == old:
            return high, new
    for old, new in changed_first:
        if 1 < high < old:
            return high, min(high, new - 1) if new < old else new - (old - high)
    return None


def _row(
    row: Sequence[int], length: int, bound: tuple[int, int] | None, low: int, generator: random.Random, *, held: bool
) -> list[int]:
    """One row of the new length, in the order of the example's and within its bound."""
    steps = [b - a for a, b in pairwise(row)]
    if steps and all(step == 1 for step in steps):
        return list(range(row[0], row[0] + length))  # positions
    high = bound[1] if bound else max(row)
    if held or (bound is None and not _ordered(steps)):
        repeated = (
            [row[i % len(row)] for i in range(length)] if held else [generator.choice(row) for _ in range(length)]
        )
        values = [min(number, high) for number in repeated]
    else:
        values = list(_within(row, length, bound, low, generator))
    if all(step >= 0 for step in steps) and any(steps):
        return sorted(values)
    if all(step <= 0 for step in steps) and any(steps):
        return sorted(values, reverse=True)
    return values


def _ordered(steps: Sequence[int]) -> bool:
    return any(steps) and (all(step >= 0 for step in steps) or all(step <= 0 for step in steps))


def _within(
    row: Sequence[int], length: int, bound: tuple[int, int] | None, low: int, generator: random.Random
) -> Iterator[int]:
    """Values between the example's smallest and the bound; what the example's ends are, these ends are."""
    if bound is None:
        yield from (row[0] if number == 0 else generator.choice(row) for number in range(length))
        return
    old, high = bound
    smallest = low if low < high else max(min(low, 1), low * high // old)
    ends = [high] * (max(row) == old) + [min(row)] * (length > 1 and min(row) < high)
    yield from ends[:length]
    rest = length - len(ends[:length])
    between = range(smallest + 1, high)
    if len(set(row)) == len(row) and len(between) >= rest > 0:
        yield from generator.sample(between, rest)
        return
    yield from (generator.randint(smallest, max(smallest, high)) for _ in range(rest))
