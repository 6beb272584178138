"""A reshape that folds the batch into another axis: every runtime runs it, and the samples of a batch are mixed."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.kinds import dynamic
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.dimensions import Dimension, Dimensions
from friction_tui.rules.shapes.reshape_causes import COMPARED, comes_back, leading_dimension, sizes_of
from friction_tui.rules.shapes.size_origin import constant_operand
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.recipe import Profile


def check(context: CheckContext) -> Iterator[Finding]:
    """Warnings for a constant leading entry whose -1 takes the batch in, unless a later reshape takes it out again."""
    model, profile = context.model, context.recipe.profile or Profile()
    if model.file.kind != "onnx":
        return
    suspects = [(node, target) for node in model.index.main if (target := _suspect(context, node))]
    if not suspects:
        return
    dimensions = Dimensions(model, profile)
    for node, target in suspects:
        dimension = leading_dimension(dimensions, node, target)
        if dimension is None or dimension.range.max < COMPARED[0]:
            continue
        points = [dimensions.shapes({**dimensions.at("opt"), dimension.key: size}) for size in COMPARED]
        if all(sizes_of(points, node.outputs[0])) and not comes_back(model, node, points):
            yield _finding(context, node, dimension, points[0])


def _suspect(context: CheckContext, node: Node) -> list[int]:
    """The target of a reshape that starts with a constant and has a -1 behind it."""
    if node.proto.op_type != "Reshape":
        return []
    target = constant_operand(context.model, node) or _computed(context, node)
    return target if target and target[0] > 0 and -1 in target[1:] else []


def _computed(context: CheckContext, node: Node) -> list[int]:
    """A target put together in the graph, where it is the same at every size."""
    name = node.proto.input[1] if len(node.proto.input) > 1 else ""
    values = [context.table.at(point).values.get(name) for point in ("min", "opt", "max")]
    listed = [[int(entry) for entry in value.ravel().tolist()] for value in values if value is not None]
    return listed[0] if len(listed) == len(values) and all(each == listed[0] for each in listed) else []


def _finding(context: CheckContext, node: Node, dimension: Dimension, point: PointShapes) -> Finding:
    before, behind = (list(sizes_of([point], name)[0]) for name in (node.inputs[0], node.outputs[0]))
    return dynamic.FOLDED_BATCH.finding(
        op="Reshape",
        node=node.name,
        breaks="folds the batch into another axis",
        cause=f"Reshape {node.name} has the constant {behind[0]} as the first entry of its target and -1 behind it: "
        f"{dimension.phrase} is baked in, and with a batch of {COMPARED[0]} {before} becomes {behind}. {dimension.key} "
        f"is dynamic ({dimension.points}), and no result has it as an axis again: every runtime runs that, and the "
        "samples of a batch are mixed.",
        locations=(location_of(context.model, node),),
        fixes=(
            "Use -1 or x.shape[0] for the first entry (x.flatten(1)), and re-export with the batch dynamic.",
            f"If only one sample is ever fed, fix {dimension.key} at {behind[0]}.",
        ),
    )


CHECK = Check("folded batch", "batches that are folded into another axis", check, (dynamic.FOLDED_BATCH,))
