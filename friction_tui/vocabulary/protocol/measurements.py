"""Results of builds, runs, forecasts and GPU samples as they cross the boundary. Sizes in bytes."""

from __future__ import annotations

import enum

import msgspec

from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol.differences import ModelDifference
from friction_tui.vocabulary.recipe import Rewrite


class Kernel(msgspec.Struct, frozen=True):
    """One layer of a built engine and the ONNX nodes fused into it.

    `reads` and `writes` are the element types of its tensors, such as `float16`, () where the engine does not say.
    """

    name: str
    onnx_nodes: tuple[str, ...]
    kind: str = ""
    reads: tuple[str, ...] = ()
    writes: tuple[str, ...] = ()


class MendStep(msgspec.Struct, frozen=True, kw_only=True):
    """One rewrite that mended a problem.

    `kind` and `problem` (its title) say what it mended, `what` what it does, `exactness` and `changes` how the results
    compare, `verified` what running both models showed, in words, and `holds` whether they were equal (None: not run).
    """

    kind: str
    problem: str
    rewrite: Rewrite
    what: str
    exactness: str
    changes: str = ""
    verified: str = ""
    holds: bool | None = None


class CutParts(msgspec.Struct, frozen=True, kw_only=True):
    """A model cut in parts that run one after another, the head on TensorRT.

    The tail runs on ONNX Runtime; where there is a `middle`, that does, and the tail on TensorRT again. Files as
    written; `tensors` cross from one to the other, `bytes` of them at opt (0 where a size is not known).
    `built` says of each part for TensorRT whether its builder takes it. `runner` is a Python file that runs all of
    them. `nodes` counts those of each part. `verified` is what running
    the composition and the original showed, in words. `why_not` says why there are no parts.
    """

    head: str = ""
    middle: str = ""
    tail: str = ""
    runner: str = ""
    tensors: tuple[str, ...] = ()
    bytes: int = 0
    built: tuple[str, ...] = ()
    nodes: tuple[int, ...] = ()
    verified: str = ""
    holds: bool | None = None
    why_not: str = ""


class Mended(msgspec.Struct, frozen=True, kw_only=True):
    """What a run of fixes came to: the steps that were kept, all findings that remain, why other fixes were not kept.

    `verified` compares the original with the final model; `saved` is the file that was written, "" for none, `script`
    the script that repeats the edits and `scripted` what running it showed. `difference` is what the edits came to,
    where that was asked. `cut` are the parts of a model that stays refused. `unanswered` are the questions about the
    final model that have no answer.
    """

    steps: tuple[MendStep, ...]
    findings: tuple[Finding, ...]
    unanswered: tuple[str, ...] = ()
    refused: tuple[str, ...] = ()
    verified: str = ""
    holds: bool | None = None
    saved: str = ""
    script: str = ""
    scripted: str = ""
    difference: ModelDifference | None = None
    cut: CutParts | None = None


