"""A layer normalization that was taken apart, put together again."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, NeedsOpset
from friction_tui.rewrites.normalization import FUSE
from tests.rewrites.mended import Answer, built, difference, model_of, ran, random_feeds

SQUARES = {"Pow": "s = Pow (c, two)", "Mul": "s = Mul (c, c)", "again": "e = Sub (x, m) s = Pow (e, two)"}


def apart(
    square: str = "Pow",
    *,
    sizes: tuple[int, ...] = (3, 8),
    axes: tuple[int, ...] = (-1,),
    scaled: tuple[str, ...] = ("Mul", "Add"),
    dtype: str = "float",
    opset: int = 17,
    seed: int = 0,
) -> OpenedModel:
    """[n, sizes] normalized over `axes`, as exporters below opset 17 write it."""
    rng, kind = np.random.default_rng(seed), np.float16 if dtype == "float16" else np.float32
    normal = sizes[min(axes) :]
    given = "" if opset >= 18 else f"<axes = {list(axes)}>"
    more = ", a" if opset >= 18 else ""
    text, last = "", "q"
    for op, weight in zip(scaled, "gb", strict=False):
        text, last = f"{text} z{weight} = {op} ({last}, {weight})", f"z{weight}"
    ports = ", ".join(["n", *map(str, sizes)])
    return model_of(
        f"""g ({dtype}[{ports}] x) => ({dtype}[{ports}] y) {{
        m = ReduceMean {given} (x{more}) c = Sub (x, m) {SQUARES[square]} v = ReduceMean {given} (s{more})
        w = Add (v, eps) r = Sqrt (w) q = Div (c, r) {text} y = Identity ({last}) }}""",
        opset,
        two=np.array(2, kind),
        eps=np.array(1e-5, kind),
        g=rng.standard_normal(normal).astype(kind),
        b=rng.standard_normal(normal).astype(kind),
        a=np.array(axes, np.int64),
    )


@pytest.mark.parametrize(
    "model",
    [
        apart(),
        apart("Mul", scaled=("Mul",), opset=18),
        apart("again", scaled=()),
        apart(sizes=(4, 3, 8), axes=(-2, -1), opset=20),
    ],
)
def test_it_is_one_operator_again(model: OpenedModel) -> None:
    after = FUSE.run(model, [])
    assert [node.op_type for node in after.graph.node] == ["LayerNormalization", "Identity"]
    assert built(after) == Answer("ok", "")
    for point in range(3):
        feeds = random_feeds(model.proto, None, point, point)
        assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-5


def test_large_numbers_stay_finite_in_float16() -> None:
    model = apart(dtype="float16")
    after = FUSE.run(model, [])
    feeds = {"x": 1000 * random_feeds(model.proto, None, 1, 0)["x"]}
    assert np.isfinite(ran(after, feeds)[0]).all()


@pytest.mark.parametrize(
    "model",
    [
        apart(axes=(-2,), scaled=()),
        model_of("g (float[n,8] x) => (float[n,8] y) { y = Div (x, two) }", 17, two=np.array(2, np.float32)),
    ],
)
def test_what_is_no_layer_normalization_is_left(model: OpenedModel) -> None:
    with pytest.raises(CannotRewrite, match="no layer normalization"):
        FUSE.run(model, [])


def test_it_needs_the_operator() -> None:
    with pytest.raises(NeedsOpset):
        FUSE.run(apart(opset=16), [])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(
    st.sampled_from(sorted(SQUARES)), st.integers(1, 3), st.integers(2, 9), st.sampled_from([1, 2]), st.integers(0, 99)
)
def test_any_sizes(square: str, rows: int, columns: int, normalized: int, seed: int) -> None:
    axes = tuple(range(-normalized, 0))
    model = apart(square, sizes=(2, rows, columns), axes=axes, seed=seed)
    feeds = random_feeds(model.proto, None, 1, seed)
    assert difference(ran(model.proto, feeds), ran(FUSE.run(model, []), feeds)) < 1e-5
