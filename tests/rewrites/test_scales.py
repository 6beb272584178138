"""Scales and zero points changed so that the quantization stays in the engine."""

from __future__ import annotations

from collections.abc import Mapping

import ml_dtypes
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from tests.rewrites.mended import Answer, built, check_mends, difference, model_of, ran, random_feeds

PAIR = "g (float[n,4] x) => (float[n,4] y) { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"
WEIGHTS = """g (float[n,4] x) => (float[n,3] y) {
  q = QuantizeLinear <axis = 1> (w, s, z)
  d = DequantizeLinear <axis = 1> (q, s, z)
  y = MatMul (x, d)
}"""
FOUR = np.array([0.1, 0.2, 0.3, 0.4], np.float32)


def test_uint8_around_128_is_int8_around_0() -> None:
    pair = model_of(PAIR, s=np.array(0.1, np.float32), z=np.array(128, np.uint8))
    after = check_mends(pair, REWRITES["uint8-to-int8"], "QuantizeLinear")
    assert [node.op_type for node in after.graph.node] == ["QuantizeLinear", "DequantizeLinear"]
    channels = model_of(PAIR.replace("r(", "r <axis = 1> ("), s=FOUR, z=np.full(4, 128, np.uint8))
    check_mends(channels, REWRITES["uint8-to-int8"], "QuantizeLinear")
    stored = model_of(
        "g (float[n,4] x) => (float[n,4] y) { d = DequantizeLinear <axis = 0> (w, s, z) y = MatMul (x, d) }",
        w=np.random.default_rng(3).integers(0, 256, (4, 4)).astype(np.uint8),
        s=FOUR,
        z=np.full(4, 128, np.uint8),
    )
    check_mends(stored, REWRITES["uint8-to-int8"], "DequantizeLinear")
    with pytest.raises(CannotRewrite, match="128"):
        REWRITES["uint8-to-int8"].run(model_of(PAIR, s=np.array(0.1, np.float32), z=np.array(127, np.uint8)), [])


@pytest.mark.parametrize("zero", [np.array(7, np.uint8), np.array(0, np.uint8), np.array(-7, np.int8)])
def test_an_asymmetric_pair_becomes_symmetric_within_one_step(zero: np.ndarray) -> None:
    model = model_of(PAIR, s=np.array(0.1, np.float32), z=zero)
    check_mends(
        model, REWRITES["symmetric-int8"], "QuantizeLinear", tolerance=0.25, refused=bool(zero), run=_inside_the_range
    )


def _inside_the_range(proto: onnx.ModelProto, feeds: Mapping[str, np.ndarray]) -> list[np.ndarray]:
    return ran(proto, {name: np.clip(value, 0, 10) for name, value in feeds.items()})


def test_asymmetric_weights_become_symmetric() -> None:
    model = model_of(
        "g (float[n,4] x) => (float[n,4] y) { d = DequantizeLinear <axis = 1> (w, s, z) y = MatMul (x, d) }",
        w=np.random.default_rng(3).integers(0, 256, (4, 4)).astype(np.uint8),
        s=FOUR / 100,
        z=np.array([100, 120, 140, 128], np.uint8),
    )
    after = check_mends(model, REWRITES["symmetric-int8"], "DequantizeLinear", tolerance=0.05)
    assert TensorProto.INT8 in {tensor.data_type for tensor in after.graph.initializer}
    with pytest.raises(CannotRewrite, match="symmetric"):
        REWRITES["symmetric-int8"].run(model_of(PAIR, s=np.array(0.1, np.float32), z=np.array(0, np.int8)), [])


@pytest.mark.parametrize("bad", [np.nan, np.inf, 0.0, -0.1])
def test_an_unusable_scale_is_taken_from_the_weights(bad: float) -> None:
    weights = np.random.default_rng(3).uniform(-2, 2, (4, 3)).astype(np.float32)
    scale = np.array([0.02, bad, 0.03], np.float32)
    model = model_of(WEIGHTS, w=weights, s=scale, z=np.zeros(3, np.int8))
    refused = not np.isinf(bad)
    after = check_mends(model, REWRITES["scales-from-weights"], "QuantizeLinear", run=None, refused=refused)
    feeds = random_feeds(after, None, 1, 0)
    assert np.allclose(ran(after, feeds)[0], feeds["x"] @ weights, atol=0.2)


