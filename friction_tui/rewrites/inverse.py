"""The inverse of small matrices by their adjugate.

https://en.wikipedia.org/wiki/Adjugate_matrix. Exact algebra; digits are lost near singular matrices, as with any
formula that divides by the determinant.
"""

from __future__ import annotations

import itertools

import numpy as np
import onnx

from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.fused import MS
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite

_LARGEST = 4
_PAIRS: list[tuple[int, ...]] = list(itertools.combinations(range(4), 2))
"""The pairs of columns of a 4 × 4 matrix, in order."""


@node_rewrite(
    "small-inverse",
    "compute the inverse from products of entries",
    (MS, "Inverse"),
    exactness=Exactness.ROUNDING,
)
def small_inverse(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Adjugate over determinant for matrices [..., n, n] of fixed n ≤ 4; 3 to 30 nodes."""
    data = node.input[0]
    size = graph.static_dim(data, -1)
    if graph.static_dim(data, -2) != size:
        raise CannotRewrite("the matrix is not square")
    if size > _LARGEST:
        raise CannotRewrite(f"it is {size} × {size}; up to {_LARGEST} × {_LARGEST} can be written out")
    if size == 1:
        graph.op("Reciprocal", [data], node.output[0])
    else:
        adjugate, determinant = (_two, _three, _four)[size - 2](graph, data)
        graph.op("Div", [adjugate, determinant], node.output[0])


def _two(graph: GraphEditor, data: str) -> tuple[str, str]:
    """[[d, -b], [-c, a]]: both axes turned round and exchanged, the off-diagonal negated."""
    turned = _take(graph, _take(graph, data, [1, 0], -1), [1, 0], -2)
    signs = graph.const(np.array([[1, -1], [-1, 1]], graph.numpy_dtype(data)))
    cofactors = graph.op("Mul", [turned, signs])
    return _swapped(graph, cofactors, graph.rank(data)), _determinant(graph, data, cofactors)


def _three(graph: GraphEditor, data: str) -> tuple[str, str]:
    """The cofactors of row i are the cross product of the rows i + 1 and i + 2."""
    rows = [_take(graph, data, order, -2) for order in ([1, 2, 0], [2, 0, 1])]
    one = graph.op("Mul", [_take(graph, rows[0], [1, 2, 0], -1), _take(graph, rows[1], [2, 0, 1], -1)])
    two = graph.op("Mul", [_take(graph, rows[0], [2, 0, 1], -1), _take(graph, rows[1], [1, 2, 0], -1)])
    cofactors = graph.op("Sub", [one, two])
    return _swapped(graph, cofactors, graph.rank(data)), _determinant(graph, data, cofactors)


def _four(graph: GraphEditor, data: str) -> tuple[str, str]:
    """Entries times the 2 × 2 determinants of the upper or lower two rows, three products for each entry."""
    upper, lower = (_minors(graph, data, first) for first in (0, 2))
    minors = graph.concat([upper, lower], -1)
    entries, parts, signs = [], [], []
    for i, j in itertools.product(range(4), range(4)):  # the entry (i, j) of the adjugate: row j, column i left out
        row = j ^ 1  # the other row of the same half
        for place, column in enumerate(c for c in range(4) if c != i):
            others = tuple(c for c in range(4) if c not in (i, column))
            entries.append(4 * row + column)
            parts.append(_PAIRS.index(others) + (6 if j < 2 else 0))
            signs.append((-1) ** (i + j + place))
    shape = graph.shape(data)
    lead = graph.slice(shape, 0, -2, 0)
    flat = graph.reshape(data, graph.concat([lead, graph.const([16])]))
    terms = graph.op("Mul", [_take(graph, flat, entries, -1), _take(graph, minors, parts, -1)])
    terms = graph.op("Mul", [terms, graph.const(np.array(signs, graph.numpy_dtype(data)))])
    triples = graph.reshape(terms, graph.concat([lead, graph.const([4, 4, 3])]))
    adjugate = graph.reduce("ReduceSum", triples, [-1], keep=False)
    return adjugate, _determinant(graph, data, _swapped(graph, adjugate, graph.rank(data)))


def _minors(graph: GraphEditor, data: str, first: int) -> str:
    """The six 2 × 2 determinants of the rows `first` and `first` + 1, [..., 6]."""
    one, two = (graph.squeeze(graph.slice(data, row, row + 1, -2), [-2]) for row in (first, first + 1))
    left, right = [pair[0] for pair in _PAIRS], [pair[1] for pair in _PAIRS]
    straight = graph.op("Mul", [_take(graph, one, left, -1), _take(graph, two, right, -1)])
    return graph.op("Sub", [straight, graph.op("Mul", [_take(graph, one, right, -1), _take(graph, two, left, -1)])])


def _determinant(graph: GraphEditor, data: str, cofactors: str) -> str:
    """The first row times its cofactors, summed: [..., 1, 1]."""
    products = graph.op("Mul", [graph.slice(data, 0, 1, -2), graph.slice(cofactors, 0, 1, -2)])
    return graph.reduce("ReduceSum", products, [-1])


def _take(graph: GraphEditor, data: str, order: list[int], axis: int) -> str:
    return graph.op("Gather", [data, graph.const(order)], axis=axis)


def _swapped(graph: GraphEditor, data: str, rank: int) -> str:
    """The last two axes exchanged."""
    return graph.op("Transpose", [data], perm=[*range(rank - 2), rank - 1, rank - 2])


REWRITES = (small_inverse,)
