"""What was asked of an export against what came out: opset, each dimension, inputs.

An exporter that drops a request says nothing; the model then fails far away, in TensorRT or in production.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import onnx
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch import size_rewrites
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim, tensors
from friction_tui.sources.pytorch.guards import Guard
from friction_tui.sources.pytorch.sizes import expressions
from friction_tui.sources.source_lines import context
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind, Severity, SourceLine
from friction_tui.vocabulary.recipe import Range


@dataclass(frozen=True, slots=True)
class Came:
    """What came out: the ONNX model without weights, and the captured program (None from the legacy exporter)."""

    model: onnx.ModelProto
    program: torch.export.ExportedProgram | None
    source: str

    @property
    def opset(self) -> int:
        """The model's ai.onnx opset."""
        return next((entry.version for entry in self.model.opset_import if entry.domain in ("", "ai.onnx")), 0)


def opset(came: Came, asked: int | None) -> list[Finding]:
    """The opset written against the one asked for."""
    if asked is None or came.opset == asked:
        return []
    return [
        export.OPSET_DIFFERS.finding(
            asked=asked,
            written=came.opset,
            cause=(
                f"The exporter has translations for opset 18 and newer; for {asked} it writes 18 and converts, and "
                f"keeps opset {came.opset} when the conversion fails, without an error."
            ),
            source=came.source,
            locations=(Location(LocationKind.MODEL, f"opset {came.opset}"),),
            fixes=(
                f"Stay at opset {came.opset} if the target's parser takes it (TensorRT 8.6 and newer take 18).",
                "The legacy exporter (option `legacy`) writes opset 7 to 20 directly, by tracing.",
            ),
        )
    ]


def dimensions(came: Came, asked: Sequence[AskedDim], guards: Callable[[], Sequence[Guard]]) -> list[Finding]:
    """Every dimension asked to be dynamic that came out fixed or narrower. `guards` is called only when needed."""
    findings = []
    reported: set[AskedDim] = set()
    for dim in asked:
        size = _declared(came.model, dim)
        if isinstance(size, int):
            findings.append(_specialised(came, dim, size, guards()))
            continue
        limits = _limits(came, dim)
        if limits and dim not in reported:
            same = _same_size(came, dim, asked)
            reported.update(same)
            findings.append(_narrower(came, dim, limits, guards(), same))
    if not findings:
        findings += [_one_size(came, dims, guards()) for dims in _merged(came, asked)]
    return findings


def inputs(came: Came, bound: Mapping[str, Any], forward: SourceLine | None) -> list[Finding]:
    """Inputs of forward that are not inputs of the model, and complex inputs, which become real ones."""
    findings = []
    given = tensors(bound)
    weights = {tensor.name for tensor in came.model.graph.initializer}
    written = [port for port in came.model.graph.input if port.name not in weights]
    frozen = [
        name for name, value in bound.items() if isinstance(value, bool | int | float | str) and not _is_fed(came, name)
    ]
    names = {port.name for port in written}
    if len(written) < len(given):
        frozen += [name for name, _ in given if name not in names][: len(given) - len(written)]
    locations = tuple(Location(LocationKind.INPUT, name, source=forward) for name in frozen)
    if frozen:
        listed = ", ".join(frozen)
        values = {name: bound[name] for name in frozen if not isinstance(bound.get(name), torch.Tensor | None)}
        fixed = "; ".join(f"{name} is fixed at {value!r}" for name, value in values.items())
        findings.append(
            export.INPUT_PRUNED.finding(
                parameters=listed,
                cause=(
                    (f"{fixed}: a Python value becomes a constant of the graph. " if fixed else "")
                    + (f"Nothing in the graph reads {listed}, so it was pruned. " if not fixed else "")
                    + "Feeding it at run time is an error (`Invalid Feed Input Name`)."
                ),
                source=came.source,
                locations=locations,
                evidence=context(forward, 1) if forward else (),
                fixes=(
                    "If it never changes in deployment, make it a constructor argument: then the constant is meant.",
                    "To keep it an input pass a tensor and use it with torch.where or torch.cond.",
                    "Export one model per value.",
                ),
            )
        )
    ports = zip(given, written, strict=False)
    return findings + [_complex(came, name, port) for (name, tensor), port in ports if tensor.dtype.is_complex]


