"""Whether the ONNX model computes what the PyTorch model computes: on the example, and on other sizes in the range."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of, read
from friction_tui.sources.pytorch.diverging import Parting, first_diverging, in_forward, recorded_line
from friction_tui.sources.pytorch.dynamic_shapes import AskedDim
from friction_tui.sources.pytorch.outputs import Compared, differ, feed, torch_outputs, worst
from friction_tui.sources.source_lines import context
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, SourceLine, Tier

_RANDOM_OPS = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_GROWTH = 3
"""No test size is larger than this many times the example's: the range's maximum may not fit this machine."""

_RANDOM_CALL = r"\brandom\.|\brandom\(|rand(n|int|perm)?\(|\btime\.|datetime"
_EXAMPLE, _VALUES = "on the example input", "on random values of the example's size"


def check(
    module: Any,
    bound: Mapping[str, Any],
    first: Sequence[np.ndarray[Any, Any]],
    path: Path,
    asked: Sequence[AskedDim],
    say: Callable[[str], None],
    *,
    repeatable: bool = True,
) -> list[Finding]:
    """Findings where PyTorch and ONNX Runtime disagree: on the example, then on random inputs.

    `first` are PyTorch's outputs for the example, `asked` the dimensions to vary; with none the random inputs have the
    example's sizes. A module that is not `repeatable` keeps state between calls: only the example says something then.
    `say` gets a line a comparison.
    """
    import onnxruntime

    model = onnx.load(path, load_external_data=False)
    drawn = sorted({node.op_type for node in model.graph.node if _is_random(node)})
    if drawn:
        say(f"parity not checked: the model draws random numbers ({', '.join(drawn)})")
        return []
    source = f"ONNX Runtime {onnxruntime.__version__} CPU against torch {torch.__version__.partition('+')[0]}"
    try:
        session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    except Exception as error:
        if "NOT_IMPLEMENTED" in str(error):  # a valid model of types or operators that this runtime has no kernel for
            say(f"parity not checked: {str(error).partition('NOT_IMPLEMENTED : ')[2] or error}")
            return []
        return [_refused(error, model, source)]
    for label, sizes in _points(asked) if repeatable else [(_EXAMPLE, {})]:
        inputs = dict(bound) if label == _EXAMPLE else _resized(bound, asked, sizes)
        try:
            expected = first if label == _EXAMPLE else torch_outputs(module, inputs)
        except Exception as error:
            if not sizes:
                say(f"parity not checked {label}: the model itself refuses them ({type(error).__name__})")
                continue
            return [_refuses(error, label, asked, source)]
        if label == _VALUES and not all(np.isfinite(output).all() for output in expected):
            say(f"parity not checked {label}: the PyTorch result is not finite")
            continue
        try:
            got = session.run(None, feed(session, inputs))
        except Exception as error:
            return [_cannot_run(error, label, source)]
        compared = worst(session, expected, got)
        if compared is None:
            say(f"parity holds {label}")
            continue
        if repeatable and differ(expected, torch_outputs(module, inputs)):
            return [_draws(module, source)]
        return [_differs(compared, label, source, first_diverging(module, inputs, model, path, session))]
    return []


def _points(asked: Sequence[AskedDim]) -> list[tuple[str, dict[str, int]]]:
    """The example, then the dynamic dimensions larger, then at their smallest."""
    points: list[tuple[str, dict[str, int]]] = [(_EXAMPLE, {})]
    smallest = {dim.symbol: dim.min for dim in asked}
    larger: dict[str, int] = {}
    # The same axis with the same size and range in several inputs is one thing (the batch, the length): models
    # expect it equal, so it varies together.
    same = list(dict.fromkeys((dim.axis, dim.example, dim.min, dim.max) for dim in asked))
    for dim in asked:
        number = same.index((dim.axis, dim.example, dim.min, dim.max))
        limit = dim.max if dim.max is not None else dim.example * _GROWTH
        larger[dim.symbol] = max(dim.min, min(limit, dim.example * _GROWTH, dim.example + 1 + number))
    for sizes in (larger, smallest):
        text = ", ".join(f"{symbol}={size}" for symbol, size in sizes.items())
        if sizes and any(sizes[dim.symbol] != dim.example for dim in asked):
            points.append((f"at {text}", sizes))
    return points if len(points) > 1 else [*points, (_VALUES, {})]


def _resized(bound: Mapping[str, Any], asked: Sequence[AskedDim], sizes: Mapping[str, int]) -> dict[str, Any]:
    """Random inputs of the given sizes, drawn like the example's values."""
    wanted = {(dim.input, dim.axis): sizes[dim.symbol] for dim in asked}
    generator = random.Random(0)

    def visit(name: str, value: Any) -> Any:
        if isinstance(value, dict):
            return {key: visit(f"{name}_{key}", inner) for key, inner in value.items()}
        if isinstance(value, tuple | list):
            return type(value)(visit(f"{name}_{i}", inner) for i, inner in enumerate(value))
        if not isinstance(value, torch.Tensor):
            return value
        shape = [wanted.get((name, axis), size) for axis, size in enumerate(value.shape)]
        flat = value.flatten()
        drawn = value.dtype.is_floating_point or value.dtype.is_complex
        if drawn and (value.dtype.is_complex or flat.numel() < 2 or flat.min() == flat.max() or flat.min() < 0):
            spread = flat.std() if flat.numel() > 1 else flat.new_zeros(())
            return torch.randn(shape, dtype=value.dtype) * torch.where(spread == 0, torch.ones_like(spread), spread)
        # Integers are looked up somewhere, and floats that are never negative are so for a reason.
        picks = [generator.randrange(max(1, flat.numel())) for _ in range(int(np.prod(shape)))]
        return flat[picks].reshape(shape) if flat.numel() else value

    # The same seed every time: a difference that is found once is found again.
    with torch.random.fork_rng(devices=[]):
        torch.manual_seed(0)
        return {name: visit(name, value) for name, value in bound.items()}


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


