"""OneHot of a computed depth and TopK beyond the limit."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.selection import eye_like, one_hot, topk
from tests.rewrites.mended import Shapes, check_mends, difference, model_of, ran, rewritten


def depth_of_a_shape(axis: int, indices: str = "int64[N]", values: str = "float") -> OpenedModel:
    sizes = "N,K" if axis == -1 else "K,N"
    return model_of(
        f"""g ({indices} x, float[1,K] z) => ({values}[{sizes}] y) <int64[1] one = {{1}}, {values}[2] v = {{0, 1}}> {{
        s = Shape(z)  d = Gather <axis = 0> (s, one)  y = OneHot <axis = {axis}> (x, d, v) }}"""
    )


@pytest.mark.parametrize(
    ("axis", "indices", "values"), [(-1, "int64[N]", "float"), (0, "int32[N]", "float"), (-1, "int64[N]", "int64")]
)
def test_depth_from_a_shape(axis: int, indices: str, values: str) -> None:
    shapes: Shapes = {"x": [(2,), (4,), (8,)], "z": [(1, 4), (1, 8), (1, 16)]}
    run = None if indices == "int32[N]" else ran  # ONNX Runtime has no kernel for int32 indices and an int64 depth
    check_mends(depth_of_a_shape(axis, indices, values), one_hot, "OneHot", shapes=shapes, integers=(-6, 20), run=run)


@settings(max_examples=15, deadline=None, derandomize=True)
@given(
    sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3),
    depth=st.integers(1, 6),
    axis=st.integers(-1, 2),
    seed=st.integers(0, 99),
)
def test_any_rank_and_axis(sizes: list[int], depth: int, axis: int, seed: int) -> None:
    axis = min(axis, len(sizes))
    model = model_of(
        f"""g (int64{sizes} x, int64 d) => (float[{",".join("abcd"[: len(sizes) + 1])}] y)
        <float[2] v = {{-1, 2}}> {{ y = OneHot <axis = {axis}> (x, d, v) }}"""
    )
    feeds = {"x": np.random.default_rng(seed).integers(-depth - 2, depth + 2, sizes), "d": np.array(depth)}
    after = rewritten(model, one_hot, "OneHot")
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


def large(size: int, count: int, attributes: str, dtype: str = "float", opset: int = 17) -> OpenedModel:
    return model_of(
        f"""g ({dtype}[N,{size}] x) => ({dtype}[N,{count}] v, int64[N,{count}] i) <int64[1] k = {{{count}}}> {{
        v, i = TopK <{attributes}> (x, k) }}""",
        opset=opset,
    )


@pytest.mark.parametrize(
    ("size", "count", "attributes"), [(6000, 5000, "axis = 1"), (4000, 4000, "axis = 1, largest = 0")]
)
def test_more_than_the_limit(size: int, count: int, attributes: str) -> None:
    shapes: Shapes = {"x": [(1, size), (2, size), (3, size)]}
    check_mends(large(size, count, attributes), topk, "TopK", shapes=shapes, tolerance=0.0)


def test_of_halves_along_the_first_axis() -> None:
    model = model_of(
        """g (float16[4500,N] x) => (float16[4000,N] v) <int64[1] k = {4000}> { v, i = TopK <axis = 0> (x, k) }"""
    )
    shapes: Shapes = {"x": [(4500, 1), (4500, 2), (4500, 2)]}
    check_mends(model, topk, "TopK", shapes=shapes, tolerance=0.0)


def test_a_k_that_fits_is_left_alone_and_a_computed_one_refused() -> None:
    with pytest.raises(CannotRewrite, match="takes up to 3840"):
        rewritten(large(5000, 3840, "axis = 1"), topk, "TopK")
    with pytest.raises(CannotRewrite, match="infinity"):
        rewritten(large(5000, 4000, "axis = 1", "int32"), topk, "TopK")
    computed = model_of("g (float[9] x, int64[1] k) => (float[M] v) { v, i = TopK (x, k) }")
    with pytest.raises(CannotRewrite, match="computed at run time"):
        rewritten(computed, topk, "TopK")


@pytest.mark.parametrize("attributes", ["", "<k = 1>", "<k = -2, dtype = 7>"])
def test_the_diagonal_of_a_free_shape(attributes: str) -> None:
    dtype = "int64" if "dtype" in attributes else "float"
    model = model_of(f"g (float[N,6] x) => ({dtype}[N,6] y) {{ y = EyeLike {attributes} (x) }}")
    check_mends(model, eye_like, "EyeLike", shapes={"x": [(1, 6), (4, 6), (8, 6)]})


def test_the_diagonal_of_an_unknown_rank_is_refused() -> None:
    with pytest.raises(CannotRewrite, match="rank"):
        rewritten(model_of("g (float[] x) => (float[a,b] y) { y = EyeLike (x) }"), eye_like, "EyeLike")
