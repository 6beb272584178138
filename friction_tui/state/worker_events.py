"""The state after what the worker says. An answer about an older revision changes nothing."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace

import msgspec

from friction_tui import __version__
from friction_tui.drawing.marks import marks_of
from friction_tui.state.app_state import AppState, Job, Notice, NoticeLevel, VerdictChange
from friction_tui.state.derived import (
    Identity,
    changed_text,
    ended_notice,
    graph_change,
    identity,
    judged_notice,
    verification_text,
    verified_notice,
    with_outcome,
)
from friction_tui.state.user_actions import taken_back, with_source_kept
from friction_tui.verdicts.after_build import with_build
from friction_tui.verdicts.side_by_side import own_label, with_others
from friction_tui.vocabulary.finding import Finding, Severity, fix_first, worst
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
    LineChanged,
    NetronStarted,
    Opened,
    OpsetPlanned,
    OtherVerdicts,
    Previewed,
    Refused,
    RowLabels,
    Saved,
    Sending,
    SourceChanged,
    SourceText,
    Stats,
    StepsLost,
    Verified,
    WidestFound,
    WorkerDied,
)

JOB_LINES_KEPT = 20_000
EXPORT_KINDS = "export/"
GPU_SAMPLES_KEPT = 600
"""Ten minutes at one sample a second."""


def after_event(state: AppState, event: Event) -> AppState:
    """The state after `event`, with a notice of what it came to. Events about an older revision change nothing."""
    moved = _moved(state, event)
    notice: Notice | None = None
    if isinstance(event, Judged) and moved.judged is event and state.judged is not None:
        # After a worker's death nobody asked for the model to be read again, so its notice must stay.
        newer = event.revision != state.judged.revision
        asked = state.recipe == state.accepted and not state.reopening and newer
        # That an edit was taken back, and why, must stay; what it had fixed is there again, as everybody expects.
        notice = judged_notice(moved, same_recipe=asked) if moved.taken_back is None else None
    elif isinstance(event, Verified) and moved.verification is event:
        if event.holds is not True or moved.taken_back is None:
            broke = moved.change is not None and bool(moved.change.broke)
            notice = verified_notice(event, changed_text(moved), warn=broke)
    elif isinstance(event, JobEnded):
        notice = ended_notice(moved, event)
    elif isinstance(event, Judged) and moved.judged is event and state.line is not None:
        notice = _not_there(event, state.line)
    return moved.with_notice(notice.level, notice.text, notice.detail) if notice is not None else moved


def _moved(state: AppState, event: Event) -> AppState:
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
        case Verified():
            return _verified(replace(state, verification=event))
        case StepsLost():
            return _lost(state, event)
        case Previewed():
            return replace(state, previews={**state.previews, event.rewrite: event})
        case Detail():
            return replace(state, details={**state.details, event.path: event.node})
        case Stats():
            return replace(state, stats={**state.stats, event.stats.name: event.stats})
        case WidestFound():
            return replace(state, widest=event)
        case Forecasted():
            return replace(state, forecast=event.forecast, forecast_note=event.note, forecast_revision=state.revision)
        case JobProgress():
            return _job(_with_export(state, event), event.job, lambda job: _progressed(job, event))
        case JobEnded():
            return _ended(state, event)
        case OpsetPlanned():
            return _job(state, event.job, lambda job: replace(job, plans=(*job.plans, event.plan)))
        case Saved():
            note = f"; {event.note}" if event.note else ""
            where = f"on {state.line.where}: " if state.line is not None else ""
            return state.with_notice(NoticeLevel.INFO, f"wrote {where}{event.path}{note}", f"{event.bytes:,} bytes")
        case GpuSamples():
            return replace(state, gpu=(*state.gpu, event)[-GPU_SAMPLES_KEPT:])
        case NetronStarted():
            return replace(state, netron=event)
        case Refused():
            return _refused(state, event)
        case WorkerDied():
            return _died(state, event)
        case LineChanged():
            return _line(state, event)
        case Sending():
            return _sending(state, event)
    return state


def _saved(state: AppState, event: SourceChanged) -> AppState:
    """What is shown was read before; the files have changed since, or are gone."""
    if event.gone:
        state = state.with_notice(
            NoticeLevel.WARNING, f"moved or deleted: {', '.join(event.gone)}", "what is shown was read before that"
        )
    if not event.files:
        return state
    files = ", ".join(event.files)
    if state.exported is not None:
        return state.with_notice(NoticeLevel.INFO, f"saved: {files}", "r exports the model again")
    return state.with_notice(NoticeLevel.WARNING, f"changed on disk: {files}", "r opens it again")


def _exported(state: AppState, event: Exported) -> AppState:
    """Lines and nodes are new with an export, so what was read of the source is read again."""
    if event.cancelled:
        return with_source_kept(
            state, "the export was cancelled", f"Esc, after {event.seconds:.1f} s", "r exports again"
        )
    if not event.onnx_path and state.exported is not None:  # the model shown is still the one exported before
        event = msgspec.structs.replace(event, limits=state.exported.limits)
    return replace(state, exported=event, sources={})


def _lost(state: AppState, event: StepsLost) -> AppState:
    """Said when steps are lost first; an edit that leaves them as they were says nothing new."""
    new = [step for step in event.lost if step not in state.lost]
    state = replace(state, lost=event.lost)
    if not new:
        return state
    more = f" and {len(new) - 1} more" if len(new) > 1 else ""
    text = f"does not apply any more, left out: {new[0].name}{more}: {new[0].why}"
    return state.with_notice(NoticeLevel.WARNING, text, "A moves it to another node or drops it, u undoes it")


def _drawn(state: AppState, event: GraphReady) -> AppState:
    change = graph_change(state.graph, event.graph, state.revision) if state.graph is not None else None
    drawn = replace(
        state,
        graph=event.graph,
        graph_change=change,
        sources={},
        open_file_only=event.open_file_only,
        labels=[],
    )
    return _relisted(drawn) if state.judged is not None else drawn


def _opened(state: AppState, event: Opened) -> AppState:
    """Guesses are filled in by the worker: they complete the recipe and are not an edit of the user's."""
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
    # Paths of an older graph may mean other nodes in the one that is shown.
    change, judged = state.graph_change, state.judged
    outdated = change is not None and judged is not None and change.revision > judged.revision
    return replace(state, findings=tuple(listed), marks={} if outdated else marks_of(listed), problem=problem)


