"""Two operands whose sizes do not go together: element-wise operations, concatenations, matrix products.

Often one of them is a size of the example input that became a constant at export: a mask, a position table.
"""

from __future__ import annotations

from friction_tui.kinds import dynamic
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.clashes import Clash, Side
from friction_tui.model.shapes.profile import free_dims
from friction_tui.model.shapes.tensors import dims_text
from friction_tui.model.shapes.ties import MOST_KEYS, relation_at
from friction_tui.rules.shapes.dimensions import Dimension
from friction_tui.rules.shapes.explanation import Explanation, View
from friction_tui.rules.shapes.size_origin import TARGETS, Origin
from friction_tui.vocabulary.finding import Fix
from friction_tui.vocabulary.recipe.relations import Relation


def clashing(view: View, clash: Clash, plain: Explanation) -> Explanation | None:
    """Why two sizes that would have to be equal are not; None where the ranges of the profile contradict each other."""
    one, other = (view.varying(side) for side in clash.sides)
    if clash.inner:
        moving, fixed = (clash.one, clash.other) if one else (clash.other, clash.one)
        return _product(view, moving, fixed, one or other) if one or other else plain
    if bool(one) != bool(other):
        side, moving = (clash.other, clash.one) if one else (clash.one, clash.other)
        return _fixed_side(view, side, moving, (one or other)[0], plain)
    if one and other:
        if {dimension.key for dimension in one} != {dimension.key for dimension in other}:
            return independent(view, clash, one, other)
        if any(pattern.kind == "at-most" for _, pattern in view.studied.blamed.values()):
            return _table_too_short(view, clash, plain)
        return plain
    for side in clash.sides:
        origin = view.origin(side)
        if origin.baked:
            text = f"{_decided_by(origin, side)}. {plain.text}"
            return Explanation(plain.kind, text, view.locations(origin), plain.fixes)
    return plain


def independent(view: View, clash: Clash, ones: list[Dimension], others: list[Dimension]) -> Explanation | None:
    """Sizes that must agree and need not; None where a symbol ties them and the ranges break it."""
    one, other = ones[0], others[0]
    shared = ({f"{name}[{axis}]" for name, axis in uses} for uses in free_dims(view.model).values())
    if any({one.key, other.key} <= uses for uses in shared):
        return None
    relation = _relation(view)
    text = (
        f"Axis {clash.one.axis} of {clash.one.tensor} follows {' and '.join(each.phrase for each in ones)} and axis "
        f"{clash.other.axis} of {clash.other.tensor} follows {' and '.join(each.phrase for each in others)}: "
    )
    if relation is not None and (len(relation.terms) > 1 or relation.constant):
        text += f"they fit where {relation}, and the ranges let them differ."
        fixes: tuple[Fix, ...] = (
            Fix(f"Declare that {relation}; only such sizes are then chosen and checked.", relations=(str(relation),)),
            Fix(f"Give {', '.join(relation.keys)} sizes with {relation} at min, opt and max."),
        )
        return Explanation(dynamic.MUST_BE_EQUAL, text, fixes=fixes, by_size=False)
    text += "they must be equal (or one of them 1) to be broadcast or joined, and the ranges let them differ."
    declared = () if relation is None else (Fix(f"Declare that {relation}.", relations=(str(relation),)),)
    fixes = (
        Fix(f"Give {one.key} and {other.key} the same sizes at min, opt and max."),
        *declared,
        Fix(
            f"Export both dimensions with the same symbol, so that {one.key} and {other.key} are equal by declaration."
        ),
    )
    return Explanation(dynamic.MUST_BE_EQUAL, text, fixes=fixes, by_size=False)


def _relation(view: View) -> Relation | None:
    """The equation between sizes with which the node works, None where it is not a sum of them."""
    base, dimensions = view.broken.assignment, view.dimensions
    keys = list(dimensions.all)[:MOST_KEYS]
    moved = {key: dimensions.shapes({**base, key: base[key] + 1}) for key in keys}
    return relation_at(view.node, base, dimensions.shapes(base), moved, keys)


