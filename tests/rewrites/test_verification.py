"""What counts as equal when a model and its rewrite are run on the same inputs."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import pytest
from onnx import numpy_helper

from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.expansion import EXPAND
from friction_tui.rewrites.verification import verify
from tests.rewrites.mended import model_of, path_of

POINTS: list[tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = [({"x": (3, 4)}, {}), ({"x": (1, 4)}, {})]


def test_an_input_of_another_type_is_given_the_same_numbers() -> None:
    model = model_of("g (double[n,4] x) => (double[n,4] y) { y = Exp (x) }")
    found = verify(model.proto, REWRITES["float64-in-float32"].run(model, []), POINTS)
    assert found.holds
    assert found.ran == 7
    assert 0 < found.max_relative < 1e-6


def test_nan_against_a_number_is_a_difference() -> None:
    text = "g (float[n,4] x) => (float[n,4] y) { y = Add (x, w) }"
    nan, same, zero = (model_of(text, w=np.array([v, 0, 0, 0], np.float32)).proto for v in (np.nan, np.nan, 0))
    assert verify(nan, same, POINTS).holds
    assert verify(nan, zero, POINTS).holds is False
    assert verify(zero, nan, POINTS).holds is False


def test_integer_products_are_compared_with_exact_arithmetic() -> None:
    model = model_of(
        """g (float[n,4] x) => (float[n,2] y) {
             q, s, z = DynamicQuantizeLinear (x)
             i = MatMulInteger (q, w, z)
             y = Cast <to = 1> (i)
        }""",
        w=np.array([[127, -128], [127, 127], [-128, 127], [127, 127]], np.int8),
    )
    assert verify(model.proto, REWRITES["integer-kernels-in-float"].run(model, []), POINTS).holds
    other = model_of("g (float[n,4] x) => (float[n,2] y) { y = MatMul (x, w) }", w=np.ones((4, 2), np.float32))
    assert verify(model.proto, other.proto, POINTS).holds is False


def test_a_difference_is_traced_to_the_first_tensor() -> None:
    text = "g (float[n,4] x) => (float[n,4] y) { a = Relu (x)  b = Mul (a, w)  y = Neg (b) }"
    one, two = (model_of(text, w=np.array(value, np.float32)).proto for value in (1, 2))
    found = verify(one, two, POINTS)
    assert found.holds is False
    assert found.diverges == "b"
    assert "first at b" in str(found)


def test_the_function_body_stands_in_for_an_operator_that_onnx_runtime_lacks() -> None:
    model = model_of("g (float[n,4] x) => (float[n,4] y) { y = Swish <alpha = 1.5> (x) }", opset=24)
    after = REWRITES["expand-function"].run(model, [model.index.nodes[0].path])
    found = verify(model.proto, after, POINTS)
    assert found.holds


def test_a_random_original_is_compared_by_what_does_not_depend_on_chance() -> None:
    text = "g (float[n,4] x) => (float[n,4] y, float[n,4] z) { r = RandomNormalLike (x)  y = Add (x, r)  z = %s (x) }"
    before, same, other = (model_of(text % op).proto for op in ("Neg", "Neg", "Abs"))
    found = verify(before, same, POINTS)
    assert found.holds
    assert "the original is random: compared only 1 of 2 outputs" in str(found)
    assert verify(before, other, POINTS).holds is False


def test_of_a_wholly_random_original_no_value_is_compared() -> None:
    text = """g (float[n,4] x) => (float[n,4] y) {
                ratio = Constant <value_float = 0.5> ()
                on = Constant <value = bool {1}> ()
                y = Dropout (x, ratio, on)
            }"""
    before = model_of(text).proto
    found = verify(before, model_of("g (float[n,4] x) => (float[n,4] y) { y = Identity (x) }").proto, POINTS)
    assert found.holds is None
    assert str(found).startswith("not verified: the original is random: compared only the shapes and types")
    wider = model_of("g (float[n,4] x) => (float[n,8] y) { y = Concat <axis = 1> (x, x) }").proto
    assert verify(before, wider, POINTS).holds is None, "the number of axes is what a random output keeps"
    flat = model_of("g (float[n,4] x) => (float[m] y) { s = Constant <value_ints = [-1]> () y = Reshape (x, s) }").proto
    assert verify(before, flat, POINTS).holds is False


def test_what_changes_on_purpose_is_measured_and_named() -> None:
    text = "g (float[n,4] x) => (float[n,4] y) { y = Mul (x, w) }"
    one, two = (model_of(text, w=np.array(value, np.float32)).proto for value in (1, 2))
    found = verify(one, two, POINTS, changes="everything is doubled")
    assert found.holds is None
    assert "on purpose: everything is doubled" in str(found)
    assert "relative 1" in str(found)
    assert verify(one, one, POINTS, changes="nothing").holds is True


def test_inputs_beyond_what_a_model_is_made_for_are_named_and_do_not_count() -> None:
    sum_of = model_of("g (float[n,4] x) => (float[n,4] y) { y = Mul (x, w) }", w=np.eye(4, dtype=np.float32)[0]).proto
    as_product = model_of(
        "g (float[n,4] x) => (float[n,4] y) { y = MatMul (x, w) }", w=np.diag(np.eye(4, dtype=np.float32)[0])
    ).proto
    found = verify(sum_of, as_product, POINTS)
    assert found.holds
    assert found.edges == ("where an input is NaN",)
    assert "differs where an input is NaN" in str(found)


ENDLESS = """g (float[n,4] x) => (float[n,4] y) {
    most = Constant <value = int64 {9223372036854775807}> ()
    go = Constant <value = bool {1}> ()
    y = Loop (most, go, x) <body = b (int64 i, bool c, float[n,4] a) => (bool d, float[n,4] s) {
        d = Identity (c)
        s = Neg (a)
    }>
}"""


def test_running_ends_with_its_time() -> None:
    model = model_of(ENDLESS).proto
    found = verify(model, model, POINTS, limit_s=0.5)
    assert found.holds is None
    assert str(found) == "not verified: running both models once takes longer than 0.5 s"


SHARP = """g (float16[1,64,64] x, float16[1,64,64] z) => (float16[1,64,64] y) {{
    q = Relu (x)  k = Transpose <perm = [0,2,1]> (z)
    {scores}
    p = Softmax <axis = -1> (s)
    y = MatMul (p, x) }}"""
LARGE_POINTS: list[tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = [
    ({"x": (1, 64, 64), "z": (1, 64, 64)}, {})
]


def sharp(scores: str, **factors: float) -> onnx.ModelProto:
    proto = model_of(SHARP.format(scores=scores)).proto
    proto.graph.initializer.extend(
        numpy_helper.from_array(np.array(value, np.float16), name) for name, value in factors.items()
    )
    return proto


def test_rounding_that_a_model_magnifies_itself_is_no_difference() -> None:
    """Scores of hundreds in float16: Softmax makes much of whether they are scaled before they are summed or after."""
    port = "float16[1,4,256,64]"
    model = model_of(f"g ({port} x, {port} z) => ({port} y) {{ q = Relu(x) y = Attention(q, q, z) }}", 23)
    sizes = dict.fromkeys("xz", (1, 4, 256, 64))
    found = verify(model.proto, EXPAND.run(model, [path_of(model, "Attention")]), [(sizes, {})])
    assert found.holds
    assert 0 < found.rounded < found.equal
    assert "rounding its inputs" in str(found)


@pytest.mark.parametrize("scale", [0.15, 0.1])
def test_another_factor_is_a_difference_however_much_the_model_magnifies(scale: float) -> None:
    scores = "r = MatMul (q, k)  s = Mul (r, scale)"
    assert verify(sharp(scores, scale=0.14), sharp(scores, scale=scale), LARGE_POINTS).holds is False


def test_sizes_that_contradict_what_the_original_declares_are_not_its_results() -> None:
    """The constant of the example's length stretches an input of length 1, and the output is declared to follow it."""
    text = "g (float[n,4] x) => (float[n,4] y) {{ {} }}"
    table = np.arange(12, dtype=np.float32).reshape(3, 4)
    before = model_of(text.format("y = Add (x, table)"), table=table).proto
    cut = "s = Shape <end = 1> (x)  t = Slice (table, zero, s)  y = Add (x, t)"
    held: dict[str, Any] = {"table": table, "zero": np.array([0])}
    after = model_of(text.format(cut), **held).proto
    found = verify(before, after, POINTS)
    assert found.holds
    assert (found.undeclared, found.ran) == (2, found.equal)
    assert verify(before, after, POINTS[1:]).holds is None
    wrong = model_of(text.format("y = Add (x, table)"), table=table + 1).proto
    assert verify(before, wrong, POINTS).holds is False
