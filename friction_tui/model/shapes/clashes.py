"""Which two sizes of a node's operands contradict each other at a point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

import numpy as np

from friction_tui.model.graph import Node
from friction_tui.model.shapes.steps import plain
from friction_tui.model.shapes.tensors import Array, PointShapes

_ELEMENTWISE_NAMES = """
Add Sub Mul Div Pow Mod And Or Xor Equal Less Greater LessOrEqual GreaterOrEqual Where Max Min Sum Mean
BitwiseAnd BitwiseOr BitwiseXor BitShift
"""
ELEMENTWISE = frozenset(_ELEMENTWISE_NAMES.split())
"""Operators whose inputs are broadcast against each other."""
_RECURRENT = {"LSTM": 2, "GRU": 1, "RNN": 1}
"""Recurrent operators, and how many states each starts from."""


@dataclass(frozen=True, slots=True)
class Side:
    """The size of one operand on one axis, counted from the front."""

    tensor: str
    axis: int
    size: int


@dataclass(frozen=True, slots=True)
class Clash:
    """Two sizes that would have to be equal."""

    one: Side
    other: Side
    inner: bool = False
    """They are summed over in a matrix product."""

    @property
    def sides(self) -> tuple[Side, Side]:
        """Both of them."""
        return self.one, self.other


def clash_at(node: Node, point: PointShapes) -> Clash | None:
    """The first pair of sizes that do not go together; None when the reason is another one."""
    op, inputs = node.proto.op_type, [name for name in node.proto.input if name]
    dims = [_sizes(point, name) for name in inputs]
    if op in ELEMENTWISE:
        return _pairwise(inputs, dims, trailing=True, skip=None)
    attributes = {attribute.name: plain(attribute) for attribute in node.proto.attribute}
    if op == "Concat" and dims and dims[0] is not None:
        return _pairwise(inputs, dims, trailing=False, skip=attributes.get("axis", 0) % max(len(dims[0]), 1))
    if op in ("MatMul", "Gemm") and len(dims) > 1:
        return _product(op, inputs, dims, attributes)
    return None


def _sizes(point: PointShapes, tensor: str) -> tuple[int, ...] | None:
    found = point.types.get(tensor)
    return found.sizes if found is not None else None


def _pairwise(
    inputs: list[str], dims: list[tuple[int, ...] | None], *, trailing: bool, skip: int | None
) -> Clash | None:
    """Two operands that differ on an axis; `trailing` aligns at the end and lets 1 stretch, as broadcasting does."""
    for (name, mine), (other, theirs) in combinations(zip(inputs, dims, strict=True), 2):
        if mine is None or theirs is None:
            continue
        for back in range(1, min(len(mine), len(theirs)) + 1):
            i, j = (len(mine) - back, len(theirs) - back) if trailing else (back - 1, back - 1)
            stretches = trailing and 1 in (mine[i], theirs[j])
            if mine[i] != theirs[j] and not stretches and i != skip:
                return Clash(Side(name, i, mine[i]), Side(other, j, theirs[j]))
    return None


def _product(
    op: str, inputs: list[str], dims: list[tuple[int, ...] | None], attributes: dict[str, object]
) -> Clash | None:
    a, b = dims[0], dims[1]
    if not a or not b:
        return None
    i = 0 if op == "Gemm" and attributes.get("transA") else len(a) - 1
    j = len(b) - 1 if op == "Gemm" and attributes.get("transB") else max(len(b) - 2, 0)
    if a[i] != b[j]:
        return Clash(Side(inputs[0], i, a[i]), Side(inputs[1], j, b[j]), inner=True)
    if op == "Gemm" and len(dims) > 2 and dims[2]:
        return _bias(inputs, (a, b, dims[2]), (1 - i, 1 - j))
    for back in range(3, min(len(a), len(b)) + 1):
        if a[-back] != b[-back] and 1 not in (a[-back], b[-back]):
            return Clash(Side(inputs[0], len(a) - back, a[-back]), Side(inputs[1], len(b) - back, b[-back]))
    return None


def _bias(inputs: list[str], dims: tuple[tuple[int, ...], ...], free: tuple[int, int]) -> Clash | None:
    """Gemm's C against the rows and columns of the product."""
    a, b, c = dims
    i, j = free
    if len(c) == 2 and c[0] not in (1, a[i]):
        return Clash(Side(inputs[0], i, a[i]), Side(inputs[2], 0, c[0]))
    if c[-1] not in (1, b[j]):
        return Clash(Side(inputs[1], j, b[j]), Side(inputs[2], len(c) - 1, c[-1]))
    return None


def volume(point: PointShapes, tensor: str) -> int | None:
    """How many elements a tensor has."""
    sizes = _sizes(point, tensor)
    return None if sizes is None else math.prod(sizes)


def recurrent_clash(node: Node, point: PointShapes) -> Clash | None:
    """The batch of an LSTM, GRU or RNN against that of its sequence lengths or of the states it starts from."""
    states, inputs = _RECURRENT.get(node.proto.op_type, 0), list(node.proto.input)
    data = _sizes(point, inputs[0]) if inputs else None
    if not states or data is None or len(data) != 3:
        return None
    layout = next((attribute.i for attribute in node.proto.attribute if attribute.name == "layout"), 0)
    axis = 0 if layout else 1
    for position, other in ((4, 0), *((5 + number, axis) for number in range(states))):
        name = inputs[position] if position < len(inputs) else ""
        sizes = _sizes(point, name) if name else None
        if sizes is not None and other < len(sizes) and sizes[other] != data[axis]:
            return Clash(Side(inputs[0], axis, data[axis]), Side(name, other, sizes[other]))
    return None


def gap(node: Node, point: PointShapes) -> int | None:
    """By how much the node's operands miss each other; None when that cannot be counted."""
    op, inputs = node.proto.op_type, node.proto.input
    point = point.inside(node.graph)
    if op == "Reshape" and len(inputs) > 1:
        have, target = volume(point, inputs[0]), point.values.get(inputs[1])
        entries = [] if target is None else _integers(target)
        if have is None or target is None or min(entries, default=1) < 1:
            return None
        return have - math.prod(entries)
    if op == "Split":
        return _split_gap(node, point)
    clash = clash_at(node, point) or recurrent_clash(node, point)
    return None if clash is None else clash.one.size - clash.other.size


def _split_gap(node: Node, point: PointShapes) -> int | None:
    """By how much the constant parts of a Split miss the size of its axis."""
    data = point.types.get(node.proto.input[0])
    attributes = {attribute.name: plain(attribute) for attribute in node.proto.attribute}
    parts = point.values.get(node.proto.input[1]) if len(node.proto.input) > 1 else attributes.get("split")
    if data is None or not data.sizes or parts is None:
        return None
    axis = int(attributes.get("axis", 0)) % len(data.sizes)
    return data.sizes[axis] - sum(_integers(parts))


def _integers(values: Array | list[int]) -> list[int]:
    return [int(value) for value in np.ravel(values).tolist()]
