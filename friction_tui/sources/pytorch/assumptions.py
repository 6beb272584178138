"""Conditions the capture relied on and the ONNX model does not check.

The exporter removes the assertions of the captured program and leaves the comparisons they were about, which nothing
uses any more. These say exactly what the model silently assumes.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch import rewrites
from friction_tui.sources.pytorch.compare_request import Came, symbols
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.guards import Guard
from friction_tui.sources.source_lines import context, of_stack_text
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, SourceLine, Tier

_SAMPLE_SIZES = 32
"""How many sizes of a range a dropped condition is tried at: enough for every stride people use."""


def dropped(came: Came, asked: Sequence[AskedDim], guards: Callable[[], Sequence[Guard]]) -> list[Finding]:
    """Findings for conditions that can fail: on sizes in the range asked for, on counts, on values.

    `guards` gives the lines and is called only when there is something to report.
    """
    if came.program is None:
        return []
    named = symbols(came.program, asked)
    counts: dict[frozenset[str], list[str]] = {}
    lines: dict[frozenset[str], SourceLine | None] = {}
    findings: list[Finding] = []
    for node in came.program.graph.nodes:
        if node.users or node.op != "call_function":
            continue
        value, own_line = node.meta.get("val"), _line(node)
        if isinstance(value, torch.Tensor) and value.dtype is torch.bool and value.numel() == 1:
            findings += _assertion(came, own_line)
        if not isinstance(value, torch.SymBool):
            continue
        expression = value.node.expr
        free = frozenset(str(symbol) for symbol in expression.free_symbols)
        if free and free <= named.keys():
            broken = _breaks_at(expression, named)
            if broken is not None and not any(f.kind == export.DIM_CONSTRAINT.id for f in findings):
                where = {name: (dim.input, dim.axis) for name, dim in named.items()}
                dims = [named[symbol] for symbol in sorted(free)]
                line = _line_of(expression, guards(), dims[0]) or own_line
                findings.append(_condition(came, dims, Guard(str(expression), where, line), broken))
        elif free and free.isdisjoint(named) and re.search(r"Eq\(|Mod\(", str(expression)) and _can_hold(expression):
            counts.setdefault(free, []).append(str(expression))
            lines[free] = lines.get(free) or _line_of(expression, guards()) or own_line
    return findings + [_assumed_count(came, said, lines[free]) for free, said in counts.items()]


def _line(node: Any) -> SourceLine | None:
    return (of_stack_text(node.meta.get("stack_trace") or "") or (None,))[-1]


def _line_of(expression: Any, guards: Sequence[Guard], dim: AskedDim | None = None) -> SourceLine | None:
    """The line at which a capture added this condition, or the first condition about the same dimension.

    Another capture numbers its symbols anew and may simplify differently: the numbers are left out of the comparison.
    """
    wanted = re.sub(r"[()\s]|(?<=[su])\d+", "", str(expression))
    for guard in guards:
        if guard.line and re.sub(r"[()\s]|(?<=[su])\d+", "", guard.expression) == wanted:
            return guard.line
    if dim is not None:
        return next((g.line for g in guards if g.line and g.about(dim.input, dim.axis)), None)
    counted = (guard for guard in guards if guard.line and re.search(r"Eq\(|Mod\(", guard.expression))
    return next((guard.line for guard in counted if re.search(r"\bu\d+", guard.expression)), None)


def _assertion(came: Came, line: SourceLine | None) -> list[Finding]:
    """An assert on tensor values that the exporter removed."""
    if line is None or not (rewrites.branch_word(line) == "assert" or re.search(r"_(assert|check)\w*\(", line.code)):
        return []
    return [
        export.ASSERTION_DROPPED.finding(
            cause=f"ONNX has no assertion: the check in `{line.code.split('#')[0].strip()}` is dropped.",
            source=came.source,
            locations=(location_of(line),),
            evidence=context(line),
            fixes=("Check the values outside the model if the check must hold in deployment.",),
        )
    ]


def _condition(came: Came, dims: Sequence[AskedDim], guard: Guard, broken: int) -> Finding:
    line = guard.line
    steps = [(dim, step) for dim in dims if (step := _step(guard, dim))]
    dim, step = steps[0] if steps else (dims[0], None)
    keys = " and ".join(dim.key for dim, _ in steps) if steps else dim.key
    multiple = " and ".join(f"{dim.key} a multiple of {step}" for dim, step in steps)
    return export.DIM_CONSTRAINT.finding(
        asked=" and ".join(f"{dim.key} was asked for {dim.span}" for dim in (dims if steps else (dim,))),
        takes=f"needs {multiple}" if steps else f"does not take {broken}",
        cause=(
            f"The code assumes `{guard.readable()}`, which does not hold at {broken}. The exporter drops this "
            "check, so the ONNX model fails or computes nonsense there."
        ),
        source=came.source,
        locations=((location_of(line),) if line else ())
        + tuple(Location(LocationKind.INPUT, n) for n in {d.input: 0 for d in dims}),
        evidence=(f"dropped assertion: {guard.expression}", *(context(line) if line else ())),
        fixes=(
            f"Feed only such sizes of {keys}, pad the rest; make each range's min, opt and max multiples of {step}."
            if step
            else "Narrow the range to the sizes the line takes.",
            f'Declare it: `{step}*Dim("{dim.symbol}_{step}")` in place of `Dim("{dim.symbol}")`.'
            if step
            else f'Declare the bounds: `Dim("{dim.symbol}", min=..., max=...)`.',
            "Change the line if the model should take every size in the range.",
        ),
    )


def _assumed_count(came: Came, expressions: Sequence[str], line: SourceLine | None) -> Finding:
    return export.DATA_DEPENDENT_SHAPE.finding(
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        what="The number of elements that the model relies on",
        cause=(
            f"The capture assumed `{expressions[0]}` about a size that depends on tensor values (u0, u1, …: it is "
            "data-dependent) and the exporter dropped the check: with other values the ONNX model fails or computes "
            "nonsense."
        ),
        source=came.source,
        locations=(location_of(line),) if line else (),
        evidence=(*(f"dropped assertion: {said}" for said in expressions), *(context(line) if line else ())),
        fixes=(
            "Keep the full size and mask instead of selecting: `torch.where(mask, x, 0)`.",
            "If it always holds, say so in the code with `torch._check(...)` and keep it in mind when feeding data.",
        ),
    )


def _breaks_at(expression: Any, named: Mapping[str, AskedDim]) -> int | None:
    """A size from 2 on in the asked range at which the condition is false; None when none was found."""
    free = {symbol: named[str(symbol)] for symbol in expression.free_symbols}
    if expression.subs({symbol: dim.example for symbol, dim in free.items()}) != sympy.true:
        return None  # an assertion held for the example: this is a comparison left over from something else
    first = next(iter(free.values()))
    # torch treats 0 and 1 apart for strides and broadcasting (`Ne(s, 1)`), which changes no result: parity at the
    # smallest size shows whether 1 works.
    low, high = max(2, first.min), first.max or first.example * 8
    sizes = sorted({*range(low, min(high, low + _SAMPLE_SIZES) + 1), high, max(low, high - 1)})
    # A sympy relation is decided by comparing with its false: one that stays symbolic is neither.
    return next((size for size in sizes if expression.subs(dict.fromkeys(free, size)) == sympy.false), None)


def _can_hold(expression: Any) -> bool:
    """Whether some count makes the condition true. One that never holds was asked and answered with no, not assumed."""
    return any(
        expression.subs(dict.fromkeys(expression.free_symbols, count)) != sympy.false for count in range(_SAMPLE_SIZES)
    )


def _step(guard: Guard, dim: AskedDim) -> int | None:
    """The k of a condition that says "a multiple of k" of the dimension: `Eq(Mod(s, k), 0)`, `Eq(s, k*(s//k))`."""
    for symbol, location in guard.symbols.items():
        found = re.search(rf"Mod\({symbol}, (\d+)\)|\b{symbol}//(\d+)", guard.expression)
        if found and location == (dim.input, dim.axis):
            return int(found.group(1) or found.group(2))
    return None
