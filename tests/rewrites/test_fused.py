"""ONNX Runtime's fused operators back to ONNX: TensorRT-RTX builds them, and ONNX Runtime gives the same."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.fused import (
    plain_bias_softmax,
    plain_conv,
    plain_expand_dims,
    plain_gelu,
    plain_gemm,
    plain_matmul,
)
from friction_tui.rewrites.fused_norms import plain_embed_layer_norm, plain_rms_norm, plain_skip_layer_norm
from tests.rewrites.mended import built, check_mends, difference, model_of, ran, random_feeds, rewritten

RNG = np.random.default_rng(7)


def normal(*sizes: int) -> np.ndarray:
    return RNG.standard_normal(sizes).astype(np.float32)


def fused(text: str, *, opset: int = 17, **weights: np.ndarray) -> OpenedModel:
    """A model that may use `ms.Op`."""
    header = f'<ir_version: 10, opset_import: ["" : {opset}, "com.microsoft" : 1]>\n'
    return model_of(header + text.replace("ms.", "com.microsoft."), opset=opset, **weights)


@pytest.mark.parametrize("call", ["BiasGelu(x, b)", "FastGelu(x)", "FastGelu(x, b)", "QuickGelu<alpha=1.5>(x)"])
def test_gelu(call: str) -> None:
    model = fused(f"g (float[n,t,16] x) => (float[n,t,16] y) {{ y = ms.{call} }}", b=normal(16))
    check_mends(model, plain_gelu, call.split("(", maxsplit=1)[0].split("<", maxsplit=1)[0])


@pytest.mark.parametrize(
    ("attributes", "sizes"),
    [
        ("transA=1, alpha=0.25", "n,16,16"),
        ("transB=1", "n,t,t"),
        ("transA=1, transB=1, alpha=2.0", "n,16,t"),
        ("alpha=0.5, transB=1", "n,t,t"),
    ],
)
def test_matmul(attributes: str, sizes: str) -> None:
    second = "w" if "transA=1, transB=1" in attributes else "x"
    model = fused(
        f"g (float[n,t,16] x) => (float[{sizes}] y) {{ y = ms.FusedMatMul<{attributes}>(x, {second}) }}",
        w=normal(5, 4),
    )
    check_mends(model, plain_matmul, "FusedMatMul", shapes={"x": [(1, 4, 16), (2, 4, 16), (3, 4, 16)]})


def test_matmul_with_the_batch_behind_the_rows() -> None:
    model = fused("g (float[6,n,8] x, float[n,8,5] z) => (float[n,6,5] y) { y = ms.FusedMatMul<transBatchA=1>(x, z) }")
    shapes = {"x": [(6, 1, 8), (6, 2, 8), (6, 3, 8)], "z": [(1, 8, 5), (2, 8, 5), (3, 8, 5)]}
    check_mends(model, plain_matmul, "FusedMatMul", shapes=shapes)


@pytest.mark.parametrize("activation", ["Relu", "Tanh", "LeakyRelu"])
def test_gemm(activation: str) -> None:
    extra = ", activation_alpha=0.2" if activation == "LeakyRelu" else ""
    model = fused(
        f"""g (float[n,16] x) => (float[n,8] y) {{
            y = ms.FusedGemm<transB=1, activation="{activation}"{extra}>(x, w, b) }}""",
        w=normal(8, 16),
        b=normal(8),
    )
    check_mends(model, plain_gemm, "FusedGemm")


@pytest.mark.parametrize(
    ("activation", "third"),
    [
        ('activation="Relu"', "b, z"),
        ('activation="LeakyRelu", activation_params=[0.3]', "b"),
        ('activation="Clip", activation_params=[-0.5, 0.5]', "b"),
        ('activation="HardSigmoid", activation_params=[0.2, 0.4]', ""),
    ],
)
def test_conv(activation: str, third: str) -> None:
    inputs = ", ".join(name for name in ("x", "w", third) if name)
    z = ", float[n,4,8,8] z" if "z" in third else ""
    model = fused(
        f"""g (float[n,3,8,8] x{z}) => (float[n,4,8,8] y) {{
            y = ms.FusedConv<kernel_shape=[3,3], pads=[1,1,1,1], {activation}>({inputs}) }}""",
        w=normal(4, 3, 3, 3),
        b=normal(4),
    )
    check_mends(model, plain_conv, "FusedConv")


def test_conv_with_channels_last_is_the_conv_between_transposes() -> None:
    weights, bias = normal(4, 3, 3, 3), normal(4)
    text = "g (float[n,8,8,3] x) => (float[n,8,8,4] y) {{ {} }}"
    attributes = "<kernel_shape=[3,3], pads=[1,1,1,1]>"
    model = fused(text.format(f"y = ms.NhwcConv{attributes}(x, w, b)"), w=weights, b=bias)
    plain = fused(
        text.format(
            f"""t = Transpose<perm=[0,3,1,2]>(x)
                c = Conv{attributes}(t, w, b)
                y = Transpose<perm=[0,2,3,1]>(c)"""
        ),
        w=weights,
        b=bias,
    )
    after = check_mends(model, plain_conv, "NhwcConv", run=None)
    feeds = random_feeds(model.proto, None, 1, 0)
    assert difference(ran(plain.proto, feeds), ran(after, feeds)) == 0.0


def test_an_unknown_activation_is_refused() -> None:
    model = fused('g (float[n,16] x) => (float[n,8] y) { y = ms.FusedGemm<activation="Odd">(x, w, b) }')
    with pytest.raises(CannotRewrite, match="Odd"):
        rewritten(model, plain_gemm, "FusedGemm")


@pytest.mark.parametrize(("axis", "bias"), [(2, "1,1,16"), (2, "n,t,16"), (1, "n,t,16")])
def test_bias_softmax_is_the_softmax_of_the_sum(axis: int, bias: str) -> None:
    model = fused(
        f"""g (float[n,t,16] x, float[{bias}] b) => (float[n,t,16] y) {{
            y = ms.BiasSoftmax<axis={axis}, is_inner_broadcast=1>(x, b) }}"""
    )
    after = check_mends(model, plain_bias_softmax, "BiasSoftmax", run=None)
    feeds = random_feeds(model.proto, None, 1, 0)
    total = feeds["x"] + feeds["b"]
    over = tuple(range(axis, 3))
    powers = np.exp(total - total.max(over, keepdims=True))
    [result] = ran(after, feeds)
    assert np.allclose(result, powers / powers.sum(over, keepdims=True), atol=1e-6)


def test_expand_dims() -> None:
    model = fused("g (float[n,4] x) => (float[n,1,4] y) <int32 axis = {1}> { y = ms.ExpandDims(x, axis) }")
    check_mends(model, plain_expand_dims, "ExpandDims")


@pytest.mark.parametrize("opset", [13, 17])
@pytest.mark.parametrize("op", ["SkipLayerNormalization", "SkipSimplifiedLayerNormalization"])
@pytest.mark.parametrize("bias", [False, True])
def test_skip_layer_norm(op: str, opset: int, bias: bool) -> None:
    inputs = ["x", "s", "g", *(["b"] if op == "SkipLayerNormalization" else []), *(["c"] if bias else [])]
    model = fused(
        f"""g (float[n,t,16] x, float[n,t,16] s) => (float[n,t,16] y, float[n,t,16] sum) {{
            y, mean, deviation, sum = ms.{op}<epsilon=0.001>({", ".join(inputs)}) }}""",
        opset=opset,
        g=normal(16),
        b=normal(16),
        c=normal(16),
    )
    check_mends(model, plain_skip_layer_norm, op, refused=op == "SkipLayerNormalization" or bias)


def test_skip_layer_norm_whose_mean_is_read_is_refused() -> None:
    model = fused(
        """g (float[n,t,16] x, float[n,t,16] s) => (float[n,t,16] y, float[n,t,1] m) {
            y, m = ms.SkipLayerNormalization(x, s, g, b) }""",
        g=normal(16),
        b=normal(16),
    )
    with pytest.raises(CannotRewrite, match="mean"):
        rewritten(model, plain_skip_layer_norm, "SkipLayerNormalization")


def test_rms_norm_in_half_precision() -> None:
    model = fused(
        "g (float16[n,t,16] x) => (float16[n,t,16] y) { y = SimplifiedLayerNormalization<axis=-1>(x, g) }",
        g=normal(16).astype(np.float16),
    )
    check_mends(model, plain_rms_norm, "SimplifiedLayerNormalization", refused=False, tolerance=2e-3)


@pytest.mark.parametrize("mask", ["", ", m"])
@pytest.mark.parametrize("segments", ["s", ""])
def test_embed_layer_norm(mask: str, segments: str) -> None:
    tables = f"words, places, {'kinds' if segments else ''}, g, b"
    inputs = "".join(f", int32[n,t] {name}" for name in (segments, mask.strip(", ")) if name)
    model = fused(
        f"""g (int32[n,t] ids{inputs}) => (float[n,t,16] y, int32[n] count) {{
            y, count = ms.EmbedLayerNormalization(ids, {segments}, {tables}{mask}) }}""",
        words=normal(20, 16),
        places=normal(32, 16),
        kinds=normal(2, 16),
        g=normal(16),
        b=normal(16),
    )
    check_mends(model, plain_embed_layer_norm, "EmbedLayerNormalization", integers=(0, 2))


@settings(max_examples=12, derandomize=True, deadline=None)
@given(
    st.lists(st.integers(1, 5), min_size=1, max_size=3),
    st.sampled_from(["BiasGelu(x, b)", "FastGelu(x, b)", "QuickGelu(x)"]),
)
def test_gelu_of_any_shape(lead: list[int], call: str) -> None:
    sizes = ",".join(map(str, [*lead, 6]))
    model = fused(f"g (float[{sizes}] x) => (float[{sizes}] y) {{ y = ms.{call} }}", b=normal(6))
    after = rewritten(model, plain_gelu, call.split("(", maxsplit=1)[0])
    feeds = random_feeds(model.proto, None, 0, 1)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-6


def test_types_and_ranks_are_known_behind_fused_operators() -> None:
    model = fused(
        """g (float[n,3,8,8] x) => (float[n,a,b] y) <int64[3] shape = {0, 4, -1}> {
            c = ms.FusedConv<kernel_shape=[3,3], pads=[1,1,1,1], activation="Relu">(x, w, b)
            q = ms.QuickGelu(c)
            r = Reshape(q, shape)
            m = ms.FusedMatMul<transB=1, alpha=0.5>(r, r)
            y = ms.FusedMatMul<transA=1, alpha=2.0>(m, m) }""",
        w=normal(4, 3, 3, 3),
        b=normal(4),
    )
    after = model
    for rewriter, op in ((plain_conv, "FusedConv"), (plain_matmul, "FusedMatMul"), (plain_gelu, "QuickGelu")):
        after = from_proto(rewritten(after, rewriter, op), model.path)
    feeds = random_feeds(model.proto, None, 1, 0)
    assert difference(ran(model.proto, feeds), ran(after.proto, feeds)) < 1e-5
    assert built(after.proto).verdict == "ok"


def test_a_node_in_a_local_function_is_rewritten_at_each_call() -> None:
    model = model_of(
        """<ir_version: 10, opset_import: ["" : 17, "my" : 1, "com.microsoft" : 1]>
        g (float[n,8] x) => (float[n,8] y) { a = my.block(x) y = my.block(a) }
        <domain: "my", opset_import: ["" : 17, "com.microsoft" : 1]>
        block (x) => (y) { [inner] q = com.microsoft.QuickGelu(x) y = Relu(q) }"""
    )
    path = next(node.path for node in model.index.nodes if node.proto.op_type == "QuickGelu")
    after = plain_gelu.run(model, [path])
    assert built(model.proto).verdict != "ok"
    assert built(after).verdict == "ok"
    feeds = random_feeds(model.proto, None, 1, 0)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-6
