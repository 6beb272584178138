"""Bytes as people read them, the same on the screen and in a report."""

from __future__ import annotations

import math

UNITS = ("B", "kB", "MB", "GB", "TB")
"""Decimal: 1 MB is 1,000,000 bytes, as GPUs are sold."""
NOT_SAID = "not said"
"""For an amount that the engine did not report."""


def size_text(count: float | None) -> str:
    """Bytes in three figures: `12.4 MB`."""
    if count is None:
        return NOT_SAID
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
