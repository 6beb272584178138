"""Where a tensor's size on one axis comes from: an input, a constant, or a target that was baked in at export."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.clashes import ELEMENTWISE
from friction_tui.model.shapes.shape_values import axes_of
from friction_tui.model.shapes.steps import plain
from friction_tui.model.shapes.tensors import PointShapes

_SAME_SHAPE_NAMES = """
Identity Cast Relu LeakyRelu PRelu Sigmoid Tanh Erf Exp Log Sqrt Neg Abs Not Softmax LogSoftmax Clip Dropout
Gelu Elu Selu HardSigmoid HardSwish Softplus Softsign Sign Floor Ceil Round Reciprocal LayerNormalization
BatchNormalization InstanceNormalization GroupNormalization RMSNormalization QuantizeLinear DequantizeLinear
CumSum Trilu LRN Mish Sin Cos CastLike IsNaN IsInf Swish Shrink ThresholdedRelu Celu LpNormalization Hardmax
"""
_SAME_SHAPE = frozenset(_SAME_SHAPE_NAMES.split())
"""Operators whose first input has the shape of the output."""

TARGETS = {
    "Reshape": "target shape is",
    "Expand": "target shape is",
    "Tile": "repeats are",
    "ConstantOfShape": "shape is",
}
"""Operators that take a size from an operand, and what that operand is called."""

_STEPS = 400
"""Nodes followed back before giving up; a size that passes unchanged through more is not worth naming."""


@dataclass(frozen=True, slots=True)
class Origin:
    """Where a size was decided.

    `kind`: `initializer` (a constant of that size), `target` (the constant operand of `node`, entry `axis`),
    `slice` (the constant bounds of `node`), `input`, or `node` (computed there). `tensor` names the constant or input,
    in the graph at the path prefix `graph`.
    """

    kind: str
    tensor: str
    axis: int
    node: Node | None = None
    graph: str = ""

    @property
    def baked(self) -> bool:
        """Whether a constant decides."""
        return self.kind in ("initializer", "target", "slice")


def origin_of(model: OpenedModel, point: PointShapes, tensor: str, axis: int, graph: str = "") -> Origin:
    """Follow a size back from `axis` (from the front) of a tensor of `graph`, out of bodies and functions too."""
    node: Node | None = None
    for _ in range(_STEPS):
        if model.index.initializer_in(graph, tensor) is not None:
            return Origin("initializer", tensor, axis, node, graph)
        node = model.index.writer_in(graph, tensor)
        if node is None:
            outer = _outside(model, graph, tensor, axis)
            if outer is None:
                return Origin("input", tensor, axis, graph=graph)
            graph, tensor, axis = outer
            continue
        step = _before(model, point.inside(graph), node, tensor, axis)
        if isinstance(step, Origin):
            return step
        tensor, axis = step
    return Origin("node", tensor, axis, node, graph)


def _outside(model: OpenedModel, graph: str, tensor: str, axis: int) -> tuple[str, str, int] | None:
    """The graph, tensor and axis behind an input of a body or function, or behind what a body takes from outside."""
    if not graph:
        return None
    index = model.index
    owner = index.by_path.get(index.owner_of(graph))
    names = [value if isinstance(value, str) else value.name for value in index.graphs[graph].input]
    if owner is None:
        calls = [node for node in index.nodes if index.function_of(node.proto) == graph]
        given = {node.inputs[names.index(tensor)] for node in calls if tensor in names[: len(node.inputs)]}
        return (calls[0].graph, given.pop(), axis) if len(given) == 1 else None
    if tensor not in names:
        return owner.graph, tensor, axis
    op, position = owner.proto.op_type, names.index(tensor)
    scanned = next((int(a.i) for a in owner.proto.attribute if a.name == "num_scan_inputs"), 0)
    if position >= len(names) - scanned:
        axis += 1  # the body sees one slice of the axis that is scanned, the first one
    return (
        (owner.graph, owner.inputs[position], axis) if op in ("Loop", "Scan") and position < len(owner.inputs) else None
    )


def _before(model: OpenedModel, point: PointShapes, node: Node, tensor: str, axis: int) -> tuple[str, int] | Origin:
    """The tensor and axis the size has before `node`, or its origin if the node decides it."""
    op, inputs = node.proto.op_type, node.proto.input
    here = Origin("node", tensor, axis, node, node.graph)
    if op == "Constant":
        return Origin("initializer", tensor, axis, node, node.graph)
    if not inputs:
        return here
    if op in _SAME_SHAPE:
        return inputs[0], axis
    if op in ELEMENTWISE:
        return _broadcast_source(point, node, tensor, axis) or here
    if op in TARGETS:
        return _targeted(point, node, tensor, axis)
    attributes = {attribute.name: plain(attribute) for attribute in node.proto.attribute}
    rank = _rank(point, inputs[0])
    if rank is None:
        return here
    if op == "Transpose":
        perm = attributes.get("perm") or list(range(rank))[::-1]
        return (inputs[0], perm[axis]) if axis < len(perm) else here
    if op in ("Squeeze", "Unsqueeze"):
        return _moved(point, node, attributes, axis, rank) or here
    if op == "Slice":
        return _sliced(model, point, node, axis)
    if op in ("Conv", "ConvTranspose") and axis == 0:
        return inputs[0], 0
    if op == "Concat" and axis != attributes.get("axis", 0) % rank:
        return inputs[0], axis
    if op == "Range":
        constants = [constant_value(model, name, 1, node.graph) is not None for name in inputs]
        return Origin("target", inputs[1], 0, node, node.graph) if all(constants) else here
    return here


def _rank(point: PointShapes, tensor: str) -> int | None:
    found = point.types.get(tensor)
    return len(found.dims) if found is not None and found.dims is not None else None


def _dims(point: PointShapes, tensor: str) -> tuple[int | None, ...]:
    found = point.types.get(tensor)
    return found.dims if found is not None and found.dims is not None else ()


def _broadcast_source(point: PointShapes, node: Node, tensor: str, axis: int) -> tuple[str, int] | None:
    """The operand that gives a broadcast result its size on `axis`."""
    rank = _rank(point, tensor)
    if rank is None:
        return None
    size = _dims(point, tensor)[axis]
    for name in node.proto.input:
        own = axis - (rank - (_rank(point, name) or 0))
        if own >= 0 and name and _dims(point, name)[own : own + 1] == (size,):
            return name, own
    return None


def _targeted(point: PointShapes, node: Node, tensor: str, axis: int) -> tuple[str, int] | Origin:
    """A size that Reshape, Expand, Tile or ConstantOfShape takes from its operand, or from the data."""
    op, inputs = node.proto.op_type, node.proto.input
    operand = inputs[0] if op == "ConstantOfShape" else inputs[1] if len(inputs) > 1 else ""
    values = point.values.get(operand)
    here = Origin("node", tensor, axis, node, node.graph)
    if values is None or (op == "Reshape" and axis >= np.size(values)):
        return here
    entries = np.asarray(values).ravel().tolist()
    target = Origin("target", operand, axis, node, node.graph)
    if op == "Reshape":
        if entries[axis] == 0:
            return inputs[0], axis
        return here if entries[axis] < 0 else target
    if op == "ConstantOfShape":
        return target
    rank, before = _rank(point, tensor) or 0, _rank(point, inputs[0]) or 0
    own = axis - (rank - before)
    size = _dims(point, inputs[0])[own] if own >= 0 else None
    if op == "Tile":
        return target if entries[axis] != 1 else (inputs[0], own)
    return target if size in (None, 1) else (inputs[0], own)


def _moved(
    point: PointShapes, node: Node, attributes: dict[str, object], axis: int, rank: int
) -> tuple[str, int] | None:
    """The axis before Squeeze or Unsqueeze; None for one that Unsqueeze added."""
    values = [point.values.get(name) for name in node.proto.input]
    axes = axes_of(attributes, values, 1)
    if axes is None:
        return None
    if node.proto.op_type == "Unsqueeze":
        added = {a % (rank + len(axes)) for a in axes}
        return None if axis in added else (node.proto.input[0], axis - sum(a < axis for a in added))
    kept = [a for a in range(rank) if a not in {b % rank for b in axes}]
    return (node.proto.input[0], kept[axis]) if axis < len(kept) else None


def _sliced(model: OpenedModel, point: PointShapes, node: Node, axis: int) -> tuple[str, int] | Origin:
    before, after = _dims(point, node.proto.input[0]), _dims(point, node.proto.output[0])
    if before[axis : axis + 1] == after[axis : axis + 1]:
        return node.proto.input[0], axis
    bounds = [name for name in node.proto.input[1:3] if name]
    if all(constant_value(model, name, 16, node.graph) is not None for name in bounds):
        return Origin("slice", bounds[-1] if bounds else "", axis, node, node.graph)
    return Origin("node", node.proto.output[0], axis, node, node.graph)


def constant_operand(model: OpenedModel, node: Node) -> list[int] | None:
    """The constant target, shape or repeats of `node`; None when it is computed."""
    if node.proto.op_type not in TARGETS or not node.proto.input:
        return None
    position = 0 if node.proto.op_type == "ConstantOfShape" else 1
    if position >= len(node.proto.input):
        return None
    value = constant_value(model, node.proto.input[position], 64, node.graph)
    if value is None or value.dtype.kind not in "iu":
        return None
    return [int(entry) for entry in value.ravel().tolist()]
