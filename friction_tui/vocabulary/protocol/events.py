"""What the worker says."""

from __future__ import annotations

import enum

import msgspec

from friction_tui.vocabulary.finding import Finding, Location
from friction_tui.vocabulary.protocol.comparison import Comparison
from friction_tui.vocabulary.protocol.differences import ModelDifference
from friction_tui.vocabulary.protocol.evidence import ExportEvidence
from friction_tui.vocabulary.protocol.graph import GraphData, InitializerStats, ModelSummary, NodeDetail
from friction_tui.vocabulary.protocol.measurements import (
    BuildResult,
    GpuSample,
    LatencyResult,
    LogLine,
    MemoryForecast,
    Mended,
    OpsetPlan,
    Phase,
    PrecisionResult,
    Reduction,
)
from friction_tui.vocabulary.protocol.requests import JobKind
from friction_tui.vocabulary.recipe import InputSpec, Range, Recipe, Rewrite


class OptionHere(msgspec.Struct, frozen=True):
    """An option of the builder on this machine: `why_not` it is offered, "" where it is, and `nearest` what else to do.

    `choices` are the names that it takes here, () where it takes none. `remark` is what to know of it.
    """

    why_not: str = ""
    nearest: str = ""
    choices: tuple[str, ...] = ()
    remark: str = ""


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An engine found on the worker's machine, and what it can do there. `label` is what verdicts are signed with.

    `can_parse`, `can_build` and `can_run` are about here and now, `why_not` says why one of them is not so. `decides`:
    a model is made for this engine, its verdict is the verdict; others give a second opinion. `targets` are the GPU
    architectures it can be told to build for, () where it builds for the GPU it finds. `precisions` are those that can
    be chosen for it; with `weak_types` they are flags to its builder, else edits of the model. `operator_table` names
    the table that describes it (`rtx`, `enterprise`). `cpu_only`: it builds without a GPU, in a mode of its own that
    chooses kernels without timing them. `options` has every option of the builder by its name.
    """

    name: str
    label: str
    version: str
    can_parse: bool
    can_build: bool
    can_run: bool
    why_not: str = ""
    decides: bool = False
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()
    weak_types: bool = False
    operator_table: str = ""
    cpu_only: bool = False
    options: dict[str, OptionHere] = {}


class Hello(msgspec.Struct, frozen=True, tag="hello"):
    """The worker is up."""

    version: str
    pid: int
    machine: str
    engines: tuple[EngineInfo, ...]
    gpus: tuple[str, ...] = ()
    no_gpu: str = ""
    """Why there is no GPU to use, in words; empty when there is one."""


class Opened(msgspec.Struct, frozen=True, tag="opened"):
    """A model was read. `recipe` is the request's with guesses filled in (default profile)."""

    revision: int
    summary: ModelSummary
    recipe: Recipe


class ConsentNeeded(msgspec.Struct, frozen=True, tag="consent_needed"):
    """Opening this source runs code that comes with it; nothing was run yet.

    To go on, send `Open` again with `recipe` as given here: its source carries consent for exactly these bytes.
    `runs` says in words what will run; `remember` in the answer keeps the consent on this machine.
    """

    revision: int
    recipe: Recipe
    files: tuple[str, ...]
    sha256: str
    runs: str


class Exported(msgspec.Struct, frozen=True, tag="exported"):
    """An export ended. `onnx_path` "" when it failed: the findings of check `export` say why.

    `cancelled`: the user ended it, and everything is as it was before.
    """

    revision: int
    onnx_path: str
    seconds: float
    files: tuple[str, ...] = ()
    """The project files it read; a save of one of them is a reason to export again."""
    inputs: tuple[InputSpec, ...] = ()
    inputs_guessed: bool = False
    cancelled: bool = False
    captured_nodes: int = 0
    """Operators of the torch.export graph, 0 where there is none; `onnx_nodes` are those of the model made of it."""
    onnx_nodes: int = 0
    limits: dict[str, tuple[int, int | None]] = {}
    """The smallest and largest size (None: no largest) of every `input[axis]` it was asked to leave free."""
    evidence: ExportEvidence | None = None


