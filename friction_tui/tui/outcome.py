"""What an edit came to, in words: what it fixed, what it broke, and whether rewrites keep the results."""

from __future__ import annotations

from friction_tui.protocol import Proved
from friction_tui.tui.lines import Span
from friction_tui.tui.state import AppState, Change, Notice

NAMED = 2
"""Nodes named in one line; the others are counted."""


def change_text(change: Change) -> str:
    """What an edit did to the verdicts: `fixed head/Reshape; broke neck/cat1`. Empty when it did nothing."""

    def named(verb: str, names: list[str]) -> list[str]:
        if not names:
            return []
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return [f"{verb} {', '.join(names[:NAMED])}{more}"]

    fixed = [next(iter(f.names), f.kind) for f in change.fixed]
    broke = [next(iter(f.names), f.kind) for f in change.broke]
    return "; ".join([*named("fixed", fixed), *named("broke", broke)])


def judged_notice(state: AppState) -> Notice | None:
    """What to say when the verdict on an edit is there."""
    text = change_text(state.change) if state.change else ""
    if not text:
        return None
    return Notice("warning" if state.change and state.change.broke else "info", text)


def proved_notice(proof: Proved, change: Change | None) -> Notice:
    """What to say when a proof ended. One that fails, or could not be made, stays until it is put away."""
    names = ", ".join(proof.rewrites)
    if proof.holds is False:
        return Notice("error", f"the results changed: {names} {proof.text}", "u undoes it")
    before = change_text(change) if change else ""
    if proof.holds is None:
        return Notice("warning", "; ".join(filter(None, (before, f"{names}: {proof_text(proof)}"))), "u undoes it")
    broke = change is not None and bool(change.broke)
    return Notice("warning" if broke else "info", "; ".join(filter(None, (before, proof_text(proof)))))


def proof_text(proof: Proved) -> str:
    """`proven equal on 6 inputs, max error 0 (ONNX Runtime 1.32.0 CPU)`."""
    if proof.holds is None:
        return proof.text if proof.text.startswith("not proven") else f"not proven: {proof.text}"
    return f"proven: {proof.text}" if proof.holds else f"results changed: {proof.text}"


def proof_span(state: AppState) -> Span | None:
    """The proof of the rewrites in the recipe; None where there are none."""
    if state.recipe is None or not state.recipe.rewrites:
        return None
    proof = state.proven
    if proof is None:
        return "comparing the results before and after the rewrites …", "note"
    return proof_text(proof), {True: "good", False: "error", None: "warning"}[proof.holds]
