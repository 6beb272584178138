"""What only makes sense in training and got into the export: training mode, dropout, losses, lost state."""

from __future__ import annotations

import inspect
from collections import deque
from collections.abc import Iterable
from typing import Any

import msgspec
import torch

from friction_tui.finding import Finding, Fix, Place, PlaceKind, Severity, SourceLine, Tier
from friction_tui.sources.failure import place_of
from friction_tui.sources.source_lines import context, find_in, of_stack_text

_MODE_SENSITIVE = (
    torch.nn.modules.batchnorm._BatchNorm,
    torch.nn.modules.dropout._DropoutNd,
    torch.nn.RReLU,
    torch.nn.MultiheadAttention,
    torch.nn.RNNBase,
)
_TRAINING_OPS = {
    "aten::native_dropout": 2,
    "aten::dropout": 2,
    "aten::_native_batch_norm_legit_functional": 5,
    "aten::rrelu": 3,
}
"""Operators that behave differently in training, with the position of the argument that says so."""


def training_mode(module: Any, made_at: SourceLine | None, factory: str, source: str) -> list[Finding]:
    """Modules left in training mode, when they behave differently there. One finding, at the factory's line."""
    left = [(name, part) for name, part in module.named_modules() if part.training and _sensitive(part)]
    if not left:
        return []
    kinds = sorted({type(part).__name__ for _, part in left})
    names = [f"{name} ({type(part).__name__})" if name else type(part).__name__ for name, part in left]
    line = None
    if made_at is not None:
        line = (
            find_in(made_at.file, (factory,), r"\.train\(\s*(True)?\s*\)")
            or find_in(made_at.file, (factory,), r"\breturn\b")
            or made_at
        )
    more = f" and {len(names) - 4} more" if len(names) > 4 else ""
    return [
        Finding(
            kind="export/training-mode",
            severity=Severity.WARNING,
            tier=Tier.HAZARD,
            title=f"The model was exported in training mode: {', '.join(kinds)} behave differently there",
            cause=(
                f"In train() mode: {', '.join(names[:4])}{more}. There dropout drops at random and BatchNorm "
                "normalises with the batch's own statistics; eval() turns both off."
            ),
            source=source,
            places=(place_of(line) if line else Place(PlaceKind.MODEL, names[0]),),
            evidence=context(line) if line else (),
            fixes=(
                Fix("Call `model.eval()` before the export, in the factory: `return model.eval()`."),
                Fix("Keep a part in training mode on purpose only if the deployed model must be random."),
            ),
        )
    ]


def training_nodes(program: torch.export.ExportedProgram, module: Any, source: str) -> list[Finding]:
    """Operators captured in training mode although their module is in eval(): a functional call without the flag."""
    if any(part.training and _sensitive(part) for part in module.modules()):
        return []
    findings: list[Finding] = []
    for node in program.graph.nodes:
        name = _operator(node)
        position = _TRAINING_OPS.get(name)
        if position is None or len(node.args) <= position or node.args[position] is not True:
            continue
        line = (of_stack_text(node.meta.get("stack_trace") or "") or (None,))[-1]
        short = "batch_norm" if "batch_norm" in name else name.partition("::")[2].removeprefix("native_")
        findings.append(
            Finding(
                kind="export/training-mode",
                severity=Severity.WARNING,
                tier=Tier.HAZARD,
                title=f"{short} runs in training mode although the model is in eval()",
                cause=(
                    f"{short} is called with training=True, the default of the functional form, so it stays active in "
                    "the exported model: results are random or depend on the batch. eval() does not reach it."
                ),
                source=source,
                places=(place_of(line),) if line else (),
                evidence=context(line) if line else (),
                fixes=(
                    Fix(f"Pass the module's mode: `F.{short}(..., training=self.training)`, and call model.eval()."),
                    Fix("Or use the module (`torch.nn.Dropout`), which eval() switches off."),
                ),
            )
        )
    return findings


def training_only(program: torch.export.ExportedProgram, source: str) -> list[Finding]:
    """Nodes that come from losses: a part of the training step in the exported graph."""
    found: dict[str, SourceLine | None] = {}
    for node in program.graph.nodes:
        for path, kind in (node.meta.get("nn_module_stack") or {}).values():
            name = kind if isinstance(kind, str) else f"{kind.__module__}.{kind.__qualname__}"
            if ".modules.loss." in name or name.endswith("Loss"):
                found.setdefault(
                    f"{path} ({name.rpartition('.')[2]})",
                    (of_stack_text(node.meta.get("stack_trace") or "") or (None,))[-1],
                )
        name = _operator(node)
        if name.endswith(("_loss", "_loss_forward")):
            line = (of_stack_text(node.meta.get("stack_trace") or "") or (None,))[-1]
            if line not in found.values():
                found[name] = line
    return [
        Finding(
            kind="export/training-parts",
            severity=Severity.WARNING,
            tier=Tier.HAZARD,
            title=f"A loss is part of the exported graph: {what}",
            cause=f"The graph computes {what}, which only training needs; it costs time and its targets become inputs.",
            source=source,
            places=(place_of(line),) if line else (),
            evidence=context(line) if line else (),
            fixes=(
                Fix(
                    "Return predictions before the loss: `if self.training:` around it, and export after model.eval()."
                ),
                Fix("Export the backbone alone: make the factory return the part that predicts."),
            ),
        )
        for what, line in found.items()
    ]


