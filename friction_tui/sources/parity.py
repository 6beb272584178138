"""Whether the ONNX model computes what the PyTorch model computes: on the example, and on other sizes in the range."""

from __future__ import annotations

import ast
import inspect
import random
import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from friction_tui.finding import Finding, Fix, Place, PlaceKind, Severity, SourceLine, Tier
from friction_tui.sources.dynamic_shapes import AskedDim, tensors
from friction_tui.sources.failure import place_of, read
from friction_tui.sources.source_lines import context, find_in, of_stack_text

_RANDOM_OPS = {"RandomNormal", "RandomNormalLike", "RandomUniform", "RandomUniformLike", "Bernoulli", "Multinomial"}
_TOLERANCE = {"float16": 2e-2, "float32": 1e-3, "float64": 1e-6}
"""Largest difference accepted, relative to the output's largest value; fp32 kernels differ by about 1e-6 a layer."""

_GROWTH = 3
"""No test size is larger than this many times the example's: the range's maximum may not fit this machine."""


@dataclass(frozen=True, slots=True)
class Compared:
    """The worst output of one comparison: its difference relative to the largest value, and where it is."""

    output: str
    relative: float
    absolute: float
    index: tuple[int, ...]
    expected: float
    got: float


def check(
    module: Any,
    bound: Mapping[str, Any],
    first: Sequence[np.ndarray[Any, Any]],
    path: Path,
    asked: Sequence[AskedDim],
    say: Callable[[str], None],
) -> list[Finding]:
    """Findings where PyTorch and ONNX Runtime disagree: on the example, whose outputs are `first`, then on other sizes.

    `asked` are the dimensions to vary, none for the example alone. `say` gets a line for each comparison.
    """
    import onnxruntime

    model = onnx.load(path, load_external_data=False)
    drawn = sorted({node.op_type for node in model.graph.node if _is_random(node)})
    if drawn:
        say(f"parity not checked: the model draws random numbers ({', '.join(drawn)})")
        return []
    source = f"ONNX Runtime {onnxruntime.__version__} CPU against torch {torch.__version__.partition('+')[0]}"
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    for label, sizes in _points(asked):
        inputs = _resized(bound, asked, sizes) if sizes else dict(bound)
        try:
            expected = torch_outputs(module, inputs) if sizes else first
        except Exception as error:
            return [_refuses(error, label, asked, source)]
        try:
            got = session.run(None, _feed(session, inputs))
        except Exception as error:
            return [_cannot_run(error, label, source)]
        worst = _worst(session, expected, got)
        if worst is None:
            say(f"parity holds {label}")
            continue
        return [_differs(worst, label, source, _first_diverging(module, inputs, model, path, session))]
    return []


def _points(asked: Sequence[AskedDim]) -> list[tuple[str, dict[str, int]]]:
    """The example, then the dynamic dimensions larger, then at their smallest."""
    points: list[tuple[str, dict[str, int]]] = [("on the example input", {})]
    smallest = {dim.symbol: dim.min for dim in asked}
    larger: dict[str, int] = {}
    # The same axis with the same size and range in several inputs is one thing (the batch, the length): models
    # expect it equal, so it varies together.
    alike = list(dict.fromkeys((dim.axis, dim.example, dim.min, dim.max) for dim in asked))
    for dim in asked:
        number = alike.index((dim.axis, dim.example, dim.min, dim.max))
        limit = dim.max if dim.max is not None else dim.example * _GROWTH
        larger[dim.symbol] = max(dim.min, min(limit, dim.example * _GROWTH, dim.example + 1 + number))
    for sizes in (larger, smallest):
        text = ", ".join(f"{symbol}={size}" for symbol, size in sizes.items())
        if sizes and any(sizes[dim.symbol] != dim.example for dim in asked):
            points.append((f"at {text}", sizes))
    return points


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
        if value.dtype.is_floating_point or value.dtype.is_complex:
            return torch.randn(shape, dtype=value.dtype) * (value.std() if value.numel() > 1 else 1.0)
        flat = value.flatten()
        picks = [generator.randrange(max(1, flat.numel())) for _ in range(int(np.prod(shape)))]
        return flat[picks].reshape(shape) if flat.numel() else value

    return {name: visit(name, value) for name, value in bound.items()}


def differ(one: Sequence[np.ndarray[Any, Any]], other: Sequence[np.ndarray[Any, Any]]) -> bool:
    """Whether two runs of one model gave different results."""
    return any(_difference("", a, b) is not None for a, b in zip(one, other, strict=True))


