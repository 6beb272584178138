"""Integers of types that TensorRT does not compute with, in int32 or int64, wrapped round."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from onnx import TensorProto

from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from tests.rewrites.mended import check_mends, difference, evaluated, model_of, ran, random_feeds

IN_INT32 = REWRITES["narrow-integers"]
BORDER = REWRITES["wider-border"]
FULL = (0, 256)


@pytest.mark.parametrize("op", ["Add", "Sub", "Mul", "Min", "Max"])
def test_uint8_arithmetic_wraps_round(op: str) -> None:
    model = model_of(
        f"g (uint8[n,4] a, uint8[n,4] b) => (float[n,4] y) {{ c = {op}(a, b) y = Cast <to = 1> (c) }}", opset=14
    )
    check_mends(model, IN_INT32, op, integers=FULL, run=evaluated)


@pytest.mark.parametrize("op", ["Greater", "Less", "Equal", "GreaterOrEqual"])
def test_uint8_is_compared(op: str) -> None:
    model = model_of(f"g (uint8[n,4] a) => (bool[n,4] y) {{ y = {op}(a, k) }}", opset=19, k=np.array(7, np.uint8))
    check_mends(model, IN_INT32, op, integers=(5, 10), run=evaluated, refused=op != "Equal")


def test_pixels_are_transposed_before_they_are_cast() -> None:
    model = model_of(
        """g (uint8[n,6,6,3] x) => (float[n,3,6,6] y, uint8[n,3,6,6] same) {
             same = Transpose <perm = [0, 3, 1, 2]> (x)
             s = Slice (same, start, end, axis)
             y = Cast <to = 1> (same)
             m = ReduceMax <axes = [1]> (s)
        }""",
        start=np.array([0]),
        end=np.array([2]),
        axis=np.array([2]),
    )
    after = check_mends(model, IN_INT32, "Transpose", integers=FULL)
    assert "ReduceMax" not in {node.op_type for node in after.graph.node}


def test_an_int8_table_is_looked_up() -> None:
    table = np.random.default_rng(0).integers(-128, 128, (8, 4)).astype(np.int8)
    model = model_of(
        "g (int64[n] i) => (float[n,4] y) { r = Gather (table, i) y = Cast <to = 1> (r) }",
        table=table,
    )
    check_mends(model, IN_INT32, "Gather", integers=(0, 8))


def test_a_uint16_table_and_a_cast_that_wraps_round() -> None:
    model = model_of(
        """g (int32[n] x, int64[n] i) => (float[n] y) {
             h = Cast <to = 5> (x)
             f = Cast <to = 1> (h)
             r = Gather (table, i)
             k = Cast <to = 1> (r)
             y = Add (f, k)
        }""",
        table=np.array([1, 40000, 65535, 3], np.uint16),
    )

    def feeds(point: int, seed: int) -> dict[str, np.ndarray]:
        drawn = random_feeds(model.proto, None, point, seed)
        return {**drawn, "x": np.random.default_rng(seed).integers(-(2**31), 2**31, drawn["i"].shape).astype(np.int32)}

    check_mends(model, IN_INT32, "Cast", feeds=feeds)


def test_bools_are_reduced() -> None:
    model = model_of(
        "g (bool[n,4] x) => (bool[n,1] y) { y = ReduceMax <keepdims = 1> (x, axes) }", opset=20, axes=np.array([1])
    )
    check_mends(model, IN_INT32, "ReduceMax", run=evaluated)


@pytest.mark.parametrize(("kind", "wider"), [("int16", TensorProto.INT32), ("uint32", TensorProto.INT64)])
def test_inputs_and_outputs_become_wider(kind: str, wider: int) -> None:
    model = model_of(f"g ({kind}[n,4] a, {kind}[n,4] b) => ({kind}[n,4] y) {{ c = Mul(a, b) y = Add(c, a) }}", opset=14)
    after = check_mends(model, BORDER, "Mul", run=None)
    assert [value.type.tensor_type.elem_type for value in (*after.graph.input, *after.graph.output)] == [wider] * 3
    rng, dtype = np.random.default_rng(1), np.dtype(kind)
    given = {name: rng.integers(0, np.iinfo(dtype).max, (3, 4)).astype(dtype) for name in "ab"}
    widened = {
        name: value.astype(np.int64 if wider == TensorProto.INT64 else np.int32) for name, value in given.items()
    }
    assert np.array_equal(evaluated(model.proto, given)[0], evaluated(after, widened)[0])


def test_what_needs_nothing_is_refused() -> None:
    with pytest.raises(CannotRewrite, match="no node computes"):
        IN_INT32.run(model_of("g (int32[n] a) => (int32[n] y) { y = Add(a, a) }"), [])
    with pytest.raises(CannotRewrite, match="no input or output"):
        BORDER.run(model_of("g (uint8[n] a) => (float[n] y) { b = Add(a, a) y = Cast <to = 1> (b) }", opset=14), [])
    text = "g (uint16[n] a) => (float[n] y) { b = Add(a, a) y = Cast <to = 1> (b) }"
    with pytest.raises(CannotRewrite, match="from outside"):
        IN_INT32.run(model_of(text, opset=14), [])


@settings(max_examples=30, derandomize=True, deadline=None)
@given(
    op=st.sampled_from(["Add", "Sub", "Mul", "Div", "Min", "Max", "Mod"]),
    kind=st.sampled_from(["int8", "uint8"]),
    seed=st.integers(0, 1000),
)
def test_any_arithmetic_is_equal(op: str, kind: str, seed: int) -> None:
    model = model_of(
        f"g ({kind}[9] a, {kind}[9] b) => (int32[9] y) {{ c = {op}(a, b) y = Cast <to = 6> (c) }}", opset=14
    )
    rng, limits = np.random.default_rng(seed), np.iinfo(kind)
    feeds = {name: rng.integers(limits.min, limits.max + 1, 9).astype(kind) for name in "ab"}
    feeds["b"][feeds["b"] == 0] = 3
    after = IN_INT32.run(model, [])
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0


WIDER = {"uint16": "int32", "uint32": "int64", "int16": "int32"}


def on_bits(op: str, kind: str) -> str:
    """An operator on bits between casts from and to the type that is wide enough."""
    number, wide = (getattr(TensorProto, name.upper()) for name in (kind, WIDER[kind]))
    return (
        f"g ({WIDER[kind]}[n,4] a, {WIDER[kind]}[n,4] b) => ({WIDER[kind]}[n,4] y) {{ c = Cast <to = {number}> (a) "
        f"d = Cast <to = {number}> (b) e = {op} (c, d) y = Cast <to = {wide}> (e) }}"
    )


SHIFTS = ('BitShift <direction = "LEFT">', 'BitShift <direction = "RIGHT">')


@pytest.mark.parametrize("kind", ["uint16", "uint32"])
@pytest.mark.parametrize("op", SHIFTS)
def test_wide_integers_are_shifted(op: str, kind: str) -> None:
    check_mends(model_of(on_bits(op, kind), 18), IN_INT32, "BitShift", integers=(0, 15), run=evaluated)


def test_a_shift_of_uint64_to_the_right_is_left() -> None:
    text = on_bits(SHIFTS[1], "uint32").replace("= 12>", "= 13>")
    after = IN_INT32.run(model_of(text, 18), ["0"])
    assert "BitShift" in {node.op_type for node in after.graph.node}


@settings(max_examples=12, deadline=None, derandomize=True)
@given(
    st.sampled_from([*SHIFTS, "BitwiseAnd", "BitwiseOr", "BitwiseXor"]), st.sampled_from(sorted(WIDER)), st.integers()
)
def test_any_bits_are_equal(op: str, kind: str, seed: int) -> None:
    model = model_of(on_bits(op, kind), 26 if kind == "int16" and "Shift" in op else 18)
    rng = np.random.default_rng(abs(seed))
    width = {"uint16": 16, "uint32": 32, "int16": 15}[kind]
    wide = np.int32 if WIDER[kind] == "int32" else np.int64
    second = rng.integers(0, width, (3, 4)) if "Shift" in op else rng.integers(0, 2**width, (3, 4))
    feeds = {"a": rng.integers(0, 2**width, (3, 4)).astype(wide), "b": second.astype(wide)}
    after = IN_INT32.run(model, ["0"])
    assert np.array_equal(evaluated(model.proto, feeds)[0], evaluated(after, feeds)[0])


@pytest.mark.parametrize("kind", ["uint8", "int8"])
@pytest.mark.parametrize("scales", [[1, 1, 2, 2], [1, 1, 1.5, 3], [1, 1, 0.5, 0.5]])
def test_quantized_integers_are_interpolated(kind: str, scales: list[float]) -> None:
    model = model_of(
        f'g ({kind}[n,2,6,8] x) => (float[n,2,h,w] y) {{ r = Resize <mode = "linear"> (x, , s) '
        "y = Cast <to = 1> (r) }",
        17,
        s=np.array(scales, np.float32),
    )
    after = IN_INT32.run(model, ["0"])
    feeds = random_feeds(model.proto, None, 1, 0, (0, 128))
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0
