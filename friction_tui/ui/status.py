"""The status line: what is open, for which target, what is known, and how it stands."""

from __future__ import annotations

from pathlib import Path

from friction_tui.state.app_state import AppState, Job
from friction_tui.state.derived import ran_by_target, verification_span
from friction_tui.ui.dialogs.pages import presence
from friction_tui.ui.look.lines import Line, Span, cut, width_of
from friction_tui.ui.problems.panel import counts
from friction_tui.vocabulary.finding import Severity, Tier
from friction_tui.vocabulary.protocol import CheckState, EngineInfo, JobKind, LogLevel
from friction_tui.vocabulary.recipe import Precision
from friction_tui.vocabulary.units import size_text

GAP: Span = ("   ", "text")
TARGET = 4
"""Rank of the target: what has a lower one stays longer on a narrow line."""


def verdict_engine(state: AppState) -> EngineInfo | None:
    """The engine whose verdicts count: the first found that parses or builds."""
    if state.hello is None:
        return None
    usable = [e for e in state.hello.engines if e.can_parse or e.can_build]
    return next(iter(usable), None)


def target_text(state: AppState) -> str:
    """`TensorRT-RTX 1.7.1 · SM89 · fp16`."""
    machine = state.line.machine if state.line is not None else ""
    if state.worker_lost:
        return "no worker"
    if state.hello is None:
        return f"starting the worker on {machine} …" if machine else "starting the worker …"
    engine = verdict_engine(state)
    return " · ".join(filter(None, (machine, engine.label if engine else "no TensorRT here", chosen_text(state))))


def line_text(state: AppState) -> Span:
    """That the line to the worker is lost, or that a file goes over it; empty otherwise."""
    sending = state.sending
    if sending is not None and not state.line_lost:
        return f"sending {sending.done * 100 // max(sending.total, 1)}% of {size_text(sending.total)}", "note"
    return ("connection lost", "error") if state.line_lost else ("", "text")


def chosen_text(state: AppState) -> str:
    """`SM89 · fp16 · 2 builder options`: what is chosen of them."""
    recipe = state.recipe
    if recipe is None:
        return ""
    precision = recipe.precision.value if recipe.precision is not Precision.AS_EXPORTED else ""
    options = len(recipe.builder)
    chosen = f"{options} builder option{'s' if options > 1 else ''}" if options else ""
    return " · ".join(filter(None, (recipe.target, precision, chosen)))


def opset_text(state: AppState) -> str:
    """`opset 17`, or `opset 17 → 18` once it is edited."""
    if state.summary is None:
        return ""
    own = state.summary.opsets.get("")
    chosen = state.recipe.opset if state.recipe else None
    arrow = "->" if state.ascii else "→"
    if chosen is not None and chosen != own:
        return f"opset {own if own is not None else '?'} {arrow} {chosen}"
    return f"opset {own}" if own is not None else ""


def known(state: AppState, *, with_runs: bool = True) -> list[Span]:
    """Whether it parses, builds and runs, each only as far as it was tried, none inferred from another."""
    yes, no = ("+", "X") if state.ascii else ("✓", "✗")
    spans = [_parses(state, yes, no)]
    build = state.running(JobKind.BUILD) or state.of_present(
        [job for job in state.jobs if job.kind is JobKind.BUILD and not job.cancelled]
    )
    asked = _asked(state, yes, no)
    if build is None or (asked is not None and not build.running and state.is_stale(build)):
        spans.append(asked or ("builds -", "muted"))
    elif build.running:
        spans.append(("building …", "note"))
    else:
        spans.append(_or_stale(*_built(build, yes, no), state.is_stale(build)))
    spans += _runs(state, yes) if with_runs else []
    results = verification_span(state)
    if results is not None:
        mark = {"good": f"verified {yes}", "error": f"changed {no}"}.get(results[1], "?")
        spans.append((f"results {mark}", results[1]))
    return spans


def _asked(state: AppState, yes: str, no: str) -> Span | None:
    """What the builder said when it was asked with the verdict or in the background; None when it was not."""
    answer = state.checks.get("builder")
    if answer is None or answer.state in (CheckState.PENDING, CheckState.UNAVAILABLE):
        return None
    kinds = {finding.kind for finding in answer.findings if finding.severity is Severity.ERROR}
    if "engine/builder-crashed" in kinds:
        span = ("builds: crashed", "error")
    elif kinds & {"engine/build-timeout", "engine/out-of-host-memory"} or answer.state is CheckState.FAILED:
        span = ("builds ?", "warning")
    elif kinds:
        span = (f"builds {no}", "error")
    elif answer.kernels:
        span = (f"kernels {yes}", "good")
    elif answer.state is CheckState.RUNNING:
        span = (f"layers {yes} kernels …", "note")
    else:
        span = (f"layers {yes} kernels ?", "note")
    return _or_stale(*span, state.stale)


def _built(job: Job, yes: str, no: str) -> Span:
    """What a build that is over says; one that did not begin says nothing of the model."""
    if job.build is None:
        return ("builds: crashed", "error") if job.findings else ("builds ?", "warning")
    return (f"builds {yes}", "good") if job.build.ok else (f"builds {no}", "error")


