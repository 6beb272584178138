"""Which two sizes of a node's operands contradict each other at a point."""

from __future__ import annotations

import math
from dataclasses import dataclass
from itertools import combinations

from friction_tui.model.graph import Node
from friction_tui.model.shapes.steps import plain
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.shapes.size_origin import ELEMENTWISE


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
