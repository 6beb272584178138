"""What an export process is asked, and what it says while it works: one JSON line in, JSON lines out."""

from __future__ import annotations

import msgspec

from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol.evidence import ExportEvidence
from friction_tui.vocabulary.recipe import ExportOptions, InputSpec, Profile, Source


class ExportRequest(msgspec.Struct, frozen=True, kw_only=True):
    """Export `source` to the ONNX file `output`, as the recipe says.

    `opset` None takes the exporter's default. Ranges in `profile` whose min and max differ become dynamic dimensions.
    `aftermath` False leaves out what is done once the model is there: parity and the further failures behind a first.
    `imported` are files that the source was seen to import: its consent is for them too. `patience` is how many times
    longer than usual the looks at what was exported may take, on a machine that is slow or busy.
    """

    source: Source
    output: str
    opset: int | None = None
    profile: Profile | None = None
    options: ExportOptions = ExportOptions()
    aftermath: bool = True
    imported: tuple[str, ...] = ()
    patience: float = 1.0


class Stage(msgspec.Struct, frozen=True, tag="stage"):
    """A stage begins. `elapsed` seconds since the process started.

    `limit` seconds it may take, 0 for no limit but the export's own: when they are over the process is ended, and what
    was found until then stands.
    """

    name: str
    elapsed: float
    limit: float = 0.0


class Log(msgspec.Struct, frozen=True, tag="log"):
    """A line the exporter or the user's code would have shown. `level`: `error`, `warning` or `info`."""

    level: str
    text: str
    elapsed: float


class InputsUsed(msgspec.Struct, frozen=True, tag="inputs"):
    """The example inputs of the export. `guessed`: nobody gave them, the user should confirm."""

    inputs: tuple[InputSpec, ...]
    guessed: bool


class Found(msgspec.Struct, frozen=True, tag="finding"):
    """One finding."""

    finding: Finding


class Done(msgspec.Struct, frozen=True, tag="done"):
    """The process ends. `onnx_path` None: there is no model, the findings say why.

    `watch` are the project files the source imported: a save of one of them is a reason to export again.
    `export_nodes` and `onnx_nodes` compare the sizes of the torch.export graph and the ONNX graph.
    `unagreed` are files that the project imports and that were not agreed to: they did not run.
    `limits` are the smallest and largest size (None: no largest) of every `input[axis]` asked to be free.
    """

    onnx_path: str | None
    seconds: float
    watch: tuple[str, ...] = ()
    export_nodes: int = 0
    onnx_nodes: int = 0
    limits: dict[str, tuple[int, int | None]] = {}
    unagreed: tuple[str, ...] = ()


class Exported(msgspec.Struct, frozen=True, tag="exported"):
    """The ONNX file is there and can be opened; what is compared with it still goes on. `seconds` since the start.

    `done` is how the export ends, should what still goes on not come to an end.
    """

    onnx_path: str
    seconds: float
    done: Done


class Evidenced(msgspec.Struct, frozen=True, tag="evidence"):
    """What the export can prove so far; the last one holds all."""

    evidence: ExportEvidence


ExportEvent = Stage | Log | InputsUsed | Found | Exported | Evidenced | Done