def _runs(state: AppState, yes: str) -> list[Span]:
    """What ran it, by name: that ONNX Runtime runs a model says nothing of TensorRT."""
    spans: list[Span] = []
    run = state.of_present(state.latencies)
    if run is not None and run.latency is not None:
        ran = f"runs {yes} {run.latency.point} ({short_name(run.latency.source)})"
        spans.append(_or_stale(ran, "good", state.is_stale(run)))
        if ran_by_target(state, run.latency):
            return spans
    engine = verdict_engine(state)
    if engine is None or engine.can_run:
        return spans or [("runs -", "muted")]
    no_gpu = state.hello is not None and not state.hello.gpus
    why = "no GPU" if no_gpu else "cannot tell here"
    return [*spans, (f"TRT ? {why}" if spans else f"runs ? {why}", "note")]


def short_name(source: str) -> str:
    """`ORT CPU` for `ONNX Runtime 1.32.0 CPU, 2 threads`, `TRT` for any TensorRT."""
    if "TensorRT" in source:
        return "TRT"
    return " ".join(("ORT", *(word for word in ("CUDA", "CPU") if word in source.split(",", maxsplit=1)[0].split())))


def _or_stale(text: str, role: str, stale: bool) -> Span:
    return (f"{text} stale", "stale") if stale else (text, role)


def _parses(state: AppState, yes: str, no: str) -> Span:
    if state.summary is not None and state.summary.nodes == 0:
        return "parses -", "muted"  # an empty network parses, which says nothing about the file
    if state.open_file_only:
        return "parses ?", "note"  # only a part of the file could be read
    answer = state.checks.get("parser")
    if answer is None or answer.state in (CheckState.PENDING, CheckState.RUNNING):
        return ("parses …", "muted") if state.checking else ("parses -", "muted")
    if answer.state is not CheckState.DONE:
        return ("parses ?", "note")
    refused = any(f.tier is Tier.PARSER and f.severity is Severity.ERROR for f in answer.findings)
    return _or_stale(f"parses {no if refused else yes}", "error" if refused else "good", state.stale)


def checked_text(state: AppState) -> Span:
    """How long the last verdict took, or that one is on its way."""
    if state.worker_lost:
        return "not checked", "error"
    if state.line_lost and (state.checking or state.summary is None):
        return "waiting", "error"
    if state.refused is not None:
        return "not opened", "error"
    export = state.running(JobKind.EXPORT)
    if export is not None:
        stage = f": {export.phases[-1].name.lower()}" if export.phases else ""
        return f"exporting {export.elapsed:.0f} s{stage}", "note"
    if state.export_failed and not state.checking:
        return "export failed", "error"
    if state.summary is None:
        return ("opening …", "note") if state.revision else ("", "text")
    if state.checking:
        return ("rechecking …", "note") if state.judged else ("checking …", "note")
    return (f"checked {state.judged.seconds:.2f} s", "muted") if state.judged else ("", "text")


def fixing_text(state: AppState) -> Span:
    """How many problems a run of fixes has mended so far; empty while none runs."""
    job = state.running(JobKind.FIX)
    done = sum(line.level is LogLevel.INFO for line in job.lines) if job is not None else 0
    return ("", "text") if job is None else (f"fixing: {done} done …" if done else "fixing …", "note")


def _instead(part: tuple[int, tuple[Span, ...]], state: AppState) -> list[tuple[int, tuple[Span, ...]]]:
    """What is left of a part that has no room: of the target the machine and what was chosen, of the rest no runs."""
    machine = state.line.machine if state.line is not None else ""
    chosen = " · ".join(filter(None, (machine, chosen_text(state))))
    if part[0] == TARGET and chosen:
        return [(TARGET - 1, ((chosen, "muted"),))]
    return [(1, _apart(known(state, with_runs=False)))] if part[1] == _apart(known(state)) else []


def _apart(spans: list[Span]) -> tuple[Span, ...]:
    return tuple(part for span in spans for part in (("  ", "text"), span))[1:]


def status(state: AppState, width: int) -> Line:
    """The line at `width` cells. What does not fit goes, least important first."""
    name = Path(state.recipe.source.path).name if state.recipe else "friction"
    parts: list[tuple[int, tuple[Span, ...]]] = [
        (0, ((name, "strong"),)),
        (3, ((opset_text(state), "text"),)),
        (TARGET, ((target_text(state), "muted"),)),
        (1, tuple(counts(state))),
    ]
    parts.append((0, (line_text(state),)))
    parts.append((1, (fixing_text(state),)))
    parts.append((1 if state.following else 2, (presence(state),)))
    if state.recipe is not None:
        parts.append((2, _apart(known(state))))
        parts.append((5, (checked_text(state),)))
    parts = [(rank, spans) for rank, spans in parts if width_of(spans)]
    while len(parts) > 1 and sum(width_of(s) + len(GAP[0]) for _, s in parts) > width:
        least = max(parts, key=lambda part: part[0])
        parts[parts.index(least) : parts.index(least) + 1] = _instead(least, state)
    left = [part for rank, spans in parts if rank != 5 for part in (*spans, GAP)][:-1]
    right = [span for rank, spans in parts if rank == 5 for span in spans]
    return Line(tuple(cut(left, width)), tuple(right))
