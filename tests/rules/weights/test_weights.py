"""Stored values: lengths, NaN, Inf, the range of float16, needless weights; and odd numbers that are sound."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, numpy_helper, parser

from friction_tui.rules.weights.weights import check
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.recipe import Precision

DENSE = "g (float[N,4] x) => (float[N,4] y) { [mm] h = MatMul (x, w) [add] y = Add (h, b) }"
WEIGHTS = np.linspace(-1, 1, 16, dtype=np.float32).reshape(4, 4)
BIAS = np.zeros(4, np.float32)


def tensors(w: Any = WEIGHTS, b: Any = BIAS) -> list[TensorProto]:
    return [numpy_helper.from_array(np.asarray(w), "w"), numpy_helper.from_array(np.asarray(b), "b")]


def changed(values: Any, index: Any, value: float) -> Any:
    copy = values.copy()
    copy[index] = value
    return copy


def test_ordinary_weights_give_no_finding(judge: Any) -> None:
    assert judge(check, DENSE, tensors=tensors()) == []


@pytest.mark.parametrize(
    ("w", "b", "kind", "name"),
    [
        (changed(WEIGHTS, (1, 2), np.nan), BIAS, "weights/nan", "w"),
        (WEIGHTS, changed(BIAS, 0, np.nan), "weights/nan", "b"),
        (changed(WEIGHTS, (0, 0), np.inf), BIAS, "weights/inf", "w"),
        (WEIGHTS, changed(BIAS, 3, np.inf), "weights/inf", "b"),
        (changed(WEIGHTS, (0, 0), -np.inf), BIAS, "weights/inf", "w"),
        (changed(WEIGHTS, (0, 0), np.nan).astype(np.float16), BIAS.astype(np.float16), "weights/nan", "w"),
    ],
)
def test_nan_and_inf_are_errors(w: Any, b: Any, kind: str, name: str, judge: Any, said: Any) -> None:
    graph = DENSE if w.dtype == np.float32 else DENSE.replace("float[", "float16[")
    (finding,) = judge(check, graph, tensors=tensors(w, b))
    assert (finding.kind, finding.severity) == (kind, Severity.ERROR)
    assert name in finding.names
    assert "checkpoint" in said([finding])


def test_bfloat16_is_looked_into_as_well(judge: Any) -> None:
    bits = np.full((4, 4), 0x3F80, np.uint16)  # 1.0
    bits[2, 2] = 0x7FC0  # NaN
    tensor = onnx.helper.make_tensor("w", TensorProto.BFLOAT16, [4, 4], bits.tobytes(), raw=True)
    bias = onnx.helper.make_tensor("b", TensorProto.BFLOAT16, [4], bytes(8), raw=True)
    assert [f.kind for f in judge(check, DENSE.replace("float[", "bfloat16["), tensors=[tensor, bias])] == [
        "weights/nan"
    ]


@pytest.mark.parametrize(
    ("graph", "mask"),
    [
        ("g (float[4,4] x) => (float[4,4] y) { y = Add (x, m) }", np.triu(np.full((4, 4), -np.inf, np.float32), 1)),
        ("g (float[4,4] x, bool[4,4] c) => (float[4,4] y) { y = Where (c, x, m) }", np.array(-np.inf, np.float32)),
        ("g (float[4,4] x) => (float[4,4] y) { y = Clip (x, , m) }", np.array(np.inf, np.float32)),
        ("g (float[4,4] x) => (float[4,4] y) { y = Add (x, m) }", np.full((4, 4), np.finfo(np.float32).min)),
        ("g (float[4,4] x) => (float[4,4] y) { y = Add (x, m) }", np.array(1e-12, np.float32)),
        ("g (float[4,4] x) => (float[4,4] y) { y = Add (x, m) }", np.full((4, 4), 1e-9, np.float32)),
        ("g (float[4,4] x) => (float[4,4] y) { y = MatMul (x, m) }", np.zeros((4, 4), np.float32)),
        ("g (float[4,4] x) => (float[4,4] y) { y = MatMul (x, m) }", np.diag([1, 1e-9, 1e-9, 1e-9]).astype(np.float32)),
    ],
)
def test_masks_bounds_and_epsilons_give_no_finding(graph: str, mask: Any, judge: Any, loud: Any) -> None:
    assert loud(judge(check, graph, tensors=[numpy_helper.from_array(mask, "m")])) == []


PADDING = np.where(np.arange(6)[:, None] == 0, -np.inf, np.linspace(-1, 1, 12).reshape(6, 2)).astype(np.float32)
LIMITS = np.array([0.5, np.inf, -2.0], np.float32)
LOOKED_UP = "b = Gather (m, i) s = Transpose <perm = [1, 0]> (b) t = Add (x, s)"


@pytest.mark.parametrize(
    ("graph", "values"),
    [
        (f"g (float[2,3] x, int64[3] i) => (float[2,3] y) {{ {LOOKED_UP} y = Softmax (t) }}", PADDING),
        ("g (float[5] x, int64[5] i) => (bool[5] y) { t = Gather (m, i) y = LessOrEqual (x, t) }", LIMITS),
    ],
)
def test_infinities_that_end_in_a_softmax_or_a_comparison_give_no_finding(
    graph: str, values: Any, judge: Any, loud: Any
) -> None:
    assert loud(judge(check, graph, tensors=[numpy_helper.from_array(values, "m")])) == []


@pytest.mark.parametrize(
    ("graph", "values"),
    [
        (f"g (float[2,3] x, int64[3] i) => (float[2,3] t) {{ {LOOKED_UP} }}", PADDING),
        (f"g (float[2,3] x, int64[3] i) => (float[2,3] y) {{ {LOOKED_UP} y = Mul (t, t) }}", PADDING),
        (f"g (float[2,3] x, int64[3] i) => (float[2,3] y) {{ {LOOKED_UP} y = Softmax (t) }}", -PADDING),
    ],
)
def test_infinities_that_reach_an_output_are_errors(graph: str, values: Any, judge: Any) -> None:
    (finding,) = judge(check, graph, tensors=[numpy_helper.from_array(values, "m")])
    assert (finding.kind, finding.severity) == ("weights/inf", Severity.ERROR)


@pytest.mark.parametrize(
    ("graph", "shape"),
    [
        (DENSE, (4, 4)),
        ("g (float[1,2,8,8] x) => (float[1,4,6,6] y) { y = Conv (x, w) }", (4, 2, 3, 3)),
        ("g (float[2,4] x) => (float[2,4] y) { y = Gemm <transB = 1> (x, w) }", (4, 4)),
        ("g (int64[3] i) => (float[3,8] y) { y = Gather (w, i) }", (16, 8)),
        ("g (float[2,4] x) => (float[2,4] y) { y = LayerNormalization (x, w) }", (4,)),
    ],
)
@pytest.mark.parametrize("size", [1e-8, 3e-7, 1e-5])
def test_weights_that_all_vanish_in_float16(
    graph: str, shape: tuple[int, ...], size: float, judge: Any, said: Any
) -> None:
    w = (np.random.default_rng(0).uniform(-1, 1, shape) * size).astype(np.float32)
    (finding,) = judge(check, graph, tensors=tensors(w))
    assert (finding.kind, finding.severity) == ("weights/fp16-underflow", Severity.WARNING)
    assert "w" in finding.names
    text = said([finding])
    assert all(word in text for word in ("fp16", "subnormal", "underflow", "fp32", "bf16", "scale"))


def test_weights_beyond_float16(judge: Any, said: Any) -> None:
    (finding,) = judge(check, DENSE, tensors=tensors(WEIGHTS * 1e6))
    assert finding.kind == "weights/fp16-overflow"
    assert "65504" in said([finding])


def test_a_large_constant_matters_only_when_float16_is_asked_for(judge: Any) -> None:
    graph = "g (float[4] x) => (float[4] y) { y = Div (x, m) }"
    big = [numpy_helper.from_array(np.full(4, 1e6, np.float32), "m")]
    assert judge(check, graph, tensors=big) == []
    assert [f.kind for f in judge(check, graph, tensors=big, precision=Precision.FP16)] == ["weights/fp16-overflow"]


@pytest.mark.parametrize(
    "tensor",
    [
        TensorProto(name="w", data_type=1, dims=[4, 4], raw_data=bytes(40)),
        TensorProto(name="w", data_type=1, dims=[4, 4], raw_data=bytes(400)),
        TensorProto(name="w", data_type=1, dims=[4, 4], float_data=[1.0] * 15),
        TensorProto(name="w", data_type=1, dims=[4, 4]),
        TensorProto(name="w", data_type=7, dims=[4, 4], int64_data=[1] * 17),
        TensorProto(name="w", data_type=1, dims=[-1, 4], raw_data=bytes(64)),
        TensorProto(name="w", data_type=1, dims=[1], raw_data=bytes(4), float_data=[0.0]),
        TensorProto(name="w", data_type=0, dims=[1], raw_data=bytes(4)),
    ],
)
def test_data_that_does_not_fit_its_dims(tensor: TensorProto, judge: Any, said: Any) -> None:
    (finding,) = judge(check, "g (float[4,4] x) => (float[4,4] y) { y = Add (x, w) }", tensors=[tensor])
    assert (finding.kind, finding.severity) == ("weights/size-mismatch", Severity.ERROR)
    assert finding.names == ("w", "node_of_y")
    assert "re-export" in said([finding]).lower()


def test_needless_weights_are_notes(judge: Any) -> None:
    graph = "g (float[512,1024] x) => (float[512,1024] y) { h = Add (x, a) i = Add (h, b) y = Add (i, c) }"
    weights = np.random.default_rng(0).standard_normal((512, 1024)).astype(np.float32)
    pair = [numpy_helper.from_array(weights, name) for name in ("a", "b")]
    ones = numpy_helper.from_array(np.ones((512, 1024), np.float32), "c")
    findings = judge(check, graph, tensors=[*pair, ones])
    assert {f.kind: f.names for f in findings} == {
        "weights/duplicated": ("a", "b"),
        "weights/generated-constant": ("c",),
    }
    assert all(f.severity is Severity.NOTE for f in findings)


def test_external_weights_are_read_where_they_lie(tmp_path: Path, judge: Any) -> None:
    model = parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]>\n{DENSE}')
    model.graph.initializer.extend(tensors(changed(WEIGHTS, (3, 3), np.nan)))
    path = tmp_path / "model.onnx"
    onnx.save_model(model, path, save_as_external_data=True, location="model.data", size_threshold=0)
    assert [f.kind for f in judge(check, path)] == ["weights/nan"]
