"""What an export proves about itself, as lines: its steps, differences, decisions, and the program beside its nodes."""

from __future__ import annotations

import math
from pathlib import Path

from friction_tui.ui.look.lines import Line, Span, cut, packed, paragraph
from friction_tui.vocabulary.finding import SourceLine
from friction_tui.vocabulary.protocol.evidence import (
    DECADES,
    Decision,
    ExportEvidence,
    OutputDifference,
    StepState,
)

_MARKS = {
    StepState.DONE: ("✓", "+", "good"),
    StepState.FAILED: ("✗", "X", "error"),
    StepState.NOT_DONE: ("-", "-", "muted"),
}
_BARS = "▁▂▃▄▅▆▇█"
_ASCII_BARS = ".:-=+*%#"


def summary(evidence: ExportEvidence, width: int, *, ascii_only: bool) -> list[Line]:
    """The steps, how far each output is from PyTorch's, and what the capture decided."""
    lines = [Line((("steps", "strong"),))]
    for step in evidence.steps:
        mark, plain, role = _MARKS[step.state]
        head: tuple[Span, ...] = ((f"{plain if ascii_only else mark} ", role), (f"{step.name:<11}", "text"))
        lines += paragraph(step.said, width, "muted", indent=head) if step.said else [Line(head)]
    if evidence.differences:
        lines += [Line(), Line((("outputs against PyTorch's", "strong"),))]
    for difference in evidence.differences:
        lines += _difference(difference, width, ascii_only=ascii_only)
    if evidence.decisions:
        lines += [Line(), Line((("what the capture decided", "strong"),))]
    for decision in evidence.decisions:
        lines += _decision(decision, width)
    return lines


def program(evidence: ExportEvidence, width: int) -> list[Line]:
    """The captured program, an operator a line with its ONNX nodes and the line of Python; keyed by the operator."""
    if not evidence.program:
        return []
    rest = evidence.operators - len(evidence.program)
    more = f", the first {len(evidence.program)} shown" if rest > 0 else ""
    lines = [Line(), Line(((f"captured program: {evidence.operators} operators{more}", "strong"),))]
    for operator in evidence.program:
        at = (place(operator.line), "muted")
        room = max(width - len(at[0]) - 2, 20)
        lines.append(Line(tuple(cut(((operator.text, "text"),), room)), (at,), key=operator))
        made = ", ".join(operator.nodes) or "no node: folded, or part of another"
        lines.append(Line(tuple(cut((("  ", "text"), (f"{operator.shape} → {made}", "muted")), width)), key=operator))
    return lines


def place(line: SourceLine | None) -> str:
    """`model.py:12`, or nothing."""
    return f"{Path(line.file).name}:{line.line}" if line else ""


def variables_text(decision: Decision) -> str:
    """`x 2×8, n u0`."""
    return ", ".join(f"{name} {shape}" for name, shape in decision.variables)


def _difference(one: OutputDifference, width: int, *, ascii_only: bool) -> list[Line]:
    equal = one.relative <= one.accepted
    said = f"{one.absolute:.3g}, {one.relative:.2g} of its largest value (accepted {one.accepted:g}), {one.where}"
    lines = paragraph(said, width, "text" if equal else "error", indent=((f"{one.output}  ", "name"),))
    if one.absolute > 0:
        at = list(one.index) if one.index else "the only element"
        worst = f"worst {'at ' if one.index else ''}{at}: {one.expected:.6g} in PyTorch, {one.got:.6g} in ONNX"
        lines += paragraph(worst, width, "muted", indent=(("  ", "text"),))
        lines += packed(_histogram(one, ascii_only=ascii_only), width)
    return lines


def _histogram(one: OutputDifference, *, ascii_only: bool) -> list[list[Span]]:
    """The bins that hold something; a bar's height is the logarithm of its count."""
    bars, most = (_ASCII_BARS if ascii_only else _BARS), math.log(max(one.counts) + 1)

    def bar(count: int) -> str:
        return bars[round(math.log(count + 1) / most * (len(bars) - 1))]

    return [
        [(f"  {name} ", "muted"), (bar(count), "note"), (f" {count}", "text")]
        for name, count in zip(DECADES, one.counts, strict=True)
        if count
    ]


def _decision(one: Decision, width: int) -> list[Line]:
    often = "once" if one.times == 1 else f"{one.times} times"
    head = (f"{place(one.line)}  ", "name") if one.line else ("  ", "text")
    lines = paragraph(f"{one.expression}: met {often}, went on with {one.taken}", width, "text", indent=(head,))
    code = one.line.code if one.line else ""
    lines += paragraph(code, width, "muted", indent=(("  ", "text"),)) if code else []
    held = variables_text(one)
    return lines + (paragraph(held, width, "muted", indent=(("  where ", "muted"),)) if held else [])
