"""Element types that do not fit together, or that TensorRT refuses, cast or stored in another type."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.types import decode_constant, widest
from tests.rewrites.mended import Answer, built, check_mends, difference, model_of, ran, random_feeds

ONE = np.ones(4, np.float32)


@pytest.mark.parametrize(
    ("text", "opset"),
    [
        ("g (float[n,4] x, int64[n,4] k) => (float[n,4] y) { y = Add (x, k) }", 17),
        ("g (bool[n,4] c, int32[n,4] x, int64[n,4] k) => (int32[n,4] y) { y = Where (c, x, k) }", 17),
        ("g (float16[n,4] x, bfloat16[n,4] k) => (float[n,4] y) { y = Mul (x, k) }", 17),
        ("g (float[n,4] x) => (float[n,4] y) { y = Mul (x, half) }", 17),
        ("g (float[n,4] x, int32[n,2] k) => (float[n,6] y) { y = Concat <axis = 1> (x, k) }", 17),
        (
            """g (float[n,4] x, bool c) => (float[n,4] y) {
                 y = If (c) <then_branch = a () => (float[n,4] p) { p = Relu (x) },
                             else_branch = b () => (int32[n,4] q) { q = Cast <to = 6> (x) }>
            }""",
            17,
        ),
    ],
)
def test_mixed_inputs_meet_in_the_widest_type(text: str, opset: int) -> None:
    model = model_of(text, opset=opset, half=ONE.astype(np.float16))
    op = next(name for name in ("If", "Add", "Where", "Mul", "Concat") if f"= {name} " in text)
    check_mends(model, REWRITES["cast-to-widest"], op, run=None)


def test_the_widest_type_is_that_of_all() -> None:
    assert widest([TensorProto.FLOAT16, TensorProto.INT64]) == TensorProto.FLOAT16
    assert widest([TensorProto.FLOAT16, TensorProto.BFLOAT16]) == TensorProto.FLOAT
    assert widest([TensorProto.INT32, TensorProto.UINT8, TensorProto.INT64]) == TensorProto.INT64
    with pytest.raises(CannotRewrite, match="no common type"):
        widest([TensorProto.INT32, TensorProto.STRING])
    with pytest.raises(CannotRewrite, match="one type"):
        REWRITES["cast-to-widest"].run(model_of("g (float[4] x) => (float[4] y) { y = Add (x, x) }"), ["0"])


@pytest.mark.parametrize(
    ("text", "opset", "op"),
    [
        ("g (float[n,4] x, float[1] i) => (float[1,4] y) { y = Gather (x, i) }", 17, "Gather"),
        ("g (int32[n,4] x) => (int32[n,4] y) { y = Relu (x) }", 13, "Relu"),
        ("g (int64[n,4] x) => (int64[n,4] y) { y = Softmax <axis = 1> (x) }", 17, "Softmax"),
        ("g (float[n,4] c, float[n,4] x) => (float[n,4] y) { y = Where (c, x, x) }", 17, "Where"),
    ],
)
def test_an_input_is_cast_to_what_the_operator_takes(text: str, opset: int, op: str) -> None:
    check_mends(model_of(text, opset=opset), REWRITES["cast-to-allowed"], op, run=None, refused=op != "Relu")


def test_types_that_are_taken_are_left() -> None:
    with pytest.raises(CannotRewrite, match="takes the types"):
        REWRITES["cast-to-allowed"].run(model_of("g (float[4] x) => (float[4] y) { y = Relu (x) }"), ["0"])


@pytest.mark.parametrize(
    "text",
    [
        "g (float[n,4] x) => (float16[n,4] y) { y = Relu (x) }",
        "g (float[n,4] x) => (int32[n,4] y, float[n,4] z) { y = Relu (x) z = Neg (y) }",
        "g (int64[n,4] x) => (float[n,4] y) { y = Abs (x) }",
    ],
)
def test_an_output_becomes_what_it_is_declared_as(text: str) -> None:
    model = model_of(text)
    after = REWRITES["cast-to-declared"].run(model, [])
    assert [one.type for one in after.graph.output] == [one.type for one in model.proto.graph.output]
    assert built(after) == Answer("ok", "")
    assert (
        ran(after, random_feeds(after, None, 1, 0))[0].dtype
        == {1: "f4", 6: "i4", 10: "f2"}[model.proto.graph.output[0].type.tensor_type.elem_type]
    )
    with pytest.raises(CannotRewrite, match="every declared type"):
        REWRITES["cast-to-declared"].run(model_of("g (float[4] x) => (float[4] y) { y = Relu (x) }"), [])


def doubles() -> OpenedModel:
    return model_of(
        """g (double[n,4] x) => (double[n,4] y) {
             a = Mul (x, w)
             c = Constant <value = double[1] {0.1}> ()
             i = Cast <to = 6> (a)
             d = Cast <to = 11> (i)
             s = Add (d, c)
             y = Add (s, a)
        }""",
        w=np.array([0.1, 0.2, 0.3, 1e-9]),
    )


def test_float64_becomes_float32_throughout() -> None:
    model = doubles()
    after = REWRITES["float64-in-float32"].run(model, [])
    assert built(after) == Answer("ok", "")
    feeds = random_feeds(model.proto, None, 1, 0)
    before = ran(model.proto, feeds)[0]
    narrowed = ran(after, {"x": feeds["x"].astype(np.float32)})[0]
    assert narrowed.dtype == np.float32
    assert np.allclose(before, narrowed, atol=1e-6)
    with pytest.raises(CannotRewrite, match="nothing has"):
        REWRITES["bfloat16-in-float32"].run(model, [])


def test_bfloat16_becomes_float32() -> None:
    model = model_of("g (bfloat16[n,4] x) => (bfloat16[n,4] y) { a = Relu (x) y = Add (a, x) }")
    after = REWRITES["bfloat16-in-float32"].run(model, [])
    assert built(after) == Answer("ok", "")
    x = np.random.default_rng(0).standard_normal((3, 4)).astype(np.float32)
    assert np.array_equal(ran(after, {"x": x})[0], np.maximum(x, 0) + x)


def test_what_nothing_reads_is_removed() -> None:
    model = model_of(
        "g (float[n,4] x, string[n] names) => (float[n,4] y) { y = Relu (x) u = Add (t, t) }", t=ONE.astype("u2")
    )
    assert built(model.proto).verdict == "parse"
    once = REWRITES["remove-unread"].run(model, [])
    assert not once.graph.initializer
    twice = REWRITES["remove-unread-inputs"].run(model, [])
    assert [value.name for value in twice.graph.input] == ["x"]
    assert built(twice) == Answer("ok", "")
    sound = model_of("g (float[n,4] x) => (float[n,4] y) { y = Add (x, t) }", t=ONE)
    for name in ("remove-unread", "remove-unread-inputs"):
        with pytest.raises(CannotRewrite, match="every"):
            REWRITES[name].run(sound, [])


@pytest.mark.parametrize("kind", ["float", "float16"])
def test_float8_is_reached_by_quantizing(kind: str) -> None:
    number = {"float": 1, "float16": 10}[kind]
    text = f"g ({kind}[n,4] x) => ({kind}[n,4] y) {{ q = Cast <to = 17> (x) y = Cast <to = {number}> (q) }}"
    model = model_of(text, opset=19)
    check_mends(model, REWRITES["cast-by-quantizing"], "Cast")
    with pytest.raises(CannotRewrite, match="opset 19"):
        REWRITES["cast-by-quantizing"].run(model_of(text, opset=18), ["0"])


def test_other_casts_are_left() -> None:
    model = model_of("g (float[n,4] x) => (int32[n,4] y) { y = Cast <to = 6> (x) }", opset=19)
    with pytest.raises(CannotRewrite, match="only a Cast"):
        REWRITES["cast-by-quantizing"].run(model, ["0"])


@settings(max_examples=20, derandomize=True, deadline=None)
@given(scale=st.sampled_from([0.01, 1.0, 100.0, 1e4]), seed=st.integers(0, 1000))
def test_any_number_is_rounded_to_float8_alike(scale: float, seed: int) -> None:
    model = model_of("g (float[64] x) => (float[64] y) { q = Cast <to = 17> (x) y = Cast <to = 1> (q) }", opset=19)
    feeds = {"x": (np.random.default_rng(seed).standard_normal(64) * scale).astype(np.float32)}
    after = REWRITES["cast-by-quantizing"].run(model, ["0", "1"])
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0


CODES = {
    "float8e5m2": ml_dtypes.float8_e5m2,
    "float8e4m3fnuz": ml_dtypes.float8_e4m3fnuz,
    "float8e5m2fnuz": ml_dtypes.float8_e5m2fnuz,
    "int4": ml_dtypes.int4,
    "uint4": ml_dtypes.uint4,
}


def codes(kind: str, *sizes: int, seed: int = 0) -> np.ndarray:
    numbers = np.random.default_rng(seed).uniform(0, 7, sizes)
    return np.asarray(numbers.astype(np.int8) if "int" in kind else numbers, np.float32).astype(CODES[kind])


@pytest.mark.parametrize("kind", CODES)
def test_a_constant_of_few_bits_is_decoded(kind: str) -> None:
    model = model_of(
        "g (float[n,6] x) => (float[n,6] y) { w = Cast <to = 1> (c) y = Mul (x, w) }", 21, c=codes(kind, 6)
    )
    check_mends(model, decode_constant, "Cast", tolerance=0, refused=kind not in ("int4",))


def test_a_constant_is_dequantized() -> None:
    model = model_of(
        "g (float[n,6] x) => (float[n,4] y) { w = DequantizeLinear <axis = 1> (c, s) y = MatMul (x, w) }",
        21,
        c=codes("float8e5m2", 6, 4),
        s=np.array([0.5, 0.25, 2, 1], np.float32),
    )
    check_mends(model, decode_constant, "DequantizeLinear", tolerance=0)


def test_an_int8_that_is_one_number_is_dequantized() -> None:
    model = model_of(
        "g (float[n,4] x) => (float[n,4] y) { d = DequantizeLinear (c, s) y = Mul (x, d) }",
        17,
        c=np.array(64, np.int8),
        s=np.array(0.5, np.float32),
    )
    check_mends(model, decode_constant, "DequantizeLinear", tolerance=0)


def test_what_is_no_constant_of_few_bits_is_left() -> None:
    model = model_of("g (float[n,6] x) => (int32[n,6] y) { y = Cast <to = 6> (x) }", 21)
    with pytest.raises(CannotRewrite, match="does not read a float8"):
        decode_constant.run(model, ["0"])


@settings(max_examples=10, deadline=None, derandomize=True)
@given(st.sampled_from(sorted(CODES)), st.integers(1, 9), st.integers(0, 99))
def test_any_code_is_its_number(kind: str, size: int, seed: int) -> None:
    model = model_of("g () => (float[m] y) { y = Cast <to = 1> (c) }", 21, c=codes(kind, size, seed=seed))
    after = decode_constant.run(model, ["0"])
    assert np.array_equal(ran(after, {})[0], codes(kind, size, seed=seed).astype(np.float32))