class SourceText(msgspec.Struct, frozen=True, kw_only=True, tag="source_text"):
    """Answer to `ReadSource`: a file of the user's project, or in `error` why it cannot be shown.

    `nodes` maps a line, counted from 1, to the paths of the nodes it made itself, in graph order; `callers` to those
    made by what it calls. `names` are the spellings under which the file is met in places and nodes; `files` all
    that can be asked for.
    """

    file: str
    text: str = ""
    nodes: dict[int, list[str]] = {}
    callers: dict[int, list[str]] = {}
    names: tuple[str, ...] = ()
    files: tuple[str, ...] = ()
    error: str = ""


class SourceChanged(msgspec.Struct, frozen=True, tag="source_changed"):
    """Files that the model was read or exported from were saved; `gone` are those that were moved or deleted."""

    files: tuple[str, ...]
    gone: tuple[str, ...] = ()


class GraphReady(msgspec.Struct, frozen=True, tag="graph"):
    """The graph to draw, sent when it changed."""

    revision: int
    graph: GraphData
    open_file_only: str = ""
    """Why only part can be shown, for a broken file."""


class RowLabels(msgspec.Struct, frozen=True, tag="labels"):
    """A shape label per graph item (`1..8 × 3 × 320..640²`), parallel to `GraphData.names`."""

    revision: int
    labels: list[str]


class CheckState(enum.StrEnum):
    """How far one check is."""

    PENDING = "pending"
    RUNNING = "running"
    DONE = "done"
    UNAVAILABLE = "unavailable"
    FAILED = "failed"


class Findings(msgspec.Struct, frozen=True, tag="findings"):
    """All findings of one check so far; replaces the same check's older ones.

    `check` names who looks: `file`, `structure`, `parser`, `shapes`, `numerics`, `versions`, `builder`...
    """

    revision: int
    check: str
    state: CheckState
    findings: list[Finding]
    seconds: float
    source: str = ""
    note: str = ""
    """Why it is unavailable or failed, or what it covers."""
    kernels: bool = False
    """Of the builder's check: kernels were compiled too, for all of the model."""


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    """Every check of this revision has been answered; `findings` are all of them, merged and sorted.

    Not `complete`: the builder has not answered yet, and another one follows when it has.
    """

    revision: int
    findings: list[Finding]
    seconds: float
    complete: bool = True


class OtherVerdict(msgspec.Struct, frozen=True, kw_only=True):
    """What the TensorRT of another environment says of the model, or in `why_not` why it could not be asked.

    `findings` are what its parser refuses, signed by it.
    """

    python: str
    label: str = ""
    why_not: str = ""
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0


class OtherVerdicts(msgspec.Struct, frozen=True, tag="other_verdicts"):
    """Answer to `AskOthers`, sent again with each verdict more, in the order asked. `complete`: that is all."""

    revision: int
    verdicts: tuple[OtherVerdict, ...]
    complete: bool


class Verified(msgspec.Struct, frozen=True, tag="verified"):
    """Whether the recipe's rewrites keep the model's results, found by running both models.

    `holds` None: it could not be tried, `text` says why.
    """

    revision: int
    rewrites: tuple[str, ...]
    holds: bool | None
    text: str


class OtherNode(msgspec.Struct, frozen=True):
    """A node that a step of the recipe may be moved to: how the recipe names it, and what is shown."""

    reference: str
    label: str


class LostStep(msgspec.Struct, frozen=True, omit_defaults=True):
    """A step of the recipe that the model does not allow any more, left out of what is judged and built.

    Either a `rewrite`, of which the node `node` is gone (its reference; "" where the reason is another), or `kept`, the
    name of a node to be kept in float32. `others` are nodes with the same operator.
    """

    why: str
    rewrite: Rewrite | None = None
    node: str = ""
    kept: str = ""
    others: tuple[OtherNode, ...] = ()

    @property
    def name(self) -> str:
        """What it is called on the screen."""
        return self.rewrite.name if self.rewrite is not None else f"{self.kept} in float32"


class StepsLost(msgspec.Struct, frozen=True, tag="steps_lost"):
    """The steps of the recipe that do not apply to the model that was opened; none once they all do, or are gone."""

    revision: int
    lost: tuple[LostStep, ...]


class Previewed(msgspec.Struct, frozen=True, tag="previewed"):
    """Answer to `Preview`: what the rewrite would change; `difference` None when it does not apply, `why_not` why."""

    revision: int
    rewrite: Rewrite
    difference: ModelDifference | None = None
    why_not: str = ""


class Detail(msgspec.Struct, frozen=True, tag="detail"):
    """Answer to `Inspect`; `node` None when the path is not (any more) in the graph."""

    path: str
    node: NodeDetail | None


