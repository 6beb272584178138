"""Whether the ONNX model computes what the PyTorch model computes: on the example, and on other sizes in the range."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import partial
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of, read
from friction_tui.sources.pytorch import blame, replacements
from friction_tui.sources.pytorch.blame import Blame
from friction_tui.sources.pytorch.compare_request import Came
from friction_tui.sources.pytorch.diverging import NUMBER_OF_SIZE, Parting, first_diverging, in_forward, recorded_line
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.other_inputs import draw
from friction_tui.sources.pytorch.outputs import Compared, differ, feed, spread, torch_outputs, worst
from friction_tui.sources.second_opinion import Cause, cause_of_difference, runtime_differs
from friction_tui.sources.source_lines import context
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, SourceLine, Tier
from friction_tui.vocabulary.protocol.evidence import OutputDifference

_RANDOM_OPS = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_RANDOM_CALL = r"\brandom\.|\brandom\(|rand(n|int|perm)?\(|\btime\.|datetime"
_LARGE = 10**9
"""Bytes from which ONNX Runtime maps weights from their file: packed for its kernels they would be in memory twice."""
_EXAMPLE, _VALUES = "on the example input", "on random values of the example's size"


@dataclass(slots=True)
class Verdict:
    """What comparing gave. `agreed` and `refused` count the inputs beside the example that PyTorch took and did not.

    `loaded` and `ran`: ONNX Runtime loaded the model, and ran it at least once.
    """

    findings: list[Finding] = field(default_factory=list)
    differences: list[OutputDifference] = field(default_factory=list)
    loaded: bool = False
    ran: bool = False
    agreed: int = 0
    refused: int = 0
    exporter_at_fault: bool = False


def check(
    module: Any,
    bound: Mapping[str, Any],
    first: Sequence[np.ndarray[Any, Any]],
    path: Path,
    came: Came,
    points: Sequence[Mapping[AskedDim, int]],
    say: Callable[[str], None],
    *,
    draws: int = 0,
    given: Sequence[Mapping[str, Any]] = (),
    repeatable: bool = True,
    anew: Callable[[], None] = lambda: None,
) -> Verdict:
    """Where PyTorch and ONNX Runtime disagree: on the example, at other sizes, then on other values.

    `first` are PyTorch's outputs for the example `bound`, `points` the sizes to compare at; with none, or for `draws`
    of them, the inputs have the example's sizes and other values. `given` are further inputs of the user's. A module
    that is not `repeatable` keeps state between calls: only the example says something then. `anew` makes it forget
    what it only remembers, as every run of the ONNX model does. `say` gets a line a comparison.
    """
    import onnxruntime

    model, verdict = came.model, Verdict()
    drawn = sorted({node.op_type for node in model.graph.node if _is_random(node)})
    if drawn:
        verdict.findings.append(unanswered(f"The model draws random numbers ({', '.join(drawn)})."))
        return verdict
    source = f"ONNX Runtime {onnxruntime.__version__} CPU against torch {torch.__version__.partition('+')[0]}"
    try:
        options = onnxruntime.SessionOptions()
        if sum(file.stat().st_size for file in path.parent.glob(f"{path.name}*")) > _LARGE:
            options.add_session_config_entry("session.disable_prepacking", "1")
        session = onnxruntime.InferenceSession(path, options, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "NOT_IMPLEMENTED" in str(error):  # a valid model of types or operators that this runtime has no kernel for
            lacks = str(error).partition("NOT_IMPLEMENTED : ")[2] or str(error)
            verdict.findings.append(unanswered(f"ONNX Runtime cannot run it: {lacks}"))
            return verdict
        verdict.findings.append(_refused(error, model, source))
        verdict.exporter_at_fault = True
        return verdict
    verdict.loaded = True
    rounds = list(_rounds(bound, points, draws, given)) if repeatable else [_Round(_EXAMPLE, dict(bound))]
    for asked in rounds:
        one = asked
        anew()
        try:
            expected, one = (first, one) if one.label == _EXAMPLE else _expected(module, one)
        except Exception as error:
            verdict.refused += 1
            said = f"parity not checked {one.label}: the model itself refuses them ({type(error).__name__})"
            if not one.sizes:
                say(said)
                continue
            if one.invented:
                say(said)
                if not given and not verdict.findings:  # the user's own inputs say more than invented ones
                    verdict.findings += _not_compared(one, error, source)
                continue
            verdict.findings.append(_refuses(error, one, source))
            return verdict
        if one.label == _VALUES and not all(np.isfinite(output).all() for output in expected):
            say(f"parity not checked {one.label}: the PyTorch result is not finite")
            continue
        fed = feed(session, one.inputs)
        got: Sequence[Any] | Exception
        try:
            got = session.run(None, fed)
            verdict.ran = True
        except Exception as error:
            got = error
        if not isinstance(got, Exception):
            verdict.differences += _spreads(session, one.label, expected, got)
        compared = worst(session, expected, got) if not isinstance(got, Exception) else None
        if compared is None and not isinstance(got, Exception):
            verdict.agreed += one.label != _EXAMPLE
            say(f"parity holds {one.label}")
            continue
        if compared is not None and repeatable and differ(expected, torch_outputs(module, one.inputs)):
            verdict.findings.append(_draws(module, source))
            return verdict
        cause = cause_of_difference(path, fed, partial(_agree, session, expected))
        if cause is not Cause.MODEL:
            say(f"parity holds {one.label} without {cause.value}")
            verdict.agreed += one.label != _EXAMPLE
            if any(known.kind == export.RUNTIME_DIFFERS.id for known in verdict.findings):
                continue
            said = _in_words(got if isinstance(got, Exception) else compared, one.label)
            verdict.findings.append(runtime_differs(said, cause, f"torch {torch.__version__.partition('+')[0]}"))
            continue
        exporter = blame.of(module, one.inputs, expected, came.program, path, session)
        verdict.exporter_at_fault = exporter.guilty
        if isinstance(got, Exception):
            verdict.findings.append(_cannot_run(got, one.label, source, exporter, model))
        else:
            assert compared is not None
            parting = first_diverging(module, one.inputs, model, path, session)
            verdict.findings.append(_differs(compared, one.label, source, parting, exporter))
        return verdict
    return verdict


def _spreads(
    session: Any, where: str, expected: Sequence[np.ndarray[Any, Any]], got: Sequence[Any]
) -> Iterator[OutputDifference]:
    for port, want, have in zip(session.get_outputs(), expected, got, strict=False):
        if (found := spread(port.name, where, want, have)) is not None:
            yield found


def _agree(session: Any, expected: Sequence[np.ndarray[Any, Any]], outputs: Sequence[Any]) -> bool:
    return worst(session, expected, outputs) is None


@dataclass(frozen=True, slots=True)
class _Round:
    """Inputs to compare on, and the same with the example's own integers. `invented`: inputs with made-up integers."""

    label: str
    inputs: dict[str, Any]
    sizes: Mapping[AskedDim, int] = field(default_factory=dict)
    invented: tuple[str, ...] = ()
    held: dict[str, Any] | None = None


