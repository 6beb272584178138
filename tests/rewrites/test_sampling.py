"""Resize as MatMuls, against ONNX Runtime's Resize, and built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.sampling import grid_sample, resize, resize_integers
from tests.rewrites.mended import check_mends, difference, model_of, ran, random_feeds, rewritten

IMAGE = {"x": [(1, 3, 12, 14), (2, 3, 12, 14), (4, 3, 12, 14)]}
FREE = {"x": [(1, 3, 8, 9), (2, 3, 12, 14), (2, 3, 24, 31)]}


def resized(
    attributes: str,
    *,
    sizes: list[int] | None = None,
    scales: list[float] | None = None,
    image: str = "float[N,3,12,14]",
    roi: list[float] | None = None,
    opset: int = 19,
) -> OpenedModel:
    given = np.array(sizes, np.int64) if sizes else np.array(scales, np.float32)
    inputs = f"x, {'roi' if roi else ''}, {'' if sizes else 's'}" + (", s" if sizes else "")
    dtype = image.split("[", maxsplit=1)[0]
    weights = {"s": given} | ({"roi": np.array(roi, np.float32)} if roi else {})
    rank = image.count(",") + 1
    out = ",".join("abcde"[:rank])
    return model_of(
        f"g ({image} x) => ({dtype}[{out}] y) {{ y = Resize <{attributes}> ({inputs}) }}", opset=opset, **weights
    )


ANTIALIAS = 'mode = "linear", antialias = 1'


@pytest.mark.parametrize(
    ("attributes", "sizes", "scales"),
    [
        (ANTIALIAS, [1, 3, 5, 7], None),
        (ANTIALIAS + ", axes = [2, 3]", [5, 7], None),
        ('mode = "cubic", antialias = 1, cubic_coeff_a = -0.5, axes = [3, 2]', [5, 7], None),
        (ANTIALIAS + ', axes = [-2, -1], coordinate_transformation_mode = "align_corners"', [24, 7], None),
        (ANTIALIAS, None, [1.0, 1.0, 0.5, 0.5]),
        ('mode = "linear", coordinate_transformation_mode = "half_pixel_symmetric"', None, [1.0, 1.0, 0.6, 1.7]),
        ('mode = "linear", axes = [2, 3], keep_aspect_ratio_policy = "not_larger"', [8, 10], None),
        ('mode = "nearest", axes = [2, 3], keep_aspect_ratio_policy = "not_smaller"', [20, 30], None),
    ],
)
def test_fixed_sizes(attributes: str, sizes: list[int] | None, scales: list[float] | None) -> None:
    if sizes and len(sizes) == 4:
        model = resized(attributes, sizes=sizes, image="float[1,3,12,14]")
        check_mends(model, resize, "Resize")
    else:
        check_mends(resized(attributes, sizes=sizes, scales=scales), resize, "Resize", shapes=IMAGE)


@pytest.mark.parametrize(
    "attributes",
    [
        ANTIALIAS,
        'mode = "cubic", antialias = 1',
        'mode = "linear", antialias = 1, coordinate_transformation_mode = "align_corners"',
        'mode = "cubic", antialias = 1, coordinate_transformation_mode = "pytorch_half_pixel"',
    ],
)
def test_images_of_any_size(attributes: str) -> None:
    image = "float[N,3,H,W]"
    model = resized(attributes + ", axes = [2, 3]", sizes=[10, 11], image=image)
    check_mends(model, resize, "Resize", shapes=FREE, tolerance=2e-5)
    scaled = resized(attributes, scales=[1.0, 1.0, 0.5, 1.5], image=image)
    check_mends(scaled, resize, "Resize", shapes=FREE, tolerance=2e-5)


@pytest.mark.parametrize(
    "attributes",
    [
        'mode = "cubic"',
        'mode = "cubic", exclude_outside = 1, coordinate_transformation_mode = "asymmetric"',
        'mode = "linear", coordinate_transformation_mode = "pytorch_half_pixel"',
    ],
)
def test_forms_that_only_some_versions_refuse(attributes: str) -> None:
    model = resized(attributes, scales=[1.0, 1.0, 0.7, 1.6], image="float[N,3,H,W]")
    check_mends(model, resize, "Resize", shapes=FREE, refused=False, tolerance=2e-5)


@pytest.mark.parametrize("mode", ["linear", "nearest", "cubic"])
def test_a_crop(mode: str) -> None:
    crop = f'mode = "{mode}", coordinate_transformation_mode = "tf_crop_and_resize", extrapolation_value = 3.0'
    roi = [0.0, 0.0, 0.2, 0.3, 1.0, 1.0, 0.9, 1.2]
    check_mends(resized(crop, sizes=[1, 3, 6, 8], image="float[1,3,12,14]", roi=roi, opset=13), resize, "Resize")


def test_volumes_channels_last_and_halves() -> None:
    check_mends(
        resized(ANTIALIAS + ", axes = [1, 2]", sizes=[5, 7], image="float[N,12,14,3]"),
        resize,
        "Resize",
        shapes={"x": [(n, 12, 14, 3) for n in (1, 2, 4)]},
    )
    half = resized(ANTIALIAS + ", axes = [2, 3]", sizes=[5, 7], image="float16[N,3,12,14]")
    check_mends(half, resize, "Resize", shapes=IMAGE, run=None)


def test_the_batch_in_the_sizes_does_not_fix_the_batch() -> None:
    model = resized(ANTIALIAS, sizes=[1, 3, 5, 7])
    after = check_mends(model, resize, "Resize", shapes=IMAGE, run=None)
    feeds = random_feeds(model.proto, IMAGE, 2, 0)
    one = {"x": feeds["x"][:1]}
    assert difference(ran(model.proto, one), [ran(after, feeds)[0][:1]]) <= 1e-6


def test_computed_sizes_and_integers_are_refused() -> None:
    computed = model_of(
        f"g (float[1,3,12,14] x, int64[4] s) => (float[a,b,c,d] y) {{ y = Resize <{ANTIALIAS}> (x, , , s) }}", opset=19
    )
    with pytest.raises(CannotRewrite, match="sizes is computed"):
        rewritten(computed, resize, "Resize")
    with pytest.raises(CannotRewrite, match="not float"):
        rewritten(resized(ANTIALIAS, sizes=[1, 3, 5, 7], image="uint8[1,3,12,14]"), resize, "Resize")


@settings(max_examples=40, deadline=None, derandomize=True)
@given(
    mode=st.sampled_from(["nearest", "linear", "cubic"]),
    transformation=st.sampled_from(["half_pixel", "asymmetric", "align_corners", "pytorch_half_pixel"]),
    antialias=st.booleans(),
    exclude=st.booleans(),
    out=st.tuples(st.integers(1, 20), st.integers(1, 20)),
    free=st.booleans(),
)
def test_any_form(
    mode: str, transformation: str, antialias: bool, exclude: bool, out: tuple[int, int], free: bool
) -> None:
    if mode == "nearest":
        antialias = exclude = free = False
    exclude = exclude and (mode == "cubic" or antialias)
    model = resized(
        f'mode = "{mode}", coordinate_transformation_mode = "{transformation}", antialias = {int(antialias)}, '
        f"exclude_outside = {int(exclude)}, axes = [2, 3]",
        sizes=list(out),
        image="float[1,2,H,W]" if free else "float[1,2,9,11]",
    )
    feeds = random_feeds(model.proto, {"x": [(1, 2, 9, 11)]}, 0, 0)
    assert difference(ran(model.proto, feeds), ran(rewritten(model, resize, "Resize"), feeds)) <= 2e-5


def test_a_grid_of_another_type() -> None:
    model = model_of(
        "g (float16[N,3,4,5] x, float[N,5,6,2] g) => (float16[N,3,5,6] y) { y = GridSample (x, g) }", opset=20
    )
    shapes = {"x": [(n, 3, 4, 5) for n in (1, 2, 4)], "g": [(n, 5, 6, 2) for n in (1, 2, 4)]}
    check_mends(model, grid_sample, "GridSample", shapes=shapes, run=None)
    same = model_of("g (float[N,3,4,5] x, float[N,5,6,2] g) => (float[N,3,5,6] y) { y = GridSample (x, g) }", opset=20)
    with pytest.raises(CannotRewrite, match="same type"):
        rewritten(same, grid_sample, "GridSample")


@pytest.mark.parametrize("dtype", ["bool", "uint8", "int32", "int64"])
def test_class_maps_and_masks(dtype: str) -> None:
    model = resized('mode = "nearest"', scales=[1.0, 1.0, 2.0, 1.5], image=f"{dtype}[N,3,H,W]")
    known = dtype in ("uint8", "int32")  # ONNX Runtime has no kernel for the others
    check_mends(
        model, resize_integers, "Resize", shapes=FREE, integers=(0, 200), run=ran if known else None, tolerance=0.0
    )
    linear = resized('mode = "linear"', scales=[1.0, 1.0, 2.0, 1.5], image=f"{dtype}[N,3,H,W]")
    with pytest.raises(CannotRewrite, match="only nearest"):
        rewritten(linear, resize_integers, "Resize")
