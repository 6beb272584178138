"""Every message between the terminal and the worker: newline-delimited JSON, decoded into these structs.

The terminal sends `Request`s, the worker sends `Event`s. A request that changes what is judged carries a
`revision`; every event about it carries the same one, so a late answer to an old edit is recognised and
dropped. This module knows the words and nothing else.
"""

from __future__ import annotations

import enum

import msgspec

from friction_tui.finding import Finding, Place, SourceLine
from friction_tui.recipe import InputSpec, Recipe

# ----------------------------------------------------------------------------------------------- graph


class Body(msgspec.Struct, frozen=True):
    """The inside of an If branch, a Loop or Scan, or a local function: items `first` <= i < `last`."""

    label: str
    first: int
    last: int


class GraphData(msgspec.Struct, frozen=True):
    """A model's graph, ready to be drawn; all lists are parallel, one entry an *item*.

    Items are the nodes plus one pseudo-node per graph input (op `Input`), per graph output (op `Output`)
    and per outer value used in a body (op `<outer>`). Initializers and Constant nodes without inputs are
    not items of their own unless nothing else shows them.

    `paths` is the node path: `12` for the 13th node of the main graph, `12.then_branch.3` inside an
    attribute graph, `@domain:name.3` inside a local function; `<name` for an input, `>name` for an output,
    `^name` for an outer value.
    `inputs[i]` are the items whose values item i reads, in order and without repeats, always of the same
    body. `scopes[i]` indexes `scope_table`, a list of module paths such as ("model", "layers.0", "attn").
    `order` is a permutation of all items: the rows of the main graph first, then each body's own, each in
    display order (its scopes contiguous). A cyclic graph is ordered as far as it goes, the rest in file order.
    `bodies` hold what opens in place; `owners` maps an item to the bodies it opens into.
    The main graph is items 0 <= i < `main`.
    """

    names: list[str]
    ops: list[str]
    paths: list[str]
    inputs: list[list[int]]
    scopes: list[int]
    scope_table: list[tuple[str, ...]]
    order: list[int]
    main: int
    bodies: list[Body] = []
    owners: dict[int, list[int]] = {}


class Dim(msgspec.Struct, frozen=True):
    """A declared dimension of an input or output: a fixed `size`, or a `symbol`, or neither (unknown)."""

    size: int | None = None
    symbol: str = ""


class Port(msgspec.Struct, frozen=True):
    """A graph input or output. `dtype` as numpy spells it (`float32`). `dims` None: rank unknown.

    `shape_tensor` marks an input that TensorRT reads as a shape, which needs values in the profile.
    """

    name: str
    dtype: str
    dims: tuple[Dim, ...] | None
    shape_tensor: bool = False


class ModelSummary(msgspec.Struct, frozen=True, kw_only=True):
    """What is known of a model right after opening it, weights unread. Sizes in bytes."""

    path: str
    ir_version: int
    opsets: dict[str, int]
    producer: str
    inputs: tuple[Port, ...]
    outputs: tuple[Port, ...]
    nodes: int
    initializers: int
    weights_bytes: int
    external_bytes: int
    file_bytes: int
    functions: int = 0
    metadata: dict[str, str] = {}


class TensorDetail(msgspec.Struct, frozen=True):
    """One tensor at a node's border. `shapes` at min, opt and max, None where not known."""

    name: str
    dtype: str
    shapes: tuple[tuple[int, ...] | None, ...]
    role: str = "tensor"
    """`tensor`, `initializer`, `constant`, `input`, `output` or `missing`."""
    value: str = ""
    """A small constant's value, shortened."""
    formal: str = ""
    """The operator's own name for this input or output (`X`, `shape`)."""


class NodeDetail(msgspec.Struct, frozen=True, kw_only=True):
    """The inspector's view of one item."""

    path: str
    name: str
    op: str
    domain: str
    opset: int
    attributes: tuple[tuple[str, str], ...]
    inputs: tuple[TensorDetail, ...]
    outputs: tuple[TensorDetail, ...]
    source: SourceLine | None = None
    scope: tuple[str, ...] = ()
    doc: str = ""


class InitializerStats(msgspec.Struct, frozen=True, kw_only=True):
    """Statistics of one initializer, read from disk on demand. `error` says why they could not be read."""

    name: str
    dtype: str
    shape: tuple[int, ...]
    bytes: int
    min: float | None = None
    max: float | None = None
    mean: float | None = None
    std: float | None = None
    zeros: int = 0
    nans: int = 0
    infs: int = 0
    fp16_subnormal: int = 0
    """How many non-zero values would be subnormal or zero in fp16."""
    fp16_overflow: int = 0
    histogram: tuple[int, ...] = ()
    error: str = ""


