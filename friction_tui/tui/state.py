"""Everything the screen shows, as one immutable value, and how it moves on.

`reduce` takes the state and one event from the worker; the other functions take what the user did. Widgets
never keep facts of their own: they are handed the newest state and draw it. A verdict of an elder revision
is dropped, and whatever was true of an elder recipe is stale, which `AppState` can always tell.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec

from friction_tui.drawing.marks import Mark, marks_of
from friction_tui.finding import Finding, Severity, fix_first
from friction_tui.protocol import (
    EXPORT_JOB,
    BuildResult,
    ConsentNeeded,
    Detail,
    Event,
    Exported,
    Findings,
    Forecasted,
    GpuSamples,
    GraphData,
    GraphReady,
    Hello,
    InitializerStats,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    LatencyResult,
    LogLine,
    MemoryForecast,
    ModelSummary,
    NetronStarted,
    NodeDetail,
    Opened,
    Phase,
    Refused,
    RowLabels,
    Saved,
    SourceChanged,
    Stats,
    WorkerDied,
)
from friction_tui.recipe import History, Recipe

NOTICES_KEPT = 200
JOB_LINES_KEPT = 20_000
GPU_SAMPLES_KEPT = 600
"""Ten minutes at one sample a second."""

Identity: TypeAlias = tuple[str, tuple[str, ...]]


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for the user. `level` is `error`, `warning` or `info`; `detail` what to do next, or why."""

    level: str
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A build, measurement, export or rewrite, running or over. `recipe` is what it was started with."""

    number: int
    kind: JobKind
    recipe: Recipe
    running: bool = True
    phases: tuple[Phase, ...] = ()
    lines: tuple[LogLine, ...] = ()
    elapsed: float = 0.0
    """Seconds since it started, as the worker last said."""
    cancelled: bool = False
    error: str = ""
    build: BuildResult | None = None
    latency: LatencyResult | None = None
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit did to the verdicts: findings gone and findings new."""

    fixed: tuple[Finding, ...]
    broke: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class AppState:
    """A snapshot of the session as the terminal knows it."""

    history: History | None = None
    """None while no model is open."""
    revision: int = 0
    """Of the newest request; 0 before the first."""
    hello: Hello | None = None
    worker_lost: bool = False
    """The worker died so often that it was not started again."""
    summary: ModelSummary | None = None
    graph: GraphData | None = None
    open_file_only: str = ""
    """Why only part of a broken file can be shown."""
    labels: list[str] = field(default_factory=list)
    labels_revision: int = 0
    checks: Mapping[str, Findings] = field(default_factory=dict)
    """Newest answer of every check, which may be of an elder revision: who looked, how far, how long."""
    judged: Judged | None = None
    """The last complete verdict, which may be of an elder revision."""
    accepted: Recipe | None = None
    """The recipe of the last complete verdict; what a refused edit goes back to."""
    refused: Refused | None = None
    """Why the source could not be opened; None once it could."""
    findings: tuple[Finding, ...] = ()
    """What to list: the last complete verdict, or what has arrived so far, plus what builds found."""
    marks: Mapping[str, Mark] = field(default_factory=dict)
    """Gravest mark per item path."""
    change: Change | None = None
    """What the last edit fixed and broke; None before the second verdict."""
    jobs: tuple[Job, ...] = ()
    """Every job of this session, in the order started."""
    forecast: MemoryForecast | None = None
    forecast_note: str = ""
    forecast_revision: int = 0
    gpu: tuple[GpuSamples, ...] = ()
    details: Mapping[str, NodeDetail | None] = field(default_factory=dict)
    """Answers to `Inspect` of this revision, by node path."""
    stats: Mapping[str, InitializerStats] = field(default_factory=dict)
    netron: NetronStarted | None = None
    consent: ConsentNeeded | None = None
    """What the user is asked to agree to before any code of the source is run."""
    exported: Exported | None = None
    """The last export of a source that is code; None for one that is a model already."""
    notices: tuple[Notice, ...] = ()
    """What was refused, what died, what was written; newest last."""
    told: int = 0
    """How many notices there ever were."""
    read: int = 0
    """How many of them the user has put away."""
    auto_build: bool = False
    """Whether every edit starts a build."""
    selected: str = ""
    """Path of the item under the graph's cursor."""
    problem: Finding | None = None
    """The finding under the cursor of the problem list."""
    ascii: bool = False
    """Draw with ASCII characters only."""

    @property
    def recipe(self) -> Recipe | None:
        """What the user chose, None while no model is open."""
        return self.history.present if self.history else None

    @property
    def stale(self) -> bool:
        """Whether the findings shown were judged for an elder recipe."""
        return self.judged is not None and self.judged.revision != self.revision

    @property
    def checking(self) -> bool:
        """Whether a verdict is being waited for."""
        return (
            self.revision > 0
            and self.refused is None
            and (self.judged is None or self.judged.revision != self.revision)
        )

    @property
    def builds(self) -> tuple[Job, ...]:
        """Builds that are over and gave a result, oldest first."""
        return tuple(job for job in self.jobs if job.build is not None)

    @property
    def latencies(self) -> tuple[Job, ...]:
        """Measurements that gave a result, oldest first."""
        return tuple(job for job in self.jobs if job.latency is not None)

    @property
    def unread(self) -> Notice | None:
        """The newest notice, until the user puts it away."""
        return self.notices[-1] if self.told > self.read else None

    def running(self, kind: JobKind | None = None) -> Job | None:
        """The newest job that still runs, of `kind` if given."""
        return next((j for j in reversed(self.jobs) if j.running and (kind is None or j.kind is kind)), None)

    def is_stale(self, job: Job) -> bool:
        """Whether the recipe changed since `job` started. An undone edit makes its result true again."""
        return job.recipe != self.recipe

    def count(self, severity: Severity) -> int:
        """How many findings of one severity there are."""
        return sum(finding.severity is severity for finding in self.findings)