def _is_fed(came: Came, name: str) -> bool:
    return any(port.name == name for port in came.model.graph.input)


def _complex(came: Came, name: str, port: onnx.ValueInfoProto) -> Finding:
    return export.COMPLEX.finding(
        severity=Severity.NOTE,
        problem=f"the input {name} became a real input with a last dimension of 2",
        cause="ONNX has no complex type: feed real and imaginary part in a last dimension (view_as_real).",
        source=came.source,
        locations=(Location(LocationKind.INPUT, port.name),),
        fixes=("Feed `torch.view_as_real(z)`, or make the real form the input of forward too.",),
    )


def _declared(model: onnx.ModelProto, dim: AskedDim) -> int | str:
    weights = {tensor.name for tensor in model.graph.initializer}
    ports = [port for port in model.graph.input if port.name not in weights]
    declared = ports[dim.position].type.tensor_type.shape.dim[dim.axis] if dim.position < len(ports) else None
    if declared is None:
        return dim.symbol
    return int(declared.dim_value) if declared.HasField("dim_value") else str(declared.dim_param)


def _specialised(came: Came, dim: AskedDim, size: int, guards: Sequence[Guard]) -> Finding:
    guard = next((g for g in guards if g.about(dim.input, dim.axis) and _is_equation(g.expression)), None)
    line = guard.line if guard else None
    said = f" The first line that needs it requires `{guard.readable()}`." if guard else ""
    return export.DIM_SPECIALISED.finding(
        dimension=f"{dim.key} ({dim.symbol}: {dim.span})",
        size=size,
        cause=(
            f"The code specialised {dim.symbol} to the constant {size}, the size of the example input, and the "
            f"exporter dropped the request without an error.{said}"
        ),
        source=came.source,
        locations=((location_of(line),) if line else ()) + (Location(LocationKind.INPUT, dim.input),),
        evidence=((f"guard: {guard.expression}",) if guard else ()) + (context(line) if line else ()),
        fixes=size_rewrites.of_constant_size(line, size, dim.axis, dim.input),
    )


def _same_size(came: Came, dim: AskedDim, asked: Sequence[AskedDim]) -> tuple[AskedDim, ...]:
    """The other asked dimensions that are one size with this in the code, when they were asked for other sizes."""
    found = captured(came.program, asked) if came.program is not None else {}
    return tuple(
        other
        for other in asked
        if other != dim and found.get(other) == found.get(dim) and (other.min, other.max) != (dim.min, dim.max)
    )


def _merged(came: Came, asked: Sequence[AskedDim]) -> list[tuple[AskedDim, ...]]:
    """Axes that the user named apart and that are one size in the capture.

    Ranges alone name nothing: a mask of length by length gets two equal ones, and its axes may be one size.
    """
    found = captured(came.program, asked) if came.program is not None else {}
    groups: dict[str, list[AskedDim]] = {}
    for dim, symbol in found.items():
        if dim.symbol == f"{dim.input}_{dim.axis}":
            continue
        groups.setdefault(symbol, []).append(dim)
    return [tuple(dims) for dims in groups.values() if len({dim.symbol for dim in dims}) > 1]


def _one_size(came: Came, dims: Sequence[AskedDim], guards: Sequence[Guard]) -> Finding:
    """Axes that were asked to vary apart and that the code makes equal."""
    listed = " and ".join(dim.key for dim in dims)
    names = dict.fromkeys(dim.input for dim in dims)
    guard = next((g for g in guards if all(g.about(d.input, d.axis) for d in dims)), None)
    line = guard.line if guard else None
    asked_as = ", ".join(dict.fromkeys(dim.symbol for dim in dims))
    return export.DIM_CONSTRAINT.finding(
        asked=f"{listed} were asked to vary apart ({asked_as})",
        takes="needs them equal",
        cause=(
            f"The code makes {listed} one size"
            + (f" (`{guard.readable()}`)" if guard else "")
            + ", and the exporter gave them one name without an error: other sizes fail or compute nonsense."
        ),
        source=came.source,
        locations=(*((location_of(line),) if line else ()), *(Location(LocationKind.INPUT, name) for name in names)),
        evidence=context(line) if line else (),
        fixes=(
            f'If they are always equal, say so: the same `Dim("{dims[0].symbol}")` for both in dynamic_shapes.',
            "Change the line if the model should take them apart, or pad the input to a square before it.",
        ),
    )


