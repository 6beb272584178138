"""Quantized models that TensorRT refuses or reads wrong, computed with the same integers in float32."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from tests.rewrites.mended import built, check_mends, difference, evaluated, model_of, ran

IN_FLOAT = REWRITES["quantization-in-float"]
KERNELS = REWRITES["integer-kernels-in-float"]
PAIR = "g (float[n,4] x) => (float[n,4] y) { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }"
CHANNELS = "<axis = 1>"


def f32(*values: float) -> np.ndarray:
    return np.array(values, np.float32)


def uint8(low: int, high: int, *shape: int) -> np.ndarray:
    return np.random.default_rng(len(shape)).integers(low, high, shape).astype(np.uint8)


def int8(*shape: int) -> np.ndarray:
    """Small enough for ONNX Runtime's kernels, which saturate beyond on processors without VNNI."""
    return np.random.default_rng(len(shape)).integers(-63, 64, shape).astype(np.int8)


@pytest.mark.parametrize("zero", [np.array(7, np.uint8), np.array(-7, np.int8), np.array(200, np.uint8)])
def test_a_pair_of_any_zero_point(zero: np.ndarray) -> None:
    check_mends(model_of(PAIR, s=np.array(0.1, np.float32), z=zero), IN_FLOAT, "QuantizeLinear")


def test_uint8_of_zero_point_0_is_read_wrong_and_mended() -> None:
    check_mends(
        model_of(PAIR, s=np.array(0.1, np.float32), z=np.array(0, np.uint8)), IN_FLOAT, "QuantizeLinear", refused=False
    )


def test_a_zero_point_per_channel() -> None:
    model = model_of(
        PAIR.replace("Linear(", f"Linear {CHANNELS} ("), s=f32(0.1, 0.2, 0.3, 0.4), z=np.array([0, 3, -5, 9], np.int8)
    )
    check_mends(model, IN_FLOAT, "QuantizeLinear")


def test_constant_weights_and_an_int32_bias_become_float_constants() -> None:
    model = model_of(
        """g (float[n,4] x) => (float[n,3] y) {
             w = DequantizeLinear <axis = 1> (wq, ws, wz)
             b = DequantizeLinear (bq, bs)
             y = Gemm (x, w, b)
        }""",
        wq=uint8(0, 256, 4, 3),
        ws=f32(0.1, 0.2, 0.3),
        wz=np.array([120, 128, 140], np.uint8),
        bq=np.array([1000, -2000, 3], np.int32),
        bs=np.array(0.01, np.float32),
    )
    after = check_mends(model, IN_FLOAT, "DequantizeLinear")
    assert {node.op_type for node in after.graph.node} == {"Gemm", "Identity"}


def test_a_computed_zero_point() -> None:
    model = model_of(
        "g (float[n,4] x, int8 z) => (float[n,4] y) { q = QuantizeLinear(x, s, z) y = DequantizeLinear(q, s, z) }",
        s=np.array(0.1, np.float32),
    )
    check_mends(model, IN_FLOAT, "QuantizeLinear")


def test_integers_moved_between_quantizing_and_dequantizing() -> None:
    model = model_of(
        """g (float[n,4,8,8] x) => (float[m,n] y) {
             q = QuantizeLinear (x, s, z)
             p = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (q)
             c = Concat <axis = 0> (p, p)
             t = Transpose <perm = [1, 0, 2, 3]> (c)
             d = DequantizeLinear (t, s, z)
             y = ReduceMean <axes = [2, 3], keepdims = 0> (d)
        }""",
        s=np.array(0.1, np.float32),
        z=np.array(3, np.uint8),
    )
    check_mends(model, IN_FLOAT, "QuantizeLinear")


def test_sound_pairs_stay_in_int8() -> None:
    model = model_of(
        """g (float[n,4] x) => (float[n,4] y) {
             a = QuantizeLinear (x, s, zero)
             b = DequantizeLinear (a, s, zero)
             q = QuantizeLinear (b, s, z)
             y = DequantizeLinear (q, s, z)
        }""",
        s=np.array(0.1, np.float32),
        z=np.array(5, np.int8),
        zero=np.array(0, np.int8),
    )
    after = check_mends(model, IN_FLOAT, "QuantizeLinear")
    assert [node.op_type for node in after.graph.node][:2] == ["QuantizeLinear", "DequantizeLinear"]
    with pytest.raises(CannotRewrite, match="no node computes"):
        IN_FLOAT.run(model_of(PAIR, s=np.array(0.1, np.float32), z=np.array(0, np.int8)), [])


