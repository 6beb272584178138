"""What follows from the state: which nodes changed, and the sentences that say what an edit, a job or a check gave."""

from __future__ import annotations

from collections import Counter
from dataclasses import replace
from typing import TypeAlias

from friction_tui.drawing.scopes import PSEUDO
from friction_tui.state.app_state import AppState, GraphChange, Job, Notice, NoticeLevel, Outcome, VerdictChange
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import GraphData, JobEnded, JobKind, LatencyResult, Mended, Phase, Verified
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.units import milliseconds_text, seconds_text, size_text

OUTCOMES_KEPT = 500
NAMED = 2
"""Nodes named in one line; the others are counted."""

Identity: TypeAlias = tuple[str, tuple[str, ...]]


def identity(finding: Finding) -> Identity:
    """What makes a finding the same one after an edit: its kind and where, not its numbers."""
    return finding.kind, finding.names


def ran_by_target(state: AppState, latency: LatencyResult) -> bool:
    """Whether an engine that reads or builds models ran it, rather than one that gives a second opinion."""
    engines = state.hello.engines if state.hello is not None else ()
    return any((one.can_parse or one.can_build) and latency.source.startswith(one.label) for one in engines)


def ended_phases(job: Job) -> tuple[Phase, ...]:
    """The phases of a job that is over; the last of them ended with it."""
    spent = sum(phase.seconds for phase in job.phases if phase.seconds is not None)
    return tuple(Phase(p.name, max(job.elapsed - spent, 0.0) if p.seconds is None else p.seconds) for p in job.phases)


def graph_change(before: GraphData, after: GraphData, revision: int) -> GraphChange:
    """The nodes added and removed.

    An exporter numbers nodes as it goes (`relu_1`, `relu_2`), so that one more renames those behind it: of the
    nodes with new names, as many as have lost theirs with the same operator in the same module are the same ones.
    """
    old, new = _nodes(before), _nodes(after)
    gone, come = {k: v for k, v in old.items() if k not in new}, {k: v for k, v in new.items() if k not in old}
    renamed = Counter(gone.values()) & Counter(come.values())
    return GraphChange(revision, _without(come, renamed), _without(gone, renamed))


def _nodes(graph: GraphData) -> dict[str, tuple[str, tuple[str, ...]]]:
    """`Op name` to the operator and the module."""
    items = zip(graph.ops, graph.names, graph.scopes, strict=True)
    return {f"{op} {name}": (op, graph.scope_table[scope]) for op, name, scope in items if op not in PSEUDO}


def _without(
    nodes: dict[str, tuple[str, tuple[str, ...]]], renamed: Counter[tuple[str, tuple[str, ...]]]
) -> tuple[str, ...]:
    left = renamed.copy()
    kept = []
    for name, what in reversed(nodes.items()):
        if left[what]:
            left[what] -= 1
        else:
            kept.append(name)
    return tuple(reversed(kept))


def changed_nodes(state: AppState) -> dict[str, tuple[str, str]]:
    """The nodes that the previewed rewrite would change: path to a sign, `-` or `~`, and what happens in words.

    Nodes that would come are not in the graph; the first node that goes or changes beside them says so.
    """
    preview = state.previews.get(state.previewed) if state.previewed is not None else None
    found: dict[str, tuple[str, str]] = {}
    for graph in preview.difference.graphs if preview is not None and preview.difference is not None else ():
        here = {node.path: ("-", "goes") for node in graph.removed}
        here |= {change.before.path: ("~", "changes") for change in graph.changed}
        if here and graph.added:
            path, (sign, text) = next(iter(here.items()))
            ops = list(dict.fromkeys(node.op for node in graph.added))
            named = ", ".join(ops[:NAMED]) + (" …" if len(ops) > NAMED else "")
            here[path] = sign, f"{text}, +{len(graph.added)} come: {named}"
        found |= here
    return found


def change_text(change: VerdictChange) -> str:
    """What an edit did to the verdicts: `fixed head/Reshape; broke neck/cat1`. Empty when it did nothing."""

    def named(verb: str, names: list[str]) -> list[str]:
        if not names:
            return []
        more = f" and {len(names) - NAMED} more" if len(names) > NAMED else ""
        return [f"{verb} {', '.join(names[:NAMED])}{more}"]

    fixed = [next(iter(f.names), f.kind) for f in change.fixed]
    broke = [next(iter(f.names), f.kind) for f in change.broke]
    return "; ".join([*named("fixed", fixed), *named("broke", broke)])


def with_outcome(state: AppState, before: Recipe | None, change: VerdictChange) -> AppState:
    """The state that remembers what an edit, or several judged together, did to the verdicts."""
    now, known = state.recipe, state.outcomes
    if before is None or now is None:
        return state
    if before == now:  # the same edit, with more answers
        if not known or known[-1].after != now:
            return state
        before, known = known[-1].before, known[:-1]
    counts = [f"fixed {len(change.fixed)}"] if change.fixed else []
    counts += [f"broke {len(change.broke)}"] if change.broke else []
    outcome = Outcome(before, now, ", ".join(counts) or "the same findings")
    return replace(state, outcomes=(*known, outcome)[-OUTCOMES_KEPT:])


def author_of(state: AppState, before: Recipe, after: Recipe) -> str:
    """Who made an edit in a shared session, "" where nobody else could have."""
    made = [one for one in state.authors if one.after == after]
    own = [one for one in made if one.before == before]
    return (own or made)[-1].by if made else ""