def _judged(state: AppState, event: Judged) -> AppState:
    change, unread, older = state.change, state.unread, state.accepted
    if state.judged is None and unread is not None and unread.level is NoticeLevel.INFO:
        state = replace(state, dismissed_count=state.notice_count)  # such as that there was nothing yet
    state = replace(state, accepted=state.recipe, refused=None, reopening=False)
    if state.export_failed and state.judged is not None and state.graph is not None:
        # the previous model is still shown, and what was said of it is still true of it
        kept = [f for f in state.judged.findings if not f.kind.startswith(EXPORT_KINDS)]
        event = msgspec.structs.replace(event, findings=fix_first([*event.findings, *kept]))
    if state.judged is not None:
        before, after = ({identity(f): f for f in one.findings} for one in (state.judged, event))
        fixed, broke = _without(before, after), _without(after, before)
        if state.judged.revision == event.revision and change is not None:
            # the same edit, with the builder's answer: what it did to the verdicts before still holds
            fixed = (*(f for f in change.fixed if not _is_in(f, after.values())), *fixed)
            broke = (*(f for f in change.broke if _is_in(f, after.values())), *broke)
        change = VerdictChange(fixed=fixed, broke=broke)
        state = with_outcome(state, older, change)
    return _relisted(replace(state, judged=event, change=change))


def _without(ones: Mapping[Identity, Finding], others: Mapping[Identity, Finding]) -> tuple[Finding, ...]:
    """The errors and warnings of `ones` at nodes and tensors that have none as grave in `others`, for any reason.

    A note that goes was nothing to fix, and one that comes breaks nothing; nor does another reason to refuse a node
    that was refused before.
    """
    at: dict[str, list[Finding]] = {}
    for other in others.values():
        for name in other.names:
            at.setdefault(name, []).append(other)

    def as_grave(one: Finding, name: str) -> bool:
        return worst((*at.get(name, ()), one)) is worst(at.get(name, ()))

    found = []
    for key, one in ones.items():
        if key in others or one.severity is Severity.NOTE:
            continue
        left = tuple(place for place in one.locations if not place.name or not as_grave(one, place.name))
        if left or not one.locations:
            found.append(msgspec.structs.replace(one, locations=left))
    return tuple(found)


