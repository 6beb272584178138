"""Values that are lost in silence: two masks whose sum is -Inf, and fractions that a detour through integers cuts off.

Every runtime computes both as they stand, so nothing fails.
"""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from onnx import TensorProto

from friction_tui.kinds import precision, types
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.types.element_types import type_in
from friction_tui.vocabulary.finding import Finding, Location

HALF_OF_LARGEST = float(np.finfo(np.float32).max) / 2
"""Two numbers beyond this one have no sum in float32 (IEEE 754 binary32)."""
_LOOKED_INTO = 1 << 20
"""Elements up to which a constant is looked into for a mask value; larger ones are weights."""
_MOVES = frozenset(
    (
        *("Cast", "Concat", "Expand", "Flatten", "Gather", "Identity", "Pad", "Reshape", "Slice", "Squeeze", "Tile"),
        *("Transpose", "Trilu", "Unsqueeze"),
    )
)
"""Operators that pass values on as they are."""
_SUMS = frozenset(("Add", "Sub", "Mul", "Concat"))
"""Operators whose results are about as low as any of their operands: masks are 0 or 1 where they are multiplied."""
_PASSING = _MOVES | _SUMS | {"Where"}
_WHOLE = frozenset(["Floor", "Ceil", "Round", "Sign", "QuantizeLinear", "Mod", "NonZero", "ArgMax", "ArgMin"])
"""Operators whose results are whole numbers, so that nothing is cut off."""
_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)
_INTEGERS = (TensorProto.INT8, TensorProto.INT16, TensorProto.INT32, TensorProto.INT64, TensorProto.UINT8)
_FARTHEST = 8
"""Nodes between two Casts that only move values."""
_SIZES = 16
"""Elements up to which a tensor of rank 0 or 1 holds sizes or positions, which are computed through floats and back."""


def check(context: CheckContext) -> Iterator[Finding]:
    """Warnings for masks of the lowest number that are added to each other, and for lossy pairs of Casts."""
    if context.model.file.kind != "onnx":
        return
    yield from _masks(context.model)
    yield from _casts(context)


def _masks(model: OpenedModel) -> Iterator[Finding]:
    """Adds of which both operands hold a value near the lowest number of float32 for what is masked."""
    lowest: dict[tuple[str, str], bool] = {}

    def holds(graph: str, name: str) -> bool:
        """Whether a tensor is a constant with such a value, or was marked as one that gets it."""
        key = (graph, name)
        if key not in lowest:
            value = constant_value(model, name, _LOOKED_INTO, graph) if name else None
            known = value is not None and value.dtype == np.float32 and value.size > 0
            lowest[key] = known and value is not None and -np.inf < float(value.min()) < -HALF_OF_LARGEST
        return lowest[key]

    found: list[Node] = []
    for node in model.index.nodes:
        op, inputs = node.proto.op_type, node.inputs
        if op not in _PASSING or not inputs:
            continue
        marked = [name for name in inputs if holds(node.graph, name)]
        if op == "Add" and len(inputs) == 2 and len(marked) == 2 and not _constant(model, node):
            found.append(node)
        moved = op in _MOVES and inputs[0] in marked
        if marked and (moved or op in _SUMS or (op == "Where" and any(name in marked for name in inputs[1:]))):
            lowest.update(dict.fromkeys(((node.graph, name) for name in node.outputs), True))
    if found:
        first, more = found[0], f" {len(found)} nodes do so." if len(found) > 1 else ""
        yield precision.MASKS_ADDED.finding(
            op=first.proto.op_type,
            node=first.name,
            cause=f"{first.proto.op_type} {first.name} adds two masks that both use about -3.4e38, the lowest number "
            f"of float32, for what is masked: where both mask, the sum is -Inf, and a row that is masked altogether (a "
            f"padded row of a batch) becomes NaN in the Softmax. Every runtime computes it in silence.{more}",
            locations=_locations(model, found),
            fixes=(
                "Combine the masks before they are turned into numbers (logical and), and add one.",
                "Use a mask value with room below it, such as -1e9, or -1e4 for fp16.",
            ),
        )


