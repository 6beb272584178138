"""Everything the screen shows, as one immutable value.

`friction_tui.state.dispatch` makes the next state from this one and a message. Widgets never keep facts of their own:
they are handed the newest state and draw it. Whatever was true of an older recipe is stale, which `AppState` can tell.
"""

from __future__ import annotations

import enum
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

import msgspec

from friction_tui.drawing.marks import ProblemMark
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import (
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
    LineChanged,
    LogLine,
    LostStep,
    MemoryForecast,
    Mended,
    ModelSummary,
    NetronStarted,
    NodeDetail,
    OpsetPlan,
    OtherVerdicts,
    Phase,
    PrecisionResult,
    Present,
    Previewed,
    Refused,
    Sending,
    SourceText,
    Verified,
    Viewer,
    WidestFound,
)
from friction_tui.vocabulary.recipe import History, Recipe, Rewrite

NOTICES_KEPT = 200


class NoticeLevel(enum.StrEnum):
    """How much a notice matters: an `INFO` goes away with the next move, the others stay until they are dismissed."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"


@dataclass(frozen=True, slots=True)
class Notice:
    """One line for the user. `detail` says what to do next, or why."""

    level: NoticeLevel
    text: str
    detail: str = ""


@dataclass(frozen=True, slots=True)
class Job:
    """A build, measurement, export or rewrite, running or over. `recipe` is what it was started with."""

    number: int
    kind: JobKind
    recipe: Recipe
    nth: int = 1
    """Its number among the jobs of its kind, counted from 1: the one that is shown."""
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
    mended: Mended | None = None
    plans: tuple[OpsetPlan, ...] = ()
    findings: tuple[Finding, ...] = ()


@dataclass(frozen=True, slots=True)
class VerdictChange:
    """What an edit did to the verdicts: errors and warnings that are gone, and that are new."""

    fixed: tuple[Finding, ...]
    broke: tuple[Finding, ...]


@dataclass(frozen=True, slots=True)
class Outcome:
    """What the verdict on the recipe `after` was, compared with the one on the recipe `before`; `text` in words."""

    before: Recipe
    after: Recipe
    text: str
    verified: str = ""


@dataclass(frozen=True, slots=True)
class Author:
    """Who made an edit, from which recipe to which."""

    before: Recipe
    after: Recipe
    by: str


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
class TakenBack:
    """An edit that was undone because its rewrites do not keep the results: `why`, and the `recipe` it made."""

    recipe: Recipe
    what: str
    why: str


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
    line: LineChanged | None = None
    """How it stands with the line to a worker elsewhere; None for one of this machine."""
    sending: Sending | None = None
    """A file that is on its way to the worker."""
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
    marks: Mapping[str, ProblemMark] = field(default_factory=dict)
    """Most severe mark per item path."""
    change: VerdictChange | None = None
    """What the last edit fixed and broke; None before the second verdict."""
    outcomes: tuple[Outcome, ...] = ()
    """What edits came to, in the order judged."""
    lost: tuple[LostStep, ...] = ()
    """Steps of the recipe that do not apply to the model any more, and are left out."""
    verification: Verified | None = None
    """The last answer to whether the rewrites keep the results, which may be of an older revision."""
    mended: tuple[int, str] = (0, "")
    """The revision that a run of fixes made, and what it came to in words."""
    taken_back: TakenBack | None = None
    """The last edit, where it was undone because the results changed."""
    previews: Mapping[Rewrite, Previewed] = field(default_factory=dict)
    """Answers to `Preview` of this revision."""
    previewed: Rewrite | None = None
    """The rewrite whose nodes are marked in the graph."""
    jobs: tuple[Job, ...] = ()
    """Every job of this session, in the order started."""
    widest: WidestFound | None = None
    """The last answer to `FindWidest`."""
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
    notice_count: int = 0
    """How many notices there were in all."""
    dismissed_count: int = 0
    """How many of them the user has dismissed."""
    auto_build: bool = False
    """Whether every edit starts a build."""
    selected: str = ""
    """Path of the item under the graph's cursor."""
    problem: Finding | None = None
    """The finding under the cursor of the problem list."""
    ascii: bool = False
    """Draw with ASCII characters only."""
    keys: Mapping[str, str] = field(default_factory=dict)
    """Keys of the user's own by action, comma separated."""
    others: OtherVerdicts | None = None
    """What the TensorRTs of other environments say, which may be of an older revision."""
    present: Present | None = None
    """Who else looks at this session; None while it is not shared."""
    looking: Mapping[str, str] = field(default_factory=dict)
    """Where the cursors of the viewers are: a path of the graph by name."""
    pointed: tuple[int, str] = (0, "")
    """How often somebody said "look here", and who did last."""
    following: str = ""
    """Whose cursor the one of this screen follows, "" for nobody's."""
    authors: tuple[Author, ...] = ()
    """Who made which edit of a shared session, in the order made."""
    recorded: bool = False
    """A recording is shown: there is no worker, and nothing can be changed."""

    @property
    def only_watching(self) -> str:
        """Why nothing can be changed here, "" when it can."""
        if self.recorded:
            return "this is a recording"
        return "you are only watching" if self.present is not None and self.present.own.watch_only else ""

    @property
    def line_lost(self) -> str:
        """Why nobody answers at the other end of a line, "" while somebody does."""
        line = self.line
        return f"the connection to {line.where} is lost; R tries again" if line is not None and not line.up else ""

    @property
    def others_at(self) -> dict[str, list[Viewer]]:
        """The other viewers by the path that their cursor is on."""
        found: dict[str, list[Viewer]] = {}
        present = self.present
        for viewer in present.viewers if present is not None else ():
            path = self.looking.get(viewer.name, "")
            if path and present is not None and viewer.name != present.you:
                found.setdefault(path, []).append(viewer)
        return found

    @property
    def recipe(self) -> Recipe | None:
        """What the user chose, None while no model is open."""
        return self.history.present if self.history else None

    @property
    def current_verification(self) -> Verified | None:
        """Whether the present recipe's rewrites keep the results, None until it is known."""
        verification = self.verification
        return verification if verification is not None and verification.revision == self.revision else None

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

    def of_present(self, jobs: Sequence[Job]) -> Job | None:
        """The newest of these that was started on the present recipe; where there is none the newest, which is stale.

        An undo that returns to a recipe that was built returns to its build.
        """
        return next((job for job in reversed(jobs) if not self.is_stale(job)), jobs[-1] if jobs else None)

    @property
    def unread(self) -> Notice | None:
        """The newest notice, until the user dismisses it."""
        return self.notices[-1] if self.notice_count > self.dismissed_count else None

    def running(self, kind: JobKind | None = None) -> Job | None:
        """The newest job that still runs, of `kind` if given."""
        return next((j for j in reversed(self.jobs) if j.running and (kind is None or j.kind is kind)), None)

    def is_stale(self, job: Job) -> bool:
        """Whether the recipe changed since `job` started. An undone edit makes its result true again."""
        return self.recipe is None or job.recipe.at_profile(0) != self.recipe.at_profile(0)

    def count(self, severity: Severity) -> int:
        """How many findings of one severity there are."""
        return sum(finding.severity is severity for finding in self.findings)

    def with_notice(self, level: NoticeLevel, text: str, detail: str = "") -> AppState:
        """The state with one more line for the user. A repeated one (a key held down) is counted, and kept once."""
        notice = Notice(level, text, detail)
        notices = self.notices
        if not notices or notices[-1] != notice:
            notices = (*notices, notice)[-NOTICES_KEPT:]
        return replace(self, notices=notices, notice_count=self.notice_count + 1)