def _product(view: View, moving: Side, fixed: Side, dimensions: list[Dimension]) -> Explanation:
    """A matrix product whose feature count follows the input size."""
    source = _mixing_reshape(view.model, moving.tensor, view.node.graph)
    keys = [dimension for dimension, _ in view.studied.blamed.values()] or dimensions
    flattened = f"{source.proto.op_type} {source.name} turns the spatial size into features, and " if source else ""
    names = " and ".join(dimension.phrase for dimension in keys)
    text = (
        f"{flattened}the weight {fixed.tensor} is made for {fixed.size} features, a constant; {names} changes their "
        f"number, here to {moving.size}."
    )
    fixes = (
        Fix("Keep the input at the size the weight is made for (fix height and width)."),
        Fix("Pool to a fixed size before flattening (adaptive_avg_pool), and re-export."),
    )
    return Explanation(dynamic.MATMUL, text, (location_of(view.model, source),) if source else (), fixes)


def _mixing_reshape(model: OpenedModel, tensor: str, graph: str) -> Node | None:
    """The nearest Reshape or Flatten before a tensor, looking through operators that keep the features apart."""
    for _ in range(16):
        node = model.index.writer_in(graph, tensor)
        if node is None or not node.proto.input:
            return None
        if node.proto.op_type in ("Reshape", "Flatten"):
            return node
        tensor = node.proto.input[0]
    return None


def _fixed_side(view: View, side: Side, moving: Side, dimension: Dimension, plain: Explanation) -> Explanation:
    """A size that is the same for every input meets one that follows a dimension."""
    origin = view.origin(side)
    dims = dims_text(view.point.types[side.tensor].dims)
    text = (
        f"{_decided_by(origin, side)}, baked in at export. So {side.tensor} {dims} cannot be broadcast against or "
        f"joined with {moving.tensor}, whose axis {moving.axis} is dynamic and follows {dimension.phrase} "
        f"({dimension.points})."
    )
    what = side.tensor
    if origin.node is not None and origin.kind in ("target", "slice"):
        what = f"{origin.node.proto.op_type} {origin.node.name}"
    op = view.node.proto.op_type
    fixes = (
        Fix(
            f"Compute the shape of {what} from the input's shape (x.shape) and re-export with {dimension.key} dynamic."
        ),
        Fix(
            f"Make the constant as large as {dimension.key} ever gets and Slice it to the dynamic size before the {op}."
        ),
    )
    return Explanation(dynamic.BAKED_CONSTANT if origin.baked else plain.kind, text, view.locations(origin), fixes)


def _decided_by(origin: Origin, side: Side) -> str:
    """Who made a side the size it is."""
    if origin.kind == "initializer":
        return f"the constant {origin.tensor} has size {side.size} on axis {origin.axis}"
    if origin.node is None:
        return f"the input {origin.tensor} has the fixed size {side.size} on axis {origin.axis}"
    who = f"{origin.node.proto.op_type} {origin.node.name}"
    if origin.kind == "target":
        operand = TARGETS.get(origin.node.proto.op_type, "limits are")
        return f"{who} makes axis {side.axis} {side.size}: its {operand} constant"
    if origin.kind == "slice":
        return f"{who} cuts axis {side.axis} to {side.size}: its bounds are constant"
    return f"{who} makes axis {side.axis} {side.size} at every input size"


def _table_too_short(view: View, clash: Clash, plain: Explanation) -> Explanation:
    """A table (position embedding, causal mask) that is sliced to the input and runs out."""
    dimension, pattern = next((d, p) for d, p in view.studied.blamed.values() if p.kind == "at-most")
    point = view.dimensions.shapes({**(view.studied.base or {}), dimension.key: pattern.size})
    for side in clash.sides:
        origin = view.origin(side, point)
        if origin.baked:
            cut = f"{side.tensor} is cut from the constant {origin.tensor}, which has {pattern.size} entries"
            locations = view.locations(origin)
            break
    else:
        cut, locations = f"the constant table it is compared with has {pattern.size} entries", ()
    text = f"{cut}, and a longer {dimension.key} finds no more. {plain.text}"
    fixes = (
        Fix(f"Keep {dimension.key} at {pattern.size} at most, the length of the table (max positions)."),
        Fix("Export with a longer table."),
    )
    return Explanation(dynamic.TABLE_TOO_SHORT, text, locations, fixes)