# ------------------------------------------------------------------------------------------ measurement


class Kernel(msgspec.Struct, frozen=True):
    """One layer of a built engine and the ONNX nodes fused into it."""

    name: str
    onnx_nodes: tuple[str, ...]
    kind: str = ""


class Phase(msgspec.Struct, frozen=True):
    """One phase of a job. `seconds` None while it runs."""

    name: str
    seconds: float | None = None


class LogLine(msgspec.Struct, frozen=True):
    """A line of an engine's log. `level`: `error`, `warning`, `info` or `verbose`; `t` seconds into the job."""

    level: str
    text: str
    t: float


class BuildResult(msgspec.Struct, frozen=True, kw_only=True):
    """What a build gave. Sizes in bytes, as the builder's own log and the plan give them; None: not said."""

    ok: bool
    source: str
    seconds: float
    engine_bytes: int | None = None
    activation_bytes: tuple[int, ...] = ()
    """Planned activation memory, one entry per optimization profile (at the profile's max)."""
    weights_bytes: int | None = None
    scratch_bytes: int | None = None
    host_persistent_bytes: int | None = None
    device_persistent_bytes: int | None = None
    peak_host_bytes: int | None = None
    phases: tuple[Phase, ...] = ()
    kernels: tuple[Kernel, ...] = ()
    findings: tuple[Finding, ...] = ()
    engine_path: str = ""
    """Where the plan lies: a temporary file of the worker until the user saves it."""


class LatencyResult(msgspec.Struct, frozen=True, kw_only=True):
    """A timed run. All times in milliseconds, one entry a run, after `warmup` uncounted runs."""

    source: str
    """What ran it: `ONNX Runtime 1.32.0 CPU, 2 threads`."""
    point: str
    shapes: dict[str, tuple[int, ...]]
    times_ms: tuple[float, ...]
    warmup: int
    load_ms: float
    p50: float
    p90: float
    p99: float
    mean: float
    per_second: float
    note: str = ""
    """Why it was not something faster: `TensorRT cannot run here: no NVIDIA GPU`."""


class MemoryForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Predicted activation memory along one dimension key, everything else at opt. Bytes.

    `naive` keeps every tensor apart until its last use, `fused` assumes element-wise chains in place; the
    truth is usually between. `planned` are (size, bytes) from builds of this model.
    """

    key: str
    sizes: tuple[int, ...]
    naive: tuple[int, ...]
    fused: tuple[int, ...]
    weights: int
    floor: int
    planned: tuple[tuple[int, int], ...] = ()
    largest: tuple[tuple[str, int], ...] = ()
    """The largest tensors at max: (name, bytes)."""


class GpuSample(msgspec.Struct, frozen=True):
    """GPU memory at one moment, from NVML. Bytes; `t` in seconds of the worker's clock."""

    t: float
    device: int
    name: str
    total: int
    used: int
    process: int | None
    utilization: int | None = None
    phase: str = ""


# ---------------------------------------------------------------------------------------------- requests


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Open the recipe's source, judge it; replaces whatever was open.

    `remember` keeps the consent that the recipe's source carries for the next sessions on this machine.
    """

    revision: int
    recipe: Recipe
    remember: bool = False


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """The recipe changed: judge again, doing only what the change touches. Supersedes elder ones."""

    revision: int
    recipe: Recipe


class Inspect(msgspec.Struct, frozen=True, tag="inspect"):
    """Ask for `NodeDetail` of one node path."""

    path: str


class ReadInitializer(msgspec.Struct, frozen=True, tag="read_initializer"):
    """Ask for `InitializerStats`."""

    name: str


class Forecast(msgspec.Struct, frozen=True, tag="forecast"):
    """Ask for `MemoryForecast` along one dimension key ("" lets the worker choose)."""

    key: str = ""


class JobKind(enum.StrEnum):
    """What a job does."""

    BUILD = "build"
    MEASURE = "measure"
    EXPORT = "export"
    REWRITE = "rewrite"


EXPORT_JOB = 0
"""The job number of an export, which opening starts by itself; jobs of the terminal count from 1."""


class StartJob(msgspec.Struct, frozen=True, tag="start_job"):
    """Start a killable job for the current model. `job` is the terminal's own number for it."""

    job: int
    kind: JobKind
    point: str = "opt"
    """The profile point to measure at."""
    runs: int = 0
    """Timed runs; 0 lets the worker choose for about two seconds."""


