"""Quantized kernels written as QuantizeLinear and DequantizeLinear around the float operator."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.kernels_to_qdq import KEPT, WIDENED
from tests.rewrites.mended import Answer, built, check_mends, difference, model_of, ran, random_feeds

HEADER = '<ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]>\n'


def scale(value: float) -> np.ndarray:
    return np.array(value, np.float32)


def convolved(zero: np.ndarray, seed: int = 0, channels: int = 4, attributes: str = "") -> OpenedModel:
    """QuantizeLinear, MaxPool of the integers, QLinearConv, DequantizeLinear."""
    rng = np.random.default_rng(seed)
    return model_of(
        f"""g (float[n,3,8,8] x) => (float[n,c,h,w] y) {{
        q = QuantizeLinear (x, a, z) p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (q)
        r = QLinearConv {attributes} (p, a, z, k, b, u, s, z, v) y = DequantizeLinear (r, s, z) }}""",
        a=scale(0.02),
        z=zero,
        k=rng.integers(-127, 128, (channels, 3, 3, 3)).astype(np.int8),
        b=rng.uniform(0.001, 0.01, channels).astype(np.float32),
        u=np.zeros(channels, np.int8),
        s=scale(0.05),
        v=rng.integers(-500, 500, channels).astype(np.int32),
    )


MATMUL = (
    "g (float[n,8] x) => (float[n,m] y) { q = QuantizeLinear (x, a, z) r = QLinearMatMul (q, a, z, k, a, z, s, z) "
    "y = DequantizeLinear (r, s, z) }"
)
SUM = (
    HEADER + "g (float[n,8] x) => (float[n,8] y) { q = QuantizeLinear (x, a, z) "
    "t = com.microsoft.QLinearSigmoid (q, a, z, s, z) r = com.microsoft.QLinearAdd (q, a, z, t, s, z, b, z) "
    "y = DequantizeLinear (r, b, z) }"
)


def weights(zero: np.ndarray, **more: np.ndarray) -> dict[str, np.ndarray]:
    return {"a": scale(0.02), "z": zero, "s": scale(0.01), "b": scale(0.04), **more}


def matrix(zero: np.ndarray) -> OpenedModel:
    k = np.random.default_rng(1).integers(-20, 20, (8, 5)).astype(zero.dtype)
    return model_of(MATMUL, 17, **{key: value for key, value in weights(zero, k=k).items() if key != "b"})


def within_a_step(model: OpenedModel, after: object, step: float) -> None:
    for seed in range(3):
        feeds = random_feeds(model.proto, None, 1, seed)
        assert difference(ran(model.proto, feeds), ran(after, feeds)) <= step * 1.01  # type: ignore[arg-type]


@pytest.mark.parametrize(
    ("model", "op", "step"),
    [
        (convolved(np.int8(0) * np.ones((), np.int8)), "QLinearConv", 0.05),
        (convolved(np.zeros((), np.int8), attributes="<pads = [1,1,1,1], strides = [2,2]>"), "QLinearConv", 0.05),
        (matrix(np.zeros((), np.int8)), "QLinearMatMul", 0.01),
        (model_of(SUM, 17, **weights(np.zeros((), np.int8))), "QLinearAdd", 0.04),
    ],
)
def test_int8_is_kept(model: OpenedModel, op: str, step: float) -> None:
    after = check_mends(model, KEPT, op, tolerance=step * 1.01)
    integers = {tensor.name for tensor in after.graph.initializer if tensor.data_type == 3}
    assert all(node.input[2] in integers for node in after.graph.node if node.op_type == "QuantizeLinear")


def test_zero_points_that_are_not_zero_are_quantized_anew() -> None:
    model = convolved(np.array(7, np.int8))
    with pytest.raises(CannotRewrite, match="zero point 0"):
        KEPT.run(model, [])
    after = WIDENED.run(model, [])
    assert built(after) == Answer("ok", "")
    within_a_step(model, after, 0.15)  # a step of twice 0.05, and the input's own


def test_without_a_kernel_it_says_so() -> None:
    with pytest.raises(CannotRewrite, match="no quantized kernel"):
        KEPT.run(model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }"), [])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.integers(1, 6), st.booleans())
def test_any_weights(seed: int, channels: int, padded: bool) -> None:
    model = convolved(np.zeros((), np.int8), seed, channels, "<pads = [1,1,1,1]>" if padded else "")
    within_a_step(model, KEPT.run(model, []), 0.05)