def _rounds(
    bound: Mapping[str, Any],
    points: Sequence[Mapping[AskedDim, int]],
    draws: int,
    given: Sequence[Mapping[str, Any]],
) -> Iterator[_Round]:
    """The example, what the user gave beside it, the other sizes, then other values of the example's sizes."""
    yield _Round(_EXAMPLE, dict(bound))
    for number, inputs in enumerate(given, 1):
        yield _Round(f"on check input {number}", dict(inputs))
    for sizes in points:
        named = dict.fromkeys(f"{dim.symbol}={size}" for dim, size in sizes.items())
        drawn = draw(bound, sizes)
        held = draw(bound, sizes, held=True).inputs if drawn.invented else None
        yield _Round(f"at {', '.join(named)}", drawn.inputs, sizes, drawn.invented, held)
    for seed in range(draws or (0 if points else 1)):
        drawn = draw(bound, {}, seed)
        yield _Round(_VALUES, drawn.inputs, {}, drawn.invented)


def _expected(module: Any, one: _Round) -> tuple[list[np.ndarray[Any, Any]], _Round]:
    """PyTorch's outputs; with the example's own integers where the model refuses those that were made up."""
    try:
        return torch_outputs(module, one.inputs), one
    except Exception:
        if one.held is None:
            raise
    return torch_outputs(module, one.held), replace(one, inputs=one.held, held=None)


