"""How the state moves on by what the worker says. An answer to an older revision changes nothing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace

import msgspec

from friction_tui.drawing.marks import marks_of
from friction_tui.state.app_state import AppState, Change, Job, identity, not_read, noticed, taken_back
from friction_tui.state.graph_change import graph_change
from friction_tui.verdicts.after_build import with_build
from friction_tui.verdicts.side_by_side import own_label, with_others
from friction_tui.vocabulary.finding import fix_first
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    ConsentNeeded,
    Detail,
    Event,
    Exported,
    Findings,
    Forecasted,
    GpuSamples,
    GraphReady,
    Hello,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    NetronStarted,
    Opened,
    OpsetPlanned,
    OtherVerdicts,
    Proved,
    Refused,
    RowLabels,
    Saved,
    SourceChanged,
    SourceText,
    Stats,
    WorkerDied,
)

JOB_LINES_KEPT = 20_000
EXPORT_KINDS = "export/"
GPU_SAMPLES_KEPT = 600
"""Ten minutes at one sample a second."""


def reduce(state: AppState, event: Event) -> AppState:
    """The state after `event`. Events about an older revision change nothing."""
    if getattr(event, "revision", 0) not in (0, state.revision):
        return state
    match event:
        case Hello():
            return replace(state, hello=event, worker_lost=False)
        case Opened():
            return _opened(state, event)
        case ConsentNeeded():
            return replace(state, consent=event)
        case Exported():
            return _exported(state, event)
        case SourceText():
            return replace(state, sources={**state.sources, **dict.fromkeys((event.file, *event.names), event)})
        case SourceChanged():
            return _saved(state, event)
        case GraphReady():
            return _drawn(state, event)
        case RowLabels():  # shapes changed, so what was inspected is asked for again
            return replace(state, labels=event.labels, details={})
        case Findings():
            return _relisted(replace(state, checks={**state.checks, event.check: event}))
        case Judged():
            return _judged(state, event)
        case OtherVerdicts():
            return _relisted(replace(state, others=event))
        case Proved():
            return replace(state, proof=event)
        case Detail():
            return replace(state, details={**state.details, event.path: event.node})
        case Stats():
            return replace(state, stats={**state.stats, event.stats.name: event.stats})
        case Forecasted():
            return replace(state, forecast=event.forecast, forecast_note=event.note, forecast_revision=state.revision)
        case JobProgress():
            return _job(_with_export(state, event), event.job, lambda job: _progressed(job, event))
        case JobEnded():
            return _ended(state, event)
        case OpsetPlanned():
            return _job(state, event.job, lambda job: replace(job, plans=(*job.plans, event.plan)))
        case Saved():
            return noticed(state, "info", f"wrote {event.path}", f"{event.bytes:,} bytes")
        case GpuSamples():
            return replace(state, gpu=(*state.gpu, event)[-GPU_SAMPLES_KEPT:])
        case NetronStarted():
            return replace(state, netron=event)
        case Refused():
            return _refused(state, event)
        case WorkerDied():
            return _died(state, event)
    return state


def _saved(state: AppState, event: SourceChanged) -> AppState:
    """What is shown is as it was read; the files say something else by now, or are no more."""
    if event.gone:
        state = noticed(state, "warning", f"moved or deleted: {', '.join(event.gone)}", "shown is what was read")
    if not event.files:
        return state
    files = ", ".join(event.files)
    if state.exported is not None:
        return noticed(state, "info", f"saved: {files}", "r exports the model again")
    return noticed(state, "warning", f"changed on disk: {files}", "r opens it again, as it is now")


def _exported(state: AppState, event: Exported) -> AppState:
    """Lines and nodes are new with an export, so what was read of the source is read again."""
    if event.cancelled:
        return not_read(state, "the export was cancelled", f"Esc, after {event.seconds:.1f} s", "r exports again")
    if not event.onnx_path and state.exported is not None:  # the model shown is still the one exported before
        event = msgspec.structs.replace(event, limits=state.exported.limits)
    return replace(state, exported=event, sources={})


def _drawn(state: AppState, event: GraphReady) -> AppState:
    change = graph_change(state.graph, event.graph, state.revision) if state.graph is not None else None
    return replace(
        state,
        graph=event.graph,
        graph_change=change,
        sources={},
        open_file_only=event.open_file_only,
        labels=[],
    )


def _opened(state: AppState, event: Opened) -> AppState:
    """Guesses are filled in by the worker: they complete the recipe and are no edit of the user's."""
    if state.history is None:
        return state
    history = msgspec.structs.replace(state.history, present=event.recipe)
    return replace(state, summary=event.summary, history=history)


