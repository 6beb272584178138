"""Transposed convolutions in forms that TensorRT refuses, against ONNX Runtime, and built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.convolution import dilations, output_shape
from tests.rewrites.mended import Shapes, check_mends, difference, model_of, ran, random_feeds, rewritten

KERNEL = np.random.default_rng(0).standard_normal((3, 4, 3, 3)).astype(np.float32)


def transposed(attributes: str, image: str = "N,3,H,W", kernel: np.ndarray = KERNEL) -> OpenedModel:
    out = ",".join(["N", str(kernel.shape[1]), *"ab"[: kernel.ndim - 2]])
    return model_of(f"g (float[{image}] x) => (float[{out}] y) {{ y = ConvTranspose <{attributes}> (x, w) }}", w=kernel)


@pytest.mark.parametrize(
    ("attributes", "image"),
    [
        ("strides = [2, 2], dilations = [2, 2]", "N,3,6,7"),
        ("strides = [2, 2], dilations = [2, 2], pads = [1, 0, 1, 2], output_padding = [1, 1]", "N,3,H,W"),
        ("strides = [3, 2], dilations = [2, 3], kernel_shape = [3, 3]", "N,3,6,7"),
    ],
)
def test_strides_and_dilations_together(attributes: str, image: str) -> None:
    shapes: Shapes = {"x": [(n, 3, 6, 7) for n in (1, 2, 4)]}
    check_mends(transposed(attributes, image), dilations, "ConvTranspose", shapes=shapes, tolerance=1e-6)
    with pytest.raises(CannotRewrite, match="no dilations"):
        rewritten(transposed("strides = [2, 2]"), dilations, "ConvTranspose")


@pytest.mark.parametrize(
    "attributes",
    [
        "strides = [2, 2], output_shape = [12, 14]",
        'strides = [2, 2], output_shape = [12, 14], auto_pad = "SAME_UPPER"',
        "strides = [2, 2], output_shape = [11, 12]",
    ],
)
def test_an_output_shape_for_images_of_free_size(attributes: str) -> None:
    shapes: Shapes = {"x": [(n, 3, 6, 7) for n in (1, 2, 4)]}
    refused = "SAME_UPPER" not in attributes
    model = transposed(attributes)
    check_mends(model, output_shape, "ConvTranspose", shapes=shapes, refused=refused, tolerance=1e-6)
    with pytest.raises(CannotRewrite, match="no output_shape"):
        rewritten(transposed("strides = [2, 2]"), output_shape, "ConvTranspose")


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 6), stride=st.integers(1, 3), cut=st.integers(0, 2), auto=st.sampled_from(["", "SAME_UPPER"])
)
def test_any_output_shape(size: int, stride: int, cut: int, auto: str) -> None:
    out = max(1, stride * (size - 1) + 3 - cut)
    automatic = f', auto_pad = "{auto}"' if auto else ""
    model = transposed(f"strides = [{stride}], output_shape = [{out}]{automatic}", "N,3,L", KERNEL[..., 0])
    feeds = random_feeds(model.proto, {"x": [(2, 3, size)]}, 0, 0)
    after = rewritten(model, output_shape, "ConvTranspose")
    assert difference(ran(model.proto, feeds), ran(after, feeds)) <= 1e-6