def _not_compared(one: _Round, error: Exception, source: str) -> list[Finding]:
    """PyTorch refuses values that nobody gave: that says nothing about the model."""
    listed = " and ".join(one.invented)
    return [
        export.NOT_COMPARED.finding(
            where=f" {one.label}",
            cause=f"The values of {listed} were invented for these sizes, and PyTorch refuses them: "
            f"{str(error).strip().splitlines()[0] if str(error).strip() else type(error).__name__}",
            source=source,
            locations=tuple(Location(LocationKind.INPUT, name) for name in one.invented),
            fixes=(
                "Write `check_inputs()` beside the factory: it returns a list of further example inputs, and the ONNX "
                "model is compared on each.",
            ),
        )
    ]


def unanswered(why: str) -> Finding:
    """Nothing was compared, not even on the example: whether the model computes the same is not known."""
    return export.NOT_COMPARED.finding(
        where="",
        cause=f"{why.rstrip('.')}. Whether the ONNX model computes what PyTorch does is not known.",
        source=f"torch {torch.__version__.partition('+')[0]}",
        locations=(Location(LocationKind.MODEL, "model"),),
        fixes=("Compare both models on data of your own.",),
    )


def _in_words(difference: Compared | Exception | None, label: str) -> str:
    if isinstance(difference, Compared):
        return (
            f"{label.capitalize()} output {difference.output} differs by {difference.absolute:.3g} "
            f"({difference.relative:.2%} of its largest value) from PyTorch's"
        )
    return f"{label.capitalize()} it fails ({str(difference).splitlines()[0][:200]})"


def _draws(module: Any, source: str) -> Finding:
    """PyTorch gives another result in every run, and the ONNX model holds no operator that draws random numbers."""
    line = next((found for part in module.modules() if (found := _python_state(part))), None)
    return export.PYTHON_SIDE_EFFECT.finding(
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        problem="PyTorch gives another result in every run, the ONNX model always the same",
        cause=(
            "A random number, a clock, a global or the like is read in Python while the graph is captured, so the "
            "value of that one moment is a constant in the ONNX model. Parity cannot be checked."
        ),
        source=source,
        locations=(location_of(line) if line else Location(LocationKind.MODEL, "model"),),
        evidence=context(line) if line else (),
        fixes=(
            "If a constant is meant, draw it once in the constructor and keep it with `register_buffer`.",
            "If every run must draw, use `torch.rand`, which becomes an ONNX random operator, or make it an input.",
            "If only training needs it, put it under `if self.training:`.",
        ),
    )


def _python_state(part: Any) -> SourceLine | None:
    """Where forward reads what changes between calls: a random number, a clock, a global that it counts up."""
    declared = in_forward(part, r"^\s*global\b")
    name = declared.code.removeprefix("global").split("#")[0].split(",")[0].strip() if declared else ""
    assigned = in_forward(part, rf"\b{name}\s*([-+*/|&]|//)?=(?!=)") if name.isidentifier() else None
    return in_forward(part, _RANDOM_CALL) or assigned or declared


def _differs(compared: Compared, label: str, source: str, parting: Parting, exporter: Blame) -> Finding:
    first, line = parting.difference, exporter.line or parting.line
    where = f" The first module whose output differs is `{parting.module}` (by {first.absolute:.3g})." if first else ""
    frozen = label == _VALUES and not exporter.guilty
    sized = label.startswith("at ") and not exporter.guilty and line and re.search(NUMBER_OF_SIZE, line.code)
    momentary = line is not None and re.search(_RANDOM_CALL, line.code)
    return export.PARITY.finding(
        problem=f"outputs differ from PyTorch's {label}" + (f", first in module {parting.module}" if first else ""),
        cause=(
            f"{_by_how_much(compared)}.{where}{exporter.said}"
            + (
                " They agree on the example: a value that was computed from it outside torch (numpy, item(), a Python "
                "number) is a constant in the ONNX model."
                if frozen
                else ""
            )
        ),
        source=source,
        locations=((location_of(line),) if line else ())
        + (Location(LocationKind.OUTPUT, compared.output.partition(" (")[0]),),
        evidence=context(line) if line else (),
        fixes=(*(replacements.in_line(line) if exporter.guilty else ()), *exporter.fixes)
        or (
            *(
                ("The line reads a clock or a random number in Python: leave it out, or make it an input.",)
                if momentary
                else ()
            ),
            *(
                ("Compute it in torch operators, without numpy, item() or float(): then it stays a part of the graph.",)
                if frozen
                else ()
            ),
            *(
                (
                    "int(), round() and math make a Python number of a size, the example's: divide sizes with `//`, "
                    "take them from x.shape, or write -1 where the result follows from the others.",
                )
                if sized
                else ()
            ),
            "Look for code that runs differently in an export: `torch.onnx.is_in_onnx_export()`, "
            "`torch.compiler.is_exporting()`, Python numbers computed from the example (int(), item(), len()).",
        ),
    )