def test_the_scale_of_an_activation_cannot_be_taken_from_anywhere() -> None:
    with pytest.raises(CannotRewrite, match="missing"):
        REWRITES["scales-from-weights"].run(model_of(PAIR, s=np.array(np.nan, np.float32), z=np.array(0, np.int8)), [])


def test_too_few_scales_are_taken_from_the_weights() -> None:
    model = model_of(
        WEIGHTS,
        w=np.random.default_rng(3).standard_normal((4, 3)).astype(np.float32),
        s=FOUR[:2] / 10,
        z=np.zeros(2, np.int8),
    )
    check_mends(model, REWRITES["scales-from-weights"], "QuantizeLinear", run=None)


@pytest.mark.parametrize("axis", [0, 5, -7])
def test_scales_are_put_on_the_axis_that_fits(axis: int) -> None:
    model = model_of(
        PAIR.replace("[n,4]", "[3,4]").replace("r(", f"r <axis = {axis}> ("), s=FOUR, z=np.zeros(4, np.int8)
    )
    after = check_mends(model, REWRITES["scales-on-their-axis"], "QuantizeLinear", run=None)
    right = model_of(PAIR.replace("r(", "r <axis = 1> ("), s=FOUR, z=np.zeros(4, np.int8))
    feeds = random_feeds(after, None, 1, 0)
    assert difference(ran(right.proto, feeds), ran(after, feeds)) == 0
    with pytest.raises(CannotRewrite, match="no other"):
        REWRITES["scales-on-their-axis"].run(right, [])
    square = PAIR.replace("[n,4]", "[4,4]").replace("r(", "r <axis = 5> (")
    with pytest.raises(CannotRewrite, match="no other"):
        REWRITES["scales-on-their-axis"].run(model_of(square, s=FOUR, z=np.zeros(4, np.int8)), [])


def test_what_is_not_128_remains() -> None:
    model = model_of(
        """g (float[n,4] x) => (float[n,4] y) {
             a = QuantizeLinear (x, s, z)
             b = DequantizeLinear (a, s, z)
             c = QuantizeLinear (b, s, k)
             y = DequantizeLinear (c, s, k)
        }""",
        s=np.array(0.1, np.float32),
        z=np.array(128, np.uint8),
        k=np.array(3, np.uint8),
    )
    assert built(model.proto).verdict == "parse"
    once = check_partly(model)
    assert built(once).verdict == "parse"


def check_partly(model: OpenedModel) -> onnx.ModelProto:
    after = REWRITES["uint8-to-int8"].run(model, [])
    feeds = random_feeds(after, None, 1, 0)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0
    return after


@settings(max_examples=20, derandomize=True, deadline=None)
@given(scale=st.integers(1, 640).map(lambda n: n / 64), seed=st.integers(0, 1000))
def test_any_shift_is_bit_equal(scale: float, seed: int) -> None:
    model = model_of(PAIR, s=np.array(scale, np.float32), z=np.array(128, np.uint8))
    feeds = {"x": (np.random.default_rng(seed).standard_normal((9, 4)) * scale * 100).astype(np.float32)}
    assert difference(ran(model.proto, feeds), ran(REWRITES["uint8-to-int8"].run(model, []), feeds)) == 0


def test_the_engine_keeps_integers() -> None:
    assert built(
        REWRITES["symmetric-int8"].run(model_of(PAIR, s=np.array(0.1, np.float32), z=np.array(9, np.uint8)), [])
    ) == Answer("ok", "")


def fp8(scale: np.ndarray, shape: str = "[n,4]") -> OpenedModel:
    text = f"""g (float{shape} x) => (float{shape} y) {{
      q = QuantizeLinear <axis = 1> (x, s, z)
      y = DequantizeLinear <axis = 1> (q, t, z)
    }}"""
    zero = np.zeros(scale.shape, ml_dtypes.float8_e4m3fn)
    return model_of(text, opset=23, s=scale, t=scale.astype(np.float32), z=zero)


@pytest.mark.parametrize("scale", [np.array(0.125, np.float16), np.array([0.125, 0.5, 1, 2], np.float16)])
def test_a_float16_scale_of_float32_data_in_fp8(scale: np.ndarray) -> None:
    check_mends(fp8(scale), REWRITES["quantize-in-one-type"], "QuantizeLinear")
    check_mends(fp8(scale, "[3,4]"), REWRITES["quantize-in-one-type"], "QuantizeLinear")
    with pytest.raises(CannotRewrite, match="has the type"):
        REWRITES["quantize-in-one-type"].run(fp8(scale.astype(np.float32)), ["0"])
