"""Where a PyTorch module and its ONNX model part: the first submodule whose output differs, and the likely line."""

from __future__ import annotations

import ast
import inspect
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch

from friction_tui.sources.pytorch.outputs import Compared, array, difference, feed, torch_outputs
from friction_tui.sources.source_lines import find_in, of_stack_text
from friction_tui.vocabulary.finding import SourceLine

_ASKS = r"is_exporting\(|is_in_onnx_export\(|is_compiling\("
_LEAVES_TORCH = r"\.numpy\(|\bnp\.|\bnumpy\.|\.item\(|\.tolist\("
NUMBER_OF_SIZE = r"\b(int|round|math\.(ceil|floor|sqrt|prod))\("
"""A Python number made of a size, which is the example's in every run."""


@dataclass(frozen=True, slots=True)
class Parting:
    """Where the two part. `module` is the submodule's path, `difference` its own; None where no submodule differs."""

    module: str = ""
    line: SourceLine | None = None
    difference: Compared | None = None


def first_diverging(
    module: Any, inputs: Mapping[str, Any], model: onnx.ModelProto, path: Path, session: Any
) -> Parting:
    """The first submodule, in the order they finish, whose output differs; else what is likely in the module itself."""
    if isinstance(module, torch.export.ExportedProgram | torch.jit.ScriptModule):
        return Parting()
    ends = _scope_ends(model)
    captured: list[tuple[str, np.ndarray[Any, Any]]] = []

    def keep(name: str) -> Callable[[Any, Any, Any], None]:
        def hook(_module: Any, _inputs: Any, output: Any) -> None:
            if isinstance(output, torch.Tensor):
                captured.append((name, array(output)))

        return hook

    parts = {name: part for name, part in module.named_modules() if name in ends}
    hooks = [part.register_forward_hook(keep(name)) for name, part in parts.items()]
    if not hooks:
        return Parting(line=_suspect(module, None))
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
        results = dict(zip(wanted, probed.run(wanted, feed(session, inputs)), strict=True))
    finally:
        beside.unlink(missing_ok=True)
    for name, want in captured:
        have = np.asarray(results[ends[name].output[0]])
        compared = difference(name, want, have) if want.shape == have.shape else None
        if compared is not None:
            return Parting(name or type(module).__name__, _suspect(parts[name], ends[name]), compared)
    return Parting(line=_suspect(module, None))


def _suspect(part: torch.nn.Module, end: onnx.NodeProto | None) -> SourceLine | None:
    """Where the module asks whether it is exported, else where it makes Python values, else its last node's line."""
    for pattern in (_ASKS, _LEAVES_TORCH, NUMBER_OF_SIZE):
        line = in_forward(part, pattern)
        if line is not None:
            return line
    return recorded_line(end) if end is not None else None


def recorded_line(node: onnx.NodeProto) -> SourceLine | None:
    """The user's line of a node, from the stack the exporter recorded."""
    stack = next((e.value for e in node.metadata_props if e.key == "pkg.torch.onnx.stack_trace"), "")
    return (of_stack_text(stack) or (None,))[-1]


def in_forward(part: torch.nn.Module, pattern: str) -> SourceLine | None:
    """The first line of the module's forward that matches."""
    try:
        file = inspect.getsourcefile(type(part)) or ""
    except TypeError:
        return None
    return find_in(file, (type(part).__name__, "forward"), pattern)


def _scope_ends(model: onnx.ModelProto) -> dict[str, onnx.NodeProto]:
    """The last node of each module path, from the names the exporter recorded."""
    ends: dict[str, onnx.NodeProto] = {}
    for node in model.graph.node:
        recorded = next((e.value for e in node.metadata_props if e.key == "pkg.torch.onnx.name_scopes"), "[]")
        for scope in ast.literal_eval(recorded)[:-1]:  # the last entry is the operator's own
            ends[scope] = node
    return ends
