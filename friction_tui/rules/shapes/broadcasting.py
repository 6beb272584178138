"""Two operands whose sizes do not go together: element-wise operations, concatenations, matrix products."""

from __future__ import annotations

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.profile import free_dims
from friction_tui.rules.shapes.baked_constants import decided_by, fixed_side, table_too_short
from friction_tui.rules.shapes.clashes import Clash, Side
from friction_tui.rules.shapes.dials import Dial
from friction_tui.rules.shapes.shape_view import Explanation, View
from friction_tui.vocabulary.finding import Fix


def clashing(view: View, clash: Clash, plain: Explanation) -> Explanation:
    """Why two sizes that would have to be equal are not."""
    one, other = (view.varying(side) for side in clash.sides)
    if clash.inner:
        moving, fixed = (clash.one, clash.other) if one else (clash.other, clash.one)
        return _product(view, moving, fixed, one or other) if one or other else plain
    if bool(one) != bool(other):
        side, moving = (clash.other, clash.one) if one else (clash.one, clash.other)
        return fixed_side(view, side, moving, (one or other)[0], plain)
    if one and other:
        if {dial.key for dial in one} != {dial.key for dial in other}:
            return _independent(view, clash, one[0], other[0])
        if any(pattern.kind == "at-most" for _, pattern in view.studied.blamed.values()):
            return table_too_short(view, clash, plain)
        return plain
    for side in clash.sides:
        origin = view.origin(side)
        if origin.baked:
            words = f"{decided_by(origin, side)}. {plain.words}"
            return Explanation(plain.kind, words, view.locations(origin), plain.fixes)
    return plain


def _independent(view: View, clash: Clash, one: Dial, other: Dial) -> Explanation:
    """Two sizes that must be equal and may differ: nothing ties them, or a symbol does and the ranges break it."""
    shared = ({f"{name}[{axis}]" for name, axis in uses} for uses in free_dims(view.model).values())
    if any({one.key, other.key} <= uses for uses in shared):
        return Explanation("profile/same-symbol")
    words = (
        f"Axis {clash.one.axis} of {clash.one.tensor} follows {one.spoken} and axis {clash.other.axis} of "
        f"{clash.other.tensor} follows {other.spoken}: they must be equal (or one of them 1) to be broadcast or "
        "joined, and the ranges let them differ."
    )
    fixes = (
        Fix(f"Give {one.key} and {other.key} the same sizes at min, opt and max."),
        Fix(
            f"Export both dimensions with the same symbol, so that {one.key} and {other.key} are equal by declaration."
        ),
    )
    return Explanation("dynamic/must-be-equal", words, fixes=fixes, by_size=False)


def _product(view: View, moving: Side, fixed: Side, dials: list[Dial]) -> Explanation:
    """A matrix product whose feature count follows the input size."""
    source = _mixing_reshape(view.model, moving.tensor, view.node.graph)
    keys = [dial for dial, _ in view.studied.blamed.values()] or dials
    flattened = f"{source.proto.op_type} {source.name} turns the spatial size into features, and " if source else ""
    names = " and ".join(dial.spoken for dial in keys)
    words = (
        f"{flattened}the weight {fixed.tensor} is made for {fixed.size} features, a constant; {names} changes their "
        f"number, here to {moving.size}."
    )
    fixes = (
        Fix("Keep the input at the size the weight is made for (fix height and width)."),
        Fix("Pool to a fixed size before flattening (adaptive_avg_pool), and re-export."),
    )
    return Explanation("dynamic/matmul", words, (location_of(view.model, source),) if source else (), fixes)


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
