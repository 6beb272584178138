"""What an edit came to, in words: what it fixed, what it broke, and whether rewrites keep the results."""

from __future__ import annotations

from friction_tui.state.app_state import AppState, Change, GraphChange, Notice
from friction_tui.ui.look.amounts import milliseconds_text, seconds_text
from friction_tui.vocabulary.protocol import JobEnded, JobKind, Proved
from friction_tui.vocabulary.units import size_text

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


def graph_text(change: GraphChange) -> str:
    """What happened to the nodes: `2 nodes added (Relu relu_2, Add add), 1 removed (…)`. Empty for nothing."""

    def counted(nodes: tuple[str, ...], what: str) -> str:
        named = ", ".join(nodes[:NAMED]) + (", …" if len(nodes) > NAMED else "")
        return f"{len(nodes)} node{'s' if len(nodes) > 1 else ''} {what} ({named})"

    both = ((change.added, "added"), (change.removed, "removed"))
    return ", ".join(counted(nodes, what) for nodes, what in both if nodes)


def judged_notice(state: AppState, *, same_recipe: bool = False) -> Notice | None:
    """What to say when the verdict on an edit, or on a source read again with the `same_recipe`, is there."""
    nodes, again = state.graph_change, state.exported is not None and state.exported.revision == state.revision
    said = [graph_text(nodes)] if nodes is not None and nodes.revision == state.revision else []
    said += [change_text(state.change)] if state.change else []
    text = "; ".join(filter(None, said))
    if again and not state.export_failed:
        text = f"exported again: {text or 'the same nodes and the same findings'}"
    elif same_recipe and state.exported is None:
        text = f"opened again: {text or 'the same nodes and the same findings'}"
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


def ended_notice(state: AppState, ended: JobEnded) -> Notice | None:
    """What a build or a measurement came to, for who looks at another panel by then; errors are said elsewhere."""
    job = next((job for job in state.jobs if job.number == ended.job), None)
    if job is None or ended.kind not in (JobKind.BUILD, JobKind.MEASURE):
        return None
    if ended.cancelled:
        return Notice("info", f"{ended.kind} #{job.nth} cancelled after {seconds_text(ended.seconds)}")
    if ended.build is not None:
        took = seconds_text(ended.build.seconds)
        if not ended.build.ok:
            return Notice("warning", f"build #{job.nth} refused after {took}", "4 says why")
        return Notice("info", f"build #{job.nth} done in {took}: engine {size_text(ended.build.engine_bytes)}")
    if ended.latency is not None:
        run = ended.latency
        return Notice("info", f"p50 {milliseconds_text(run.p50)} at {run.point}, measured by {run.source}")
    return None


def proof_text(proof: Proved) -> str:
    """`proven equal on 6 inputs, max error 0 (ONNX Runtime 1.32.0 CPU)`."""
    if proof.holds is None:
        return proof.text if proof.text.startswith("not proven") else f"not proven: {proof.text}"
    return f"proven: {proof.text}" if proof.holds else f"results changed: {proof.text}"


def proof_span(state: AppState) -> tuple[str, str] | None:
    """The proof of the rewrites in the recipe, as text and role; None where there are none."""
    if state.recipe is None or not state.recipe.rewrites:
        return None
    proof = state.proven
    if proof is None:
        return "comparing the results before and after the rewrites …", "note"
    return proof_text(proof), {True: "good", False: "error", None: "warning"}[proof.holds]
