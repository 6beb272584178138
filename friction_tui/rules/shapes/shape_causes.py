"""Why a node breaks, in words: which rule it breaks, and what in this model makes it do so."""

from __future__ import annotations

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.profile import shape_operands
from friction_tui.rules.shapes.baked_constants import baked_reshape
from friction_tui.rules.shapes.broadcasting import clashing
from friction_tui.rules.shapes.clashes import Clash, clash_at
from friction_tui.rules.shapes.folded_sizes import folding_before
from friction_tui.rules.shapes.shape_families import family_of
from friction_tui.rules.shapes.shape_view import Explanation, View
from friction_tui.rules.shapes.size_origin import constant_operand
from friction_tui.rules.shapes.unrolled_loops import unrolled
from friction_tui.vocabulary.finding import Fix, Location, LocationKind


def explain(view: View) -> Explanation:
    """The reason why the node cannot work; what is true of its operator in general where nothing more is known."""
    explained = _reason(view)
    return _in_branch(view, explained) if view.node.graph else explained


def _in_branch(view: View, explained: Explanation) -> Explanation:
    """The same, with what it means that the node stands in a branch of an If."""
    owner = _branch_of(view)
    if owner is None:
        return explained
    words = (
        f"{explained.words} It stands in the {view.node.graph.rpartition('.')[2]} of If {owner.name}: TensorRT works "
        "out the shapes of both branches, whichever the condition takes, so the other one does not help."
    )
    fixes = [*explained.fixes, Fix("Fix what the condition tests, so that the If folds away; or remove the If.")]
    kind = explained.kind if view.studied.dials else "control/branch-cannot-work"
    locations = (*explained.locations, location_of(view.model, owner))
    return Explanation(kind, words.strip(), locations, tuple(fixes), explained.by_size)


def _branch_of(view: View) -> Node | None:
    """The If in a branch of which the node stands, None when it is elsewhere."""
    owner = view.model.index.by_path.get(view.model.index.owner_of(view.node.graph))
    return owner if owner is not None and owner.proto.op_type == "If" else None


def _reason(view: View) -> Explanation:
    node = view.node
    family = family_of(node.proto.op_type, depends_on_size=bool(view.studied.dials))
    plain = Explanation(family.kind, family.words, fixes=tuple(Fix(text) for text in family.fixes))
    if _takes_shape_values(view):
        return _shape_values(view, plain)
    blamed = view.studied.blamed.values()
    multiples = bool(blamed) and all(pattern.kind == "multiples" for _, pattern in blamed)
    if node.proto.op_type == "Reshape":
        cut_in_blocks = multiples and constant_operand(view.model, node) is None
        return _stride(view) if cut_in_blocks else baked_reshape(view) or plain
    if node.proto.op_type == "Squeeze" and view.studied.dials and _branch_of(view) is None:
        return _squeeze(view)
    if node.proto.op_type == "Gather":
        return unrolled(view) or plain
    folded = folding_before(view) if view.studied.dials else None
    if folded is not None:
        return folded
    if multiples:
        return _stride(view)
    clash = clash_at(node, view.point)
    if clash is not None and node.proto.op_type == "Gemm" and clash.other.tensor in node.proto.input[2:]:
        return _bias(view, clash)
    return plain if clash is None else clashing(view, clash, plain)


def _bias(view: View, clash: Clash) -> Explanation:
    """A Gemm whose product fits and whose C does not."""
    words = (
        f"The bias {clash.other.tensor} has {clash.other.size} entries on its axis {clash.other.axis} where the "
        f"product has {clash.one.size}: it must have as many as the product, or 1 (broadcast)."
    )
    fixes = (
        Fix("Check the shape of the bias: it belongs to the weight it was stored with, one value an output feature."),
        Fix("Re-export the model from an intact checkpoint."),
    )
    stored = view.model.index.initializer_in(view.node.graph, clash.other.tensor) is not None
    locations = (Location(LocationKind.INITIALIZER, clash.other.tensor),) if stored else ()
    return Explanation("dynamic/broadcast", words, locations, fixes)


def _takes_shape_values(view: View) -> bool:
    """Whether the node's sizes come from the values of a shape-tensor input."""
    operands = [name for name in shape_operands(view.node) if name]
    graph = view.node.graph
    return bool(view.dials.shape_values) and any(constant_value(view.model, n, graph=graph) is None for n in operands)


def _shape_values(view: View, plain: Explanation) -> Explanation:
    inputs = ", ".join(view.dials.shape_values)
    words = (
        f"{view.node.proto.op_type}'s sizes come from the values the profile gives for the shape tensor {inputs}, and "
        f"these do not fit the other inputs there. {plain.words}"
    )
    fixes = (Fix(f"Correct the values of {inputs} at that point, or the range of the other inputs."),)
    return Explanation("dynamic/shape-values", words, fixes=fixes)


def _stride(view: View) -> Explanation:
    """Sizes that are halved and doubled again, or cut into blocks."""
    pattern = next(pattern for _, pattern in view.studied.blamed.values())
    size = pattern.size
    words = (
        f"A size that is halved (or cut into blocks) and doubled again comes back only if it divides by {size}, the "
        "total stride; other sizes, such as odd ones, lose their remainder on the way and no longer match"
        + (", but for a few that the padded strides round up." if pattern.rounded else ".")
    )
    fixes = [Fix(f"Pad, crop or resize the input to a multiple of {size}.")]
    if len(view.node.proto.input) > 1 and view.node.proto.op_type != "Reshape":
        fixes.append(Fix("Resize one branch (the skip connection) to the size of the other before they meet."))
    return Explanation("dynamic/stride-multiple", words, fixes=tuple(fixes))


def _squeeze(view: View) -> Explanation:
    dial = view.studied.dials[0]
    words = (
        f"Squeeze removes the axis that follows {dial.spoken}: dynamic ({dial.points}), not always 1. It was 1 in the "
        "example at export."
    )
    what = "batch 1" if dial.is_batch else f"{dial.key} = 1"
    fixes = (
        Fix(
            "Remove the squeeze, or keep the dimension and squeeze after the model.", "drop-squeeze", (view.node.path,)
        ),
        Fix(f"If only {what} is ever used, fix {dial.key} at 1."),
    )
    return Explanation("dynamic/squeeze", words, fixes=fixes)
