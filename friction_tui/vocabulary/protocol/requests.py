"""What the terminal asks of the worker, and the worker of a job."""

from __future__ import annotations

import enum

import msgspec

from friction_tui.vocabulary.recipe import Recipe, Rewrite


class Open(msgspec.Struct, frozen=True, tag="open"):
    """Open the recipe's source, judge it; replaces whatever was open.

    `remember` keeps the consent that the recipe's source carries for the next sessions on this machine.
    `again` reads what is open already once more: until the new model is there, the older one stays. `careful` leaves
    out what onnx's native code infers in the worker's own process: a worker died with this model. `past` and `future`
    are those of a session that is resumed. `kernels` has them compiled in the background after each verdict. Without
    `drawn` nobody looks at the graph: it is not laid out, not sent, and its rows get no labels.
    """

    revision: int
    recipe: Recipe
    remember: bool = False
    again: bool = False
    careful: bool = False
    drawn: bool = True
    past: tuple[Recipe, ...] = ()
    future: tuple[Recipe, ...] = ()
    kernels: bool = False


class EditStep(enum.StrEnum):
    """How a recipe came after the one before."""

    EDIT = "edit"
    UNDO = "undo"
    REDO = "redo"
    JUMP = "jump"


class Apply(msgspec.Struct, frozen=True, tag="apply"):
    """The recipe changed: judge again, doing only what the change touches. Supersedes older ones.

    `at` is the step of the history (see `History.steps`) that a JUMP goes to.
    """

    revision: int
    recipe: Recipe
    step: EditStep = EditStep.EDIT
    at: int = 0


class Inspect(msgspec.Struct, frozen=True, tag="inspect"):
    """Ask for `NodeDetail` of one node path."""

    path: str


class ReadInitializer(msgspec.Struct, frozen=True, tag="read_initializer"):
    """Ask for `InitializerStats`."""

    name: str


class Forecast(msgspec.Struct, frozen=True, tag="forecast"):
    """Ask for `MemoryForecast` along one dimension key ("" lets the worker choose), and what fits `budgets` (bytes).

    `at` is the one size of `key` to predict for; 0 means all of its range.
    """

    key: str = ""
    budgets: tuple[int, ...] = ()
    at: int = 0


class FindWidest(msgspec.Struct, frozen=True, tag="find_widest"):
    """Ask for the widest range of one dimension key in which the shapes work, at the opt sizes of the others."""

    key: str


class JobKind(enum.StrEnum):
    """What a job does."""

    BUILD = "build"
    MEASURE = "measure"
    EXPORT = "export"
    PRECISION = "precision"
    OPSETS = "opsets"
    FIX = "fix"
    REDUCE = "reduce"
    COMPARE = "compare"


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
    tolerance: float = 0.0
    """Of a search for the nodes that must stay float32, relative; 0 lets the worker choose."""
    data: str = ""
    """An .npz of the worker's machine with the inputs to search on; "" for made-up ones."""
    level: str = ""
    """How far a run of fixes may go: `exact`, `safe`, "" or `all` (see `friction_tui.rewrites.mending.LEVELS`)."""
    only: tuple[str, ...] = ()
    """The kinds of finding that a run of fixes is limited to; () for all."""
    output: str = ""
    """Where a run of fixes writes the model, on the worker's machine; "" for nowhere."""
    limit_s: float = 0.0
    """Seconds it may take, of a reduction each build in it; 0 for as long as any may."""
    memory: int = 0
    """Bytes of memory it may use; 0 for as much as any job may."""
    script: str = ""
    """Where it writes a script that repeats the edits; "" for nowhere."""
    diff: bool = False
    """Whether it answers with the difference between the original and the result."""
    cut: bool = False
    """Whether a model that stays refused is cut into parts, written beside `output`."""
    against: str = ""
    """What a comparison runs beside the model: one of `friction_tui.worker.comparing.SIDES`, or an ONNX file."""
    inputs: tuple[str, ...] = ()
    """Files (.npz) of the worker's machine with the inputs of a comparison; () for made-up ones."""


class CancelJob(msgspec.Struct, frozen=True, tag="cancel_job"):
    """Kill a job whatever it is doing."""

    job: int


class SaveEngine(msgspec.Struct, frozen=True, tag="save_engine"):
    """Copy the engine that was built last from the present recipe to `path`; where none was, the last one built."""

    path: str


class SaveModel(msgspec.Struct, frozen=True, tag="save_model"):
    """Write the model with the recipe applied to `path`."""

    path: str


class SaveScript(msgspec.Struct, frozen=True, tag="save_script"):
    """Write a Python script to `path` that repeats the recipe's edits on the original model."""

    path: str


class WatchGpu(msgspec.Struct, frozen=True, tag="watch_gpu"):
    """Send a `GpuSamples` every `interval` seconds; 0 stops."""

    interval: float


class AskOthers(msgspec.Struct, frozen=True, tag="ask_others"):
    """Put the present model to the TensorRT of other Python environments too; `pythons` are run as programs."""

    revision: int
    pythons: tuple[str, ...]


class ReadSource(msgspec.Struct, frozen=True, tag="read_source"):
    """Ask for the `SourceText` of a Python file that the model came from; "" for the one that most of it is from."""

    file: str = ""


class WatchSource(msgspec.Struct, frozen=True, tag="watch_source"):
    """Say `SourceChanged` whenever a file that the export read is saved; `on` False stops."""

    on: bool


class Preview(msgspec.Struct, frozen=True, tag="preview"):
    """Ask for `Previewed`: what one more rewrite would change in the present model. Supersedes older ones."""

    revision: int
    rewrite: Rewrite


class Sent(msgspec.Struct, frozen=True, tag="sent"):
    """The file that the terminal calls `path` lies at `stored` on the worker's machine.

    `light`: its large tensors are zeros there, and the true ones come when `NeedWeights` asks for them.
    """

    path: str
    stored: str
    light: bool = False


class Reconnect(msgspec.Struct, frozen=True, tag="reconnect"):
    """Try now to come back to a worker elsewhere, or start one that was given up. Answered by the client itself."""


class StartNetron(msgspec.Struct, frozen=True, tag="start_netron"):
    """Serve the current model in Netron on loopback."""


Request = (
    Open
    | Apply
    | Inspect
    | ReadInitializer
    | Forecast
    | FindWidest
    | StartJob
    | CancelJob
    | SaveEngine
    | SaveModel
    | SaveScript
    | WatchGpu
    | ReadSource
    | WatchSource
    | StartNetron
    | AskOthers
    | Preview
    | Reconnect
    | Sent
)

LOOKS = (Inspect, ReadInitializer, Forecast, FindWidest, ReadSource, WatchGpu, WatchSource, Preview, Reconnect)
"""Requests that change nothing for anybody else: who only watches may make them, and a recording answers them."""


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
    tolerance: float = 0.0
    limit_s: float = 0.0
    memory: int = 0
    data: str = ""
    level: str = ""
    only: tuple[str, ...] = ()
    output: str = ""
    script: str = ""
    diff: bool = False
    cut: bool = False
    against: str = ""
    inputs: tuple[str, ...] = ()