class Reduction(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest part of a model that an engine refuses, or dies of, as it does the whole.

    `nodes` are its nodes (operator and name), of `total`; `findings` what the engine says of it. `complete` False: time
    ran out before every smaller part was tried. `saved` is the file that was written, "" for none, `inputs` one with
    the inputs on which it fails. `said` is the engine's own text where no finding has it.
    """

    source: str
    total: int
    nodes: tuple[str, ...]
    findings: tuple[Finding, ...]
    builds: int
    complete: bool
    saved: str = ""
    inputs: str = ""
    said: str = ""


class Phase(msgspec.Struct, frozen=True):
    """One phase of a job. `seconds` None while it runs."""

    name: str
    seconds: float | None = None


class LogLevel(enum.StrEnum):
    """How much a line of an engine's log matters, most first."""

    ERROR = "error"
    WARNING = "warning"
    INFO = "info"
    VERBOSE = "verbose"

    @classmethod
    def _missing_(cls, value: object) -> LogLevel:  # noqa: ARG003
        """Levels of other loggers, such as Python's `debug`, are shown with the verbose lines."""
        return cls.VERBOSE


class LogLine(msgspec.Struct, frozen=True):
    """A line of an engine's log; `t` seconds into the job."""

    level: LogLevel
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
    typed: bool = True
    """Whether the types of the layers are the model's; else the builder chose them."""
    not_reused: str = ""
    """Why no engine was taken from the engine cache, "" where nobody asked for one."""
    reused: str = ""
    """When and in what time the engine was built that was taken from the engine cache; "" for one built now."""
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


class KeptNode(msgspec.Struct, frozen=True, kw_only=True):
    """A node that has to stay float32, and what that does at its output.

    Errors are relative to the largest magnitude there; None: a number became NaN or Inf, or the tensor is not float.
    `weight_bytes` is what its weights take beyond the half they would have taken.
    """

    path: str
    name: str
    op: str
    before: float | None
    after: float | None
    weight_bytes: int


class PrecisionResult(msgspec.Struct, frozen=True, kw_only=True):
    """The smallest set of nodes found that must stay float32 when the rest is fp16 or bf16.

    `error_in_half` is the largest relative error of an output with all `nodes` nodes in half, `error` with `kept`
    in float32; None: a number became NaN or Inf. `minimal`: none of them can be left out. `inputs` says in words what
    it ran on, `casts` how many Casts keeping them adds.
    """

    source: str
    precision: str
    tolerance: float
    inputs: str
    nodes: int
    kept: tuple[KeptNode, ...]
    error_in_half: float | None
    error: float | None
    minimal: bool
    casts: int
    runs: int
    seconds: float


class OpsetPlan(msgspec.Struct, frozen=True, kw_only=True):
    """What converting the model to one opset gave, tried out.

    `refusal` is why it does not convert, "" when it does; `node_name`, `op` and `adapter` (`Relu 14 → 13`) what is in
    the way, `node` its path. Else, by `source`: how many nodes it refuses there, those it takes at the model's own
    opset (`lost`), those it only takes there (`gained`). `standard` are operators of other domains that ONNX itself
    has there, `became` operators that come and go, `inputs` attributes that become inputs. `holds`: whether the
    outputs stayed equal, None where that was not tried; `verification` says how.
    """

    opset: int
    refusal: str = ""
    node: str = ""
    node_name: str = ""
    op: str = ""
    adapter: str = ""
    source: str = ""
    refused: int = 0
    lost: tuple[str, ...] = ()
    gained: tuple[str, ...] = ()
    standard: tuple[str, ...] = ()
    became: tuple[str, ...] = ()
    inputs: tuple[str, ...] = ()
    holds: bool | None = None
    verification: str = ""


class Largest(msgspec.Struct, frozen=True, kw_only=True):
    """A tensor that is stored, with the name of the node that makes it."""

    tensor: str
    node: str
    bytes: int


class MemoryForecast(msgspec.Struct, frozen=True, kw_only=True):
    """Predicted memory along one dimension key, every other dimension at its max (`others`). Bytes.

    `activations` belong to `sizes` one by one. `unknown` tensors have no known size, so that the figures are the least
    that is needed. `largest` tensors are those of the largest of `sizes`. `fits` has, for each budget that was asked
    about, the largest size that fits, None where not even the range's min does.
    """

    key: str
    sizes: tuple[int, ...]
    activations: tuple[int, ...]
    weights: int
    unknown: int = 0
    others: tuple[tuple[str, int], ...] = ()
    largest: tuple[Largest, ...] = ()
    fits: tuple[tuple[int, int | None], ...] = ()


class GpuSample(msgspec.Struct, frozen=True):
    """The memory of a GPU, or of one MIG slice (`part`), at one moment. Bytes; `t` in seconds of the worker's clock.

    A figure that nothing tells is None, and `missing` says why under its name, under `gpu` where nothing at all is
    told; it also says what is left out of a figure that is there. `used` and `total` are from `source`: NVML, or
    /proc/meminfo of a GPU that shares the machine's memory. `reserved` is the driver's own part of `total`, beside
    `used`. `process` is of the worker and what it started, `others` of the `other_processes` that NVML lists besides.
    """

    t: float
    device: int
    name: str
    total: int | None
    used: int | None
    process: int | None
    utilization: int | None = None
    phase: str = ""
    part: str = ""
    reserved: int | None = None
    others: int | None = None
    other_processes: int | None = None
    source: str = "NVML"
    missing: dict[str, str] = {}