def _relisted(state: AppState) -> AppState:
    """The list follows the checks until a first complete verdict; then it stays, marked stale, until the next."""
    if state.judged is not None:
        listed = list(state.judged.findings)
        others, parser = state.others, state.checks.get("parser")
        if others is not None and parser is not None and others.revision == state.judged.revision == parser.revision:
            listed = with_others(own_label(parser), parser.findings, listed, others.verdicts)
    else:
        listed = fix_first(finding for answer in state.checks.values() for finding in answer.findings)
    last = next((job for job in reversed(state.jobs) if job.kind is JobKind.BUILD and not job.running), None)
    if last is not None and not state.is_stale(last):
        listed = with_build(listed, last.build, last.findings)
    problem = state.problem
    if problem is not None and problem not in listed:
        problem = next((f for f in listed if identity(f) == identity(problem)), None)
    return replace(state, findings=tuple(listed), marks=marks_of(listed), problem=problem)


def _judged(state: AppState, event: Judged) -> AppState:
    change, unread = state.change, state.unread
    if state.judged is None and unread is not None and unread.level == "info":
        state = replace(state, read=state.told)  # such as that there was nothing yet
    state = replace(state, accepted=state.recipe, refused=None, reopening=False)
    if state.export_failed and state.judged is not None and state.graph is not None:
        # the model shown is the one before, and what was said of it is still true of it
        kept = [f for f in state.judged.findings if not f.kind.startswith(EXPORT_KINDS)]
        event = msgspec.structs.replace(event, findings=fix_first([*event.findings, *kept]))
    if state.judged is not None:
        before = {identity(f): f for f in state.judged.findings}
        after = {identity(f): f for f in event.findings}
        fixed = tuple(f for key, f in before.items() if key not in after)
        broke = tuple(f for key, f in after.items() if key not in before)
        if state.judged.revision == event.revision and not state.judged.complete and change is not None:
            # the same edit, with the builder's answer: what it did to the verdicts before still holds
            fixed = (*(f for f in change.fixed if identity(f) not in after), *fixed)
            broke = (*(f for f in change.broke if identity(f) in after), *broke)
        change = Change(fixed=fixed, broke=broke)
    return _relisted(replace(state, judged=event, change=change))


def _job(state: AppState, number: int, step: Callable[[Job], Job]) -> AppState:
    return replace(state, jobs=tuple(step(job) if job.number == number else job for job in state.jobs))


def _with_export(state: AppState, event: JobProgress) -> AppState:
    """Opening a source that is code starts its export by itself: a job that nobody here began."""
    started = any(job.number == event.job and job.running for job in state.jobs)
    if event.job != EXPORT_JOB or started or state.recipe is None:
        return state
    others = tuple(job for job in state.jobs if job.number != EXPORT_JOB)
    return replace(state, jobs=(*others, Job(number=EXPORT_JOB, kind=event.kind, recipe=state.recipe)))


def _progressed(job: Job, event: JobProgress) -> Job:
    lines = (*job.lines, *event.lines)[-JOB_LINES_KEPT:] if event.lines else job.lines
    return replace(job, phases=event.phases, lines=lines, elapsed=event.elapsed)


def _ended(state: AppState, event: JobEnded) -> AppState:
    def over(job: Job) -> Job:
        return replace(
            job,
            running=False,
            elapsed=event.seconds,
            phases=event.build.phases if event.build else job.phases,
            cancelled=event.cancelled,
            error=event.error,
            build=event.build,
            latency=event.latency,
            precision=event.precision,
            findings=event.findings,
        )

    state = _job(state, event.job, over)
    if event.error:
        shown = "the model shown is the one before" if event.job == EXPORT_JOB and state.graph is not None else ""
        state = noticed(state, "error", f"{event.kind} failed: {event.error}", shown)
    return _relisted(state)


def _refused(state: AppState, event: Refused) -> AppState:
    """A refused edit is taken back: the worker kept the recipe it judged last, and so do we."""
    said = noticed(state, "error", f"{event.what}: {event.why}", event.next)
    if not event.revision:
        return said
    said = replace(said, reopening=False)
    return taken_back(said) or replace(said, refused=event)


def _died(state: AppState, event: WorkerDied) -> AppState:
    """Its jobs died with it. What is on screen stays; the client replays the session if it restarted it."""
    jobs = tuple(replace(j, running=False, error="the worker died") if j.running else j for j in state.jobs)
    what = "the worker died and was restarted" if event.restarted else "the worker died and keeps dying"
    words = "\n".join(line for line in event.last_words.splitlines() if line.strip())
    reopening = event.restarted and state.recipe is not None
    state = replace(state, jobs=jobs, worker_lost=not event.restarted, reopening=reopening)
    return noticed(state, "error", f"{what}: {event.why}", words)
