"""Fused attention back to MatMul and Softmax: TensorRT-RTX builds it, and ONNX Runtime gives the same."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import pytest

from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.fused_attention import (
    plain_attention,
    plain_group_query_attention,
    plain_multi_head_attention,
    plain_rotary_embedding,
)
from friction_tui.rewrites.inverse import small_inverse
from tests.rewrites.mended import built, check_mends, difference, model_of, ran, random_feeds, rewritten
from tests.rewrites.test_fused import fused, normal

X = [(1, 4, 16), (2, 8, 16), (4, 16, 16)]
LONGER = [(1, 5, 16), (2, 9, 16), (4, 20, 16)]


@pytest.mark.parametrize(
    ("mask", "attributes"),
    [
        ("", ""),
        ("int32[n,t] m", ""),
        ("int32[n,t] m", ", unidirectional=1, scale=0.3"),
        ("int32[n] m", ""),
        ("int32[n,t,t] m", ", mask_filter_value=-500.0"),
    ],
)
def test_attention(mask: str, attributes: str) -> None:
    model = fused(
        f"""g (float[n,t,16] x{", " + mask if mask else ""}) => (float[n,t,16] y) {{
            y = ms.Attention<num_heads=2{attributes}>(x, w, b{", m" if mask else ""}) }}""",
        w=normal(16, 48),
        b=normal(48),
    )
    shapes: dict[str, Sequence[Sequence[int]]] = {"x": X}
    if mask:
        shapes["m"] = [
            size[:2] if mask == "int32[n,t] m" else size[:1] if mask == "int32[n] m" else (size[0], size[1], size[1])
            for size in X
        ]
    check_mends(model, plain_attention, "Attention", shapes=shapes, integers=(1, 4) if mask == "int32[n] m" else (0, 2))


def test_attention_with_a_past() -> None:
    model = fused(
        """g (float[n,t,16] x, float[2,n,2,s,8] p) => (float[n,t,16] y, float[2,n,2,u,8] q) {
            y, q = ms.Attention<num_heads=2, unidirectional=1>(x, w, b, , p) }""",
        w=normal(16, 48),
        b=normal(48),
    )
    shapes: dict[str, Sequence[Sequence[int]]] = {"x": X, "p": [(2, 1, 2, 1, 8), (2, 2, 2, 8, 8), (2, 4, 2, 16, 8)]}
    check_mends(model, plain_attention, "Attention", shapes=shapes)


def test_attention_whose_mask_may_hold_two_lengths_a_row_is_refused() -> None:
    model = fused(
        "g (float[n,t,16] x, int32[k] m) => (float[n,t,16] y) { y = ms.Attention<num_heads=2>(x, w, b, m) }",
        w=normal(16, 48),
        b=normal(48),
    )
    with pytest.raises(CannotRewrite, match="one length a row"):
        rewritten(model, plain_attention, "Attention")


def test_multi_head_attention_with_bias_and_mask() -> None:
    model = fused(
        """g (float[n,t,16] x, float[n,s,16] k, float[n,s,16] v, int32[n,s] m) => (float[n,t,16] y) {
            y = ms.MultiHeadAttention<num_heads=2>(x, k, v, b, m) }""",
        b=normal(48),
    )
    shapes: dict[str, Sequence[Sequence[int]]] = {"x": X, "k": LONGER, "v": LONGER, "m": [size[:2] for size in LONGER]}
    check_mends(model, plain_multi_head_attention, "MultiHeadAttention", shapes=shapes, integers=(0, 2))


def test_multi_head_attention_with_attention_bias_and_presents() -> None:
    model = fused(
        """g (float[n,t,16] x, float[n,s,16] k, float[n,s,16] v, float[1,2,t,s] a)
            => (float[n,t,16] y, float[n,2,s,8] pk, float[n,2,s,8] pv) {
            y, pk, pv = ms.MultiHeadAttention<num_heads=2>(x, k, v, , , a) }"""
    )
    shapes: dict[str, Sequence[Sequence[int]]] = {
        "x": X,
        "k": LONGER,
        "v": LONGER,
        "a": [(1, 2, 4, 5), (1, 2, 8, 9), (1, 2, 16, 20)],
    }
    check_mends(model, plain_multi_head_attention, "MultiHeadAttention", shapes=shapes)


def test_multi_head_attention_with_a_past() -> None:
    model = fused(
        """g (float[n,t,16] x, float[n,t,16] k, float[n,t,16] v, float[n,2,p,8] c, float[n,2,p,8] d)
            => (float[n,t,16] y, float[n,2,u,8] pk, float[n,2,u,8] pv) {
            y, pk, pv = ms.MultiHeadAttention<num_heads=2>(x, k, v, , , , c, d) }"""
    )
    past = [(1, 2, 3, 8), (2, 2, 4, 8), (4, 2, 5, 8)]
    shapes: dict[str, Sequence[Sequence[int]]] = {"x": X, "k": X, "v": X, "c": past, "d": past}
    check_mends(model, plain_multi_head_attention, "MultiHeadAttention", shapes=shapes, refused=False)


def test_packed_attention_equals_the_same_apart() -> None:
    """ONNX Runtime has no kernel on the CPU for packed queries, keys and values."""
    packed = fused("g (float[n,t,2,3,8] x) => (float[n,t,16] y) { y = ms.MultiHeadAttention<num_heads=2>(x) }")
    apart = fused(
        """g (float[n,t,16] q, float[n,t,16] k, float[n,t,16] v) => (float[n,t,16] y) {
            y = ms.MultiHeadAttention<num_heads=2>(q, k, v) }"""
    )
    after = rewritten(packed, plain_multi_head_attention, "MultiHeadAttention")
    sizes = [(1, 4, 2, 3, 8), (2, 8, 2, 3, 8), (4, 16, 2, 3, 8)]
    assert built(after, {"x": sizes}).verdict == "ok"
    x = normal(2, 4, 2, 3, 8)
    parts = {name: np.ascontiguousarray(x[:, :, :, i]).reshape(2, 4, 16) for i, name in enumerate("qkv")}
    assert difference(ran(apart.proto, parts), ran(after, {"x": x})) < 1e-5


@pytest.mark.parametrize("packed", [False, True])
@pytest.mark.parametrize("rotary", ["", ", do_rotary=1", ", do_rotary=1, rotary_interleaved=1"])
@pytest.mark.parametrize("extra", ["", ", local_window_size=3, softcap=5.0"])
def test_group_query_attention(packed: bool, rotary: str, extra: str) -> None:
    tables = ", c, s" if rotary else ""
    given = "float[1,t,128] x" if packed else "float[1,t,64] x, float[1,t,32] k, float[1,t,32] v"
    model = fused(
        f"""g ({given}, float[1,2,p,16] pk, float[1,2,p,16] pv, int32[1] last, int32[1] total)
            => (float[1,t,64] y, float[1,2,u,16] ok, float[1,2,u,16] ov) {{
            y, ok, ov = ms.GroupQueryAttention<num_heads=4, kv_num_heads=2{rotary}{extra}>(
                x, {", " if packed else "k, v"}, pk, pv, last, total{tables}) }}""",
        c=np.cos(normal(64, 8)),
        s=np.sin(normal(64, 8)),
    )
    after = rewritten(model, plain_group_query_attention, "GroupQueryAttention")
    lengths, pasts = (1, 4, 8), (3, 8, 20)
    shapes: dict[str, Sequence[Sequence[int]]] = {
        "x": [(1, n, 128 if packed else 64) for n in lengths],
        "pk": [(1, 2, p, 16) for p in pasts],
    }
    shapes["pv"] = shapes["pk"]
    if not packed:
        shapes["k"] = shapes["v"] = [(1, n, 32) for n in lengths]
    assert built(after, shapes).verdict == "ok"
    for length, past in ((1, 3), (1, 20), (4, 8)):
        here = {name: [[{1: length}.get(i, n) for i, n in enumerate(shapes[name][0])]] for name in shapes}
        here["pk"] = here["pv"] = [[1, 2, past, 16]]
        feeds = random_feeds(model.proto, here, 0, length)
        feeds["last"] = np.array([past + length - 1], np.int32)
        feeds["total"] = np.array([past + length], np.int32)
        assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-5


@pytest.mark.parametrize("interleaved", [0, 1])
@pytest.mark.parametrize(
    ("sizes", "positions", "attributes", "half"),
    [
        ("n,t,16", "int64[n,t]", "", 4),
        ("n,t,16", "int64[n,t]", ", num_heads=2", 4),
        ("n,2,t,8", "int64[1]", "", 4),
        ("n,t,16", "int64[n,t]", ", num_heads=2, rotary_embedding_dim=4", 2),
    ],
)
def test_rotary_embedding(interleaved: int, sizes: str, positions: str, attributes: str, half: int) -> None:
    model = fused(
        f"""g (float[{sizes}] x, {positions} p) => (float[{sizes}] y) {{
            y = ms.RotaryEmbedding<interleaved={interleaved}{attributes}>(x, p, c, s) }}""",
        c=np.cos(normal(32, half)),
        s=np.sin(normal(32, half)),
    )
    shapes: dict[str, Sequence[Sequence[int]]] = {"x": X, "p": [size[:2] for size in X]}
    if sizes == "n,2,t,8":
        shapes = {"x": [(1, 2, 4, 8), (2, 2, 8, 8), (4, 2, 16, 8)]}
    check_mends(model, plain_rotary_embedding, "RotaryEmbedding", shapes=shapes, refused=False, integers=(0, 8))


@pytest.mark.parametrize("size", [1, 2, 3, 4])
@pytest.mark.parametrize("lead", ["n,", "n,3,"])
def test_inverse(size: int, lead: str) -> None:
    model = fused(f"g (float[{lead}{size},{size}] x) => (float[{lead}{size},{size}] y) {{ y = ms.Inverse(x) }}")
    sizes = [(n, *([3] if "3" in lead else []), size, size) for n in (1, 4, 8)]

    def regular(point: int, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        return {"x": (rng.standard_normal(sizes[point]) + 5 * np.eye(size)).astype(np.float32)}

    check_mends(model, small_inverse, "Inverse", shapes={"x": sizes}, feeds=regular)


def test_a_large_inverse_is_refused() -> None:
    model = fused("g (float[n,5,5] x) => (float[n,5,5] y) { y = ms.Inverse(x) }")
    with pytest.raises(CannotRewrite, match="5 × 5"):
        rewritten(model, small_inverse, "Inverse")


def test_an_inverse_of_unknown_size_is_refused() -> None:
    model = model_of(
        '<ir_version: 10, opset_import: ["" : 17, "com.microsoft" : 1]> '
        "g (float[n,m,m] x) => (float[n,m,m] y) { y = com.microsoft.Inverse(x) }"
    )
    with pytest.raises(CannotRewrite, match="not fixed"):
        rewritten(model, small_inverse, "Inverse")
