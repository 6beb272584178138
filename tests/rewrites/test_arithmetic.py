"""Running products, remainders and Col2Im, against ONNX Runtime, and built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.arithmetic import col2im, cumprod, mod, mod_integers, relu_integers
from friction_tui.rewrites.base import CannotRewrite
from tests.rewrites.mended import built, check_mends, difference, evaluated, model_of, ran, random_feeds, rewritten

FREE = {"x": [(1, 6), (4, 6), (8, 6)]}


def products(sizes: str, axis: int, attributes: str = "", dtype: str = "float") -> OpenedModel:
    return model_of(
        f"""<ir_version: 13, opset_import: ["" : 26]>
        g ({dtype}[{sizes}] x) => ({dtype}[{sizes}] y) <int64 a = {{{axis}}}> {{ y = CumProd {attributes} (x, a) }}"""
    )


@pytest.mark.parametrize(
    ("axis", "attributes", "dtype"),
    [
        (1, "", "float"),
        (0, "", "float"),
        (-1, "<exclusive = 1>", "float"),
        (0, "<reverse = 1>", "float"),
        (1, "<exclusive = 1, reverse = 1>", "int32"),
        (1, "", "float16"),
    ],
)
def test_running_products(axis: int, attributes: str, dtype: str) -> None:
    model = products("N,6", axis, attributes, dtype)
    half = dtype == "float16"
    check_mends(model, cumprod, "CumProd", shapes=FREE, run=evaluated, tolerance=2e-3 if half else None)


def test_a_computed_axis_is_refused() -> None:
    model = model_of(
        """<ir_version: 13, opset_import: ["" : 26]>
        g (float[N,6] x, int64 a) => (float[N,6] y) { y = CumProd (x, a) }"""
    )
    with pytest.raises(CannotRewrite, match="axis is computed"):
        rewritten(model, cumprod, "CumProd")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(length=st.integers(1, 20), axis=st.integers(0, 1), exclusive=st.integers(0, 1), reverse=st.integers(0, 1))
def test_any_length(length: int, axis: int, exclusive: int, reverse: int) -> None:
    model = products(f"{length},3", axis, f"<exclusive = {exclusive}, reverse = {reverse}>")
    feeds = random_feeds(model.proto, None, 0, length)
    after = rewritten(model, cumprod, "CumProd")
    assert difference(evaluated(model.proto, feeds), ran(after, feeds)) <= 1e-5


def remainders(dtype: str, fmod: int, opset: int = 13) -> OpenedModel:
    return model_of(
        f"g ({dtype}[N,6] x, {dtype}[N,6] z) => ({dtype}[N,6] y) {{ y = Mod <fmod = {fmod}> (x, z) }}", opset=opset
    )


@pytest.mark.parametrize("dtype", ["float", "float16"])
def test_remainders_of_floats(dtype: str) -> None:
    shapes = {"x": FREE["x"], "z": FREE["x"]}
    model = remainders(dtype, 0)
    after = check_mends(model, mod, "Mod", shapes=shapes, run=None)
    feeds = random_feeds(model.proto, shapes, 2, 0)
    feeds["x"] *= 5
    expected = np.mod(feeds["x"].astype(np.float64), feeds["z"].astype(np.float64))
    actual = ran(after, feeds)[0].astype(np.float64)
    apart = np.abs(actual - expected)
    assert np.minimum(apart, np.abs(apart - np.abs(feeds["z"]))).max() < (1e-5 if dtype == "float" else 5e-3)


def test_truncated_remainders_and_infinities() -> None:
    model = remainders("float", 1)
    after = rewritten(model, mod, "Mod")
    feeds = {
        "x": np.array([[5, -5, 7.5, -7.5, 3, -3]], np.float32),
        "z": np.array([[3, 3, -2, 2, np.inf, -np.inf]], np.float32),
    }
    assert difference(ran(model.proto, feeds), ran(after, feeds)) <= 1e-6


@pytest.mark.parametrize(("dtype", "fmod"), [("uint8", 0), ("int8", 0), ("int8", 1)])
def test_remainders_of_small_integers(dtype: str, fmod: int) -> None:
    shapes = {"x": FREE["x"], "z": FREE["x"]}
    check_mends(
        remainders(dtype, fmod), mod_integers, "Mod", shapes=shapes, integers=(1, 100), refused=dtype == "uint8"
    )


def test_what_tensorrt_takes_is_left_alone() -> None:
    with pytest.raises(CannotRewrite, match="not float"):
        rewritten(remainders("int32", 0), mod, "Mod")
    with pytest.raises(CannotRewrite, match="not int8"):
        rewritten(remainders("int32", 0), mod_integers, "Mod")


def columns(
    image: list[int], block: list[int], strides: list[int], pads: list[int], dilations: list[int]
) -> OpenedModel:
    count = len(image)
    blocks = [
        (image[at] + pads[at] + pads[count + at] - dilations[at] * (block[at] - 1) - 1) // strides[at] + 1
        for at in range(count)
    ]
    elements, total = int(np.prod(block)), int(np.prod(blocks))
    out = ",".join(map(str, image))
    return model_of(
        f"""g (float[N,{3 * elements},{total}] x) => (float[N,3,{out}] y) {{
        y = Col2Im <strides = {strides}, pads = {pads}, dilations = {dilations}> (x, i, b) }}""",
        opset=18,
        i=np.array(image),
        b=np.array(block),
    )


@pytest.mark.parametrize(
    ("image", "block", "strides", "pads", "dilations"),
    [
        ([8, 8], [3, 3], [1, 1], [1, 1, 1, 1], [1, 1]),
        ([9, 10], [2, 3], [2, 2], [0, 0, 0, 0], [1, 1]),
        ([8, 9], [2, 2], [1, 1], [0, 1, 0, 1], [2, 1]),
        ([9, 9], [2, 2], [2, 2], [0, 0, 0, 0], [2, 2]),
    ],
)
def test_columns_to_images(
    image: list[int], block: list[int], strides: list[int], pads: list[int], dilations: list[int]
) -> None:
    model = columns(image, block, strides, pads, dilations)
    sizes = [dim.dim_value for dim in model.proto.graph.input[0].type.tensor_type.shape.dim]
    check_mends(model, col2im, "Col2Im", shapes={"x": [(n, *sizes[1:]) for n in (1, 2, 4)]})


def test_a_computed_image_shape_is_refused() -> None:
    model = model_of(
        "g (float[N,12,16] x, int64[2] i) => (float[N,3,h,w] y) <int64[2] b = {2, 2}> { y = Col2Im (x, i, b) }",
        opset=18,
    )
    with pytest.raises(CannotRewrite, match="image shape is computed"):
        rewritten(model, col2im, "Col2Im")


@pytest.mark.parametrize("declared", ["int32[N,6]", "int64[N,6]", "int32[2,N]"])
def test_relu_of_integers(declared: str) -> None:
    model = model_of(f"g ({declared} x) => ({declared} y) {{ y = Relu (x) }}")
    shapes = FREE if declared.endswith("6]") else {"x": [(2, 1), (2, 4), (2, 8)]}
    after = rewritten(model, relu_integers, "Relu")
    assert built(after, shapes) == ("ok", "")
    feeds = random_feeds(model.proto, shapes, 2, 0, (-9, 9))
    assert np.array_equal(ran(after, feeds)[0], np.maximum(feeds["x"], 0))
    with pytest.raises(CannotRewrite, match="not int32"):
        rewritten(model_of("g (float[N] x) => (float[N] y) { y = Relu (x) }"), relu_integers, "Relu")
