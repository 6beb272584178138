"""NonZero, Compress and Unique, whose output size depends on values, against ONNX Runtime, and built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.data_dependent import compress, compress_constant, nonzero, unique
from tests.rewrites.mended import Shapes, check_mends, difference, model_of, ran, random_feeds, rewritten


@pytest.mark.parametrize(
    ("declared", "points"),
    [
        ("float[N]", [(1,), (4,), (9,)]),
        ("bool[3,4]", [(3, 4)] * 3),
        ("bool[N,5]", [(1, 5), (4, 5), (8, 5)]),
        ("int32[2,N,3]", [(2, 1, 3), (2, 4, 3), (2, 8, 3)]),
    ],
)
def test_nonzero(declared: str, points: list[tuple[int, ...]]) -> None:
    model = model_of(f"g ({declared} x) => (int64[R,C] y) {{ y = NonZero(x) }}")
    check_mends(model, nonzero, "NonZero", shapes={"x": points})


def test_a_selection_by_mask() -> None:
    model = model_of(
        """g (float[N,6] x, bool[N] m) => (float[K,6] y) {
        i = NonZero(m)  t = Transpose <perm = [1,0]> (i)  r = GatherND(x, t)  y = Relu(r) }"""
    )
    shapes: Shapes = {"x": [(1, 6), (4, 6), (8, 6)], "m": [(1,), (4,), (8,)]}
    check_mends(model, nonzero, "NonZero", shapes=shapes)


def test_a_selection_that_is_scattered_back() -> None:
    model = model_of(
        """g (float[N,6] x, bool[N] m) => (float[N,6] y) {
        i = NonZero(m)  t = Transpose <perm = [1,0]> (i)  r = GatherND(x, t)  e = Exp(r)  y = ScatterND(x, t, e) }"""
    )
    shapes: Shapes = {"x": [(1, 6), (4, 6), (8, 6)], "m": [(1,), (4,), (8,)]}
    check_mends(model, nonzero, "NonZero", shapes=shapes)


def test_nonzero_of_a_scalar_is_refused() -> None:
    model = model_of("g (float x) => (int64[R,C] y) { y = NonZero(x) }")
    with pytest.raises(CannotRewrite, match="no axes"):
        rewritten(model, nonzero, "NonZero")


@pytest.mark.parametrize(
    ("attributes", "condition"), [("axis = 1", "{1,0,1,1,0,0}"), ("axis = -2", "{0,1}"), ("", "{0,1,1}")]
)
def test_compress_by_a_constant(attributes: str, condition: str) -> None:
    count = condition.count(",") + 1
    model = model_of(
        f"""g (float[N,6] x) => (float[{"A" if not attributes else "A,B"}] y) <bool[{count}] c = {condition}> {{
        y = Compress {f"<{attributes}>" if attributes else ""} (x, c) }}"""
    )
    after = check_mends(model, compress_constant, "Compress", shapes={"x": [(2, 6), (4, 6), (8, 6)]})
    assert [node.op_type for node in after.graph.node][-1] == "Gather"
    with pytest.raises(CannotRewrite, match="Gather does it"):
        rewritten(model, compress, "Compress")


@pytest.mark.parametrize(("attributes", "output"), [("axis = 0", "A,6"), ("axis = -2", "A,6"), ("", "A")])
def test_compress_by_a_computed_condition(attributes: str, output: str) -> None:
    model = model_of(
        f"""g (float[N,6] x, bool[N] c) => (float[{output}] y) {{
        y = Compress {f"<{attributes}>" if attributes else ""} (x, c) }}"""
    )
    check_mends(model, compress, "Compress", shapes={"x": [(1, 6), (4, 6), (8, 6)], "c": [(1,), (4,), (8,)]})
    with pytest.raises(CannotRewrite, match="computed"):
        rewritten(model, compress_constant, "Compress")


def uniques(declared: str, attributes: str, output: str, outputs: int = 4) -> OpenedModel:
    dtype = declared.split("[", maxsplit=1)[0]
    types = [f"{dtype}[{output}] y", "int64[A] i", "int64[B] v", "int64[A] c"][:outputs]
    names = ", ".join(one.split()[-1] for one in types)
    return model_of(f"g ({declared} x) => ({', '.join(types)}) {{ {names} = Unique <{attributes}> (x) }}")


@pytest.mark.parametrize(
    ("declared", "attributes", "output", "points"),
    [
        ("float[6]", "sorted = 1", "A", [(6,)] * 3),
        ("int64[N]", "sorted = 1", "A", [(1,), (6,), (20,)]),
        ("float[N,3]", "sorted = 1", "A", [(1, 3), (4, 3), (8, 3)]),
        ("int32[N]", "sorted = 0", "A", [(1,), (6,), (20,)]),
        ("int64[N,2]", "axis = 0", "A,2", [(1, 2), (6, 2), (20, 2)]),
        ("int64[2,N]", "axis = 1, sorted = 0", "2,A", [(2, 1), (2, 6), (2, 20)]),
    ],
)
def test_unique(declared: str, attributes: str, output: str, points: list[tuple[int, ...]]) -> None:
    runnable = not (declared.startswith("int32") or "axis" in attributes)
    model = uniques(declared, attributes, output)
    check_mends(model, unique, "Unique", shapes={"x": points}, integers=(0, 3), run=ran if runnable else None)


def test_too_many_to_compare_is_refused() -> None:
    with pytest.raises(CannotRewrite, match="5000 items"):
        rewritten(uniques("float[5000]", "sorted = 1", "A", 1), unique, "Unique")


@settings(max_examples=15, deadline=None, derandomize=True)
@given(sizes=st.lists(st.integers(1, 4), min_size=1, max_size=3), seed=st.integers(0, 99), ordered=st.integers(0, 1))
def test_any_shape(sizes: list[int], seed: int, ordered: int) -> None:
    declared = f"int64[{','.join(map(str, sizes))}]"
    for model, rewriter, op in (
        (model_of(f"g ({declared} x) => (int64[R,C] y) {{ y = NonZero(x) }}"), nonzero, "NonZero"),
        (uniques(declared, f"sorted = {ordered}", "A"), unique, "Unique"),
        (
            uniques(declared, f"sorted = {ordered}, axis = {len(sizes) - 1}", ",".join("pqrs"[: len(sizes)])),
            unique,
            "Unique",
        ),
    ):
        feeds = random_feeds(model.proto, None, 0, seed, (0, 3))
        after = rewritten(model, rewriter, op)
        assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


def test_nothing_and_everything_kept() -> None:
    model = model_of("g (bool[N] x) => (int64[R,C] y) { y = NonZero(x) }")
    after = rewritten(model, nonzero, "NonZero")
    for value in (False, True):
        feeds = {"x": np.full(5, value)}
        assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0
