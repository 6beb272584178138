"""Reshape targets that do not follow the input: an entry is the example's size, or a -1 takes a dynamic size in.

A target that folds a dynamic size into its -1 works wherever the elements divide, so neither the sizes that fail nor
the node that fails behind it say what is wrong.
"""

from __future__ import annotations

import numpy as np

from friction_tui.kinds import dynamic
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.shapes.dimensions import Dimension, Dimensions
from friction_tui.rules.shapes.explanation import Explanation, View
from friction_tui.rules.shapes.shape_study import Study
from friction_tui.rules.shapes.size_origin import constant_operand
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


def leading_dimension(dimensions: Dimensions, node: Node, target: list[int]) -> Dimension | None:
    """The dimension that the first axis of a Reshape's input follows, where its target has a constant and then a -1.

    None for any other target, and for one that is computed and follows the dimension.
    """
    if not target or target[0] <= 0 or -1 not in target[1:]:
        return None
    base = dimensions.at("opt")
    for dimension in dimensions.all.values():
        points = [dimensions.shapes({**base, dimension.key: size}) for size in COMPARED]
        values = [point.inside(node.graph).values.get(node.inputs[1]) for point in points]
        if any(value is not None and value.reshape(-1)[:1] != target[:1] for value in values):
            continue
        if [shape[:1] for shape in sizes_of(points, node.inputs[0], node.graph)] == [(size,) for size in COMPARED]:
            return dimension
    return None


def replacing(which: str, size: int, dimension: Dimension, locations: tuple[Location, ...] = ()) -> Explanation:
    """What a constant first entry does; `which` says which reshape has which target."""
    text = (
        f"{which}: entry 0 ({size}) stands where the input has {dimension.phrase}, baked in at export, and "
        f"{dimension.key} is dynamic ({dimension.points}). What {dimension.key} brings beyond {size} is folded into "
        "the -1: at other sizes the elements do not divide, or the samples of the batch are mixed."
    )
    fixes = (
        Fix(
            f"Put x.shape[0] in place of {size} in that reshape (or -1 there and fixed sizes behind it, as "
            f"x.flatten(1) does), and re-export with {dimension.key} dynamic."
        ),
        Fix(
            f"If only {dimension.key} = {size} is ever used, set the range of {dimension.key} to {size}.",
            ranges={dimension.key: Range(size, size, size)},
        ),
    )
    return Explanation(dynamic.BAKED_RESHAPE, text, locations, fixes, by_size=False)


def folding_before(view: View) -> Explanation | None:
    """Reshapes before the node that replaced a dynamic size by a constant, and so are to blame for what comes of it."""
    pending, seen = [view.node], {view.node.path}
    found: dict[tuple[int, str], list[Node]] = {}
    which = ""
    while pending and len(seen) < _SEARCHED:
        node = pending.pop(0)
        dimension, target = None, _target(view, node)
        if node is not view.node:
            dimension = leading_dimension(view.dimensions, node, target)
        if dimension is not None:
            which = which or f"Reshape {node.name} before it has the constant target shape {target}"
            found.setdefault((target[0], dimension.key), []).append(node)
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
    return replacing(f"{which}{more}", size, view.dimensions.all[key], locations)


def _target(view: View, node: Node) -> list[int]:
    if node.proto.op_type != "Reshape" or len(node.inputs) < 2:
        return []
    values = view.whole.inside(node.graph).values.get(node.inputs[1])
    return [] if values is None else [int(entry) for entry in values.ravel().tolist()]


def mixed_rows(view: View, target: list[int]) -> Explanation | None:
    """A -1 in front that takes in the batch and a dynamic size, where no result has the batch as an axis again."""
    if target[0] != -1 or view.node.graph or not view.studied.blamed:
        return None
    dimension, pattern = next(iter(view.studied.blamed.values()))
    batch = next((one for one in view.dimensions.all.values() if one.is_batch and one.key != dimension.key), None)
    if batch is None:
        return None
    size = (pattern.range_within(dimension.range) or dimension.range).max
    base = {**view.dimensions.at("opt"), dimension.key: size}
    points = [view.dimensions.shapes({**base, batch.key: count}) for count in COMPARED]
    before, behind = (sizes_of(points, name) for name in (view.node.inputs[0], view.node.outputs[0]))
    if not all(before) or not all(behind) or tuple(shape[0] for shape in before) != COMPARED:
        return None
    if any(rows[0] == count for rows, count in zip(behind, COMPARED, strict=True)):
        return None
    if comes_back(view.model, view.node, points):
        return None
    text = (
        f"The target {target} puts the batch and {dimension.phrase} into its -1: the fixed entries are those of one "
        f"size of {dimension.key}, baked in at export. At {dimension.key} = {size} a batch of {COMPARED[0]} becomes "
        f"{behind[0][0]} rows, and no result has the batch as an axis of its own again: where the elements divide, the "
        "samples are mixed without an error; elsewhere it cannot run."
    )
    fixes = (
        Fix(
            f"Use x.flatten(1) or x.reshape(x.shape[0], -1), so that {dimension.key} goes into the features; re-export."
        ),
        Fix(f"If one size of {dimension.key} is meant, export with it fixed (not dynamic)."),
    )
    return Explanation(dynamic.FOLDED_BATCH, text, fixes=fixes, by_size=False)


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