def _constant(model: OpenedModel, node: Node) -> bool:
    return all(constant_value(model, name, _LOOKED_INTO, node.graph) is not None for name in node.inputs)


def _casts(context: CheckContext) -> Iterator[Finding]:
    """Casts of floats to integers whose result is only made floating again."""
    model = context.model
    found: list[tuple[Node, Node]] = []
    for node in model.index.nodes:
        if node.proto.op_type != "Cast" or not node.inputs or _to(node) not in _INTEGERS:
            continue
        if not node.outputs or type_in(model, node.graph, node.inputs[0]) not in _FLOATS or _is_whole(model, node):
            continue
        if _holds_sizes(context, node):
            continue
        back = _back(model, node)
        if back is not None:
            found.append((node, back))
    if found:
        node, back = found[0]
        more = f" {len(found)} pairs do so." if len(found) > 1 else ""
        yield types.LOSSY_CAST.finding(
            node=node.name,
            cause=f"Cast {node.name} makes {node.inputs[0]} whole numbers, and Cast {back.name} makes the result "
            f"floating again: the fractions are cut off (toward 0) and never come back. Every engine does so in "
            f"silence.{more}",
            locations=_locations(model, [each for pair in found for each in pair]),
            fixes=(
                "If rounding is not meant, remove both Casts in the code (`.long()`, `.int()`, astype) and re-export.",
                "If it is, say so with Floor, Trunc or Round, which keeps the type.",
            ),
        )


def _to(node: Node) -> int:
    return next((attribute.i for attribute in node.proto.attribute if attribute.name == "to"), 0)


def _is_whole(model: OpenedModel, node: Node) -> bool:
    """Whether what is cast holds whole numbers, or a truth value as 0 and 1, or comes from integers by moves."""
    graph, name = node.graph, node.inputs[0]
    for _ in range(_FARTHEST):
        value = constant_value(model, name, _LOOKED_INTO, graph)
        if value is not None:
            return bool(np.all(np.asarray(value, np.float64) == np.trunc(np.asarray(value, np.float64))))
        writer = model.index.writer_in(graph, name)
        if writer is None:
            return False
        if writer.proto.op_type in _WHOLE:
            return True
        if not writer.inputs or (writer.proto.op_type != "Cast" and writer.proto.op_type not in _MOVES):
            return False
        if writer.proto.op_type == "Cast" and type_in(model, graph, writer.inputs[0]) not in _FLOATS:
            return True
        name = writer.inputs[0]
    return False


def _holds_sizes(context: CheckContext, node: Node) -> bool:
    """Whether the tensor is a size or a position that is computed, not data."""
    inside = context.table.opt.inside(node.graph)
    name = node.inputs[0]
    if name in inside.values:
        return True
    found = inside.types.get(name)
    return found is None or found.sizes is None or (len(found.sizes) < 2 and int(np.prod(found.sizes)) <= _SIZES)


def _back(model: OpenedModel, node: Node) -> Node | None:
    """The Cast to a float that is all that reads the result, with moves between; None where something else does."""
    name = node.outputs[0]
    for _ in range(_FARTHEST):
        readers = model.index.consumers_in(node.graph).get(name, [])
        if len(readers) != 1 or any(name == value.name for value in model.proto.graph.output):
            return None
        (reader,) = readers
        if reader.proto.op_type == "Cast":
            return reader if _to(reader) in _FLOATS else None
        if reader.proto.op_type not in _MOVES or reader.inputs[0] != name or not reader.outputs:
            return None
        name = reader.outputs[0]
    return None


def _locations(model: OpenedModel, nodes: list[Node]) -> list[Location]:
    return list(dict.fromkeys(location_of(model, node) for node in nodes))


CHECK = Check(
    "lost values",
    "values that are lost in silence",
    check,
    (precision.MASKS_ADDED, types.LOSSY_CAST),
)