@pytest.mark.parametrize(("zero", "weight_zero"), [(128, 0), (7, 3)])
def test_qlinear_conv(zero: int, weight_zero: int) -> None:
    model = model_of(
        """g (float[n,3,8,8] x) => (float[n,4,8,8] y) {
             q = QuantizeLinear (x, s, z)
             o = QLinearConv <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q, s, z, w, ws, wz, ys, yz, b)
             y = DequantizeLinear (o, ys, yz)
        }""",
        opset=19,
        s=np.array(0.02, np.float32),
        z=np.array(zero, np.uint8),
        w=int8(4, 3, 3, 3),
        ws=f32(0.01, 0.02, 0.03, 0.04),
        wz=np.full(4, weight_zero, np.int8),
        ys=np.array(0.5, np.float32),
        yz=np.array(98, np.uint8),
        b=np.array([100, -200, 300, 0], np.int32),
    )
    check_mends(model, KERNELS, "QLinearConv")


def test_qlinear_matmul() -> None:
    model = model_of(
        """g (float[n,16] x) => (uint8[n,8] y) {
             q = QuantizeLinear (x, s, z)
             y = QLinearMatMul (q, s, z, w, ws, wz, ys, yz)
        }""",
        s=np.array(0.02, np.float32),
        z=np.array(120, np.uint8),
        w=int8(16, 8),
        ws=np.array(0.01, np.float32),
        wz=np.array(0, np.int8),
        ys=np.array(0.25, np.float32),
        yz=np.array(99, np.uint8),
    )
    check_mends(model, KERNELS, "QLinearMatMul", tolerance=0)


def test_dynamic_quantization_of_a_matmul_and_a_conv() -> None:
    matmul = model_of(
        """g (float[n,16] x) => (float[n,8] y) {
             q, s, z = DynamicQuantizeLinear (x)
             i = MatMulInteger (q, w, z, wz)
             f = Cast <to = 1> (i)
             k = Mul (s, ws)
             y = Mul (f, k)
        }""",
        w=uint8(0, 256, 16, 8),
        wz=np.array(128, np.uint8),
        ws=np.array(0.01, np.float32),
    )
    check_mends(matmul, KERNELS, "MatMulInteger", run=evaluated)
    conv = model_of(
        """g (float[n,3,8,8] x) => (float[n,4,8,8] y) {
             q, s, z = DynamicQuantizeLinear (x)
             i = ConvInteger <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (q, w, z, wz)
             f = Cast <to = 1> (i)
             y = Mul (f, s)
        }""",
        w=uint8(0, 256, 4, 3, 3, 3),
        wz=np.array(128, np.uint8),
    )
    check_mends(conv, KERNELS, "ConvInteger", run=evaluated)


def test_nothing_but_zeros_is_quantized_with_scale_1() -> None:
    model = model_of(
        "g (float[n,4] x) => (float s, float[n,4] y) { q, s, z = DynamicQuantizeLinear (x) y = Cast <to = 1> (q) }"
    )
    feeds = {"x": np.zeros((3, 4), np.float32)}
    assert difference(ran(model.proto, feeds), ran(KERNELS.run(model, []), feeds)) == 0


def test_products_of_integers_are_multiplied_with_each_other() -> None:
    model = model_of(
        """g (float[n,16] x) => (float[n,16] y) {
             q, s, z = DynamicQuantizeLinear (x)
             a = MatMulInteger (q, w, z)
             b = MatMulInteger (q, v, z)
             p = Add (a, b)
             y = Cast <to = 1> (p)
        }""",
        w=uint8(0, 256, 16, 16),
        v=uint8(0, 256, 16, 16),
    )
    check_mends(model, KERNELS, "MatMulInteger", run=evaluated)