def _by_how_much(compared: Compared) -> str:
    if np.isinf(compared.relative) and not compared.index:
        return f"Output {compared.output} has another shape"
    at = (
        f" at {list(compared.index)}: {compared.expected:.6g} in PyTorch, {compared.got:.6g} in ONNX"
        if compared.index
        else ""
    )
    share = f"{compared.relative:.2%} of its largest value"
    return f"Output {compared.output} differs by {compared.absolute:.3g} ({share}){at}"


def _refuses(error: BaseException, one: _Round, source: str) -> Finding:
    """PyTorch itself fails at a size in the range."""
    failure = read(error, source)
    keys = ", ".join(dict.fromkeys(dim.key for dim in one.sizes))
    return export.DIM_CONSTRAINT.finding(
        asked=" and ".join(f"{dim.key} was asked for {dim.span}" for dim in one.sizes),
        takes=f"itself fails in PyTorch {one.label}",
        cause=f"{keys}: {failure.root.splitlines()[0]}",
        source=source,
        locations=((location_of(failure.line),) if failure.line else ()),
        evidence=context(failure.line) if failure.line else (),
        fixes=(
            "Narrow the range to sizes the model takes, or to multiples of its stride.",
            "Pad the input to such a size in forward or before the model.",
        ),
    )


def _cannot_run(error: BaseException, label: str, source: str, exporter: Blame, model: onnx.ModelProto) -> Finding:
    """ONNX Runtime fails where PyTorch works: the model holds something of the example's size."""
    text = str(error)
    node = re.search(r"node\.? ?Name:'([^']*)'|\(([\w/.]+)\) Op", text)
    name = next((group for group in node.groups() if group), "") if node else ""
    failing = next((one for one in model.graph.node if name and one.name == name), None)
    line = (recorded_line(failing) if failing is not None else None) or exporter.line
    return export.PARITY.finding(
        tier=Tier.SHAPES,
        problem=f"it fails {label}, where PyTorch works",
        cause=f"ONNX Runtime says: {text.splitlines()[0][:300]}{exporter.said}",
        source=source,
        locations=(
            *((location_of(line),) if line else ()),
            Location(LocationKind.NODE, name) if name else Location(LocationKind.MODEL, "model"),
        ),
        evidence=context(line) if line else (),
        fixes=exporter.fixes
        or (
            "Something of the example's size is fixed in the graph: take sizes from x.shape, `-1` in view/reshape.",
            "Narrow the range to the example's sizes if only these are needed.",
        ),
    )


def _refused(error: BaseException, model: onnx.ModelProto, source: str) -> Finding:
    """ONNX Runtime does not even load what the exporter wrote."""
    text = str(error)
    named = re.search(r"in node \(([^)]+)\)|\bnode[: ]+'?([\w/.]+)", text, re.I)
    name = next((group for group in named.groups() if group), "") if named else ""
    node = next((node for node in model.graph.node if node.name and node.name == name), None)
    line = recorded_line(node) if node is not None else None
    location = (
        Location(LocationKind.NODE, name, op=node.op_type)
        if node is not None
        else Location(LocationKind.MODEL, "model")
    )
    return export.INVALID_MODEL.finding(
        part=f"{node.op_type} {name}" if node is not None else "ONNX Runtime does not load it",
        cause=f"ONNX Runtime does not load it: {text.partition('failed:')[2].strip() or text}",
        source=source,
        locations=((location_of(line),) if line else ()) + (location,),
        evidence=context(line) if line else (),
        fixes=(
            *replacements.in_line(line),
            "Write the line in other operators: the exporter's translation of this one is wrong for these types.",
            "Export with optimize off: if the model is valid then, the exporter's optimiser is at fault.",
        ),
    )


def _is_random(node: onnx.NodeProto) -> bool:
    return node.op_type in _RANDOM_OPS or (node.op_type == "Dropout" and len(node.input) > 2)
