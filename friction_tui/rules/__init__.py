"""Judgement: facts and engine answers become findings. One file a kind of friction.

`CHECKS` and `diagnose` load every check, so they are imported when first asked for: `friction-tui explain` and the
kinds need none of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from friction_tui.rules.checks import CHECKS, diagnose

__all__ = ["CHECKS", "diagnose"]


def __getattr__(name: str) -> object:
    if name in __all__:
        from friction_tui.rules import checks

        return getattr(checks, name)
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
