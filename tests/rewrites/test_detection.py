"""NonMaxSuppression, RoiAlign and deformable convolutions, against ONNX Runtime, and built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.deformable import deform_conv
from friction_tui.rewrites.detection import max_roi_pool, nms, roi_align, roi_align_adaptive
from tests.rewrites.mended import Shapes, check_mends, difference, model_of, ran, rewritten


def suppression(
    boxes: str = "N", classes: int = 2, most: int = 5, *, score: float | None = 0.2, attributes: str = ""
) -> OpenedModel:
    inputs = "b, s, k, t" + (", f" if score is not None else "")
    weights: dict[str, Any] = {"k": np.array([most]), "t": np.array([0.4], np.float32)}
    if score is not None:
        weights["f"] = np.array([score], np.float32)
    return model_of(
        f"""g (float[B,{boxes},4] b, float[B,{classes},{boxes}] s) => (int64[R,3] y) {{
        y = NonMaxSuppression {attributes} ({inputs}) }}""",
        **weights,
    )


def crowd(images: int, classes: int, count: int, seed: int) -> dict[str, np.ndarray]:
    """Boxes of which some overlap, some corners swapped; scores with ties."""
    rng = np.random.default_rng(seed)
    corner, size = rng.random((images, count, 2), np.float32) * 3, rng.random((images, count, 2), np.float32) + 0.5
    boxes = np.concatenate([corner, corner + size], 2)
    boxes[:, ::3] = boxes[:, ::3][:, :, [2, 1, 0, 3]]
    scores = np.round(rng.random((images, classes, count)), 2).astype(np.float32)
    return {"b": boxes, "s": scores}


@pytest.mark.parametrize(
    ("boxes", "most", "score", "attributes"),
    [
        ("N", 5, 0.2, ""),
        ("N", 2**62, None, ""),
        ("20", 2**62, 0.3, ""),
        ("20", 5, None, "<center_point_box = 1>"),
    ],
)
def test_suppression(boxes: str, most: int, score: float | None, attributes: str) -> None:
    counts = (1, 12, 30) if boxes == "N" else (20, 20, 20)
    images = (1, 2, 2)
    shapes: Shapes = {
        "b": [(b, n, 4) for b, n in zip(images, counts, strict=True)],
        "s": [(b, 2, n) for b, n in zip(images, counts, strict=True)],
    }
    check_mends(
        suppression(boxes, most=most, score=score, attributes=attributes),
        nms,
        "NonMaxSuppression",
        shapes=shapes,
        feeds=lambda point, seed: crowd(images[point], 2, counts[point], seed),
    )


def test_the_tail_of_a_detector() -> None:
    model = model_of(
        """g (float[1,N,4] b, float[1,1,N] s) => (float[R,4] y) {
        i = NonMaxSuppression (b, s, k, t)  c = Slice (i, two, three, one)  l = Squeeze (c, one)
        q = Squeeze (b, zero)  y = Gather <axis = 0> (q, l) }""",
        k=np.array([8]),
        t=np.array([0.5], np.float32),
        zero=np.array([0]),
        one=np.array([1]),
        two=np.array([2]),
        three=np.array([3]),
    )
    counts = (1, 10, 40)
    shapes: Shapes = {"b": [(1, n, 4) for n in counts], "s": [(1, 1, n) for n in counts]}
    check_mends(
        model, nms, "NonMaxSuppression", shapes=shapes, feeds=lambda point, seed: crowd(1, 1, counts[point], seed)
    )


def test_too_many_picks_none_and_a_computed_number_are_refused() -> None:
    with pytest.raises(CannotRewrite, match="20000 picks"):
        rewritten(suppression("20000", most=30000), nms, "NonMaxSuppression")
    with pytest.raises(CannotRewrite, match="nothing is ever picked"):
        rewritten(suppression(most=0), nms, "NonMaxSuppression")
    computed = model_of(
        "g (float[1,9,4] b, float[1,1,9] s, int64[1] k) => (int64[R,3] y) { y = NonMaxSuppression (b, s, k) }"
    )
    with pytest.raises(CannotRewrite, match="computed at run time"):
        rewritten(computed, nms, "NonMaxSuppression")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(count=st.integers(1, 25), classes=st.integers(1, 3), most=st.integers(1, 6), seed=st.integers(0, 99))
def test_any_crowd(count: int, classes: int, most: int, seed: int) -> None:
    model = suppression(classes=classes, most=most)
    feeds = crowd(2, classes, count, seed)
    after = rewritten(model, nms, "NonMaxSuppression")
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


def regions(attributes: str, image: str = "1,3,12,14") -> OpenedModel:
    return model_of(
        f"""g (float[{image}] x, float[R,4] r, int64[R] i) => (float[R,3,h,w] y) {{
        y = RoiAlign <output_height = 3, output_width = 4, {attributes}> (x, r, i) }}"""
    )


@pytest.mark.parametrize(
    ("attributes", "image", "batches"),
    [
        ("sampling_ratio = 2, spatial_scale = 0.5", "1,3,12,14", (1, 1, 1)),
        ('sampling_ratio = 1, coordinate_transformation_mode = "output_half_pixel"', "B,3,12,14", (1, 2, 3)),
        ("sampling_ratio = 3", "B,3,H,W", (1, 2, 2)),
    ],
)
def test_regions(attributes: str, image: str, batches: tuple[int, ...]) -> None:
    counts = (1, 4, 9)

    def feeds(point: int, seed: int) -> dict[str, np.ndarray]:
        rng = np.random.default_rng(seed)
        low = rng.random((counts[point], 2), np.float32) * 10 - 2
        return {
            "x": rng.standard_normal((batches[point], 3, 12, 14), np.float32),
            "r": np.concatenate([low, low + rng.random((counts[point], 2), np.float32) * 8], 1),
            "i": rng.integers(0, batches[point], counts[point]),
        }

    shapes: Shapes = {
        "x": [(b, 3, 12, 14) for b in batches],
        "r": [(n, 4) for n in counts],
        "i": [(n,) for n in counts],
    }
    check_mends(regions(attributes, image), roi_align, "RoiAlign", shapes=shapes, feeds=feeds)


def test_adaptive_sampling_is_changed_only_by_name() -> None:
    model = regions("sampling_ratio = 0")
    with pytest.raises(CannotRewrite, match="sampling_ratio is 0"):
        rewritten(model, roi_align, "RoiAlign")
    shapes: Shapes = {"r": [(n, 4) for n in (1, 4, 9)], "i": [(n,) for n in (1, 4, 9)]}
    check_mends(model, roi_align_adaptive, "RoiAlign", shapes=shapes, run=None)
    with pytest.raises(CannotRewrite, match="mode max"):
        rewritten(regions('sampling_ratio = 2, mode = "max"'), roi_align, "RoiAlign")


def deformed(groups: int, offset_groups: int, *, mask: bool, bias: bool, dtype: str = "float") -> OpenedModel:
    inputs = f"x, w, o, {'b' if bias else ''}" + (", m" if mask else "")
    rng = np.random.default_rng(1)
    kind = np.float32 if dtype == "float" else np.float16
    weights: dict[str, Any] = {"w": rng.standard_normal((6, 8 // groups, 3, 3)).astype(kind)}
    if bias:
        weights["b"] = rng.standard_normal(6).astype(kind)
    masked = f", {dtype}[N,{9 * offset_groups},6,12] m" if mask else ""
    return model_of(
        f"""g ({dtype}[N,8,12,14] x, {dtype}[N,{18 * offset_groups},6,12] o{masked}) => ({dtype}[N,6,6,12] y) {{
        y = DeformConv <kernel_shape = [3, 3], strides = [2, 1], pads = [1, 1, 1, 1], dilations = [1, 2],
        group = {groups}, offset_group = {offset_groups}> ({inputs}) }}""",
        opset=19,
        **weights,
    )


def offsets(groups: int, *, mask: bool) -> Shapes:
    shapes: dict[str, list[tuple[int, ...]]] = {
        "x": [(n, 8, 12, 14) for n in (1, 2, 4)],
        "o": [(n, 18 * groups, 6, 12) for n in (1, 2, 4)],
    }
    if mask:
        shapes["m"] = [(n, 9 * groups, 6, 12) for n in (1, 2, 4)]
    return shapes


@pytest.mark.parametrize(
    ("groups", "offset_groups", "mask", "bias"), [(1, 1, False, True), (2, 2, True, True), (1, 4, True, False)]
)
def test_deformable_convolutions(groups: int, offset_groups: int, mask: bool, bias: bool) -> None:
    model = deformed(groups, offset_groups, mask=mask, bias=bias)
    check_mends(model, deform_conv, "DeformConv", shapes=offsets(offset_groups, mask=mask))


def test_deformable_halves() -> None:
    model = deformed(1, 1, mask=True, bias=True, dtype="float16")
    check_mends(model, deform_conv, "DeformConv", shapes=offsets(1, mask=True), run=None)


SAME_SIZE: Shapes = {
    "x": [(n, 8, 12, 14) for n in (1, 2, 4)],
    "o": [(n, 18, 12, 14) for n in (1, 2, 4)],
    "m": [(n, 9, 12, 14) for n in (1, 2, 4)],
}


@pytest.mark.parametrize(
    ("domain", "call"),
    [
        ("torchvision", "deform_conv2d (x, w, o, m, b, one, one, one, one, one, one, one, one, one)"),
        ("torchvision", "deform_conv2d (x, o, w, b, m)"),
        (
            "mmcv",
            "MMCVModulatedDeformConv2d <stride = [1, 1], padding = [1, 1], dilation = [1, 1], groups = 1, "
            "deform_groups = 1> (x, o, m, w, b)",
        ),
    ],
)
def test_other_libraries_convolve_as_onnx_does(domain: str, call: str) -> None:
    rng = np.random.default_rng(1)
    weights: dict[str, Any] = {
        "w": rng.standard_normal((6, 8, 3, 3)).astype(np.float32),
        "b": rng.standard_normal(6).astype(np.float32),
    }
    ports = "float[N,8,12,14] x, float[N,18,12,14] o, float[N,9,12,14] m"
    header = f'<ir_version: 10, opset_import: ["" : 19, "{domain}" : 1]>'
    extra: dict[str, Any] = {"one": np.array(1)} if "one" in call else {}
    theirs = model_of(f"{header} g ({ports}) => (float[N,6,12,14] y) {{ y = {domain}.{call} }}", **weights, **extra)
    onnx_form = model_of(
        f"g ({ports}) => (float[N,6,12,14] y) {{ y = DeformConv <pads = [1, 1, 1, 1]> (x, w, o, b, m) }}",
        opset=19,
        **weights,
    )
    op = theirs.index.nodes[0].proto.op_type
    after = check_mends(theirs, deform_conv, op, shapes=SAME_SIZE, run=None)
    feeds = {name: rng.standard_normal(sizes[1]).astype(np.float32) for name, sizes in SAME_SIZE.items()}
    assert difference(ran(onnx_form.proto, feeds), ran(after, feeds)) <= 1e-5


def test_an_older_opset_is_refused() -> None:
    model = model_of(
        """<ir_version: 8, opset_import: ["" : 13, "torchvision" : 1]>
        g (float[N,8,12,14] x, float[N,18,12,14] o) => (float[N,6,12,14] y) {
        y = torchvision.deform_conv2d (x, w, o) }""",
        w=np.zeros((6, 8, 3, 3), np.float32),
    )
    with pytest.raises(CannotRewrite, match="opset 16"):
        rewritten(model, deform_conv, "deform_conv2d")


def rois(count: int, size: int, images: int, seed: int) -> np.ndarray:
    """Regions within the image, beyond it, of one point and turned round; corners at halves, too."""
    rng = np.random.default_rng(seed)
    corners = np.round((rng.random((count, 4)) * 1.6 - 0.3) * size * 2) / 2
    corners[:, 2:] = np.where(rng.random((count, 1)) < 0.8, np.maximum(corners[:, 2:], corners[:, :2]), corners[:, 2:])
    return np.concatenate([rng.integers(0, images, (count, 1)), corners], axis=1).astype(np.float32)


@pytest.mark.parametrize(
    ("pooled", "scale", "image"), [((3, 3), 0.5, "1,4,16,20"), ((2, 5), 1.0, "N,3,12,12"), ((7, 7), 0.25, "N,2,H,W")]
)
def test_the_maximum_of_each_cell_of_a_region(pooled: tuple[int, int], scale: float, image: str) -> None:
    rows, columns = pooled
    model = model_of(
        f"""g (float[{image}] x, float[R,5] r) => (float[R,C,{rows},{columns}] y) {{
        y = MaxRoiPool <pooled_shape = [{rows},{columns}], spatial_scale = {scale}> (x, r) }}"""
    )
    sizes = [
        [*map(int, image.replace("N", n).replace("H", h).replace("W", h).split(","))]
        for n, h in (("1", "8"), ("2", "9"), ("3", "16"))
    ]
    shapes: Shapes = {"x": sizes, "r": [(1, 5), (9, 5), (40, 5)]}

    def feeds(point: int, seed: int) -> dict[str, np.ndarray]:
        x = np.random.default_rng(seed).standard_normal(sizes[point]).astype(np.float32)
        return {"x": x, "r": rois(shapes["r"][point][0], int(max(sizes[point][2:]) / scale), sizes[point][0], seed)}

    check_mends(model, max_roi_pool, "MaxRoiPool", shapes=shapes, feeds=feeds)
