"""Gathers what an export did: its steps, the captured program beside the ONNX nodes made of it, how equal both are."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

import onnx
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import Failure
from friction_tui.sources.pytorch.guards import line_of_stack, variables
from friction_tui.sources.pytorch.parity import Verdict
from friction_tui.sources.source_lines import of_stack_text
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol.evidence import Decision, ExportEvidence, ExportStep, ProgramLine, StepState

STEPS = ("captured", "decomposed", "translated", "checked", "run", "compared")
"""The three of torch.onnx.export, ONNX Runtime loading the model, running it on the example, and both results alike."""
_PROGRAM_LINES = 3000
"""So many operators of a program are sent: a reader of more than these searches the graph."""
_ARGUMENT = 40
"""Characters of an argument that is a number or a list."""


@dataclass(slots=True)
class Evidence:
    """What is known so far."""

    steps: dict[str, ExportStep] = field(default_factory=dict)
    program: tuple[ProgramLine, ...] = ()
    operators: int = 0
    decisions: tuple[Decision, ...] = ()
    verdict: Verdict | None = None

    def step(self, name: str, state: StepState = StepState.DONE, said: str = "") -> None:
        """How a step ended."""
        self.steps[name] = ExportStep(name, state, said)

    def failed(self, failure: Failure) -> None:
        """torch.onnx.export ended with an exception, whose message names the step."""
        at = _failed_step(failure)
        for name in STEPS[: STEPS.index(at)]:
            self.step(name)
        self.step(at, StepState.FAILED, failure.root.splitlines()[0])

    def exported(self, program: torch.export.ExportedProgram | None, model: onnx.ModelProto) -> None:
        """There is an ONNX file; without a program the legacy exporter traced the module."""
        if program is None:
            self.step("captured", said="traced by the legacy exporter, which keeps no program")
            self.step("translated")
            return
        for name in STEPS[:3]:
            self.step(name)
        self.program, self.operators = beside_nodes(program, model)

    def compared(self, verdict: Verdict, found: Iterable[Finding]) -> None:
        """ONNX Runtime was asked."""
        self.verdict = verdict
        wrong = next((one for one in found if one.severity is Severity.ERROR), None)
        open_ = next((one for one in found if one.kind == export.NOT_COMPARED.id), None)
        said = wrong.title if wrong else open_.cause if open_ else ""
        reached = (verdict.loaded, verdict.ran, verdict.ran and bool(verdict.differences))
        for name, done in zip(STEPS[3:], reached, strict=True):
            last = name == STEPS[-1] or not done
            if done and not (last and wrong):
                self.step(name)
                continue
            self.step(name, StepState.FAILED if wrong else StepState.NOT_DONE, said)
            return

    @property
    def said(self) -> ExportEvidence:
        """All of it, to be sent."""
        return ExportEvidence(
            tuple(self.steps.get(name, ExportStep(name, StepState.NOT_DONE)) for name in STEPS),
            self.program,
            self.operators,
            tuple(self.verdict.differences) if self.verdict else (),
            self.decisions,
        )


def _failed_step(failure: Failure) -> str:
    """The step that an exporter's exception names: `This is step 2/3`."""
    if failure.has("TorchExportError"):
        return "captured"
    step = re.search(r"step (\d)/3", failure.text)
    return STEPS[int(step.group(1)) - 1] if step else "translated" if failure.has("ConversionError") else "captured"


def beside_nodes(program: torch.export.ExportedProgram, model: onnx.ModelProto) -> tuple[tuple[ProgramLine, ...], int]:
    """The program's operators with the ONNX nodes that name them, and how many operators there are."""
    made: dict[str, list[str]] = {}
    for node in model.graph.node:
        recorded = next((p.value for p in node.metadata_props if p.key == "pkg.torch.onnx.fx_node"), "")
        if named := re.match(r"%(\w+)", recorded):
            made.setdefault(named.group(1), []).append(node.name)
    operators = [node for node in program.graph.nodes if node.op == "call_function"]
    lines = tuple(
        ProgramLine(
            _text(node),
            _shape(node.meta.get("val")),
            tuple(made.get(node.name, ())),
            (of_stack_text(node.meta.get("stack_trace") or "") or (None,))[-1],
        )
        for node in operators[:_PROGRAM_LINES]
    )
    return lines, len(operators)


def _text(node: torch.fx.Node) -> str:
    def one(value: Any) -> str:
        if isinstance(value, torch.fx.Node):
            return value.name
        if isinstance(value, tuple | list):
            inner = ", ".join(map(one, value))
            return f"[{inner[:_ARGUMENT]}…]" if len(inner) > _ARGUMENT else f"[{inner}]"
        return str(value)[:_ARGUMENT]

    arguments = [*map(one, node.args), *(f"{key}={one(value)}" for key, value in node.kwargs.items())]
    target = (
        str(node.target) if isinstance(node.target, torch._ops.OpOverload) else getattr(node.target, "__name__", "")
    )
    return f"{node.name} = {target}({', '.join(arguments)})"


def _shape(value: Any) -> str:
    if isinstance(value, torch.Tensor):
        dtype = str(value.dtype).removeprefix("torch.")
        return f"{'×'.join(str(size).replace('*', '·') for size in value.shape) or 'scalar'} {dtype}"
    if isinstance(value, tuple | list):
        return ", ".join(map(_shape, value))
    return str(value) if value is not None else ""


def decisions(report: Any) -> tuple[Decision, ...]:
    """What draft_export's report says about values and sizes that it could not leave open."""
    return tuple(
        Decision(
            str(failure.data["expr"]),
            line_of_stack(failure.data.get("user_stack") or [], report.str_to_filename),
            int(failure.data.get("occurrences") or 1),
            str(failure.data.get("result") or "True"),
            variables(failure.data),
        )
        for failure in report.failures
        if failure.failure_type.name in {"DATA_DEPENDENT_ERROR", "GUARD_ADDED"}
    )