def outcome_text(state: AppState, before: Recipe, after: Recipe) -> str:
    """What an edit came to: `fixed 3, broke 1; verified on 6 inputs …`. Empty where it was not judged."""
    made = [one for one in state.outcomes if one.after == after]
    own = [one for one in made if one.before == before]
    if not made:
        return ""
    last = (own or made)[-1]
    together = "" if own else " (judged together with other edits)"
    return "; ".join(filter(None, (f"{last.text}{together}", last.verified)))


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
    said += [changed_text(state)]
    text = "; ".join(filter(None, said)) if state.mended[0] != state.revision else state.mended[1]
    if again and not state.export_failed:
        text = f"exported again: {text or 'the same nodes and the same findings'}"
    elif same_recipe and state.exported is None:
        text = f"opened again: {text or 'the same nodes and the same findings'}"
    if not text:
        return None
    return Notice(NoticeLevel.WARNING if state.change and state.change.broke else NoticeLevel.INFO, text)


def changed_text(state: AppState) -> str:
    """What the last edit came to: of a run of fixes what it fixed and what remains, of others what changed."""
    revision, text = state.mended
    if text and revision == state.revision:
        return text
    return change_text(state.change) if state.change else ""


def mended_text(mended: Mended) -> str:
    """`3 fixed, 1 remains: NonZero is not supported; u undoes`."""
    errors = [finding for finding in mended.findings if finding.severity is Severity.ERROR]
    remaining = f"{len(errors)} remain{'s' if len(errors) == 1 else ''}" if errors else "no error remains"
    first = f": {errors[0].title}" + (f" and {len(errors) - 1} more" if len(errors) > 1 else "") if errors else ""
    if not mended.steps:
        why = f"; {mended.refused[0]}" if mended.refused else ""
        return f"nothing was fixed, {remaining}{first}{why}"
    return f"{len(mended.steps)} fixed, {remaining}{first}; u undoes"


def verified_notice(verification: Verified, before: str = "", *, warn: bool = False) -> Notice:
    """What to say when a verification ended; `before` is what the edit came to, `warn` whether that was bad.

    One that failed, or could not run, stays until it is dismissed.
    """
    names = ", ".join(verification.rewrites)
    if verification.holds is False:
        return Notice(NoticeLevel.ERROR, f"the results changed: {names} {verification.text}", "u undoes it")
    text = verification_text(verification)
    if verification.holds is None:
        return Notice(NoticeLevel.WARNING, "; ".join(filter(None, (before, f"{names}: {text}"))), "u undoes it")
    level = NoticeLevel.WARNING if warn else NoticeLevel.INFO
    return Notice(level, "; ".join(filter(None, (before, text))))


def ended_notice(state: AppState, ended: JobEnded) -> Notice | None:
    """What a build or a measurement came to, for who looks at another panel by then; errors are said elsewhere."""
    job = next((job for job in state.jobs if job.number == ended.job), None)
    if job is None or ended.kind not in (JobKind.BUILD, JobKind.MEASURE):
        return None
    if ended.cancelled:
        return Notice(NoticeLevel.INFO, f"{ended.kind} #{job.nth} cancelled after {seconds_text(ended.seconds)}")
    if ended.build is not None:
        took = seconds_text(ended.build.seconds)
        if not ended.build.ok:
            return Notice(NoticeLevel.WARNING, f"build #{job.nth} refused after {took}", "4 says why")
        return Notice(
            NoticeLevel.INFO, f"build #{job.nth} done in {took}: engine {size_text(ended.build.engine_bytes)}"
        )
    if ended.latency is not None:
        run = ended.latency
        return Notice(NoticeLevel.INFO, f"p50 {milliseconds_text(run.p50)} at {run.point}, measured by {run.source}")
    return None


def verification_text(verification: Verified) -> str:
    """`verified on 6 inputs, max difference 3e-7 (ONNX Runtime 1.32.0 CPU)`, or `not verified: …`."""
    return f"results changed: {verification.text}" if verification.holds is False else verification.text


def verification_span(state: AppState) -> tuple[str, str] | None:
    """Whether the recipe's rewrites keep the results, as text and role; None where there are no rewrites."""
    lost = [step.rewrite for step in state.lost]
    if state.recipe is None or all(rewrite in lost for rewrite in state.recipe.rewrites):
        return None
    verification = state.current_verification
    if verification is None:
        return "comparing the results before and after the rewrites …", "note"
    return verification_text(verification), {True: "good", False: "error", None: "warning"}[verification.holds]


def verdict_text(state: AppState) -> str:
    """`2 errors, 1 warning`, `no error, built, results verified`: what is known of it; "" while it is judged."""
    if state.judged is None or state.checking:
        return ""
    errors, warnings = state.count(Severity.ERROR), state.count(Severity.WARNING)
    said = [f"{errors} error{'s' if errors != 1 else ''}" if errors else "no error"]
    said += [f"{warnings} warning{'s' if warnings != 1 else ''}"] if warnings else []
    build = state.of_present(state.builds)
    if build is not None and build.build is not None and build.build.ok and not state.is_stale(build):
        said.append("built")
    verification = state.current_verification
    said += ["results verified"] if verification is not None and verification.holds else []
    return ", ".join(said)
