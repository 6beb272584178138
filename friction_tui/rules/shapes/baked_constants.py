"""Sizes of the example input that became constants at export: reshape targets, masks, position tables."""

from __future__ import annotations

import numpy as np

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.tensors import dims_text
from friction_tui.rules.shapes.clashes import Clash, Side
from friction_tui.rules.shapes.dials import Dial
from friction_tui.rules.shapes.folded_sizes import leading_dial, mixed_rows, replacing
from friction_tui.rules.shapes.shape_study import Study
from friction_tui.rules.shapes.shape_view import Explanation, View
from friction_tui.rules.shapes.size_origin import TARGETS, Origin, constant_operand
from friction_tui.vocabulary.finding import Fix


def baked_reshape(view: View) -> Explanation | None:
    """A Reshape whose target does not follow the input; None when the target is not known."""
    target = constant_operand(view.model, view.node)
    whose = "is a constant" if target is not None else "is computed, but not all of it from this size"
    constant = target is not None
    if target is None:
        target = _computed_target(view)
    if target is None:
        return None
    dial = leading_dial(view.dials, view.node, target)
    if dial is not None:
        return replacing(f"The target shape {target} {whose}", target[0], dial)
    blamed = view.studied.blamed.values()
    if -1 in target and blamed and all(pattern.kind == "multiples" for _, pattern in blamed):
        return mixed_rows(view, target) or _remainder(target)
    entry, dial = _baked_entry(target, view.studied)
    if dial is not None:
        return _entry(view, target, whose, entry, dial, constant)
    fixes = (Fix("Use -1 for the dimension that varies (or x.flatten), and re-export with it dynamic."),)
    if view.studied.dials:
        words = f"The target shape {target} {whose}: a fixed size is baked in where the input is dynamic."
        return Explanation("dynamic/baked-reshape", words, fixes=fixes)
    words = f"The target shape {target} {whose}, and it does not have as many elements as the input."
    return Explanation("dynamic/reshape-volume", words, fixes=fixes)


def _computed_target(view: View) -> list[int] | None:
    inputs = view.node.proto.input
    values = view.point.values.get(inputs[1]) if len(inputs) > 1 else None
    return None if values is None else [int(entry) for entry in np.asarray(values).ravel().tolist()]


def _remainder(target: list[int]) -> Explanation:
    fixed = [entry for entry in target if entry > 0]
    words = (
        f"The target {target} leaves one dimension to compute (-1): the elements must divide by its fixed entries "
        f"{fixed}."
    )
    fixes = (Fix("Pad the input to a multiple before this reshape, or keep to sizes that divide."),)
    return Explanation("dynamic/reshape-remainder", words, fixes=fixes)


def _entry(view: View, target: list[int], whose: str, entry: int, dial: Dial, constant: bool) -> Explanation:
    """The entry that is the size a dial had at export."""
    size = view.studied.blamed[dial.key][1].size
    exact = target[entry] == size
    holds = "is" if exact else f"contains {size},"
    words = (
        f"The target shape {target} {whose}: entry {entry} ({target[entry]}) {holds} {dial.spoken} at export, "
        f"baked in, and {dial.key} is dynamic ({dial.points})."
    )
    line = "x.flatten(1)" if entry == 0 else "x.reshape(x.shape[0], -1, ...)"
    fixes = [Fix(f"Use -1 or x.shape for entry {entry} in the code ({line}), and re-export with {dial.key} dynamic.")]
    behind: list[Node] = []
    if constant and exact and entry == 0 and -1 not in target and not view.node.graph:
        behind = _same_behind(view.model, view.node, entry, size)
        nodes = (view.node.path, *(node.path for node in behind))
        fixes.append(Fix(f"Rewrite entry {entry} of the target to -1.", "reshape-minus-one", nodes))
    if behind:
        named = ", ".join(node.name for node in behind[:3])
        words += (
            f" Behind it {len(behind)} more reshapes hold the same constant entry: {named}{' …' * (len(behind) > 3)}."
        )
    locations = tuple(location_of(view.model, node) for node in behind)
    return Explanation("dynamic/baked-reshape", words, locations, tuple(fixes))


def _same_behind(model: OpenedModel, node: Node, entry: int, size: int) -> list[Node]:
    """Reshapes after `node` whose constant target has the same entry and none to compute: they break once it works."""
    found: dict[str, Node] = {}
    seen = {node.path}
    pending = [node] if not node.graph else []
    while pending:
        for name in pending.pop().proto.output:
            for reader in model.index.consumers.get(name, ()):
                if reader.path in seen:
                    continue
                seen.add(reader.path)
                pending.append(reader)
                target = constant_operand(model, reader) if reader.proto.op_type == "Reshape" else None
                if target and min(target) > 0 and len(target) > entry and target[entry] == size:
                    found[reader.path] = reader
    return sorted(found.values(), key=lambda reader: reader.index)


def _baked_entry(target: list[int], studied: Study) -> tuple[int, Dial | None]:
    """The entry of a target that holds the only size that works, and the dial it belongs to."""
    for dial, pattern in studied.blamed.values():
        if pattern.kind != "only":
            continue
        axes = {axis for _, axis in dial.uses}
        exact = [position for position, entry in enumerate(target) if entry == pattern.size]
        if exact:
            return next((position for position in exact if position in axes), exact[0]), dial
        multiples = [p for p, entry in enumerate(target) if entry > 0 and entry % pattern.size == 0]
        if multiples and pattern.size > 1:
            return multiples[0], dial
    return 0, None


def fixed_side(view: View, side: Side, moving: Side, dial: Dial, plain: Explanation) -> Explanation:
    """A size that is the same for every input meets one that follows a dial."""
    origin = view.origin(side)
    dims = dims_text(view.point.types[side.tensor].dims)
    words = (
        f"{decided_by(origin, side)}, baked in at export. So {side.tensor} {dims} cannot be broadcast against or "
        f"joined with {moving.tensor}, whose axis {moving.axis} is dynamic and follows {dial.spoken} "
        f"({dial.points})."
    )
    what = side.tensor
    if origin.node is not None and origin.kind in ("target", "slice"):
        what = f"{origin.node.proto.op_type} {origin.node.name}"
    op = view.node.proto.op_type
    fixes = (
        Fix(f"Compute the shape of {what} from the input's shape (x.shape) and re-export with {dial.key} dynamic."),
        Fix(f"Make the constant as large as {dial.key} ever gets and Slice it to the dynamic size before the {op}."),
    )
    return Explanation("dynamic/baked-constant" if origin.baked else plain.kind, words, view.locations(origin), fixes)


def decided_by(origin: Origin, side: Side) -> str:
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


def table_too_short(view: View, clash: Clash, plain: Explanation) -> Explanation:
    """A table (position embedding, causal mask) that is sliced to the input and runs out."""
    dial, pattern = next((d, p) for d, p in view.studied.blamed.values() if p.kind == "at-most")
    point = view.dials.shapes({**(view.studied.base or {}), dial.key: pattern.size})
    for side in clash.sides:
        origin = view.origin(side, point)
        if origin.baked:
            cut = f"{side.tensor} is cut from the constant {origin.tensor}, which has {pattern.size} entries"
            locations = view.locations(origin)
            break
    else:
        cut, locations = f"the constant table it is compared with has {pattern.size} entries", ()
    words = f"{cut}, and a longer {dial.key} finds no more. {plain.words}"
    fixes = (
        Fix(f"Keep {dial.key} at {pattern.size} at most, the length of the table (max positions)."),
        Fix("Export with a longer table."),
    )
    return Explanation("dynamic/table-too-short", words, locations, fixes)