def _unequal(
    came: Came, dim: AskedDim, others: Sequence[AskedDim], takes: str, guards: Sequence[Guard], fits: Range | None
) -> Finding:
    """Dimensions that must be equal were asked for different ranges."""
    keys = [dim.key, *(other.key for other in others)]
    listed = " and ".join((", ".join(keys[:-1]), keys[-1]))
    guard = next((g for g in guards if all(g.about(d.input, d.axis) for d in (dim, *others))), None)
    line = guard.line if guard else None
    asked_for = "; ".join(f"{d.key}: {d.span}" for d in (dim, *others))
    return export.DIM_CONSTRAINT.finding(
        asked=f"{listed} were asked for different sizes",
        takes=f"needs them equal and takes {takes}",
        cause=(
            f"The code makes {listed} one size"
            + (f" (`{guard.readable()}`)" if guard else "")
            + f", and the sizes asked for differ ({asked_for}), so only {takes} is left."
        ),
        source=came.source,
        locations=((location_of(line),) if line else ())
        + tuple(Location(LocationKind.INPUT, d.input) for d in (dim, *others)),
        evidence=context(line) if line else (),
        fixes=(
            Fix(f"Give {listed} the same range.", ranges=dict.fromkeys(keys, fits) if fits else {}),
            f'Say that they are one size: the same `Dim("{dim.symbol}")` for both in dynamic_shapes.',
        ),
    )


def _narrower(
    came: Came,
    dim: AskedDim,
    limits: tuple[int, int | None],
    guards: Sequence[Guard],
    same: Sequence[AskedDim] = (),
) -> Finding:
    low, high = limits
    takes = f"{low}..{high}" if high is not None else f"{low} and up"
    guard = next((g for g in guards if g.about(dim.input, dim.axis) and re.search(r"[<>]", g.expression)), None)
    line = guard.line if guard else None
    fits = Range(max(low, dim.min), min(max(dim.example, low), high or dim.example), min(high or low, dim.max or low))
    if same:
        return _unequal(came, dim, same, takes, guards, fits if high is not None else None)
    return export.DIM_CONSTRAINT.finding(
        asked=f"{dim.key} was asked for {dim.span}",
        takes=f"takes {takes}",
        cause=(
            f"The code puts a constraint on {dim.key}: it takes {takes}"
            + (f", from `{guard.readable()}`" if guard else "")
            + f". The ONNX model checks nothing and fails or computes nonsense outside (asked: {dim.span})."
        ),
        source=came.source,
        locations=((location_of(line),) if line else ()) + (Location(LocationKind.INPUT, dim.input),),
        evidence=context(line) if line else (),
        fixes=(
            Fix(f"Narrow the range of {dim.key} to {takes}.", ranges={dim.key: fits} if high is not None else {}),
            f'Declare it: `Dim("{dim.symbol}", min={low}' + (f", max={high}" if high is not None else "") + ")`.",
            "Change the line if the model should take more (a longer position table, a larger max).",
        ),
    )


def _limits(came: Came, dim: AskedDim) -> tuple[int, int | None] | None:
    """The range the capture allows for the dimension when it is narrower than asked, else None."""
    if came.program is None:
        return None
    named = symbols(came.program, (dim,))
    for key, allowed in came.program.range_constraints.items():
        if str(key) in named:
            low = int(allowed.lower) if allowed.lower.is_Integer else 0
            high = int(allowed.upper) if allowed.upper.is_Integer else None
            if low > max(dim.min, 1) or (
                high is not None and (dim.max is None or high < dim.max) and dim.max is not None
            ):
                return max(low, 1), high
    return None


def symbols(program: torch.export.ExportedProgram, asked: Sequence[AskedDim]) -> dict[str, AskedDim]:
    """The asked dimension of each of the capture's symbols (`s77`); the last where several are one size."""
    return {symbol: dim for dim, symbol in captured(program, asked).items()}


def captured(program: torch.export.ExportedProgram, asked: Sequence[AskedDim]) -> dict[AskedDim, str]:
    """The capture's symbol (`s77`) of each asked dimension that is one by itself."""
    return {dim: str(size) for dim, size in expressions(program, asked).items() if size.is_Symbol}


def _is_equation(expression: str) -> bool:
    return expression.startswith("Eq(")