def lost_state(program: torch.export.ExportedProgram, module: Any, source: str) -> list[Finding]:
    """Buffers that forward changes: an ONNX model has no state between runs, so the change is lost."""
    findings = []
    normalised = {
        f"{name}.{buffer}"
        for name, part in module.named_modules()
        if isinstance(part, torch.nn.modules.batchnorm._NormBase)
        for buffer in ("running_mean", "running_var", "num_batches_tracked")
    }
    nodes = {node.name: node for node in program.graph.nodes}
    for output, buffer in program.graph_signature.buffers_to_mutate.items():
        if buffer in normalised:
            continue
        node = nodes.get(output)
        line = (of_stack_text((node.meta.get("stack_trace") or "") if node is not None else "") or (None,))[-1]
        findings.append(
            _state(
                source,
                f"forward changes the buffer {buffer}; the ONNX model forgets it after every run",
                f"The buffer {buffer} is mutated in forward. An ONNX model keeps no state: each run starts from the "
                "value the buffer had at the export.",
                line,
            )
        )
    return findings


def attributes(module: Any) -> dict[tuple[str, str], Any]:
    """Plain Python values and tensors kept on modules, for a later comparison: (module, attribute) to value."""
    known: dict[tuple[str, str], Any] = {}
    for name, part in module.named_modules():
        for key, value in vars(part).items():
            if key.startswith("_") or key == "training":
                continue
            if isinstance(value, bool | int | float | str | None):
                known[name, key] = value
            elif isinstance(value, torch.Tensor):
                known[name, key] = ("tensor", id(value))
            elif isinstance(value, list | dict | set | deque):
                known[name, key] = ("entries", len(value))
    return known


def changed_attributes(module: Any, names: Iterable[tuple[str, str]], source: str, *, matters: bool) -> list[Finding]:
    """Attributes that forward assigns, as (module, attribute): the graph holds the value of one call.

    `matters`: a second run of the PyTorch model gave another result.
    """
    parts = dict(module.named_modules())
    findings = []
    for part, key in names:
        owner = type(parts.get(part, module))
        try:
            file = inspect.getsourcefile(owner)
        except TypeError:
            file = None
        assigns = (
            rf"self\.{key}\s*([-+*/|&@]|//|\*\*)?=(?!=)"
            rf"|self\.{key}(\[.+\]\s*=(?!=)|\.(append|extend|insert|add|update|setdefault|pop|popleft|clear)\()"
        )
        inside = ((owner.__name__, "forward"), (owner.__name__,))
        line = next((at for scope in inside if file and (at := find_in(file, scope, assigns))), None)
        path = f"{part}.{key}" if part else key
        effect = " A second run of the PyTorch model gives another result; the ONNX model's stays." if matters else ""
        found = _state(
            source,
            f"forward changes the attribute {path}; the ONNX model forgets it after every run",
            f"The attribute {path} changes in forward (mutation). The graph holds the value it had in one call as a "
            f"constant.{effect}",
            line,
        )
        findings.append(found if matters else msgspec.structs.replace(found, severity=Severity.NOTE))
    return findings


def _state(source: str, title: str, cause: str, line: SourceLine | None) -> Finding:
    return Finding(
        kind="export/mutation",
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        title=title,
        cause=cause,
        source=source,
        places=(place_of(line),) if line else (),
        evidence=context(line) if line else (),
        fixes=(
            Fix("Make the state explicit: take it as an input and return the new value as an output."),
            Fix("If it is a cache for debugging, skip it in an export: `if not torch.compiler.is_exporting():`."),
            Fix("A constant that never changes belongs in `register_buffer` in the constructor."),
        ),
    )


def _sensitive(part: torch.nn.Module) -> bool:
    """Whether training mode changes what the module computes: a recurrent layer or attention only with dropout."""
    if isinstance(part, torch.nn.RNNBase | torch.nn.MultiheadAttention):
        return bool(part.dropout)
    if isinstance(part, torch.nn.modules.dropout._DropoutNd):
        return part.p > 0
    return isinstance(part, _MODE_SENSITIVE)


def _operator(node: Any) -> str:
    if node.op != "call_function" or not isinstance(node.target, torch._ops.OpOverload):
        return ""
    name: str = node.target._schema.name
    return name