def _differs(compared: Compared, label: str, source: str, parting: Parting) -> Finding:
    first, line = parting.difference, parting.line
    where = f" The first module whose output differs is `{parting.module}` (by {first.absolute:.3g})." if first else ""
    frozen = label == _VALUES
    momentary = line is not None and re.search(_RANDOM_CALL, line.code)
    return export.PARITY.finding(
        problem=f"outputs differ from PyTorch's {label}" + (f", first in module {parting.module}" if first else ""),
        cause=(
            f"Output {compared.output} differs by {compared.absolute:.3g} "
            f"({compared.relative:.2%} of its largest value)"
            + (
                f" at {list(compared.index)}: {compared.expected:.6g} in PyTorch, {compared.got:.6g} in ONNX"
                if compared.index
                else ""
            )
            + f".{where}"
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
        fixes=(
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
            "Look for code that runs differently in an export: `torch.onnx.is_in_onnx_export()`, "
            "`torch.compiler.is_exporting()`, Python numbers computed from the example (int(), item(), len()).",
            "Export with optimize off: if the outputs then agree, the exporter's optimiser is at fault.",
        ),
    )


def _refuses(error: BaseException, label: str, asked: Sequence[AskedDim], source: str) -> Finding:
    """PyTorch itself fails at a size in the range."""
    failure = read(error, source)
    keys = ", ".join(dict.fromkeys(dim.key for dim in asked))
    return export.DIM_CONSTRAINT.finding(
        asked=" and ".join(f"{dim.key} was asked for {dim.span}" for dim in asked),
        takes=f"itself fails in PyTorch {label}",
        cause=f"{keys}: {failure.root.splitlines()[0]}",
        source=source,
        locations=((location_of(failure.line),) if failure.line else ()),
        evidence=context(failure.line) if failure.line else (),
        fixes=(
            "Narrow the range to sizes the model takes, or to multiples of its stride.",
            "Pad the input to such a size in forward or before the model.",
        ),
    )


def _cannot_run(error: BaseException, label: str, source: str) -> Finding:
    """ONNX Runtime fails where PyTorch works: the model holds something of the example's size."""
    text = str(error)
    node = re.search(r"node\.? ?Name:'([^']*)'|\(([\w/.]+)\) Op", text)
    name = next((group for group in node.groups() if group), "") if node else ""
    return export.PARITY.finding(
        tier=Tier.SHAPES,
        problem=f"it fails {label}, where PyTorch works",
        cause=f"ONNX Runtime says: {text.splitlines()[0][:300]}",
        source=source,
        locations=(Location(LocationKind.NODE, name) if name else Location(LocationKind.MODEL, "model"),),
        fixes=(
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
            "Write the line in other operators: the exporter's translation of this one is wrong for these types.",
            "Export with optimize off: if the model is valid then, the exporter's optimiser is at fault.",
            "The legacy exporter (option `legacy`) translates in another way.",
        ),
    )


def _is_random(node: onnx.NodeProto) -> bool:
    return node.op_type in _RANDOM_OPS or (node.op_type == "Dropout" and len(node.input) > 2)