@settings(max_examples=20, derandomize=True, deadline=None)
@given(
    zero=st.integers(0, 255),
    scale=st.integers(1, 640).map(lambda n: n / 64),
    rows=st.integers(1, 5),
    columns=st.integers(1, 40),
    seed=st.integers(0, 1000),
)
def test_any_integers_are_multiplied_exactly(zero: int, scale: float, rows: int, columns: int, seed: int) -> None:
    rng = np.random.default_rng(seed)
    model = model_of(
        f"""g (float[{rows},{columns}] x) => (int32[{rows},6] y) {{
             q = QuantizeLinear (x, s, z)
             y = MatMulInteger (q, w, z)
        }}""",
        s=np.array(scale, np.float32),
        z=np.array(zero, np.uint8),
        w=rng.integers(-128, 128, (columns, 6)).astype(np.int8),
    )
    feeds = {"x": (rng.standard_normal((rows, columns)) * scale * 100).astype(np.float32)}
    after = KERNELS.run(model, [])
    assert difference(evaluated(model.proto, feeds), ran(after, feeds)) == 0


@settings(max_examples=20, derandomize=True, deadline=None)
@given(
    zero=st.integers(-128, 127).filter(bool), scale=st.integers(1, 640).map(lambda n: n / 64), seed=st.integers(0, 1000)
)
def test_any_pair_is_equal_in_float(zero: int, scale: float, seed: int) -> None:
    model = model_of(PAIR, s=np.array(scale, np.float32), z=np.array(zero, np.int8))
    feeds = {"x": (np.random.default_rng(seed).standard_normal((9, 4)) * scale * 100).astype(np.float32)}
    assert difference(ran(model.proto, feeds), ran(IN_FLOAT.run(model, []), feeds)) == 0


def microsoft(text: str, **weights: np.ndarray) -> OpenedModel:
    return model_of(f'<ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]>\n{text}', opset=17, **weights)


def test_microsofts_elementwise_operators() -> None:
    model = microsoft(
        """g (float[n,16] x) => (float[n,16] y) {
             q = QuantizeLinear (x, s, z)
             a = com.microsoft.QLinearAdd (q, s, z, q, s, z, ys, yz)
             m = com.microsoft.QLinearMul (a, ys, yz, q, s, z, ys, yz)
             p = com.microsoft.QLinearSigmoid (m, ys, yz, ps, pz)
             y = DequantizeLinear (p, ps, pz)
        }""",
        s=np.array(0.02, np.float32),
        z=np.array(120, np.uint8),
        ys=np.array(0.05, np.float32),
        yz=np.array(99, np.uint8),
        ps=np.array(1 / 256, np.float32),
        pz=np.array(0, np.uint8),
    )
    check_mends(model, KERNELS, "QLinearAdd")


def test_microsofts_pooling_and_concat() -> None:
    model = microsoft(
        """g (float[n,4,6,6] x) => (float[n,8,1,1] y) {
             q = QuantizeLinear (x, s, z)
             l = com.microsoft.QLinearLeakyRelu <alpha = 0.1> (q, s, z, s, z)
             c = com.microsoft.QLinearConcat <axis = 1> (ys, yz, q, s, z, l, s, z)
             p = com.microsoft.QLinearGlobalAveragePool (c, ys, yz, ys, yz)
             y = DequantizeLinear (p, ys, yz)
        }""",
        s=np.array(0.02, np.float32),
        z=np.array(120, np.uint8),
        ys=np.array(0.03, np.float32),
        yz=np.array(99, np.uint8),
    )
    check_mends(model, KERNELS, "QLinearConcat", tolerance=0.031)


def test_microsofts_gemm() -> None:
    model = microsoft(
        """g (float[n,16] x) => (float[n,8] y) {
             q = QuantizeLinear (x, s, z)
             o = com.microsoft.QGemm <transB = 1> (q, s, z, w, ws, wz, b, ys, yz)
             y = DequantizeLinear (o, ys, yz)
        }""",
        s=np.array(0.02, np.float32),
        z=np.array(120, np.uint8),
        w=int8(8, 16),
        ws=np.array(0.01, np.float32),
        wz=np.array(0, np.int8),
        b=np.arange(8, dtype=np.int32) * 50,
        ys=np.array(0.25, np.float32),
        yz=np.array(99, np.uint8),
    )
    check_mends(model, KERNELS, "QGemm")


