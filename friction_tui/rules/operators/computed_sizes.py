"""Why a node's sizes cannot be worked out before it runs: which input they come from, and who makes that."""

from __future__ import annotations

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.profile import shape_operands
from friction_tui.vocabulary.finding import Fix

_SCALES = {"Resize": (2, 1), "Upsample": (1,)}
"""The input that scales, at opset 11 and at 10."""
_LARGEST = 1 << 20


def from_values(model: OpenedModel, node: Node) -> tuple[str, tuple[Fix, ...]] | None:
    """The cause and the fixes for a node TensorRT finds no shape for; None when its size operands are constants."""
    found = _computed(model, node)
    if found is None:
        return None
    tensor, writer = found
    op, resizes = node.proto.op_type, node.proto.op_type in _SCALES
    made_by = f"what {writer.proto.op_type} {writer.name} computes" if writer is not None else "an input"
    what = "scales (or sizes)" if resizes else "sizes"
    cause = (
        f"{op} {node.name} takes its {what} from {tensor}, {made_by}: values that are known only when the model runs. "
        "TensorRT works shapes out before that, from constants and from the shapes of the inputs."
    )
    fixes = [Fix(f"Make the {what} constant (an initializer), or compute them from x.shape only, and re-export.")]
    if resizes:
        fixes.append(
            Fix("Export at opset 11 or later with sizes taken from the input's shape, instead of scales."),
        )
    return cause, tuple(fixes)


def _computed(model: OpenedModel, node: Node) -> tuple[str, Node | None] | None:
    """The first input that decides the node's sizes and is no constant, with the node that writes it."""
    scales = (node.inputs[at] for at in _SCALES.get(node.proto.op_type, ()) if at < len(node.inputs))
    for name in filter(None, (*shape_operands(node), *scales)):
        if constant_value(model, name, _LARGEST, node.graph) is None:
            return name, model.index.writer_in(node.graph, name)
    return None
