"""The weights of ONNX's Resize along one axis: which input elements make an output element, and how much of each.

Formulas: the ONNX operator specification (Resize-19), with ONNX Runtime's order of float32 operations.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt

Weights = npt.NDArray[np.float32]


@dataclass(frozen=True, slots=True)
class Sampling:
    """How Resize samples, with the specification's attribute names and defaults."""

    mode: str = "nearest"
    coordinate_transformation_mode: str = "half_pixel"
    nearest_mode: str = "round_prefer_floor"
    cubic_coeff_a: float = -0.75
    antialias: bool = False
    exclude_outside: bool = False


@dataclass(frozen=True, slots=True)
class Axis:
    """One resized axis: sizes before and after, the scale that coordinates use, and the part that is sampled."""

    size: int
    out: int
    scale: float
    start: float = 0.0
    end: float = 1.0


def weights(axis: Axis, how: Sampling) -> tuple[Weights, npt.NDArray[np.bool_]]:
    """[out, size] weights, and [out] flags of the elements that lie outside (tf_crop_and_resize alone asks)."""
    x = coordinates(axis, how.coordinate_transformation_mode)
    outside = (x < 0) | (x > axis.size - 1)
    if how.mode == "nearest":
        return _one_hot(_rounded(x, how.nearest_mode), axis.size), outside
    cubic = how.mode == "cubic"
    shrink = min(axis.scale, 1.0) if how.antialias else 1.0
    reach = int(np.ceil((2.0 if cubic else 1.0) / shrink))
    if not cubic and not how.antialias:
        x = np.clip(x, 0, axis.size - 1)
    near = np.floor(x).astype(np.int64)[:, None] + np.arange(-reach, reach + 2)  # [out, taps]
    distance = np.abs(x[:, None].astype(np.float64) - near) * shrink
    taps = cubic_kernel(distance, how.cubic_coeff_a) if cubic else np.maximum(0.0, 1.0 - distance)
    inside = (near >= 0) & (near < axis.size)
    if how.exclude_outside:
        taps = np.where(inside, taps, 0.0)
    if how.exclude_outside or how.antialias:
        taps = taps / taps.sum(1, keepdims=True)
    result = np.zeros((axis.out, axis.size))
    rows = np.broadcast_to(np.arange(axis.out)[:, None], near.shape)
    np.add.at(result, (rows, np.clip(near, 0, axis.size - 1)), taps)
    return result.astype(np.float32), outside


def coordinates(axis: Axis, mode: str) -> npt.NDArray[np.float32]:
    """Where each output element lies on the input axis."""
    f = np.float32
    i, scale, size, out = np.arange(axis.out, dtype=f), f(axis.scale), axis.size, axis.out
    if mode == "asymmetric":
        return i / scale
    if mode == "align_corners":
        return i * f(size - 1) / f(out - 1) if out > 1 else np.zeros(out, f)
    if mode == "tf_crop_and_resize":
        start, end = f(axis.start), f(axis.end)
        if out > 1:
            return start * f(size - 1) + i * (end - start) * f(size - 1) / f(out - 1)
        return np.full(out, f(0.5) * (start + end) * f(size - 1), f)
    if mode == "tf_half_pixel_for_nn":
        return (i + f(0.5)) / scale
    if mode == "pytorch_half_pixel" and out == 1:
        return np.zeros(out, f)
    half = (i + f(0.5)) / scale - f(0.5)
    if mode == "half_pixel_symmetric":
        return half + f(size / 2) * (f(1) - f(out) / (scale * f(size)))
    return half


def cubic_kernel(distance: npt.NDArray[np.float64], a: float) -> npt.NDArray[np.float64]:
    """Keys' cubic convolution kernel with coefficient `a`."""
    d = distance
    near = ((a + 2) * d - (a + 3)) * d * d + 1
    far = a * (((d - 5) * d + 8) * d - 4)
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _rounded(x: npt.NDArray[np.float32], mode: str) -> npt.NDArray[np.int64]:
    rounded = {
        "floor": np.floor(x),
        "ceil": np.ceil(x),
        "round_prefer_ceil": np.floor(x + np.float32(0.5)),
        "round_prefer_floor": np.ceil(x - np.float32(0.5)),
    }[mode]
    return np.asarray(rounded, np.int64)


def _one_hot(index: npt.NDArray[np.int64], size: int) -> Weights:
    return np.asarray(np.clip(index, 0, size - 1)[:, None] == np.arange(size), np.float32)
