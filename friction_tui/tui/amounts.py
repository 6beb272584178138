"""Bytes, seconds and milliseconds as people read them. Units are decimal: 1 MB is 1,000,000 bytes."""

from __future__ import annotations

import math

UNITS = ("B", "kB", "MB", "GB", "TB")
NOT_SAID = "not said"
"""For an amount that the engine did not report."""


def size_text(count: float | None) -> str:
    """Bytes in three figures: `12.4 MB`."""
    if count is None:
        return NOT_SAID
    unit = 0
    while abs(count) >= 999.5 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{_three_figures(count)} {UNITS[unit]}"


def change_text(before: float | None, after: float | None) -> str:
    """By how much an amount of bytes grew: `+1.2 MB (+10 %)`; empty where one is not known."""
    if before is None or after is None:
        return ""
    if before == after:
        return "same"
    sign = "+" if after > before else "-"
    share = f" ({sign}{_three_figures(abs(after - before) / before * 100)} %)" if before else ""
    return f"{sign}{size_text(abs(after - before))}{share}"


def seconds_text(seconds: float) -> str:
    """`0.14 s`, `2.1 s`, `3 min 20 s`."""
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def milliseconds_text(milliseconds: float) -> str:
    """Three figures: `0.482 ms`, `12.3 ms`."""
    return f"{_three_figures(milliseconds)} ms"


def round_steps(low: float, high: float, count: int) -> list[float]:
    """About `count` round numbers that cover `low` to `high` evenly: multiples of 1, 2 or 5 times a power of ten."""
    span = high - low
    if span <= 0 or count < 1:
        return [low]
    raw = span / count
    power = 10 ** math.floor(math.log10(raw))
    step = next((factor * power for factor in (1, 2, 5) if factor * power >= raw), 10 * power)
    first = math.ceil(low / step - 1e-9)
    return [index * step for index in range(first, math.floor(high / step + 1e-9) + 1)]


def _three_figures(amount: float) -> str:
    if amount == int(amount) and abs(amount) < 1000:
        return str(int(amount))
    digits = max(0, 2 - math.floor(math.log10(abs(amount)))) if amount else 0
    return f"{amount:,.{min(digits, 6)}f}"
