"""Rewrites that remove a problem, each verified. One file a family; a family lists its own in `REWRITES`.

The families are imported when `REWRITES` is first read: the worker judges most models without any of them.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from friction_tui.rewrites.families import REWRITES

__all__ = ["REWRITES"]


def __getattr__(name: str) -> object:
    if name != "REWRITES":
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    from friction_tui.rewrites import families

    return families.REWRITES
