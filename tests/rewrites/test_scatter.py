"""Scatter operators with a reduction, against ONNX Runtime, and built."""

from __future__ import annotations

from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.scatter import scatter_elements, scatter_nd, tensor_scatter
from tests.rewrites.mended import check_mends, difference, evaluated, model_of, ran, random_feeds, rewritten

GRAPH = {"x": [(4, 6), (8, 6), (16, 6)], "i": [(1, 6), (9, 6), (33, 6)], "u": [(1, 6), (9, 6), (33, 6)]}


def elements(reduction: str, *, dtype: str = "float", opset: int = 18) -> OpenedModel:
    return model_of(
        f"""g ({dtype}[N,6] x, int64[E,6] i, {dtype}[E,6] u) => ({dtype}[N,6] y) {{
        y = ScatterElements <axis = 0, reduction = "{reduction}"> (x, i, u) }}""",
        opset=opset,
    )


@pytest.mark.parametrize("reduction", ["add", "mul", "max", "min"])
def test_scatter_elements(reduction: str) -> None:
    exact = 0.0 if reduction in ("max", "min") else None
    check_mends(
        elements(reduction), scatter_elements, "ScatterElements", shapes=GRAPH, integers=(-4, 4), tolerance=exact
    )


def test_integers_and_halves() -> None:
    check_mends(
        elements("max", dtype="int32"), scatter_elements, "ScatterElements", shapes=GRAPH, integers=(-4, 4), tolerance=0
    )
    half = elements("add", dtype="float16", opset=16)
    check_mends(half, scatter_elements, "ScatterElements", shapes=GRAPH, tolerance=2e-3, run=None)


@pytest.mark.parametrize(
    ("axis", "data", "source", "expanded"),
    [(0, "N,6", "E,1", "-1,6"), (1, "2,N,3", "1,E,1", "2,-1,3"), (-1, "2,3,N", "E", "2,3,-1")],
)
def test_expanded_indices_become_one_matmul(axis: int, data: str, source: str, expanded: str) -> None:
    rank = len(data.split(","))
    full = expanded.replace("-1", "E")
    shape = [1 if size == "-1" else int(size) for size in expanded.split(",")]
    model = model_of(
        f"""g (float[{data}] x, int64[{source}] i, float[{full}] u) => (float[{data}] y)
        <int64[{rank}] s = {{{",".join(map(str, shape))}}}> {{
        e = Expand(i, s)  y = ScatterElements <axis = {axis}, reduction = "add"> (x, e, u) }}"""
    )
    points = ((4, 1), (8, 9), (16, 33))
    shapes = {
        name: [[n if s == "N" else e if s == "E" else int(s) for s in sizes.split(",")] for n, e in points]
        for name, sizes in (("x", data), ("i", source), ("u", full))
    }
    after = check_mends(model, scatter_elements, "ScatterElements", shapes=shapes, integers=(-4, 4))
    assert sum(node.op_type == "MatMul" for node in after.graph.node) == 1


def test_indices_expanded_to_a_computed_shape() -> None:
    model = model_of(
        """g (float[N,6] x, int64[E] i, float[E,6] u) => (float[N,6] y) <int64[1] one = {1}> {
        c = Unsqueeze(i, one)  s = Shape(u)  e = Expand(c, s)
        y = ScatterElements <axis = 0, reduction = "add"> (x, e, u) }"""
    )
    shapes: dict[str, Any] = {"x": GRAPH["x"], "u": GRAPH["u"], "i": [(rows,) for rows, _ in GRAPH["u"]]}
    after = check_mends(model, scatter_elements, "ScatterElements", shapes=shapes, integers=(-4, 4))
    assert sum(node.op_type == "MatMul" for node in after.graph.node) == 1


def test_indices_smaller_than_the_data_beside_the_axis() -> None:
    model = model_of(
        """g (float[N,6] x, int64[E,4] i, float[E,4] u) => (float[N,6] y) {
        y = ScatterElements <reduction = "mul"> (x, i, u) }""",
        opset=18,
    )
    check_mends(
        model, scatter_elements, "ScatterElements", shapes={**GRAPH, "i": _cut(GRAPH["i"]), "u": _cut(GRAPH["u"])}
    )


def _cut(points: list[tuple[int, int]]) -> list[tuple[int, int]]:
    return [(rows, 4) for rows, _ in points]


