"""Determinants and inverses of small matrices by elimination, and products that the parser misreads."""

from __future__ import annotations

import string

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import END, FLOATS, scalar

LARGEST = 16
"""Rows of a matrix up to which elimination is written out, about 15 nodes a row."""


@node_rewrite("det-elimination", "eliminate row by row instead of Det", ("", "Det"), exactness=Exactness.ROUNDING)
def det(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Det of fixed size up to 16 → Gaussian elimination with partial pivoting, written out; the product of pivots."""
    matrix = node.input[0]
    rank, size = graph.rank(matrix), _square_size(graph, matrix)
    one, zero = scalar(graph, 1, matrix), scalar(graph, 0, matrix)
    row_axis, column_axis = rank - 2, rank - 1
    total = ""
    for left in range(size, 1, -1):
        column = graph.slice(matrix, 0, 1, column_axis)
        best, here = _pivot(graph, column, left, row_axis)
        row = _row(graph, matrix, here, row_axis, zero)
        pivot = graph.slice(row, 0, 1, column_axis)
        factor = graph.op("Where", [graph.op("Equal", [best, graph.const(0)]), pivot, graph.op("Neg", [pivot])])
        total = graph.op("Mul", [total, factor]) if total else factor
        swapped = graph.op("Where", [here, graph.slice(matrix, 0, 1, row_axis), matrix])
        rest = graph.slice(swapped, 1, END, row_axis)
        divisor = graph.op("Where", [graph.op("Equal", [pivot, zero]), one, pivot])  # a zero pivot makes it all zero
        share = graph.op("Div", [graph.slice(rest, 0, 1, column_axis), divisor])
        taken = graph.op("Mul", [share, graph.slice(row, 1, END, column_axis)])
        matrix = graph.op("Sub", [graph.slice(rest, 1, END, column_axis), taken])
    total = graph.op("Mul", [total, matrix]) if total else matrix
    graph.squeeze(total, [row_axis, column_axis], node.output[0])


@node_rewrite(
    "inverse-elimination",
    "eliminate row by row instead of Inverse",
    ("com.microsoft", "Inverse"),
    exactness=Exactness.ROUNDING,
)
def inverse(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Inverse of fixed size up to 16 → Gauss-Jordan elimination with partial pivoting on [A | I], written out."""
    matrix = node.input[0]
    rank, size = graph.rank(matrix), _square_size(graph, matrix)
    row_axis, column_axis = rank - 2, rank - 1
    identity = graph.op("Expand", [graph.const(np.eye(size), graph.numpy_dtype(matrix)), graph.shape(matrix)])
    zero = scalar(graph, 0, matrix)
    work = graph.concat([matrix, identity], column_axis)
    for step in range(size):
        rows = np.arange(size)[:, None]
        column = graph.slice(work, step, step + 1, column_axis)
        allowed = graph.op("Where", [graph.const(rows >= step), column, zero])  # a finished row is no pivot
        _, here = _pivot(graph, allowed, size, row_axis)
        row = _row(graph, work, here, row_axis, zero)
        row = graph.op("Div", [row, graph.slice(row, step, step + 1, column_axis)])
        swapped = graph.op("Where", [here, graph.slice(work, step, step + 1, row_axis), work])
        share = graph.slice(swapped, step, step + 1, column_axis)
        cleared = graph.op("Sub", [swapped, graph.op("Mul", [share, row])])
        work = graph.op("Where", [graph.const(rows == step), row, cleared])
    graph.slice(work, size, END, column_axis, node.output[0])


def _square_size(graph: GraphEditor, matrix: str) -> int:
    if graph.dtype(matrix) not in FLOATS:
        raise CannotRewrite("the matrix is not float, float16 or bfloat16")
    if graph.opset < 11:
        raise NeedsOpset(11)
    size = graph.static_dim(matrix, -1)
    if size > LARGEST:
        raise CannotRewrite(
            f"a matrix of {size} rows would take some {15 * size} nodes; up to {LARGEST} are written out"
        )
    return size


def _pivot(graph: GraphEditor, column: str, count: int, axis: int) -> tuple[str, str]:
    """The row of the largest magnitude [.., 1, 1], and which row it is as flags [.., count, 1]."""
    best = graph.op("ArgMax", [graph.op("Abs", [column])], axis=axis, keepdims=1)
    return best, graph.op("Equal", [best, graph.const(np.arange(count)[:, None])])


def _row(graph: GraphEditor, matrix: str, here: str, axis: int, zero: str) -> str:
    """The flagged row [.., 1, columns]."""
    chosen = graph.op("Where", [here, matrix, zero])
    return graph.reduce("ReduceSum", chosen, [axis])


@node_rewrite("einsum-lowercase", "write the equation in lower-case letters", ("", "Einsum"))
def einsum_letters(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Einsum with capital letters, which the parser calls invalid → the same equation in lower-case letters. Exact."""
    equation = str(graph.attribute(node, "equation"))
    capitals = sorted({letter for letter in equation if letter.isupper()})
    if not capitals:
        raise CannotRewrite("the equation has no capital letters")
    free = [letter for letter in string.ascii_lowercase if letter not in equation]
    if len(free) < len(capitals):
        raise CannotRewrite("there are not enough lower-case letters")
    table = str.maketrans(dict(zip(capitals, free, strict=False)))
    graph.op("Einsum", node.input, node.output[0], equation=equation.translate(table))


@node_rewrite("einsum-integers", "multiply and add up instead of Einsum of integers", ("", "Einsum"))
def einsum_integers(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Einsum of int32 or int64 without ellipsis or repeated letters → broadcast Mul and ReduceSum. Exact.

    Memory: the product over all letters.
    """
    if graph.dtype(node.input[0]) not in (TensorProto.INT32, TensorProto.INT64):
        raise CannotRewrite("the operands are not int32 or int64")
    equation = str(graph.attribute(node, "equation")).replace(" ", "")
    left, arrow, right = equation.partition("->")
    terms = left.split(",")
    if "." in equation or any(len(set(term)) != len(term) for term in terms):
        raise CannotRewrite("an ellipsis or a letter twice in one operand is not handled")
    if not arrow:
        right = "".join(letter for letter in sorted(set(left) - {","}) if left.count(letter) == 1)
    order = [*right, *sorted(set(left) - {","} - set(right))]
    product = ""
    for term, tensor in zip(terms, node.input, strict=True):
        letters = [letter for letter in order if letter in term]
        aligned = graph.op("Transpose", [tensor], perm=[term.index(letter) for letter in letters])
        missing = [at for at, letter in enumerate(order) if letter not in term]
        if missing:
            aligned = graph.unsqueeze(aligned, missing)
        product = graph.op("Mul", [product, aligned]) if product else aligned
    if len(order) > len(right):
        graph.reduce("ReduceSum", product, list(range(len(right), len(order))), keep=False, output=node.output[0])
    else:
        graph.op("Identity", [product], node.output[0])


@node_rewrite("matmul-vector", "give the vector a second axis before MatMul", ("", "MatMul"))
def matmul_vector(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MatMul of a vector and a stack of matrices → the vector as a matrix of one row or column. Exact."""
    ranks = [graph.rank(name) for name in node.input]
    if 1 not in ranks or max(ranks) < 2:
        raise CannotRewrite("none of its operands is a vector beside a matrix")
    first = ranks[0] == 1
    operands = [
        graph.unsqueeze(name, [0 if at == 0 else 1]) if rank == 1 else name
        for at, (name, rank) in enumerate(zip(node.input, ranks, strict=True))
    ]
    rank = max(ranks)
    graph.squeeze(graph.op("MatMul", operands), [rank - 2 if first else rank - 1], node.output[0])


@node_rewrite("matmul-integers", "multiply and add up instead of MatMul of integers", ("", "MatMul"))
def matmul_integers(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MatMul of int32 or int64 matrices → broadcast Mul and ReduceSum. Exact. Memory: rows x inner size x columns."""
    if graph.dtype(node.input[0]) not in (TensorProto.INT32, TensorProto.INT64):
        raise CannotRewrite("the operands are not int32 or int64")
    ranks = [graph.rank(name) for name in node.input]
    if min(ranks) < 2:
        raise CannotRewrite("an operand is a vector")
    left = graph.unsqueeze(node.input[0], [ranks[0]])  # [.., i, k, 1]
    right = graph.unsqueeze(node.input[1], [ranks[1] - 2])  # [.., 1, k, j]
    product = graph.op("Mul", [left, right])
    graph.reduce("ReduceSum", product, [max(ranks) - 1], keep=False, output=node.output[0])


REWRITES: tuple[Rewriter, ...] = (det, inverse, einsum_letters, einsum_integers, matmul_vector, matmul_integers)
