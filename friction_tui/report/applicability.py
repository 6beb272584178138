"""Whether a tool may apply a fix without asking, as ruff and rustc name it, and the fix as data for reports."""

from __future__ import annotations

import enum
import shlex
from typing import Any

from friction_tui.vocabulary.finding import Fix

CHANGES = "changes results"
"""The exactness of a rewrite whose results may differ: `friction_tui.rewrites.base.Exactness.CHANGES`."""


class Applicability(enum.StrEnum):
    """Ruff's names: https://docs.astral.sh/ruff/linter/#fix-safety."""

    SAFE = "safe"
    """It keeps the results, exactly or up to rounding: what `friction-tui fix --safe` applies."""
    UNSAFE = "unsafe"
    """It can be applied, and results or the sizes that the engine takes may change."""
    DISPLAY = "display"
    """The user has to make it: only the text is there."""


RUSTC = {
    Applicability.SAFE: "MachineApplicable",
    Applicability.UNSAFE: "MaybeIncorrect",
    Applicability.DISPLAY: "Unspecified",
}
"""Rustc's names, as its JSON spells `suggestion_applicability`: https://doc.rust-lang.org/rustc/json.html."""


def applicability(fix: Fix) -> Applicability:
    """Of one fix. Ranges and another opset are applicable, but what they give is the user's to judge."""
    if not fix.applicable:
        return Applicability.DISPLAY
    promised = bool(fix.rewrite and fix.exactness and fix.exactness != CHANGES)
    return Applicability.SAFE if promised else Applicability.UNSAFE


def fix_of(fix: Fix) -> dict[str, Any]:
    """One fix as `schema.json` has it."""
    rated = applicability(fix)
    detail: dict[str, Any] = {
        "text": fix.text,
        "applicability": rated.value,
        "suggestion_applicability": RUSTC[rated],
    }
    if fix.rewrite:
        detail |= {"rewrite": fix.rewrite, "nodes": list(fix.nodes)}
    if fix.exactness:
        detail["exactness"] = fix.exactness
    if fix.changes:
        detail["changes"] = fix.changes
    if fix.ranges:
        detail["ranges"] = {name: [one.min, one.opt, one.max] for name, one in fix.ranges.items()}
        steps = {name: one.step for name, one in fix.ranges.items() if one.step > 1}
        detail |= {"steps": steps} if steps else {}
    if fix.relations:
        detail["relations"] = list(fix.relations)
    if fix.opset is not None:
        detail["opset"] = fix.opset
    return detail


def command(path: str, kind: str, fix: Fix) -> str:
    """The command that applies a rewrite to the findings of its kind, "" for any other fix."""
    if not fix.rewrite:
        return ""
    safe = ["--safe"] if applicability(fix) is Applicability.SAFE else []
    return shlex.join(["friction-tui", "fix", path, "--only", kind, *safe, "-o", "FIXED.onnx"])
