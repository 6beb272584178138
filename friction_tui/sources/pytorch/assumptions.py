"""Conditions the capture relied on and the ONNX model does not check.

The exporter removes the assertions of the captured program and leaves the comparisons they were about, which nothing
uses any more. These say exactly what the model silently assumes.
"""

from __future__ import annotations

import math
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch import rewrites
from friction_tui.sources.pytorch.compare_request import Came, symbols
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.guards import Guard
from friction_tui.sources.pytorch.sizes import Linked, Sizes, wanted
from friction_tui.sources.source_lines import context, of_stack_text
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind, Severity, SourceLine, Tier
from friction_tui.vocabulary.recipe import POINTS, Range

_SAMPLE_SIZES = 32
"""How many sizes of a range a dropped condition is tried at: enough for every stride people use."""
_SMALLEST = 2
"""torch treats 0 and 1 apart for strides and broadcasting (`Ne(s, 1)`), which changes no result: parity at the smallest
size shows whether 1 works."""


def dropped(
    came: Came, asked: Sequence[AskedDim], together: Sizes, guards: Callable[[], Sequence[Guard]]
) -> list[Finding]:
    """Findings for conditions that fail somewhere in the ranges asked for, and for checks of values.

    Conditions that say which sizes belong `together` fail only where the ranges' own points contradict them. `guards`
    gives the lines and is called only when there is something to report.
    """
    if came.program is None:
        return []
    named = symbols(came.program, asked)
    findings = [found for link in together.links for found in _apart(came, link, together, guards)]
    links = len(findings)
    where = {name: (dim.input, dim.axis) for name, dim in named.items()}
    conditions = [
        (node, expression)
        for node, expression in _conditions(came.program)
        if (used := {str(symbol) for symbol in expression.free_symbols})
        and used <= named.keys()
        and not together.solves(expression)
    ]
    reported: set[str] = set()
    for node, expression in _multiples_together(conditions):
        free = sorted(str(symbol) for symbol in expression.free_symbols)
        broken = _breaks_at(expression, named) if len(free) == 1 else _breaks_together(expression, named, together)
        # One dimension that has to be a multiple says nothing about another; any other condition is said once.
        said = free[0] if len(free) == 1 and _modulus(expression) else "*"
        known = said in reported or any(f.kind == export.DIM_CONSTRAINT.id for f in findings[:links])
        if broken and not known and not (said == "*" and reported):
            reported.add(said)
            dims = [named[symbol] for symbol in free]
            line = _line_of(expression, guards(), dims[0]) or _line(node)
            findings.append(_condition(came, dims, Guard(str(expression), where, line), broken))
    for node in came.program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "call_function" and not node.users and _is_check(value):
            findings += _assertion(came, _line(node))
    return findings


def assumed_counts(
    came: Came, asked: Sequence[AskedDim], guards: Callable[[], Sequence[Guard]], tried: str
) -> list[Finding]:
    """One finding for conditions about how many elements a selection gave; none when there are none.

    Whether they hold for other values only running the model shows: `tried` says what came of that.
    """
    found = list(counts(came, asked))
    if not found:
        return []
    line = next((at for node, expression in found if (at := _line_of(expression, guards()) or _line(node))), None)
    return [_assumed_count(came, list(dict.fromkeys(str(expression) for _, expression in found)), line, tried)]


def counts(came: Came, asked: Sequence[AskedDim]) -> Iterator[tuple[Any, Any]]:
    """(node, condition) of every dropped condition about a number of elements that depends on values."""
    if came.program is None:
        return
    named = symbols(came.program, asked)
    for node, expression in _conditions(came.program):
        free = frozenset(str(symbol) for symbol in expression.free_symbols)
        if free and free.isdisjoint(named) and re.search(r"Eq\(|Mod\(", str(expression)) and _can_hold(expression):
            yield node, expression


def _conditions(program: torch.export.ExportedProgram) -> Iterator[tuple[Any, Any]]:
    """(node, condition) of every comparison of sizes that nothing uses any more."""
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.op == "call_function" and not node.users and isinstance(value, torch.SymBool):
            yield node, value.node.expr


def _multiples_together(conditions: Sequence[tuple[Any, Any]]) -> Iterator[tuple[Any, Any]]:
    """The conditions, those that one size is a multiple of 2, 3 and 6 as the one that it is a multiple of 6."""
    moduli: dict[Any, list[int]] = {}
    for _, expression in conditions:
        if modulus := _modulus(expression):
            moduli.setdefault(next(iter(expression.free_symbols)), []).append(modulus)
    for node, expression in conditions:
        if _modulus(expression):
            symbol = next(iter(expression.free_symbols))
            expression = sympy.Eq(sympy.Mod(symbol, math.lcm(*moduli[symbol])), 0, evaluate=False)  # noqa: PLW2901
        yield node, expression


