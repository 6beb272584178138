"""Why a node breaks: which rule it breaks, and what in this model makes it do so."""

from __future__ import annotations

import numpy as np

from friction_tui.kinds import control, dynamic
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.clashes import Clash, clash_at, recurrent_clash
from friction_tui.model.shapes.profile import shape_operands
from friction_tui.rules.shapes.clash_causes import clashing, independent
from friction_tui.rules.shapes.explanation import Explanation, View
from friction_tui.rules.shapes.operator_rules import rule_of
from friction_tui.rules.shapes.reshape_causes import baked_reshape, folding_before
from friction_tui.rules.shapes.size_origin import constant_operand
from friction_tui.vocabulary.finding import Fix, Location, LocationKind
from friction_tui.vocabulary.recipe import Range

_STEPS = 4
"""Fewer constant indices than that are a choice, not an unrolled loop."""


def explain(view: View) -> Explanation | None:
    """The reason why the node cannot work; what is true of its operator in general where nothing more is known.

    None where the profile contradicts itself: that is a finding of its own.
    """
    explained = _reason(view)
    return _in_branch(view, explained) if explained is not None and view.node.graph else explained


def _in_branch(view: View, explained: Explanation) -> Explanation:
    """The same, with what it means that the node stands in a branch of an If."""
    owner = _branch_of(view)
    if owner is None:
        return explained
    text = (
        f"{explained.text} It stands in the {view.node.graph.rpartition('.')[2]} of If {owner.name}: TensorRT works "
        "out the shapes of both branches, whichever the condition takes, so the other one does not help."
    )
    fixes = [*explained.fixes, Fix("Fix what the condition tests, so that the If folds away; or remove the If.")]
    kind = explained.kind if view.studied.dimensions else control.BRANCH_CANNOT_WORK
    locations = (*explained.locations, location_of(view.model, owner))
    return Explanation(kind, text.strip(), locations, tuple(fixes), explained.by_size)


def _branch_of(view: View) -> Node | None:
    """The If in a branch of which the node stands, None when it is elsewhere."""
    owner = view.model.index.by_path.get(view.model.index.owner_of(view.node.graph))
    return owner if owner is not None and owner.proto.op_type == "If" else None


def _reason(view: View) -> Explanation | None:
    node = view.node
    rule = rule_of(node.proto.op_type, view.broken.message, depends_on_size=bool(view.studied.dimensions))
    plain = Explanation(rule.kind, rule.text, fixes=tuple(Fix(text) for text in rule.fixes))
    if _takes_shape_values(view):
        return _shape_values(view, plain)
    blamed = view.studied.blamed.values()
    multiples = bool(blamed) and all(pattern.kind == "multiples" for _, pattern in blamed)
    if node.proto.op_type == "Reshape":
        cut_in_blocks = multiples and constant_operand(view.model, node) is None
        return _stride(view) if cut_in_blocks else baked_reshape(view) or plain
    if node.proto.op_type == "Squeeze" and view.studied.dimensions and _branch_of(view) is None:
        return _squeeze(view)
    if node.proto.op_type == "Gather":
        return unrolled(view) or plain
    folded = folding_before(view) if view.studied.dimensions else None
    if folded is not None:
        return folded
    if multiples:
        return _stride(view)
    clash = clash_at(node, view.point)
    if clash is not None and node.proto.op_type == "Gemm" and clash.other.tensor in node.proto.input[2:]:
        return _bias(view, clash)
    if clash is None:
        return _starting_states(view, plain)
    return clashing(view, clash, plain)


def _starting_states(view: View, plain: Explanation) -> Explanation | None:
    """A recurrent layer whose states or lengths are for another batch than its input, by a size of their own."""
    clash = recurrent_clash(view.node, view.point)
    ones, others = (view.varying(side) for side in clash.sides) if clash is not None else ([], [])
    if clash is None or not ones or not others or ones == others:
        return plain
    return independent(view, clash, ones, others)


def _bias(view: View, clash: Clash) -> Explanation:
    """A Gemm whose product fits and whose C does not."""
    text = (
        f"The bias {clash.other.tensor} has {clash.other.size} entries on its axis {clash.other.axis} where the "
        f"product has {clash.one.size}: it must have as many as the product, or 1 (broadcast)."
    )
    fixes = (
        Fix("Check the shape of the bias: it belongs to the weight it was stored with, one value an output feature."),
        Fix("Re-export the model from an intact checkpoint."),
    )
    stored = view.model.index.initializer_in(view.node.graph, clash.other.tensor) is not None
    locations = (Location(LocationKind.INITIALIZER, clash.other.tensor),) if stored else ()
    return Explanation(dynamic.BROADCAST, text, locations, fixes)


