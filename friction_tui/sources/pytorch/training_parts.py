"""What only makes sense in training and got into the export: training mode, dropout, losses."""

from __future__ import annotations

from typing import Any

import torch

from friction_tui.kinds import export
from friction_tui.sources.failure import location_of
from friction_tui.sources.source_lines import context, find_in, of_stack_text
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine

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
_DEFAULT = ", the default of the functional form"
_FUNCTIONAL = {
    "aten::native_dropout": ("dropout", "torch.nn.Dropout", _DEFAULT),
    "aten::dropout": ("dropout", "torch.nn.Dropout", _DEFAULT),
    "aten::_native_batch_norm_legit_functional": ("batch_norm", "torch.nn.BatchNorm2d", ""),
    "aten::rrelu": ("rrelu", "torch.nn.RReLU", ""),
}
"""How the user wrote each: the function, the module of the same effect, whether training=True is its default."""


def training_mode(module: Any, made_at: SourceLine | None, factory: str, source: str) -> list[Finding]:
    """Modules left in training mode, when they behave differently there. One finding, at the factory's line."""
    left = [(name, part) for name, part in module.named_modules() if part.training and _sensitive(part)]
    if not left:
        return []
    classes = sorted({type(part).__name__ for _, part in left})
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
        export.TRAINING_MODE.finding(
            parts=", ".join(classes),
            cause=(
                f"In train() mode: {', '.join(names[:4])}{more}. There dropout drops at random and BatchNorm "
                "normalises with the batch's own statistics; eval() turns both off."
            ),
            source=source,
            locations=(location_of(line) if line else Location(LocationKind.MODEL, names[0]),),
            evidence=context(line) if line else (),
            fixes=(
                "Call `model.eval()` before the export, in the factory: `return model.eval()`.",
                "Keep a part in training mode on purpose only if the deployed model must be random.",
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
        short, module_form, default = _FUNCTIONAL.get(name, (name.rpartition(":")[2], "", ""))
        findings.append(
            export.TRAINING_MODE.finding(
                parts=f"{short}, although the model is in eval()",
                cause=(
                    f"{short} is called with training=True{default}, so it stays active in the exported model: results "
                    "are random or depend on the batch. eval() does not reach it."
                ),
                source=source,
                locations=(location_of(line),) if line else (),
                evidence=context(line) if line else (),
                fixes=(
                    f"Pass the module's mode: `F.{short}(..., training=self.training)`, and call model.eval().",
                    *((f"Or use the module (`{module_form}`), which eval() switches.",) if module_form else ()),
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
        export.TRAINING_PARTS.finding(
            loss=what,
            cause=f"The graph computes {what}, which only training needs; it costs time and its targets become inputs.",
            source=source,
            locations=(location_of(line),) if line else (),
            evidence=context(line) if line else (),
            fixes=(
                "Return predictions before the loss: `if self.training:` around it, and export after model.eval().",
                "Export the backbone alone: make the factory return the part that predicts.",
            ),
        )
        for what, line in found.items()
    ]


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
