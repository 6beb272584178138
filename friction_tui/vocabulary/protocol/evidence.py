"""What an export did and can prove: its steps, the captured program beside the ONNX nodes, differences, decisions."""

from __future__ import annotations

import enum

import msgspec

from friction_tui.vocabulary.finding import SourceLine

DECADES = ("equal", "<1e-8", "1e-8", "1e-7", "1e-6", "1e-5", "1e-4", "1e-3", "1e-2", "1e-1", "≥1")
"""Bins of a histogram of differences relative to the output's largest value; `1e-7` is 1e-7 up to 1e-6."""


class StepState(enum.Enum):
    """How far a step of an export came."""

    DONE = "done"
    FAILED = "failed"
    NOT_DONE = "not done"


class ExportStep(msgspec.Struct, frozen=True):
    """One step. `said`: what failed, or why it was not done."""

    name: str
    state: StepState
    said: str = ""


class ProgramLine(msgspec.Struct, frozen=True):
    """An operator of the captured program: `relu = aten.relu.default(conv2d)`.

    `shape` is its result's, with symbols; `nodes` are the names of the ONNX nodes that were made of it, none where the
    optimiser folded it.
    """

    text: str
    shape: str
    nodes: tuple[str, ...] = ()
    line: SourceLine | None = None


class OutputDifference(msgspec.Struct, frozen=True):
    """How far an output of the ONNX model is from PyTorch's, for one set of inputs (`where`: `on the example input`).

    `absolute` is the largest difference, at `index`; `relative` is that over the output's largest value; `accepted`
    the largest relative difference that counts as equal. `counts` has as many numbers as DECADES.
    """

    output: str
    where: str
    absolute: float
    relative: float
    accepted: float
    index: tuple[int, ...]
    expected: float
    got: float
    counts: tuple[int, ...]


class Decision(msgspec.Struct, frozen=True):
    """What a capture decided about a value or size: torch.export.draft_export goes on with the example's.

    `times` it was met, `taken` is the answer it went on with; `variables` are the line's own, with their shapes.
    """

    expression: str
    line: SourceLine | None
    times: int
    taken: str
    variables: tuple[tuple[str, str], ...] = ()


class ExportEvidence(msgspec.Struct, frozen=True):
    """All that an export says about itself beside its findings."""

    steps: tuple[ExportStep, ...] = ()
    program: tuple[ProgramLine, ...] = ()
    operators: int = 0
    """Operators of the captured program; `program` holds the first of them."""
    differences: tuple[OutputDifference, ...] = ()
    decisions: tuple[Decision, ...] = ()