def _takes_shape_values(view: View) -> bool:
    """Whether the node's sizes come from the values of a shape-tensor input."""
    operands = [name for name in shape_operands(view.node) if name]
    graph = view.node.graph
    return bool(view.dimensions.shape_values) and any(
        constant_value(view.model, n, graph=graph) is None for n in operands
    )


def _shape_values(view: View, plain: Explanation) -> Explanation:
    inputs = ", ".join(view.dimensions.shape_values)
    text = (
        f"{view.node.proto.op_type}'s sizes come from the values the profile gives for the shape tensor {inputs}, and "
        f"these do not fit the other inputs there. {plain.text}"
    )
    fixes = (Fix(f"Correct the values of {inputs} at that point, or the range of the other inputs."),)
    return Explanation(dynamic.SHAPE_VALUES, text, fixes=fixes)


def _stride(view: View) -> Explanation:
    """Sizes that are halved and doubled again, or cut into blocks."""
    pattern = next(pattern for _, pattern in view.studied.blamed.values())
    size = pattern.size
    text = (
        f"A size that is halved (or cut into blocks) and doubled again comes back only if it divides by {size}, the "
        "total stride; other sizes, such as odd ones, lose their remainder on the way and no longer match"
        + (", but for a few that the padded strides round up." if pattern.rounded else ".")
    )
    fixes = [Fix(f"Pad, crop or resize the input to a multiple of {size}.")]
    if len(view.node.proto.input) > 1 and view.node.proto.op_type != "Reshape":
        fixes.append(Fix("Resize one branch (the skip connection) to the size of the other before they meet."))
    return Explanation(dynamic.STRIDE_MULTIPLE, text, fixes=tuple(fixes))


def _squeeze(view: View) -> Explanation:
    dimension = view.studied.dimensions[0]
    text = (
        f"Squeeze removes the axis that follows {dimension.phrase}: dynamic ({dimension.points}), not always 1. It was "
        "1 in the example at export."
    )
    what = "batch 1" if dimension.is_batch else f"{dimension.key} = 1"
    fixes = (
        Fix(
            "Remove the squeeze, or keep the dimension and squeeze after the model.", "drop-squeeze", (view.node.path,)
        ),
        Fix(f"If only {what} is ever used, fix {dimension.key} at 1."),
    )
    return Explanation(dynamic.SQUEEZE, text, fixes=fixes)


def unrolled(view: View) -> Explanation | None:
    """Why one of the Gathers with the indices 0, 1, 2... fails; None where the node does not belong to such a row."""
    dimensions = view.studied.dimensions
    row = _row(view, view.node)
    if not dimensions or len(row) < _STEPS:
        return None
    key, steps = dimensions[0].key, len(row)
    text = (
        f"Gather takes the constant indices 0 to {steps - 1} of one axis of {view.node.inputs[0]}: a Python loop over "
        f"{key} that was unrolled at export for the example's {steps} steps, baked in. A smaller {key} is read out of "
        f"range; of a larger one everything after the first {steps} steps is ignored without an error."
    )
    fixes = (
        Fix(
            f"Work on the whole axis at once in the code (no `for t in range(x.shape[...])`), or use a scripted loop "
            f"or torch.scan, and re-export with {key} dynamic."
        ),
        Fix(
            f"If {key} is always {steps}, export with it fixed, or set the range of {key} to {steps}.",
            ranges={key: Range(steps, steps, steps)},
        ),
    )
    locations = tuple(location_of(view.model, node) for node in row)
    return Explanation(dynamic.UNROLLED_LOOP, text, locations, fixes, by_size=False)


def _row(view: View, node: Node) -> list[Node]:
    """The Gathers of one tensor and axis by the constants 0, 1, 2..., in order; [] where `node` is none of them."""
    by_index: dict[int, Node] = {}
    for other in view.model.index.nodes_in[node.graph]:
        if other.proto.op_type == "Gather" and other.inputs[:1] == node.inputs[:1] and _axis(other) == _axis(node):
            value = constant_value(view.model, other.inputs[1], 1, other.graph) if len(other.inputs) > 1 else None
            if value is not None:
                by_index.setdefault(int(np.ravel(value)[0]), other)
    row = [by_index[number] for number in range(len(by_index)) if number in by_index]
    return row if len(row) == len(by_index) and any(one.path == node.path for one in row) else []


def _axis(node: Node) -> int:
    return next((int(attribute.i) for attribute in node.proto.attribute if attribute.name == "axis"), 0)