def torch_outputs(module: Any, inputs: Mapping[str, Any]) -> list[np.ndarray[Any, Any]]:
    """Every tensor the module returns for these inputs, flattened; a complex one as real with a last dimension of 2."""
    with torch.no_grad():
        if isinstance(module, torch.export.ExportedProgram):
            result = module.module()(*inputs.values())
        else:
            call = inspect.signature(module.forward).bind_partial()
            call.arguments.update(inputs)
            result = module(*call.args, **call.kwargs)
    return [_array(value) for value in torch.utils._pytree.tree_leaves(result) if isinstance(value, torch.Tensor)]


def _array(value: torch.Tensor) -> np.ndarray[Any, Any]:
    real = torch.view_as_real(value.resolve_conj()) if value.is_complex() else value
    array: np.ndarray[Any, Any] = (real.float() if real.dtype is torch.bfloat16 else real).detach().cpu().numpy()
    return array


def _feed(session: Any, inputs: Mapping[str, Any]) -> dict[str, Any]:
    given = tensors(inputs)
    by_name = dict(given)
    ports = session.get_inputs()
    if all(port.name in by_name for port in ports):
        return {port.name: _array(by_name[port.name]) for port in ports}
    return {port.name: _array(value) for port, (_, value) in zip(ports, given, strict=False)}


def _worst(session: Any, expected: Sequence[Any], got: Sequence[Any]) -> Compared | None:
    """The output that differs most beyond its tolerance; None when all agree."""
    found = None
    for port, want, have in zip(session.get_outputs(), expected, got, strict=False):
        compared = _difference(port.name, want, have)
        if compared is not None and (found is None or compared.relative > found.relative):
            found = compared
    return found


def _difference(name: str, want: np.ndarray[Any, Any], have: Any) -> Compared | None:
    have = np.asarray(have)
    if want.shape != have.shape:
        return Compared(f"{name} (shape {list(have.shape)} instead of {list(want.shape)})", np.inf, np.inf, (), 0, 0)
    if want.size == 0:
        return None
    a, b = want.astype(np.float64), have.astype(np.float64)
    both_nan = np.isnan(a) & np.isnan(b)
    gap = np.where(both_nan | (a == b), 0.0, np.abs(a - b))
    gap = np.where(np.isnan(gap), np.inf, gap)
    finite = np.abs(a[np.isfinite(a)])
    scale = max(float(finite.max()) if finite.size else 1.0, 1e-3)
    at = np.unravel_index(int(np.argmax(gap)), gap.shape)
    relative = float(gap[at]) / scale
    if relative <= _TOLERANCE.get(want.dtype.name, 0.0):
        return None
    return Compared(name, relative, float(gap[at]), tuple(int(i) for i in at), float(a[at]), float(b[at]))


