"""An output that the model declares to follow a size of its inputs, and that stays as it is at every size."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from friction_tui.kinds import dynamic
from friction_tui.model.graph import Node
from friction_tui.model.names import declared_dim
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.dimensions import Dimension, Dimensions
from friction_tui.rules.shapes.reshape_causes import sizes_of
from friction_tui.vocabulary.finding import Finding, Location, LocationKind
from friction_tui.vocabulary.recipe import Profile


def check(context: CheckContext) -> Iterator[Finding]:
    """Warnings for outputs that have one size wherever the dimension they are declared with has another."""
    model, profile = context.model, context.recipe.profile or Profile()
    if model.file.kind != "onnx":
        return
    dimensions = Dimensions(model, profile)
    free = {key: one for key, one in dimensions.all.items() if one.range.min < one.range.max}
    declared = [
        (output.name, axis, free[symbol])
        for output in model.proto.graph.output
        for axis, dim in enumerate(output.type.tensor_type.shape.dim)
        if (symbol := declared_dim(dim).symbol) in free
    ]
    ends: dict[str, list[PointShapes]] = {}
    for name, axis, dimension in declared:
        if dimension.key not in ends:
            ends[dimension.key] = [
                dimensions.shapes({**dimensions.at("opt"), dimension.key: size}) for size in _largest(dimension)
            ]
        shapes = sizes_of(ends[dimension.key], name)
        stays = all(axis < len(shape) for shape in shapes) and len({shape[axis] for shape in shapes}) == 1
        if stays and shapes[0][axis] < dimension.range.max:
            node = _last_to_follow(context, name, ends[dimension.key])
            yield _finding(context, name, axis, dimension, shapes[0][axis], node)


def _largest(dimension: Dimension) -> tuple[int, int]:
    """The two largest sizes of a range: a slice to the example's size gives less below that size."""
    return max(dimension.range.max - dimension.range.step, dimension.range.min), dimension.range.max


def _last_to_follow(context: CheckContext, output: str, ends: Sequence[PointShapes]) -> Node | None:
    """The node nearest to an output that reads what has another size at each end, while what it writes has not."""
    waiting, seen = [output], {output}
    while waiting:
        tensor = waiting.pop(0)
        node = context.model.index.producer.get(tensor)
        if node is None or _changes(tensor, ends):
            continue
        if any(_changes(read, ends) for read in node.inputs if read):
            return node
        fresh = [read for read in node.inputs if read and read not in seen]
        seen.update(fresh)
        waiting += fresh
    return None


def _changes(tensor: str, ends: Sequence[PointShapes]) -> bool:
    return len(set(sizes_of(list(ends), tensor))) > 1


def _finding(
    context: CheckContext, output: str, axis: int, dimension: Dimension, size: int, node: Node | None
) -> Finding:
    key, (low, high) = dimension.key, _largest(dimension)
    cause = (
        f"The model declares {key} for axis {axis} of its output {output}. With {key} = {low} and with {key} = {high} "
        f"that axis has the size {size}"
    )
    if node is not None:
        cause += f": {node.proto.op_type} {node.name} reads what follows {key} and gives the same size each time"
    return dynamic.OUTPUT_STAYS.finding(
        output=output,
        axis=axis,
        size=size,
        key=key,
        cause=f"{cause}. Every runtime computes that; what is fed beyond it is dropped or mixed, without an error.",
        locations=(
            *((location_of(context.model, node),) if node is not None else ()),
            Location(LocationKind.OUTPUT, output),
        ),
        fixes=(
            f"Look in what makes {output} for a size of the example (a slice, an index, a reshape), take it from the "
            "input's shape, and export again.",
            f"If the output has this size on purpose, do not declare {key} for it (dynamic_axes, dynamic_shapes).",
        ),
    )


CHECK = Check("output sizes", "outputs that do not follow their declared size", check, (dynamic.OUTPUT_STAYS,))
