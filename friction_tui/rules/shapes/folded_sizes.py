"""Reshapes that fold a dynamic size into their -1: the first entry is the example's, or the -1 stands for the batch.

Such a target works wherever the elements divide, so neither the sizes that fail nor the node that fails behind it say
what is wrong.
"""

from __future__ import annotations

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.shapes.dials import Dial, Dials
from friction_tui.rules.shapes.shape_view import Explanation, View
from friction_tui.vocabulary.finding import Fix, Location
from friction_tui.vocabulary.recipe import Range

COMPARED = (2, 3)
"""Sizes compared to see whether an axis follows one: both differ from the 1 of most examples."""

_SEARCHED = 60
"""Nodes before a broken one that are searched for a reshape that is to blame."""


def sizes_of(points: list[PointShapes], tensor: str, graph: str = "") -> list[tuple[int, ...]]:
    """A tensor's shape at each point, () where it is not known."""
    found = (point.inside(graph).types.get(tensor) for point in points)
    return [one.sizes or () if one is not None else () for one in found]


def leading_dial(dials: Dials, node: Node, target: list[int]) -> Dial | None:
    """The dial that the first axis of a Reshape's input follows, where its target has a constant there and a -1 behind.

    None for any other target.
    """
    if not target or target[0] <= 0 or -1 not in target[1:]:
        return None
    base = dials.at("opt")
    for dial in dials.all.values():
        points = [dials.shapes({**base, dial.key: size}) for size in COMPARED]
        if [shape[:1] for shape in sizes_of(points, node.inputs[0], node.graph)] == [(size,) for size in COMPARED]:
            return dial
    return None


def replacing(told: str, size: int, dial: Dial, locations: tuple[Location, ...] = ()) -> Explanation:
    """What a constant first entry does; `told` says which reshape has which target."""
    words = (
        f"{told}: entry 0 ({size}) stands where the input has {dial.spoken}, baked in at export, and {dial.key} is "
        f"dynamic ({dial.points}). What {dial.key} brings beyond {size} is folded into the -1: at other sizes the "
        "elements do not divide, or the samples of the batch are mixed."
    )
    fixes = (
        Fix(
            f"Put x.shape[0] in place of {size} in that reshape (or -1 there and fixed sizes behind it, as "
            f"x.flatten(1) does), and re-export with {dial.key} dynamic."
        ),
        Fix(
            f"If only {dial.key} = {size} is ever used, set the range of {dial.key} to {size}.",
            ranges={dial.key: Range(size, size, size)},
        ),
    )
    return Explanation("dynamic/baked-reshape", words, locations, fixes, by_size=False)


def folding_before(view: View) -> Explanation | None:
    """Reshapes before the node that replaced a dynamic size by a constant, and so are to blame for what comes of it."""
    pending, seen = [view.node], {view.node.path}
    found: dict[tuple[int, str], list[Node]] = {}
    told = ""
    while pending and len(seen) < _SEARCHED:
        node = pending.pop(0)
        dial, target = None, _target(view, node)
        if node is not view.node:
            dial = leading_dial(view.dials, node, target)
        if dial is not None:
            told = told or f"Reshape {node.name} before it has the constant target shape {target}"
            found.setdefault((target[0], dial.key), []).append(node)
            continue
        for name in node.inputs:
            writer = view.model.index.writer_in(node.graph, name)
            if writer is not None and writer.path not in seen:
                seen.add(writer.path)
                pending.append(writer)
    if not found:
        return None
    (size, key), nodes = next(iter(found.items()))
    more = f" (as {len(nodes) - 1} more have)" if len(nodes) > 1 else ""
    locations = tuple(location_of(view.model, node) for node in nodes)
    return replacing(f"{told}{more}", size, view.dials.all[key], locations)


def _target(view: View, node: Node) -> list[int]:
    if node.proto.op_type != "Reshape" or len(node.inputs) < 2:
        return []
    values = view.whole.inside(node.graph).values.get(node.inputs[1])
    return [] if values is None else [int(entry) for entry in values.ravel().tolist()]


def mixed_rows(view: View, target: list[int]) -> Explanation | None:
    """A -1 in front that takes in the batch and a dynamic size, where no result has the batch as an axis again."""
    if target[0] != -1 or view.node.graph or not view.studied.blamed:
        return None
    dial, pattern = next(iter(view.studied.blamed.values()))
    batch = next((one for one in view.dials.all.values() if one.is_batch and one.key != dial.key), None)
    if batch is None:
        return None
    size = (pattern.range_within(dial.range) or dial.range).max
    base = {**view.dials.at("opt"), dial.key: size}
    points = [view.dials.shapes({**base, batch.key: count}) for count in COMPARED]
    before, behind = (sizes_of(points, name) for name in (view.node.inputs[0], view.node.outputs[0]))
    if not all(before) or not all(behind) or tuple(shape[0] for shape in before) != COMPARED:
        return None
    if any(rows[0] == count for rows, count in zip(behind, COMPARED, strict=True)):
        return None
    if comes_back(view.model, view.node, points):
        return None
    words = (
        f"The target {target} puts the batch and {dial.spoken} into its -1: the fixed entries are those of one size of "
        f"{dial.key}, baked in at export. At {dial.key} = {size} a batch of {COMPARED[0]} becomes {behind[0][0]} rows, "
        "and no result has the batch as an axis of its own again: where the elements divide, the samples are mixed "
        "without an error; elsewhere it cannot run."
    )
    fixes = (
        Fix(f"Use x.flatten(1) or x.reshape(x.shape[0], -1), so that {dial.key} goes into the features; re-export."),
        Fix(f"If one size of {dial.key} is meant, export with it fixed (not dynamic)."),
    )
    return Explanation("dynamic/folded-batch", words, fixes=fixes, by_size=False)


def comes_back(model: OpenedModel, node: Node, points: list[PointShapes]) -> bool:
    """Whether a result that depends on a node of the main graph has what was `COMPARED` as an axis of its own again."""
    index = model.index
    outputs = {value.name for value in model.proto.graph.output}
    pending, seen = list(node.outputs), set(node.outputs)
    while pending:
        name = pending.pop()
        if name in outputs:
            rows = list(zip(*sizes_of(points, name), strict=False))
            if COMPARED in rows or not rows:
                return True
        for reader in index.consumers.get(name, ()):
            fresh = [written for written in reader.outputs if written and written not in seen]
            seen.update(fresh)
            pending.extend(fresh)
    return False
