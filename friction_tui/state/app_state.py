"""Everything the screen shows, as one immutable value, and how it moves on by what the user does.

What the worker says moves it on in `friction_tui.state.reduce`. Widgets never keep facts of their own: they are
handed the newest state and draw it. Whatever was true of an older recipe is stale, which `AppState` can tell.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from typing import TypeAlias

import msgspec

from friction_tui.drawing.marks import Mark
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    BuildResult,
    ConsentNeeded,
    Exported,
    Findings,
    GpuSamples,
    GraphData,
    Hello,
    InitializerStats,
    JobKind,
    Judged,
    LatencyResult,
    LogLine,
    MemoryForecast,
    ModelSummary,
    NetronStarted,
    NodeDetail,
    OpsetPlan,
    OtherVerdicts,
    Phase,
    PrecisionResult,
    Present,
    Proved,
    Refused,
    SourceText,
)
from friction_tui.vocabulary.recipe import History, Recipe

NOTICES_KEPT = 200

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
    nth: int = 1
    """The how manieth of its kind: what it is called by."""
    running: bool = True
    phases: tuple[Phase, ...] = ()
    lines: tuple[LogLine, ...] = ()
    elapsed: float = 0.0
    """Seconds since it started, as the worker last said."""
    cancelled: bool = False
    error: str = ""
    build: BuildResult | None = None
    latency: LatencyResult | None = None
    precision: PrecisionResult | None = None
    plans: tuple[OpsetPlan, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class Change:
    """What an edit did to the verdicts: findings gone and findings new."""

    fixed: tuple[Finding, ...]
    broke: tuple[Finding, ...]


class PastExport(msgspec.Struct, frozen=True):
    """An export that gave a model: `seconds` in all and by stage."""

    seconds: float
    phases: tuple[Phase, ...]


@dataclass(frozen=True, slots=True)
class GraphChange:
    """The nodes that a newer graph has and those it has no more, as `Op name`; `revision` is the newer graph's."""

    revision: int
    added: tuple[str, ...]
    removed: tuple[str, ...]


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
    reopening: bool = False
    """A new worker is reading the model, in place of one that died."""
    summary: ModelSummary | None = None
    graph: GraphData | None = None
    open_file_only: str = ""
    """Why only part of a broken file can be shown."""
    labels: list[str] = field(default_factory=list)
    checks: Mapping[str, Findings] = field(default_factory=dict)
    """Newest answer of every check, which may be of an older revision: who looked, how far, how long."""
    judged: Judged | None = None
    """The last complete verdict, which may be of an older revision."""
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
    proof: Proved | None = None
    """The last answer to whether the rewrites keep the results, which may be of an older revision."""
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
    sources: Mapping[str, SourceText] = field(default_factory=dict)
    """Python of the model's project as it was when it was last exported, under every name that its files are met by."""
    past_exports: tuple[PastExport, ...] = ()
    """How long exports of this source took before, oldest first."""
    graph_change: GraphChange | None = None
    """What reading the source again, or the last rewrite, did to the graph."""
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
    others: OtherVerdicts | None = None
    """What the TensorRTs of other environments say, which may be of an older revision."""
    present: Present | None = None
    """Who else looks at this session; None while it is not shared."""
    recorded: bool = False
    """A recording is shown: there is no worker, and nothing can be changed."""

    @property
    def only_watching(self) -> str:
        """Why nothing can be changed here, "" when it can."""
        if self.recorded:
            return "this is a recording"
        return "you are only watching" if self.present is not None and self.present.own.watch_only else ""

    @property
    def recipe(self) -> Recipe | None:
        """What the user chose, None while no model is open."""
        return self.history.present if self.history else None

    @property
    def proven(self) -> Proved | None:
        """The proof of the present recipe's rewrites, None until it is known."""
        return self.proof if self.proof is not None and self.proof.revision == self.revision else None

    @property
    def stale(self) -> bool:
        """Whether the findings shown were judged for an older recipe."""
        return self.judged is not None and self.judged.revision != self.revision

    @property
    def checking(self) -> bool:
        """Whether a verdict is being waited for."""
        return (
            self.revision > 0
            and self.refused is None
            and (self.reopening or self.judged is None or self.judged.revision != self.revision)
        )

    @property
    def export_failed(self) -> bool:
        """Whether the last export gave no model; one shown is that of an export before."""
        return self.exported is not None and not self.exported.onnx_path

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
        return self.recipe is None or job.recipe.at_profile(0) != self.recipe.at_profile(0)

    def count(self, severity: Severity) -> int:
        """How many findings of one severity there are."""
        return sum(finding.severity is severity for finding in self.findings)