class CancelJob(msgspec.Struct, frozen=True, tag="cancel_job"):
    """Kill a job whatever it is doing."""

    job: int


class SaveEngine(msgspec.Struct, frozen=True, tag="save_engine"):
    """Copy the last built engine to `path`."""

    path: str


class SaveModel(msgspec.Struct, frozen=True, tag="save_model"):
    """Write the model with the recipe applied to `path`."""

    path: str


class WatchGpu(msgspec.Struct, frozen=True, tag="watch_gpu"):
    """Send a `GpuSamples` every `interval` seconds; 0 stops."""

    interval: float


class ReadSource(msgspec.Struct, frozen=True, tag="read_source"):
    """Ask for the `SourceText` of a Python file that the model came from; "" for the one that most of it is from."""

    file: str = ""


class WatchSource(msgspec.Struct, frozen=True, tag="watch_source"):
    """Say `SourceChanged` whenever a file that the export read is saved; `on` False stops."""

    on: bool


class StartNetron(msgspec.Struct, frozen=True, tag="start_netron"):
    """Serve the current model in Netron on loopback."""


Request = (
    Open
    | Apply
    | Inspect
    | ReadInitializer
    | Forecast
    | StartJob
    | CancelJob
    | SaveEngine
    | SaveModel
    | WatchGpu
    | ReadSource
    | WatchSource
    | StartNetron
)


class JobRequest(msgspec.Struct, frozen=True, kw_only=True):
    """What the worker tells a job process, as one JSON line on its stdin.

    `model` is the ONNX file to start from (an export's result for PyTorch and TensorFlow), `folder` a directory
    of the worker's for results. `runs` 0 means for about two seconds.
    """

    job: int
    kind: JobKind
    recipe: Recipe
    model: str
    folder: str
    point: str = "opt"
    runs: int = 0
    engine: str = ""
    """A plan built before, for a measurement on TensorRT."""


# ------------------------------------------------------------------------------------------------ events


class EngineInfo(msgspec.Struct, frozen=True, kw_only=True):
    """An engine found on the worker's machine. `label` is what verdicts are signed with, without the part."""

    name: str
    label: str
    version: str
    can_parse: bool
    can_build: bool
    can_run: bool
    why_not: str = ""
    targets: tuple[str, ...] = ()
    precisions: tuple[str, ...] = ()


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
    """Files that the last export read were saved."""

    files: tuple[str, ...]


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
    """All findings of one check so far; replaces the same check's elder ones.

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


class Judged(msgspec.Struct, frozen=True, tag="judged"):
    """Every check of this revision has been answered; `findings` are all of them, merged and sorted."""

    revision: int
    findings: list[Finding]
    seconds: float


class Proved(msgspec.Struct, frozen=True, tag="proved"):
    """Whether the recipe's rewrites keep the model's results, found by running both models.

    `holds` None: it could not be tried, `text` says why.
    """

    revision: int
    rewrites: tuple[str, ...]
    holds: bool | None
    text: str


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


class JobProgress(msgspec.Struct, frozen=True, tag="job_progress"):
    """A job's phases so far, and the log lines since the last message."""

    job: int
    kind: JobKind
    phases: tuple[Phase, ...]
    lines: tuple[LogLine, ...]
    elapsed: float


class JobEnded(msgspec.Struct, frozen=True, tag="job_ended"):
    """A job is over: its result, or `error`, or cancelled. Exactly one per started job."""

    job: int
    kind: JobKind
    seconds: float
    cancelled: bool = False
    error: str = ""
    build: BuildResult | None = None
    latency: LatencyResult | None = None
    findings: tuple[Finding, ...] = ()


class Saved(msgspec.Struct, frozen=True, tag="saved"):
    """A file was written."""

    path: str
    bytes: int


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
    place: Place | None = None
    revision: int = 0


class WorkerDied(msgspec.Struct, frozen=True, tag="worker_died"):
    """Made by the client, not the worker: it died and was restarted from the recipe (or gave up)."""

    why: str
    restarted: bool
    last_words: str = ""


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
    | Proved
    | Detail
    | Stats
    | Forecasted
    | JobProgress
    | JobEnded
    | Saved
    | GpuSamples
    | NetronStarted
    | Refused
    | WorkerDied
)
