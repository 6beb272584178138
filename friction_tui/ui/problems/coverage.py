"""What was checked and what was not, for when nothing is wrong: no finding is not yet a working engine."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.state.app_state import AppState
from friction_tui.state.derived import ran_by_target, verification_span
from friction_tui.ui.look.lines import Line, Span, paragraph
from friction_tui.vocabulary.protocol import CheckState, JobKind

LABEL_WIDTH = 9


def coverage(state: AppState, width: int) -> list[Line]:
    """`no problem found`, then a line for each question: parses, rules, builds, runs, results."""
    good = "+" if state.ascii else "✓"
    known, text, sure = _head(state)
    head: Span = (f"{good} ", "good") if known else ("? ", "warning")
    lines = paragraph(text, width, "good" if sure else "note", indent=(head,))
    for name, text, role in _answers(state):
        mark: Span = (f"{good} ", "good") if role == "good" else ("? ", "note")
        label: Span = (f"{name:<{LABEL_WIDTH}}", "muted")
        lines += paragraph(text, width, "text" if role == "good" else "muted", indent=(mark, label))
    return lines


def _head(state: AppState) -> tuple[bool, str, bool]:
    """Whether there is an answer to what was asked, the first line, and whether nothing is left open in it."""
    builder = state.checks.get("builder")
    last = state.of_present(state.builds)
    if last is not None and not state.is_stale(last):
        ok = last.build is not None and last.build.ok
        return ok, "no problem found" if ok else "no problem found, but the build gave no result", ok
    weights = state.checks.get("weights")
    if weights is not None and weights.state is CheckState.UNAVAILABLE:
        return True, "no problem found without the weights; weights ?", False
    if builder is None:
        return True, "no problem found", True
    if builder.findings:  # the list follows in a moment
        return False, "no problem found before the builder was asked", False
    if builder.note.startswith("shapes and layers: taken") and builder.state is not CheckState.FAILED:
        kernels = "" if builder.kernels else " in shapes and layers; kernels ?"
        return True, f"no problem found{kernels}", builder.kernels
    return builder.state is CheckState.DONE, "no problem found", builder.state is CheckState.DONE


def _answers(state: AppState) -> Iterator[tuple[str, str, str]]:
    """Question, answer, and the role `good` where the answer is yes."""
    parser = state.checks.get("parser")
    if parser is not None and parser.state is CheckState.DONE:
        yield "parses", f"{parser.source} takes every node", "good"
    else:
        yield "parses", (parser.note if parser is not None else "") or "not checked", "note"
    rules = [check for name, check in state.checks.items() if name not in ("parser", "builder")]
    done = sum(check.state is CheckState.DONE for check in rules)
    if done:
        yield "rules", f"{done} checks of file, graph, types, shapes and weights found nothing", "good"
    open_ones: dict[str, list[str]] = {}
    for check in rules:
        if check.state in (CheckState.UNAVAILABLE, CheckState.FAILED):
            open_ones.setdefault(check.note or check.state.value, []).append(check.check)
    for note, names in open_ones.items():
        yield "rules", f"{', '.join(names)}: {note}", "note"
    yield _built(state)
    yield _ran(state)
    verification = verification_span(state)
    if verification is not None:
        yield "results", verification[0], "good" if verification[1] == "good" else "note"


def _built(state: AppState) -> tuple[str, str, str]:
    last = state.of_present(state.builds)
    if state.running(JobKind.BUILD):
        return "builds", "building …", "note"
    asked = state.checks.get("builder")
    if last is not None and last.build is None and last.findings and not state.is_stale(last):
        return "builds", "crashed: the build ended without a result", "note"
    if last is None or last.build is None or state.is_stale(last):
        if asked is not None and asked.note:
            return "builds", asked.note if asked.kernels else f"{asked.note}; b builds", ("note", "good")[asked.kernels]
        return (
            "builds",
            "not tried; b builds" if last is None else "not tried since the recipe changed; b builds again",
            "note",
        )
    return ("builds", f"{last.build.source} built it", "good") if last.build.ok else ("builds", "refused", "note")


def _ran(state: AppState) -> tuple[str, str, str]:
    last = state.of_present(state.latencies)
    engines = state.hello.engines if state.hello is not None else ()
    tensorrt = next((engine for engine in engines if engine.can_build or engine.can_parse), None)
    why = f"{tensorrt.label}: {tensorrt.why_not or 'cannot run here'}" if tensorrt and not tensorrt.can_run else ""
    if last is None or last.latency is None or state.is_stale(last):
        return "runs", "; ".join(filter(None, ("not tried at any shape; m measures", why))), "note"
    only = f"; {why}" if why and not ran_by_target(state, last.latency) else ""
    return "runs", f"{last.latency.source} ran it at {last.latency.point}{only}", "good"