def _modulus(expression: Any) -> int:
    """What one size has to be a multiple of, for a condition that says that; 0 for any other."""
    matched = re.fullmatch(r"Eq\(Mod\(\w+, (\d+)\), 0\)", str(expression))
    return int(matched.group(1)) if matched else 0


def _is_check(value: Any) -> bool:
    return isinstance(value, torch.Tensor) and value.dtype is torch.bool and value.numel() == 1


def _differing_points(link: Linked, together: Sizes) -> dict[str, tuple[int, int]]:
    """(size asked for, size that belongs to the others) at the points of the profile where these are not the same."""
    if not link.dim.opt:
        return {}
    sizes = {point: solved for point in POINTS if (solved := together.at(point)) is not None}
    at = {point: (wanted(link.dim, point), solved[link.dim]) for point, solved in sizes.items()}
    return {point: pair for point, pair in at.items() if pair[0] != pair[1]}


def _apart(came: Came, link: Linked, together: Sizes, guards: Callable[[], Sequence[Guard]]) -> list[Finding]:
    """A profile that asks for sizes which the code never has together."""
    apart = _differing_points(link, together)
    if not apart:
        return []
    all_points = [together.at(point) for point in POINTS]
    fitting = [solved[link.dim] for solved in all_points if solved is not None]
    line = _line_of_link(link, guards())
    point, (asked, given) = next(iter(apart.items()))
    others = ", ".join(f"{dim.key} = {wanted(dim, point)}" for dim in link.others)
    fits = Range(*fitting) if len(fitting) == len(POINTS) else None
    return [
        export.DIM_CONSTRAINT.finding(
            severity=Severity.WARNING,
            asked=f"{link.dim.key} was asked for {link.dim.span}",
            takes=f"has {link.formula} there",
            cause=(
                f"The code makes {link.dim.key} the size {link.formula}. At {point} the profile has {others} and "
                f"{link.dim.key} = {asked}, and {given} belongs to these."
            ),
            source=came.source,
            locations=((location_of(line),) if line else ())
            + tuple(Location(LocationKind.INPUT, name) for name in {d.input: 0 for d in (link.dim, *link.others)}),
            evidence=context(line) if line else (),
            fixes=(
                Fix(
                    f"Keep {link.dim.key} = {link.formula} at every point"
                    + (f": {fits.min}..{fits.opt}..{fits.max}." if fits else "."),
                    ranges={link.dim.key: fits} if fits else {},
                ),
            ),
        )
    ]


def _line_of_link(link: Linked, guards: Sequence[Guard]) -> SourceLine | None:
    dims = (link.dim, *link.others)
    return next((g.line for g in guards if g.line and all(g.about(d.input, d.axis) for d in dims)), None)


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


def _condition(came: Came, dims: Sequence[AskedDim], guard: Guard, broken: int | str) -> Finding:
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


def _assumed_count(came: Came, expressions: Sequence[str], line: SourceLine | None, tried: str) -> Finding:
    return export.DATA_DEPENDENT_SHAPE.finding(
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        what="The number of elements that the model relies on",
        cause=(
            f"The capture assumed `{expressions[0]}` about a size that depends on tensor values (u0, u1, …: it is "
            "data-dependent) and the exporter dropped the check: with other values the ONNX model fails or computes "
            f"nonsense. {tried}"
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
    low, high = max(_SMALLEST, first.min), first.max or first.example * 8
    sizes = sorted({*range(low, min(high, low + _SAMPLE_SIZES) + 1), high, max(low, high - 1)})
    # A sympy relation is decided by comparing with its false: one that stays symbolic is neither.
    return next((size for size in sizes if expression.subs(dict.fromkeys(free, size)) == sympy.false), None)


def _breaks_together(expression: Any, named: Mapping[str, AskedDim], together: Sizes) -> str:
    """Sizes asked for at which a condition on several dimensions is false, in words; "" when none were found."""
    dims = {symbol: named[str(symbol)] for symbol in expression.free_symbols}
    if expression.subs({symbol: dim.example for symbol, dim in dims.items()}) != sympy.true:
        return ""  # as in _breaks_at
    for sizes in (*(together.at(point) for point in POINTS), together.larger()):
        if sizes is None or min(sizes[dim] for dim in dims.values()) < _SMALLEST:
            continue
        if expression.subs({symbol: sizes[dim] for symbol, dim in dims.items()}) == sympy.false:
            return " with ".join(f"{dim.key} = {sizes[dim]}" for dim in dims.values())
    return ""


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
