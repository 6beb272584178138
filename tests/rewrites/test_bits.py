"""Bit operators in integer arithmetic, against ONNX's reference evaluator, and built."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.bits import bit_shift, bitwise, bitwise_not, low_bits
from friction_tui.rewrites.graph_parts import remove_unused
from tests.rewrites.mended import built, check_mends, difference, evaluated, model_of, ran, random_feeds, rewritten

DTYPES = ("uint8", "int8", "int32", "int64")
FREE = {"x": [(1, 6), (4, 6), (8, 6)]}


def operated(op: str, dtype: str, second: int | None, attributes: str = "", sizes: str = "N,6") -> OpenedModel:
    if second is None:
        return model_of(
            f"g ({dtype}[{sizes}] x, {dtype}[{sizes}] z) => ({dtype}[{sizes}] y) {{ y = {op} {attributes} (x, z) }}",
            opset=18,
        )
    return model_of(
        f"g ({dtype}[{sizes}] x) => ({dtype}[{sizes}] y) {{ y = {op} {attributes} (x, z) }}",
        opset=18,
        z=np.array([second], dtype),
    )


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
@pytest.mark.parametrize("direction", ["LEFT", "RIGHT"])
def test_shifts_by_a_constant(dtype: str, direction: str) -> None:
    model = operated("BitShift", dtype, 4, f'<direction = "{direction}">')
    low = 0 if dtype == "uint8" else -1000
    check_mends(model, bit_shift, "BitShift", shapes=FREE, integers=(low, 250), run=evaluated if low else ran)


@pytest.mark.parametrize("op", ["BitwiseAnd", "BitwiseOr", "BitwiseXor"])
@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_bitwise(op: str, dtype: str) -> None:
    low = 0 if dtype == "uint8" else -250
    shapes = {"x": FREE["x"], "z": FREE["x"]}
    check_mends(operated(op, dtype, None), bitwise, op, shapes=shapes, integers=(low, 250))


@pytest.mark.parametrize("dtype", ["uint8", "int32", "int64"])
def test_not(dtype: str) -> None:
    model = model_of(f"g ({dtype}[N,6] x) => ({dtype}[N,6] y) {{ y = BitwiseNot (x) }}", opset=18)
    check_mends(model, bitwise_not, "BitwiseNot", shapes=FREE, integers=(0, 250))


@pytest.mark.parametrize(("dtype", "mask"), [("uint8", 15), ("int32", 15), ("int64", 255)])
def test_the_low_bits(dtype: str, mask: int) -> None:
    low = 0 if dtype == "uint8" else -1000
    check_mends(operated("BitwiseAnd", dtype, mask), low_bits, "BitwiseAnd", shapes=FREE, integers=(low, 250))


@pytest.mark.parametrize("shift_first", [True, False])
def test_unpacking_two_values_from_a_byte(shift_first: bool) -> None:
    before = model_of(
        """g (uint8[N,6] x) => (float[N,12] y) {
        h = BitShift <direction = "RIGHT"> (x, four)  k = BitwiseAnd (h, mask)  l = BitwiseAnd (x, mask)
        a = Cast <to = 1> (l)  b = Cast <to = 1> (k)  y = Concat <axis = 1> (a, b) }""",
        opset=18,
        four=np.array([4], np.uint8),
        mask=np.array([15], np.uint8),
    )
    model = before
    for rewriter, op in ((bit_shift, "BitShift"), (low_bits, "BitwiseAnd"))[:: 1 if shift_first else -1]:
        model = from_proto(rewritten(model, rewriter, op), Path("model.onnx"))
    remove_unused(model.proto)
    assert built(before.proto, FREE).verdict == "parse"
    assert built(model.proto, FREE) == ("ok", "")
    feeds = random_feeds(before.proto, FREE, 2, 0, (0, 256))
    assert difference(ran(before.proto, feeds), ran(model.proto, feeds)) == 0.0


def test_other_masks_and_types_are_refused() -> None:
    for mask in (10, 0):
        with pytest.raises(CannotRewrite, match="not of the form"):
            rewritten(operated("BitwiseAnd", "int32", mask), low_bits, "BitwiseAnd")
    with pytest.raises(CannotRewrite, match="neither operand"):
        rewritten(operated("BitwiseAnd", "int32", None), low_bits, "BitwiseAnd")
    with pytest.raises(CannotRewrite, match="no uint16"):
        rewritten(operated("BitwiseAnd", "uint16", None), bitwise, "BitwiseAnd")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    dtype=st.sampled_from(DTYPES),
    op=st.sampled_from(["LEFT", "RIGHT", "BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot"]),
    seed=st.integers(0, 999),
)
def test_any_value_up_to_the_limits_of_its_type(dtype: str, op: str, seed: int) -> None:
    limits = np.iinfo(dtype)
    rng = np.random.default_rng(seed)
    x, z = (rng.integers(limits.min, limits.max, (2, 6), dtype=dtype, endpoint=True) for _ in range(2))
    x[0, :2], z[1, :2] = (limits.min, limits.max), (limits.max, limits.min)
    feeds, rewriter, name, attributes = {"x": x, "z": z}, bitwise, op, ""
    expected: np.ndarray
    if op in ("LEFT", "RIGHT"):
        feeds["z"] = rng.integers(0, limits.bits, (2, 6)).astype(dtype)
        rewriter, name, attributes = bit_shift, "BitShift", f'<direction = "{op}">'
        expected = np.left_shift(x, feeds["z"]) if op == "LEFT" else np.right_shift(x, feeds["z"])
    elif op == "BitwiseNot":
        rewriter, expected = bitwise_not, np.invert(x)
    else:
        expected = {"BitwiseAnd": np.bitwise_and, "BitwiseOr": np.bitwise_or, "BitwiseXor": np.bitwise_xor}[op](x, z)
    model = _model(name, dtype, attributes)
    given_ = {port.name: feeds[port.name] for port in model.proto.graph.input}
    assert np.array_equal(ran(rewritten(model, rewriter, name), given_)[0], expected)


def _model(op: str, dtype: str, attributes: str) -> OpenedModel:
    if op == "BitwiseNot":
        return model_of(f"g ({dtype}[2,6] x) => ({dtype}[2,6] y) {{ y = BitwiseNot (x) }}", opset=18)
    return operated(op, dtype, None, attributes, "2,6")


def test_each_has_a_name_of_its_own() -> None:
    rewriters: tuple[Rewriter, ...] = (bit_shift, bitwise, bitwise_not, low_bits)
    assert len({rewriter.name for rewriter in rewriters}) == len(rewriters)