# ------------------------------------------------------------------------------------ what the user did


def opened(state: AppState, recipe: Recipe) -> AppState:
    """Another source is opened: everything about the older one goes; the machine and the notices stay."""
    return AppState(
        history=History(present=recipe),
        revision=state.revision + 1,
        hello=state.hello,
        gpu=state.gpu,
        notices=state.notices,
        told=state.told,
        read=state.read,
        ascii=state.ascii,
        present=state.present,
    )


def reopened(state: AppState, recipe: Recipe | None = None) -> AppState:
    """The same source is read again: a new revision; what was open stays until the new model is there.

    `recipe` is the present one with consent. The last message, such as that the source was not read, is put away.
    """
    history = state.history
    if history is not None and recipe is not None:
        history = msgspec.structs.replace(history, present=recipe)
    state = replace(state, history=history, revision=state.revision + 1, details={}, consent=None, refused=None)
    return replace(state, read=state.told)


def taken_back(state: AppState) -> AppState | None:
    """The last edit undone without a trace, as the worker kept what it judged last; None where nothing was judged."""
    history, accepted = state.history, state.accepted
    if history is None or accepted is None or state.judged is None:
        return None
    past, future = history.past, history.future
    past = past[:-1] if past and past[-1] == accepted else past
    future = future[1:] if future and future[0] == accepted else future
    judged, proof = msgspec.structs.replace(state.judged, revision=state.revision), state.proof
    if proof is not None and proof.revision == state.judged.revision:
        proof = msgspec.structs.replace(proof, revision=state.revision)
    return replace(state, history=History(accepted, past, future), judged=judged, proof=proof)


def not_read(state: AppState, what: str, why: str, again: str) -> AppState:
    """The source was not read after all, as the user wished: what was open stays."""
    state = noticed(replace(state, consent=None), "warning", f"{what}: {why}", again)
    return taken_back(state) or replace(state, refused=Refused(what, why, f"{again}."))


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
    return with_job(state, number, kind, state.recipe), number


def with_job(state: AppState, number: int, kind: JobKind, recipe: Recipe) -> AppState:
    """The state with one more running job."""
    nth = 1 + sum(job.kind is kind for job in state.jobs)
    return replace(state, jobs=(*state.jobs, Job(number=number, kind=kind, recipe=recipe, nth=nth)))


def ticked(state: AppState, number: int, elapsed: float) -> AppState:
    """A job that says nothing for a while goes on: `elapsed` seconds by now."""
    jobs = (replace(job, elapsed=elapsed) if job.number == number and job.running else job for job in state.jobs)
    return replace(state, jobs=tuple(jobs))


def ended_phases(job: Job) -> tuple[Phase, ...]:
    """The phases of a job that is over; the last of them ended with it."""
    spent = sum(phase.seconds for phase in job.phases if phase.seconds is not None)
    return tuple(Phase(p.name, max(job.elapsed - spent, 0.0) if p.seconds is None else p.seconds) for p in job.phases)


def noticed(state: AppState, level: str, text: str, detail: str = "") -> AppState:
    """A line for the user is added; the same one again (a key held down) is told again, and kept once."""
    notice = Notice(level, text, detail)
    notices = state.notices
    if not notices or notices[-1] != notice:
        notices = (*notices, notice)[-NOTICES_KEPT:]
    return replace(state, notices=notices, told=state.told + 1)


def identity(finding: Finding) -> Identity:
    """What makes a finding the same one after an edit: its kind and where, not its numbers."""
    return finding.kind, finding.names
