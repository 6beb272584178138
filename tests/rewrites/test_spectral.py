"""Fourier transforms as products, against ONNX Runtime and NumPy, and built."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.spectral import dft, stft
from tests.rewrites.mended import Shapes, check_mends, difference, model_of, ran, random_feeds, rewritten


def transformed(
    signal: str, *, attributes: str = "", length: int | None = None, axis: int | None = None, opset: int = 17
) -> OpenedModel:
    weights = {}
    if length is not None:
        weights["l"] = np.array(length)
    if axis is not None and opset >= 20:
        weights["a"] = np.array(axis)
    elif axis is not None:
        attributes = f"axis = {axis}" + (f", {attributes}" if attributes else "")
    inputs = "x" + (", l" if length is not None else ", " if "a" in weights else "") + (", a" if "a" in weights else "")
    out = ",".join("abcde"[: signal.count(",") + 1])
    dtype = signal.split("[", maxsplit=1)[0]
    call = f"<{attributes}> ({inputs})" if attributes else f"({inputs})"
    return model_of(f"g ({signal} x) => ({dtype}[{out}] y) {{ y = DFT {call} }}", opset=opset, **weights)


@pytest.mark.parametrize(
    ("parts", "attributes", "axis", "length", "opset"),
    [
        (1, "", 1, None, 17),
        (1, "onesided = 1", 2, None, 17),
        (2, "", 1, None, 17),
        (2, "inverse = 1", 2, None, 17),
        (1, "onesided = 1", 1, 8, 17),
        (1, "onesided = 1", 1, 32, 17),
        (1, "", -2, None, 20),
        (2, "inverse = 1", 1, None, 20),
    ],
)
def test_transforms(parts: int, attributes: str, axis: int, length: int | None, opset: int) -> None:
    model = transformed(f"float[N,20,15,{parts}]", attributes=attributes, axis=axis, length=length, opset=opset)
    check_mends(model, dft, "DFT", shapes={"x": [(n, 20, 15, parts) for n in (1, 4, 8)]})


@pytest.mark.parametrize("size", [10, 11])
def test_the_inverse_of_a_one_sided_transform(size: int) -> None:
    model = transformed(
        f"float[N,{size // 2 + 1},2]", attributes="inverse = 1, onesided = 1", length=size, axis=1, opset=20
    )
    after = check_mends(model, dft, "DFT", shapes={"x": [(n, size // 2 + 1, 2) for n in (1, 4, 8)]}, run=None)
    signal = np.random.default_rng(0).standard_normal((3, size))
    half = np.fft.rfft(signal)
    feeds = {"x": np.stack([half.real, half.imag], 2).astype(np.float32)}
    assert difference([signal[..., None]], ran(after, feeds)) <= 1e-5


def test_free_and_long_lengths_are_refused() -> None:
    with pytest.raises(CannotRewrite, match="is not fixed"):
        rewritten(transformed("float[N,L,1]", axis=1), dft, "DFT")
    with pytest.raises(CannotRewrite, match="length 5000"):
        rewritten(transformed("float[N,5000,1]", axis=1), dft, "DFT")


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    size=st.integers(1, 12),
    length=st.one_of(st.none(), st.integers(1, 15)),
    parts=st.integers(1, 2),
    flag=st.sampled_from(["", "onesided = 1", "inverse = 1"]),
    axis=st.integers(0, 1),
)
def test_any_length(size: int, length: int | None, parts: int, flag: str, axis: int) -> None:
    if flag == "onesided = 1":
        parts = 1
    model = transformed(f"float[{size},{size},{parts}]", attributes=flag, length=length, axis=axis)
    feeds = random_feeds(model.proto, None, 0, 0)
    assert difference(ran(model.proto, feeds), ran(rewritten(model, dft, "DFT"), feeds)) <= 1e-5


def test_short_time_transforms() -> None:
    model = model_of(
        "g (float[N,T,1] x) => (float[N,F,65,2] y) { y = STFT (x, s, w, l) }",
        s=np.array(32),
        l=np.array(128),
        w=np.hanning(128).astype(np.float32),
    )
    shapes = {"x": [(1, 128, 1), (2, 500, 1), (2, 1600, 1)]}
    check_mends(model, stft, "STFT", shapes=shapes, refused=False)
    both = model_of(
        "g (float[N,T] x) => (float[N,F,64,2] y) { y = STFT <onesided = 0> (x, s, , l) }",
        s=np.array(16),
        l=np.array(64),
    )
    feeds = {"x": np.random.default_rng(0).standard_normal((2, 300)).astype(np.float32)}
    assert ran(rewritten(both, stft, "STFT"), feeds)[0].shape == (2, 15, 64, 2)
    computed = model_of("g (float[1,300,1] x, int64 l) => (float[1,F,K,2] y) { y = STFT (x, s, , l) }", s=np.array(16))
    with pytest.raises(CannotRewrite, match="frame_length is computed"):
        rewritten(computed, stft, "STFT")


def test_a_computed_window() -> None:
    model = model_of(
        "g (float[N,T,1] x, float[64] w) => (float[N,F,33,2] y) { h = Abs (w)  y = STFT (x, s, h) }", s=np.array(16)
    )
    shapes: Shapes = {"x": [(1, 64, 1), (2, 640, 1), (2, 1600, 1)], "w": [(64,)] * 3}
    check_mends(model, stft, "STFT", shapes=shapes)
