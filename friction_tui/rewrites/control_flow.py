"""An If whose condition is already known."""

from __future__ import annotations

from collections.abc import Sequence

import onnx
from onnx import helper

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import shapes_at
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.editing import chosen, copy_of, forget_shapes


def inline_if(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Put the branch that is always taken in the place of an If.

    The condition has to be a constant, or to follow from sizes fixed in the model; anything else is refused.
    """
    proto = copy_of(model)
    point = _fixed_sizes(model)
    for node in sorted(chosen(model, paths, "If"), key=lambda node: -node.index):
        _inline(proto, node, _condition(model, node, point))
    forget_shapes(proto)
    return proto


def _condition(model: OpenedModel, node: Node, point: PointShapes) -> bool:
    name = node.proto.input[0]
    value = constant_value(model, name)
    if value is None:
        value = point.values.get(name)
    if value is None or value.size != 1:
        raise CannotRewrite(f"the condition {name} of {node.name} depends on the input")
    return bool(value.reshape(-1)[0])


def _fixed_sizes(model: OpenedModel) -> PointShapes:
    """What follows from the inputs whose sizes are all fixed."""
    sizes = {
        value.name: tuple(dim.dim_value for dim in value.type.tensor_type.shape.dim)
        for value in model.index.inputs
        if all(dim.HasField("dim_value") for dim in value.type.tensor_type.shape.dim)
    }
    return shapes_at(model, sizes, label="fixed")


def _inline(proto: onnx.ModelProto, node: Node, taken: bool) -> None:
    branch = next(a.g for a in node.proto.attribute if a.name == ("then_branch" if taken else "else_branch"))
    scope = node.name
    local = {name: f"{scope}/{name}" for inner in branch.node for name in inner.output if name}
    local |= {tensor.name: f"{scope}/{tensor.name}" for tensor in branch.initializer}
    inlined: list[onnx.NodeProto] = []
    for inner in branch.node:
        if any(attribute.HasField("g") for attribute in inner.attribute):
            raise CannotRewrite(f"the branch of {scope} holds control flow of its own")
        copied = onnx.NodeProto()
        copied.CopyFrom(inner)
        copied.name = f"{scope}/{inner.name or inner.op_type}"
        for i, name in enumerate(copied.input):
            copied.input[i] = local.get(name, name)
        for i, name in enumerate(copied.output):
            copied.output[i] = local.get(name, name)
        inlined.append(copied)
    for result, name in zip(branch.output, node.proto.output, strict=True):
        source = local.get(result.name, result.name)
        inlined.append(helper.make_node("Identity", [source], [name], name=f"{scope}/{name}"))
    for tensor in branch.initializer:
        moved = proto.graph.initializer.add()
        moved.CopyFrom(tensor)
        moved.name = local[tensor.name]
    del proto.graph.node[node.index]
    for offset, copied in enumerate(inlined):
        proto.graph.node.insert(node.index + offset, copied)


INLINE_IF = Rewriter("inline-if", "keep the branch that is always taken", inline_if)
REWRITES = (INLINE_IF,)