def test_without_a_reduction_it_is_left_alone() -> None:
    for model, rewriter, op in (
        (elements("none"), scatter_elements, "ScatterElements"),
        (nd("none", 1, "E,5,6"), scatter_nd, "ScatterND"),
    ):
        with pytest.raises(CannotRewrite, match="without a reduction"):
            rewritten(model, rewriter, op)


def nd(reduction: str, depth: int, updates: str, dtype: str = "float") -> OpenedModel:
    return model_of(
        f"""g ({dtype}[N,5,6] x, int64[E,{depth}] i, {dtype}[{updates}] u) => ({dtype}[N,5,6] y) {{
        y = ScatterND <reduction = "{reduction}"> (x, i, u) }}""",
        opset=18,
    )


@pytest.mark.parametrize(
    ("reduction", "depth", "rest", "dtype"),
    [
        ("add", 1, (5, 6), "float"),
        ("add", 2, (6,), "float"),
        ("add", 3, (), "float"),
        ("mul", 2, (6,), "float"),
        ("max", 2, (6,), "int32"),
        ("min", 1, (5, 6), "float"),
        ("add", 2, (6,), "int64"),
    ],
)
def test_scatter_nd(reduction: str, depth: int, rest: tuple[int, ...], dtype: str) -> None:
    model = nd(reduction, depth, ",".join(["E", *map(str, rest)]), dtype)
    shapes: dict[str, Any] = {
        "x": [(n, 5, 6) for n in (4, 8, 16)],
        "i": [(e, depth) for e in (1, 9, 33)],
        "u": [(e, *rest) for e in (1, 9, 33)],
    }
    exact = 0.0 if reduction in ("max", "min") else None
    check_mends(model, scatter_nd, "ScatterND", shapes=shapes, integers=(-4, 4), tolerance=exact)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    reduction=st.sampled_from(["add", "mul", "max", "min"]),
    sizes=st.lists(st.integers(1, 5), min_size=1, max_size=3),
    count=st.integers(1, 6),
    axis=st.integers(0, 2),
    seed=st.integers(0, 99),
)
def test_any_rank_and_axis(reduction: str, sizes: list[int], count: int, axis: int, seed: int) -> None:
    axis %= len(sizes)
    longer = [count if at == axis else size for at, size in enumerate(sizes)]
    data, updates = (",".join(map(str, each)) for each in (sizes, longer))
    model = model_of(
        f"""g (float[{data}] x, int64[{updates}] i, float[{updates}] u) => (float[{data}] y) {{
        y = ScatterElements <axis = {axis}, reduction = "{reduction}"> (x, i, u) }}""",
        opset=18,
    )
    feeds = random_feeds(model.proto, None, 0, seed, (-sizes[axis], sizes[axis]))
    after = rewritten(model, scatter_elements, "ScatterElements")
    assert difference(ran(model.proto, feeds), ran(after, feeds)) <= 1e-5


@pytest.mark.parametrize(
    ("cache", "update", "attributes"),
    [
        ("N,3,8,4", "N,3,2,4", '<mode = "circular">'),
        ("N,8,4", "N,2,4", ""),
        ("N,8,3,4", "N,2,3,4", '<axis = 1, mode = "circular">'),
    ],
)
def test_a_cache_written_in_place(cache: str, update: str, attributes: str) -> None:
    model = model_of(
        f"""<ir_version: 11, opset_import: ["" : 24]>
        g (float[{cache}] c, float[{update}] u, int64[N] w) => (float[{cache}] y) {{
        y = TensorScatter {attributes} (c, u, w) }}"""
    )
    points = (1, 2, 4)
    shapes: dict[str, Any] = {
        name: [[n if size == "N" else int(size) for size in sizes.split(",")] for n in points]
        for name, sizes in (("c", cache), ("u", update), ("w", "N"))
    }
    check_mends(model, tensor_scatter, "TensorScatter", shapes=shapes, integers=(0, 6), run=evaluated)


def test_a_cache_is_not_written_along_the_samples() -> None:
    model = model_of(
        """<ir_version: 11, opset_import: ["" : 24]>
        g (float[8,4] c, float[2,4] u) => (float[8,4] y) { y = TensorScatter <axis = 0> (c, u) }"""
    )
    with pytest.raises(CannotRewrite, match="samples"):
        rewritten(model, tensor_scatter, "TensorScatter")