def baked_reshape(view: View) -> Explanation | None:
    """A Reshape whose target does not follow the input; None when the target is not known."""
    target = constant_operand(view.model, view.node)
    whose = "is a constant" if target is not None else "is computed, but not all of it from this size"
    constant = target is not None
    if target is None:
        target = _computed_target(view)
    if target is None:
        return None
    dimension = leading_dimension(view.dimensions, view.node, target)
    if dimension is not None:
        return replacing(f"The target shape {target} {whose}", target[0], dimension)
    blamed = view.studied.blamed.values()
    if -1 in target and blamed and all(pattern.kind == "multiples" for _, pattern in blamed):
        return mixed_rows(view, target) or _remainder(target)
    entry, dimension = _baked_entry(target, _fixed_entries(view, target), view.studied)
    if dimension is not None:
        return _entry(view, target, whose, entry, dimension, constant)
    fixes = (Fix("Use -1 for the dimension that varies (or x.flatten), and re-export with it dynamic."),)
    if view.studied.dimensions:
        text = f"The target shape {target} {whose}: a fixed size is baked in where the input is dynamic."
        return Explanation(dynamic.BAKED_RESHAPE, text, fixes=fixes)
    text = f"The target shape {target} {whose}, and it does not have as many elements as the input."
    return Explanation(dynamic.RESHAPE_VOLUME, text, fixes=fixes)


def _computed_target(view: View) -> list[int] | None:
    inputs = view.node.proto.input
    values = view.point.values.get(inputs[1]) if len(inputs) > 1 else None
    return None if values is None else [int(entry) for entry in np.asarray(values).ravel().tolist()]


def _remainder(target: list[int]) -> Explanation:
    fixed = [entry for entry in target if entry > 0]
    text = (
        f"The target {target} leaves one dimension to compute (-1): the elements must divide by its fixed entries "
        f"{fixed}."
    )
    fixes = (Fix("Pad the input to a multiple before this reshape, or keep to sizes that divide."),)
    return Explanation(dynamic.RESHAPE_REMAINDER, text, fixes=fixes)


def _entry(view: View, target: list[int], whose: str, entry: int, dimension: Dimension, constant: bool) -> Explanation:
    """The entry that is the size a dimension had at export."""
    size = view.studied.blamed[dimension.key][1].size
    exact = target[entry] == size
    holds = "is" if exact else f"contains {size},"
    text = (
        f"The target shape {target} {whose}: entry {entry} ({target[entry]}) {holds} {dimension.phrase} at export, "
        f"baked in, and {dimension.key} is dynamic ({dimension.points})."
    )
    line = "x.flatten(1)" if entry == 0 and constant else "x.reshape(x.shape[0], -1, ...)"
    fixes = [
        Fix(f"Use -1 or x.shape for entry {entry} in the code ({line}), and re-export with {dimension.key} dynamic.")
    ]
    behind: list[Node] = []
    if constant and exact and entry == 0 and -1 not in target and not view.node.graph:
        behind = _same_behind(view.model, view.node, entry, size)
        nodes = (view.node.path, *(node.path for node in behind))
        fixes.append(Fix(f"Rewrite entry {entry} of the target to -1.", "reshape-minus-one", nodes))
    if behind:
        named = ", ".join(node.name for node in behind[:3])
        text += (
            f" Behind it {len(behind)} more reshapes hold the same constant entry: {named}{' …' * (len(behind) > 3)}."
        )
    locations = tuple(location_of(view.model, node) for node in behind)
    return Explanation(dynamic.BAKED_RESHAPE, text, locations, tuple(fixes))


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


def _fixed_entries(view: View, target: list[int]) -> list[int]:
    """The positions of a target that hold the same at the smallest and at the largest sizes."""
    points = [view.dimensions.shapes(view.dimensions.at(point)).inside(view.node.graph) for point in ("min", "max")]
    values = [point.values.get(view.node.inputs[1]) for point in points]
    found = [np.asarray(value).ravel().tolist() for value in values if value is not None]
    return [at for at, entry in enumerate(target) if all(entries[at : at + 1] == [entry] for entries in found)]


def _baked_entry(target: list[int], fixed: list[int], studied: Study) -> tuple[int, Dimension | None]:
    """The entry of a target that holds the only size that works, and the dimension it belongs to.

    `fixed` are the entries that follow no size.
    """
    for dimension, pattern in studied.blamed.values():
        if pattern.kind != "only":
            continue
        axes = {axis for _, axis in dimension.uses}
        exact = [position for position in fixed if target[position] == pattern.size]
        if exact:
            return next((position for position in exact if position in axes), exact[0]), dimension
        multiples = [p for p in fixed if target[p] > 0 and target[p] % pattern.size == 0]
        if multiples and pattern.size > 1:
            return multiples[0], dimension
    return 0, None