def _is_in(part: Finding, findings: Iterable[Finding]) -> bool:
    """Whether one of `findings` says what `part` does, of its locations and maybe of others."""
    return any(one.kind == part.kind and set(part.names) <= set(one.names) for one in findings)


def _verified(state: AppState) -> AppState:
    """What the verification came to belongs to the edit that was judged last."""
    if not state.outcomes or state.outcomes[-1].after != state.recipe or state.verification is None:
        return state
    last = replace(state.outcomes[-1], verified=verification_text(state.verification))
    return replace(state, outcomes=(*state.outcomes[:-1], last))


def _job(state: AppState, number: int, step: Callable[[Job], Job]) -> AppState:
    return replace(state, jobs=tuple(step(job) if job.number == number else job for job in state.jobs))


def _with_export(state: AppState, event: JobProgress) -> AppState:
    """Opening a source that is code starts its export by itself: a job that was not started here."""
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
            mended=event.mended,
            findings=event.findings,
        )

    state = _job(state, event.job, over)
    if event.error:
        shown = "the previous model is still shown" if event.job == EXPORT_JOB and state.graph is not None else ""
        state = state.with_notice(NoticeLevel.ERROR, f"{event.kind} failed: {event.error}", shown)
    return _relisted(state)


def _refused(state: AppState, event: Refused) -> AppState:
    """A refused edit is taken back: the worker kept the recipe it judged last, and so do we."""
    where = f" ({state.line.where} was asked)" if state.line is not None and state.judged is None else ""
    said = state.with_notice(NoticeLevel.ERROR, f"{event.what}: {event.why}{where}", event.next)
    if not event.revision:
        return said
    said = replace(said, reopening=False)
    return taken_back(said) or replace(said, refused=event)


def _sending(state: AppState, event: Sending) -> AppState:
    if event.why_not:
        where = state.line.where if state.line is not None else "the worker"
        text = f"{event.path} was not sent to {where}: {event.why_not}"
        return replace(state, sending=None).with_notice(NoticeLevel.ERROR, text, "r tries again")
    return replace(state, sending=event if event.done < event.total else None)


def _not_there(event: Judged, line: LineChanged) -> Notice | None:
    """A file that is not on this machine was looked for on the worker's."""
    if not any(finding.kind == "file/missing" for finding in event.findings):
        return None
    return Notice(NoticeLevel.WARNING, f"{line.where} was asked for it", "ONNX files of this machine are sent there")


def _line(state: AppState, event: LineChanged) -> AppState:
    """Said when the line is lost and when it is back, not at every attempt in between."""
    before, state = state.line, replace(state, line=event)
    lost = before is not None and not before.up
    if event.up:
        if event.version not in ("", __version__):
            text = f"{event.where} has friction-tui {event.version}, this terminal {__version__}"
            state = state.with_notice(NoticeLevel.WARNING, text, "install the same version if something looks wrong")
        return state.with_notice(NoticeLevel.INFO, f"connected to {event.where} again") if lost else state
    if before is not None and lost and before.why == event.why:
        return state
    connected = before is not None and bool(before.machine)
    what = f"connection to {event.where} lost" if connected else "no connection to the worker"
    kept = "edits wait here, jobs go on there" if connected else "what you ask waits here"
    again = "R tries again" if event.again_s is None else "it is tried again by itself, R tries now"
    return state.with_notice(NoticeLevel.ERROR, f"{what}: {event.why or 'it ended'}", f"{kept}; {again}")


def _died(state: AppState, event: WorkerDied) -> AppState:
    """Its jobs died with it. What is on screen stays; the client replays the session if it restarted it."""
    jobs = tuple(replace(j, running=False, error="the worker died") if j.running else j for j in state.jobs)
    what = "the worker died and was restarted" if event.restarted else "the worker died again and was not restarted"
    words = "\n".join(line for line in event.last_words.splitlines() if line.strip())
    reopening = event.restarted and state.recipe is not None
    state = replace(state, jobs=jobs, worker_lost=not event.restarted, reopening=reopening)
    return state.with_notice(NoticeLevel.ERROR, f"{what}: {event.why}", words)
