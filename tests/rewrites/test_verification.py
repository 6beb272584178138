"""What counts as equal when a model and its rewrite are run on the same inputs."""

from __future__ import annotations

import numpy as np

from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.verification import verify
from tests.rewrites.mended import model_of

POINTS: list[tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = [({"x": (3, 4)}, {}), ({"x": (1, 4)}, {})]


def test_an_input_of_another_type_is_given_the_same_numbers() -> None:
    model = model_of("g (double[n,4] x) => (double[n,4] y) { y = Exp (x) }")
    found = verify(model.proto, REWRITES["float64-in-float32"].run(model, []), POINTS)
    assert found.holds
    assert found.ran == 6
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
