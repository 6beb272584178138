"""Differences, seconds and milliseconds as people read them, and round numbers for axes."""

from __future__ import annotations

import math

from friction_tui.vocabulary.units import size_text, three_figures


def change_text(before: float | None, after: float | None) -> str:
    """By how much an amount of bytes grew: `+1.2 MB (+10 %)`; empty where one is not known."""
    if before is None or after is None:
        return ""
    if before == after:
        return "same"
    sign = "+" if after > before else "-"
    percent = abs(after - before) / before * 100 if before else 0.0
    share = "" if not before else " (under 0.1 %)" if percent < 0.1 else f" ({sign}{three_figures(percent)} %)"
    return f"{sign}{size_text(abs(after - before))}{share}"


def seconds_text(seconds: float) -> str:
    """`<0.01 s`, `0.14 s`, `2.1 s`, `3 min 20 s`."""
    if 0 < seconds < 0.005:
        return "<0.01 s"
    if seconds < 1:
        return f"{seconds:.2f} s"
    if seconds < 100:
        return f"{seconds:.1f} s"
    return f"{int(seconds) // 60} min {int(seconds) % 60} s"


def milliseconds_text(milliseconds: float) -> str:
    """Three figures: `0.482 ms`, `12.3 ms`."""
    return f"{three_figures(milliseconds)} ms"


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
