"""Bytes and seconds as people read them, the same on the screen and in a report."""

from __future__ import annotations

import math

UNITS = ("B", "kB", "MB", "GB", "TB")
"""Decimal: 1 MB is 1,000,000 bytes, as GPUs are sold."""
BEYOND = 10**27
"""Bytes above which no figure is given: declared sizes can multiply to more than a float holds."""
NOT_SAID = "not said"
"""For an amount that the engine did not report."""


def size_text(count: float | None) -> str:
    """Bytes in three figures: `12.4 MB`."""
    if count is None:
        return NOT_SAID
    if count >= BEYOND:
        return f"more than {BEYOND // 10**12:,} TB"
    unit = 0
    while abs(count) >= 999.5 and unit < len(UNITS) - 1:
        count, unit = count / 1000, unit + 1
    return f"{three_figures(count)} {UNITS[unit]}"


def three_figures(amount: float) -> str:
    """An amount in three figures, whole numbers as they are: `0.482`, `12.3`, `1,240`."""
    if amount == int(amount) and abs(amount) < 1000:
        return str(int(amount))
    digits = max(0, 2 - math.floor(math.log10(abs(amount)))) if amount else 0
    return f"{amount:,.{min(digits, 6)}f}"


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
