"""Scales, zero points and axes, wrong one at a time."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from friction_tui.kinds import quantization
from friction_tui.kinds.kind import Kind
from friction_tui.rules.types.quantization import check
from friction_tui.vocabulary.finding import Severity

PAIR = (
    "g (float[2,4] x) => (float[2,4] y) {{ [q] a = QuantizeLinear {axis} (x, s, z) [dq] y = DequantizeLinear "
    "{axis} (a, s, z) }}"
)
CONV = (
    "g (float[1,3,8,8] x) => (float[1,4,6,6] y) {{ [q] a = QuantizeLinear <axis = {axis}> (w, s, z) "
    "[dq] d = DequantizeLinear <axis = {axis}> (a, s, z) [conv] y = Conv (x, d) }}"
)


def constants(scale: Any, zero: Any = 0, dtype: Any = np.int8) -> list[TensorProto]:
    scale = np.asarray(scale, np.float32)
    return [numpy_helper.from_array(scale, "s"), numpy_helper.from_array(np.full(scale.shape, zero, dtype), "z")]


def pair(axis: str = "") -> str:
    return PAIR.format(axis=axis)


@pytest.mark.parametrize("scale", [0.1, [0.1, 0.2, 0.3, 0.4]])
def test_symmetric_int8_gives_no_finding(scale: Any, judge: Any) -> None:
    assert judge(check, pair("<axis = 1>"), tensors=constants(scale)) == []


@pytest.mark.parametrize(
    ("tensors", "kind", "words"),
    [
        (constants(0.1, -7), quantization.ASYMMETRIC, ["zero point", "-7", "symmetric"]),
        (constants(0.1, 128, np.uint8), quantization.ASYMMETRIC, ["128", "uint8"]),
        (constants(np.nan), quantization.NAN_SCALE, ["NaN", "calibrat"]),
        (constants(np.inf), quantization.INFINITE_SCALE, ["infinite"]),
        (constants(0.0), quantization.SCALE_NOT_POSITIVE, ["zero or negative"]),
        (constants(-0.5), quantization.SCALE_NOT_POSITIVE, ["-0.5"]),
        (constants([0.1, np.nan, 0.3, 0.4]), quantization.NAN_SCALE, ["channel 1"]),
        (constants([0.1, 0.0, 0.3, 0.0]), quantization.SCALE_NOT_POSITIVE, ["channel 1, 3"]),
        (constants([0.1, 0.2, 0.3]), quantization.SCALE_LENGTH, ["3 scales", "size 4"]),
    ],
)
def test_what_cannot_work_is_an_error(tensors: Any, kind: Kind, words: list[str], judge: Any, said: Any) -> None:
    findings = [one for one in judge(check, pair("<axis = 1>"), tensors=tensors) if one.kind == kind.id]
    assert findings
    assert findings[0].severity is Severity.ERROR
    assert "q" in findings[0].names
    assert all(word in said(findings) for word in words), said(findings)


def test_an_axis_out_of_range(judge: Any) -> None:
    findings = judge(check, pair("<axis = 5>"), tensors=constants([0.1, 0.2]))
    assert {one.kind for one in findings} == {"quantization/axis-range"}


@pytest.mark.parametrize(("axis", "channels", "wrong"), [(0, 4, False), (1, 3, True), (-4, 4, False)])
def test_conv_weights_along_the_output_channel(axis: int, channels: int, wrong: bool, judge: Any, said: Any) -> None:
    weight = numpy_helper.from_array(np.ones((4, 3, 3, 3), np.float32), "w")
    findings = judge(check, CONV.format(axis=axis), tensors=[weight, *constants([0.1] * channels)])
    assert bool(findings) is wrong
    if wrong:
        assert {one.kind for one in findings} == {"quantization/axis"}
        assert "axis 0" in said(findings)
        assert "output channel" in said(findings)


@pytest.mark.parametrize(("axis", "wrong"), [(1, False), (0, True)])
def test_matmul_weights_along_the_columns(axis: int, wrong: bool, judge: Any) -> None:
    graph = (
        f"g (float[2,6] x) => (float[2,4] y) {{ [dq] d = DequantizeLinear <axis = {axis}> (w, s, z) [mm] y = "
        f"MatMul (x, d) }}"
    )
    weight = numpy_helper.from_array(np.ones((6, 4), np.int8), "w")
    findings = judge(check, graph, tensors=[weight, *constants([0.1] * (4 if axis else 6))])
    assert [one.kind for one in findings] == (["quantization/axis"] if wrong else [])


def test_uint8_activations_are_a_hazard_and_uint8_weights_an_error(judge: Any) -> None:
    (activations,) = judge(check, pair(), tensors=constants(0.1, 0, np.uint8))
    assert (activations.kind, activations.severity) == ("quantization/uint8", Severity.WARNING)
    graph = "g (float[2,4] x) => (float[2,4] y) { [dq] d = DequantizeLinear (w, s, z) y = Add (x, d) }"
    weight = numpy_helper.from_array(np.ones((2, 4), np.uint8), "w")
    (weights,) = judge(check, graph, tensors=[weight, *constants(0.1, 0, np.uint8)])
    assert weights.severity is Severity.ERROR


def test_an_int32_bias(judge: Any) -> None:
    graph = "g (float[2,4] x) => (float[2,4] y) { [dq] d = DequantizeLinear (b, s) y = Add (x, d) }"
    bias = numpy_helper.from_array(np.arange(4, dtype=np.int32), "b")
    (finding,) = judge(check, graph, tensors=[bias, constants(0.1)[0]])
    assert finding.kind == "quantization/int32-bias"


def test_blocked_quantization_gives_no_finding(judge: Any) -> None:
    graph = (
        "g (float[2,8] x) => (float[2,8] y) { d = DequantizeLinear <axis = 1, block_size = 4> (w, s) y = Add (x, d) }"
    )
    weight = numpy_helper.from_array(np.ones((2, 8), np.int8), "w")
    scale = numpy_helper.from_array(np.full((2, 2), 0.1, np.float32), "s")
    assert judge(check, graph, tensors=[weight, scale]) == []


def test_a_zero_point_that_is_an_input(judge: Any) -> None:
    graph = "g (float[2,4] x, int8 z) => (int8[2,4] y) { [q] y = QuantizeLinear (x, s, z) }"
    (finding,) = judge(check, graph, tensors=constants(0.1)[:1])
    assert (finding.kind, finding.names) == ("quantization/computed-zero-point", ("q",))


@pytest.mark.parametrize(("element", "refused"), [("float4e2m1", True), ("float8e4m3fn", False)])
def test_a_low_precision_zero_point_that_is_an_input(judge: Any, element: str, refused: bool) -> None:
    """As TensorRT-RTX 1.7.1 builds the models of onnx's backend tests: of the two only the 4-bit one is refused."""
    graph = f"g (float[2,4] x, {element} z) => ({element}[2,4] y) {{ [q] y = QuantizeLinear (x, s, z) }}"
    found = [one.kind for one in judge(check, graph, tensors=constants(0.1)[:1])]
    assert ("quantization/computed-zero-point" in found) is refused