# ------------------------------------------------------------------------------------ what the user did


def opened(state: AppState, recipe: Recipe) -> AppState:
    """Another source is opened: everything about the elder one goes; the machine and the notices stay."""
    return AppState(
        history=History(present=recipe),
        revision=state.revision + 1,
        hello=state.hello,
        gpu=state.gpu,
        notices=state.notices,
        told=state.told,
        read=state.read,
        ascii=state.ascii,
    )


def reopened(state: AppState) -> AppState:
    """The same source is read again: a new revision; what was open stays until the new model is there."""
    return replace(state, revision=state.revision + 1, details={}, consent=None, refused=None)


def with_history(state: AppState, history: History) -> AppState:
    """The recipe was edited, undone or redone: a new revision, unless nothing changed."""
    if state.history is None or history.present == state.history.present:
        return state
    return replace(state, history=history, revision=state.revision + 1, details={})


def job_started(state: AppState, kind: JobKind) -> tuple[AppState, int]:
    """A job begins; its number is returned with the state."""
    if state.recipe is None:
        raise ValueError("a job needs an open model")
    number = max((job.number for job in state.jobs), default=EXPORT_JOB) + 1
    return replace(state, jobs=(*state.jobs, Job(number=number, kind=kind, recipe=state.recipe))), number


def noticed(state: AppState, level: str, text: str, detail: str = "") -> AppState:
    """A line for the user is added."""
    notices = (*state.notices, Notice(level, text, detail))[-NOTICES_KEPT:]
    return replace(state, notices=notices, told=state.told + 1)


# ---------------------------------------------------------------------------------- what the worker said


def reduce(state: AppState, event: Event) -> AppState:
    """The state after `event`. Events about an elder revision change nothing."""
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
            return replace(state, exported=event)
        case SourceChanged():
            return noticed(state, "info", f"saved: {', '.join(event.files)}", "r exports the model again")
        case GraphReady():
            return replace(state, graph=event.graph, open_file_only=event.open_file_only, labels=[], labels_revision=0)
        case RowLabels():  # shapes changed, so what was inspected is asked for again
            return replace(state, labels=event.labels, labels_revision=event.revision, details={})
        case Findings():
            return _relisted(replace(state, checks={**state.checks, event.check: event}))
        case Judged():
            return _judged(state, event)
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
    else:
        listed = fix_first(finding for answer in state.checks.values() for finding in answer.findings)
    last = next((job for job in reversed(state.jobs) if job.kind is JobKind.BUILD and not job.running), None)
    if last is not None and not state.is_stale(last):
        listed = fix_first([*listed, *(f for f in _found_by(last) if f not in listed)])
    problem = state.problem
    if problem is not None and problem not in listed:
        problem = next((f for f in listed if identity(f) == identity(problem)), None)
    return replace(state, findings=tuple(listed), marks=marks_of(listed), problem=problem)


def _found_by(job: Job) -> tuple[Finding, ...]:
    return (*job.findings, *(job.build.findings if job.build else ()))


def identity(finding: Finding) -> Identity:
    """What makes a finding the same one after an edit: its kind and where, not its numbers."""
    return finding.kind, finding.names


def _judged(state: AppState, event: Judged) -> AppState:
    change = state.change
    state = replace(state, accepted=state.recipe, refused=None)
    if state.judged is not None:
        before = {identity(f): f for f in state.judged.findings}
        after = {identity(f): f for f in event.findings}
        change = Change(
            fixed=tuple(f for key, f in before.items() if key not in after),
            broke=tuple(f for key, f in after.items() if key not in before),
        )
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
            findings=event.findings,
        )

    state = _job(state, event.job, over)
    if event.error:
        state = noticed(state, "error", f"{event.kind} failed: {event.error}")
    return _relisted(state)


def _refused(state: AppState, event: Refused) -> AppState:
    """A refused edit is taken back: the worker kept the recipe it judged last, and so do we."""
    said = noticed(state, "error", f"{event.what}: {event.why}", event.next)
    if not event.revision:
        return said
    history, accepted = state.history, state.accepted
    if history is None or accepted is None or state.judged is None:
        return replace(said, refused=event)
    past, future = history.past, history.future
    past = past[:-1] if past and past[-1] == accepted else past
    future = future[1:] if future and future[0] == accepted else future
    judged = msgspec.structs.replace(state.judged, revision=state.revision)
    return replace(said, history=History(accepted, past, future), judged=judged)


def _died(state: AppState, event: WorkerDied) -> AppState:
    """Its jobs died with it. What is on screen stays; the client replays the session if it restarted it."""
    jobs = tuple(replace(j, running=False, error="the worker died") if j.running else j for j in state.jobs)
    what = "the worker died and was restarted" if event.restarted else "the worker died and keeps dying"
    words = "\n".join(line for line in event.last_words.splitlines() if line.strip())
    return noticed(replace(state, jobs=jobs, worker_lost=not event.restarted), "error", f"{what}: {event.why}", words)