def test_microsofts_dynamic_matmul() -> None:
    model = microsoft(
        """g (float[n,16] x) => (float[n,8] y) {
             a = com.microsoft.DynamicQuantizeMatMul (x, w, ws, wz, b)
             q, s, z = DynamicQuantizeLinear (x)
             c = com.microsoft.MatMulIntegerToFloat (q, w, s, ws, z, wz, b)
             y = Add (a, c)
        }""",
        w=uint8(60, 190, 16, 8),
        ws=np.array(0.01, np.float32),
        wz=np.array(128, np.uint8),
        b=np.random.default_rng(5).standard_normal(8).astype(np.float32),
    )
    check_mends(model, KERNELS, "DynamicQuantizeMatMul")


def test_microsofts_dynamic_lstm_keeps_its_weights() -> None:
    hidden, size = 4, 6
    model = microsoft(
        f"""g (float[5,n,{size}] x) => (float[5,1,n,{hidden}] y) {{
             y = com.microsoft.DynamicQuantizeLSTM <hidden_size = {hidden}> (x, w, r, b, , , , , ws, wz, rs, rz)
        }}""",
        w=int8(1, size, 4 * hidden),
        r=int8(1, hidden, 4 * hidden),
        b=np.random.default_rng(5).standard_normal((1, 8 * hidden)).astype(np.float32),
        ws=f32(0.01),
        wz=np.array([0], np.int8),
        rs=f32(0.01),
        rz=np.array([0], np.int8),
    )
    check_mends(model, REWRITES["dynamic-quantize-lstm"], "DynamicQuantizeLSTM", tolerance=0.05)


def nbits(opset: int, zero: bool, k: int = 64) -> OpenedModel:
    block, rows = 32, 8
    blocks = -(-k // block)
    weights = {
        "w": uint8(0, 256, rows, blocks, block // 2),
        "s": (np.random.default_rng(5).random(rows * blocks).astype(np.float32) + 0.1) * np.float32(0.01),
    }
    if zero:
        weights["z"] = uint8(0, 256, rows * -(-blocks // 2))
    return model_of(
        f"""<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>
        g (float[n,{k}] x) => (float[n,{rows}] y) {{
             y = com.microsoft.MatMulNBits <bits = 4, block_size = {block}, K = {k}, N = {rows}>
                 (x, w, s{", z" if zero else ""})
        }}""",
        opset=opset,
        **weights,
    )


def test_four_bit_weights_stay_int4_where_the_opset_has_it() -> None:
    after = check_mends(nbits(21, zero=False), REWRITES["matmul-nbits-int4"], "MatMulNBits")
    assert [node.op_type for node in after.graph.node] == ["DequantizeLinear", "MatMul"]
    with pytest.raises(CannotRewrite, match="opset 21"):
        REWRITES["matmul-nbits-int4"].run(nbits(17, zero=False), ["0"])
    with pytest.raises(CannotRewrite, match="zero points"):
        REWRITES["matmul-nbits-int4"].run(nbits(21, zero=True), ["0"])


@pytest.mark.parametrize(("zero", "k"), [(False, 64), (True, 64), (True, 96)])
def test_four_bit_weights_as_floats(zero: bool, k: int) -> None:
    check_mends(nbits(17, zero, k), REWRITES["matmul-nbits-float"], "MatMulNBits")


def test_channels_last_is_refused() -> None:
    model = microsoft(
        """g (uint8[n,6,6,4] q) => (uint8[n,1,1,4] p) {
             p = com.microsoft.QLinearGlobalAveragePool <channels_last = 1> (q, s, z, s, z)
        }""",
        s=np.array(0.02, np.float32),
        z=np.array(120, np.uint8),
    )
    with pytest.raises(CannotRewrite, match="channels last"):
        KERNELS.run(model, [])
    assert built(model.proto).verdict == "parse"