def test_a_hundred_zero_points_are_one_row(judge: Any) -> None:
    """ONNX Runtime's default calibration makes every activation asymmetric."""
    steps = "".join(
        f"q{i} = QuantizeLinear (t{i}, s, z{i}) t{i + 1} = DequantizeLinear (q{i}, s, z{i}) " for i in range(100)
    )
    zeros = [numpy_helper.from_array(np.array(i % 100 - 110, np.int8), f"z{i}") for i in range(100)]
    (finding,) = judge(
        check,
        f"g (float[2,4] t0) => (float[2,4] t100) {{ {steps} }}",
        tensors=[numpy_helper.from_array(np.array(0.1, np.float32), "s"), *zeros],
    )
    assert finding.kind == "quantization/asymmetric"
    assert len(finding.node_paths) == 200
    assert "99 more" in finding.title


@pytest.mark.parametrize(("dtype", "found"), [(np.float16, True), (np.float32, False)])
def test_a_float16_scale_of_float32_data_in_fp8_is_an_error(dtype: Any, found: bool, judge: Any) -> None:
    text = "g (float[2,4] x) => (float[2,4] y) { [q] a = QuantizeLinear (x, s, z) [dq] y = DequantizeLinear (a, t, z) }"
    tensors = [
        numpy_helper.from_array(np.array(0.1, dtype), "s"),
        numpy_helper.from_array(np.array(0.1, np.float32), "t"),
        numpy_helper.from_array(np.array(0, ml_dtypes.float8_e4m3fn), "z"),
    ]
    kinds = [one.kind for one in judge(check, text, tensors=tensors, opset=23)]
    assert kinds == ([quantization.SCALE_TYPE.id] if found else [])