class Stats(msgspec.Struct, frozen=True, tag="stats"):
    """Answer to `ReadInitializer`."""

    stats: InitializerStats


class Forecasted(msgspec.Struct, frozen=True, tag="forecasted"):
    """Answer to `Forecast`; `forecast` None with the reason in `note`."""

    forecast: MemoryForecast | None
    note: str = ""


class WidestFound(msgspec.Struct, frozen=True, tag="widest_found"):
    """Answer to `FindWidest`; `range` None with the reason in `note`, which else says what ends the range."""

    key: str
    range: Range | None
    note: str = ""


class JobProgress(msgspec.Struct, frozen=True, tag="job_progress"):
    """A job's phases so far, and the log lines since the last message."""

    job: int
    kind: JobKind
    phases: tuple[Phase, ...]
    lines: tuple[LogLine, ...]
    elapsed: float


class JobEnded(msgspec.Struct, frozen=True, tag="job_ended"):
    """A job is over: its result, or `error`, or cancelled. Exactly one per started job.

    `died` is how its process ended, in words that follow "the process", when it ended without a result of its own;
    `late` tells that it was ended because its time was over.
    """

    job: int
    kind: JobKind
    seconds: float
    cancelled: bool = False
    error: str = ""
    died: str = ""
    late: bool = False
    build: BuildResult | None = None
    latency: LatencyResult | None = None
    precision: PrecisionResult | None = None
    mended: Mended | None = None
    reduced: Reduction | None = None
    compared: Comparison | None = None
    findings: tuple[Finding, ...] = ()


class OpsetPlanned(msgspec.Struct, frozen=True, tag="opset_planned"):
    """A job has tried one more opset."""

    job: int
    plan: OpsetPlan


class Saved(msgspec.Struct, frozen=True, tag="saved"):
    """A file was written; `note` says what is known of it."""

    path: str
    bytes: int
    note: str = ""


class GpuSamples(msgspec.Struct, frozen=True, tag="gpu_samples"):
    """One sample per GPU."""

    samples: tuple[GpuSample, ...]


class NetronStarted(msgspec.Struct, frozen=True, tag="netron"):
    """Netron serves on loopback. `forward` is the ssh line that brings it to the user's browser."""

    url: str
    forward: str


class Refused(msgspec.Struct, frozen=True, tag="refused"):
    """A request could not be met. `what`, `why` and `next` are written for the person at the terminal.

    `revision` is that of the `Open` or `Apply` that was refused, which then left everything as it was; 0 when
    something else was.
    """

    what: str
    why: str
    next: str = ""
    location: Location | None = None
    revision: int = 0


class WorkerDied(msgspec.Struct, frozen=True, tag="worker_died"):
    """Made by the client, not the worker: it died and was restarted from the recipe (or gave up)."""

    why: str
    restarted: bool
    last_words: str = ""


class LineChanged(msgspec.Struct, frozen=True, kw_only=True, tag="line"):
    """Made by the client of a worker elsewhere: the line to it is up, or it is not.

    `machine` is the other end's name, "" before it was ever heard. `why` says why the line is down, `again_s` in how
    many seconds it is tried again, None where somebody has to do something first. `version` is the other end's.
    """

    machine: str
    up: bool
    why: str = ""
    again_s: float | None = None
    version: str = ""

    @property
    def where(self) -> str:
        """The machine in a sentence."""
        return self.machine or "the worker's machine"


class NeedWeights(msgspec.Struct, frozen=True, tag="need_weights"):
    """The worker cannot go on without the weights of a file that was sent without them (`Sent.light`)."""

    path: str


class Sending(msgspec.Struct, frozen=True, kw_only=True, tag="sending"):
    """Made by the client: a file is on its way to the worker, `done` of `total` bytes. `why_not`: it cannot be sent."""

    path: str
    done: int
    total: int
    why_not: str = ""


Event = (
    Hello
    | Opened
    | ConsentNeeded
    | Exported
    | SourceText
    | SourceChanged
    | GraphReady
    | RowLabels
    | Findings
    | Judged
    | OtherVerdicts
    | Verified
    | StepsLost
    | Previewed
    | Detail
    | Stats
    | Forecasted
    | WidestFound
    | JobProgress
    | JobEnded
    | OpsetPlanned
    | Saved
    | GpuSamples
    | NetronStarted
    | Refused
    | WorkerDied
    | LineChanged
    | NeedWeights
    | Sending
)
