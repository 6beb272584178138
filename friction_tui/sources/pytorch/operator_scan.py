"""Every operator of a captured program that has no translation to ONNX, with the lines that use it.

The exporter stops at the first one; this asks its own registry about all of them. The registry and the steps before
it are internal to torch, whose version is pinned (`torch.onnx._internal.exporter` of torch 2.13).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import Any

import torch
from torch.onnx._internal.exporter import _core, _dispatching, _registration

from friction_tui.sources.pytorch.export_failure import written
from friction_tui.sources.source_lines import of_stack_text
from friction_tui.vocabulary.finding import SourceLine

LOWEST_OPSET = 18
"""The lowest opset torch's exporter translates to (`torch.onnx._internal.exporter._constants.TORCHLIB_OPSET`)."""

HIGHEST_OPSET = 24
"""The highest opset asked for a translation: what onnx 1.23 and onnxscript 0.7 know between them."""


@dataclass(frozen=True, slots=True)
class Unmapped:
    """An operator without an ONNX function at the opset asked for.

    `reason` is the registry's answer. `lowest_opset` is the lowest opset that has it, None when none has.
    """

    op: str
    reason: str
    lines: tuple[SourceLine, ...]
    node: str
    lowest_opset: int | None


def unmapped(program: torch.export.ExportedProgram, opset: int | None) -> tuple[Unmapped, ...]:
    """The operators of `program` that cannot be translated at `opset`, in the order they are met, each once."""
    target = max(opset or LOWEST_OPSET, LOWEST_OPSET)
    registry = _registry(target)
    lowered = _core._prepare_exported_program_for_export(program, registry=registry)
    found: dict[str, Unmapped] = {}
    for node in lowered.graph.nodes:
        if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
            continue
        function, reason = _dispatching.dispatch(node, registry)
        if function is not None:
            continue
        name = written(node.target._schema.name, node.target._schema.overload_name)
        line = _lines(node)
        known = found.get(name)
        if known is None:
            found[name] = Unmapped(name, reason, line, node.name, _lowest_opset(node, target))
        elif line and line[0] not in known.lines:
            found[name] = Unmapped(name, known.reason, (*known.lines, *line), known.node, known.lowest_opset)
    return tuple(found.values())


def _lines(node: Any) -> tuple[SourceLine, ...]:
    """The user's line of a node; one that was captured from numpy code has none and takes its neighbours'."""
    for near in (node, *node.users, *node.all_input_nodes):
        line = of_stack_text(near.meta.get("stack_trace") or "")[-1:]
        if line:
            return line
    return ()


def _lowest_opset(node: Any, beyond: int) -> int | None:
    for opset in range(beyond + 1, HIGHEST_OPSET + 1):
        if _dispatching.dispatch(node, _registry(opset))[0] is not None:
            return opset
    return None


@cache
def _registry(opset: int) -> _registration.ONNXRegistry:
    return _registration.ONNXRegistry.from_torchlib(opset_version=opset)