def _first_diverging(
    module: Any, inputs: Mapping[str, Any], model: onnx.ModelProto, path: Path, session: Any
) -> tuple[str, SourceLine | None, Compared] | None:
    """The first submodule, in the order they finish, whose output differs: (path, likely line, difference)."""
    if isinstance(module, torch.export.ExportedProgram | torch.jit.ScriptModule):
        return None
    ends = _scope_ends(model)
    captured: list[tuple[str, np.ndarray[Any, Any]]] = []

    def keep(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                captured.append((name, _array(output)))

        return hook

    parts = {name: part for name, part in module.named_modules() if name in ends}
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    if not hooks:
        return None
    try:
        torch_outputs(module, inputs)
    finally:
        for hook in hooks:
            hook.remove()
    probe = onnx.ModelProto()
    probe.CopyFrom(model)
    known = {port.name for port in probe.graph.output}
    wanted = list(dict.fromkeys(ends[name].output[0] for name, _ in captured))
    probe.graph.output.extend(onnx.ValueInfoProto(name=name) for name in wanted if name not in known)
    beside = path.with_name(f"{path.stem}.probe.onnx")  # beside the model: its external data is found by relative path
    import onnxruntime

    try:
        onnx.save(probe, beside)
        probed = onnxruntime.InferenceSession(beside, providers=["CPUExecutionProvider"])
        results = dict(zip(wanted, probed.run(wanted, _feed(session, inputs)), strict=True))
    finally:
        beside.unlink(missing_ok=True)
    for name, want in captured:
        have = np.asarray(results[ends[name].output[0]])
        compared = _difference(name, want, have) if want.shape == have.shape else None
        if compared is not None:
            return name, _suspect(parts[name], ends[name]), compared
    return None


def _suspect(part: torch.nn.Module, end: onnx.NodeProto) -> SourceLine | None:
    """Where the module asks whether it is being exported; else the line of its last node."""
    try:
        file = inspect.getsourcefile(type(part)) or ""
    except TypeError:
        file = ""
    asks = find_in(file, (type(part).__name__, "forward"), r"is_exporting\(|is_in_onnx_export\(|is_compiling\(")
    stack = next((e.value for e in end.metadata_props if e.key == "pkg.torch.onnx.stack_trace"), "")
    return asks or (of_stack_text(stack) or (None,))[-1]


def _scope_ends(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The last node of each module path, from the names the exporter recorded."""
    ends: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        recorded = next((e.value for e in node.metadata_props if e.key == "pkg.torch.onnx.name_scopes"), "[]")
        for scope in ast.literal_eval(recorded)[:-1]:  # the last entry is the operator's own
            ends[scope] = node
    return ends


def _differs(
    worst: Compared, label: str, source: str, diverging: tuple[str, SourceLine | None, Compared] | None
) -> Finding:
    where, line = "", None
    if diverging is not None:
        name, line, first = diverging
        where = f" The first module whose output differs is `{name}` (by {first.absolute:.3g})."
    return Finding(
        kind="export/parity",
        severity=Severity.ERROR,
        tier=Tier.HAZARD,
        title=f"PyTorch and ONNX outputs differ {label}" + (f", first in module {diverging[0]}" if diverging else ""),
        cause=(
            f"Output {worst.output} differs by {worst.absolute:.3g} ({worst.relative:.2%} of its largest value)"
            + (
                f" at {list(worst.index)}: {worst.expected:.6g} in PyTorch, {worst.got:.6g} in ONNX"
                if worst.index
                else ""
            )
            + f".{where}"
        ),
        source=source,
        places=((place_of(line),) if line else ()) + (Place(PlaceKind.OUTPUT, worst.output.partition(" (")[0]),),
        evidence=context(line) if line else (),
        fixes=(
            Fix(
                "Look for code that runs differently in an export: `torch.onnx.is_in_onnx_export()`, "
                "`torch.compiler.is_exporting()`, Python numbers computed from the example (int(), item(), len())."
            ),
            Fix("Export with optimize off: if the outputs then agree, the exporter's optimiser is at fault."),
        ),
    )


def _refuses(error: BaseException, label: str, asked: Sequence[AskedDim], source: str) -> Finding:
    """PyTorch itself fails at a size in the range."""
    failure = read(error, source)
    keys = ", ".join(dict.fromkeys(dim.key for dim in asked))
    return Finding(
        kind="export/dim-constraint",
        severity=Severity.ERROR,
        tier=Tier.SHAPES,
        title=f"The PyTorch model itself fails {label}, inside the range asked for",
        cause=f"{keys}: {failure.root.splitlines()[0]}",
        source=source,
        places=((place_of(failure.line),) if failure.line else ()),
        evidence=context(failure.line) if failure.line else (),
        fixes=(
            Fix("Narrow the range to sizes the model takes, or to multiples of its stride."),
            Fix("Pad the input to such a size in forward or before the model."),
        ),
    )


def _cannot_run(error: BaseException, label: str, source: str) -> Finding:
    """ONNX Runtime fails where PyTorch works: the model holds something of the example's size."""
    text = str(error)
    node = re.search(r"node\.? ?Name:'([^']*)'|\(([\w/.]+)\) Op", text)
    name = next((group for group in node.groups() if group), "") if node else ""
    return Finding(
        kind="export/parity",
        severity=Severity.ERROR,
        tier=Tier.SHAPES,
        title=f"The ONNX model fails {label}, where PyTorch works",
        cause=f"ONNX Runtime says: {text.splitlines()[0][:300]}",
        source=source,
        places=(Place(PlaceKind.NODE, name) if name else Place(PlaceKind.MODEL, "model"),),
        fixes=(
            Fix(
                "Something of the example's size is fixed in the graph: take sizes from x.shape, `-1` in view/reshape."
            ),
            Fix("Narrow the range to the example's sizes if only these are needed."),
        ),
    )


def _is_random(node: onnx.NodeProto) -> bool:
    return node.op_type in _RANDOM_OPS or (node.op_type == "Dropout" and len(node.input) > 2)
