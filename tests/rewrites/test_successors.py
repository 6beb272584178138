"""Operators that ONNX replaced, and operators without an importer that have a plain form."""

from __future__ import annotations

import numpy as np
import pytest
from onnx import reference

from friction_tui.model.opset import convert
from friction_tui.rewrites.affine_grid import affine_grid
from friction_tui.rewrites.base import CannotRewrite, NeedsOpset
from friction_tui.rewrites.expansion import EXPAND
from friction_tui.rewrites.successors import scatter, upsample
from tests.rewrites.mended import Answer, built, check_mends, difference, model_of, ran, rewritten

IMAGE = {"x": np.random.default_rng(2).standard_normal((2, 3, 5, 7)).astype(np.float32)}


@pytest.mark.parametrize("scales", [(1, 1, 2, 2), (1, 1, 3, 1.5)])
@pytest.mark.parametrize("mode", ["nearest", "linear"])
@pytest.mark.parametrize("opset", [11, 13, 18])
def test_upsample_as_resize_gives_what_opset_9_gave(mode: str, scales: tuple[float, ...], opset: int) -> None:
    text = f'g (float[n,3,h,w] x) => (float[n,3,i,j] y) {{ y = Upsample <mode = "{mode}"> (x, s) }}'
    factors = np.array(scales, np.float32)
    original = model_of(text, opset=9, s=factors)
    after = rewritten(model_of(text, opset=opset, s=factors), upsample, "Upsample")
    assert difference(ran(original.proto, IMAGE), ran(after, IMAGE)) == 0
    assert built(after, {"x": [[n, 3, 5, 7] for n in (1, 2, 4)]}) == Answer("ok", "")
    assert difference(ran(original.proto, IMAGE), ran(convert(original.proto, opset), IMAGE)) == 0


def test_upsample_of_its_own_opset_is_left() -> None:
    text = "g (float[n,1,2,2] x, float[4] s) => (float y) { y = Upsample (x, s) }"
    with pytest.raises(NeedsOpset):
        rewritten(model_of(text, opset=9), upsample, "Upsample")


def test_scatter_under_its_new_name() -> None:
    text = "g (float[5,3] x, int64[2,3] i, float[2,3] u) => (float[5,3] y) { y = Scatter <axis = 0> (x, i, u) }"
    after = rewritten(model_of(text, opset=13), scatter, "Scatter")
    rng = np.random.default_rng(1)
    feeds = {
        "x": rng.random((5, 3), np.float32),
        "i": np.array([[0, 1, 2], [4, 3, 1]]),
        "u": rng.random((2, 3), np.float32),
    }
    assert difference(ran(model_of(text, opset=9).proto, feeds), ran(after, feeds)) == 0


@pytest.mark.parametrize("corners", [0, 1])
@pytest.mark.parametrize("size", [(4, 5), (1, 6), (2, 3, 4)])
def test_affine_grids_for_any_batch(size: tuple[int, ...], corners: int) -> None:
    rank = len(size)
    text = f"""g (float[n,{rank},{rank + 1}] t) => (float[n,{",".join("abc"[:rank])},{rank}] y) {{
        y = AffineGrid <align_corners = {corners}> (t, s)
    }}"""
    after = rewritten(model_of(text, opset=20, s=np.array([2, 1, *size])), affine_grid, "AffineGrid")
    assert built(after) == Answer("ok", "")
    fixed = model_of(text, opset=20, s=np.array([2, 1, *size]))
    feeds = {"t": np.random.default_rng(0).standard_normal((2, rank, rank + 1)).astype(np.float32)}
    assert built(fixed.proto).verdict != "ok"
    expected = reference.ReferenceEvaluator(fixed.proto).run(None, feeds)
    assert difference([np.asarray(value) for value in expected], ran(after, feeds)) <= 1e-5
    one = {"t": feeds["t"][:1]}
    assert difference([ran(after, feeds)[0][:1]], ran(after, one)) <= 1e-6


def test_a_computed_size_of_an_affine_grid_is_refused() -> None:
    text = "g (float[n,2,3] t, int64[4] s) => (float[n,h,w,2] y) { y = AffineGrid (t, s) }"
    with pytest.raises(CannotRewrite, match="size of AffineGrid"):
        rewritten(model_of(text, opset=20), affine_grid, "AffineGrid")


@pytest.mark.parametrize("heads", [2, 4])
def test_attention_with_a_cache_and_no_mask_is_expanded(heads: int) -> None:
    """The omitted mask has no type, at which onnx's inliner stops."""
    text = f"""g (float[1,4,1,8] q, float[1,{heads},1,8] k, float[1,{heads},1,8] v, float[1,{heads},p,8] a,
        float[1,{heads},p,8] b) => (float[1,4,1,8] y, float[1,{heads},t,8] c, float[1,{heads},t,8] d) {{
        y, c, d = Attention <is_causal = 0> (q, k, v, , a, b)
    }}"""
    sizes = {"a": [[1, heads, p, 8] for p in (1, 3, 8)], "b": [[1, heads, p, 8] for p in (1, 3, 8)]}
    check_mends(model_of(text, opset=23), EXPAND, "Attention", shapes=sizes, tolerance=1e-5)
