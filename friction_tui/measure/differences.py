"""How far two arrays are apart: absolute, relative, by angle, by the order of their largest values, and where."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt

from friction_tui.vocabulary.protocol import NotFinite, TensorApart

Array = npt.NDArray[np.generic]
Floats = npt.NDArray[np.float64]
_NUMBERS = "fiub"
_KINDS = (("NaN", np.isnan), ("Inf", np.isposinf), ("-Inf", np.isneginf))


def apart(tensor: str, inputs: int, first: Array, second: Array) -> TensorApart:
    """Compare what two sides give for a tensor on the inputs number `inputs`; texts are equal or not."""

    def unlike(why: str) -> TensorApart:
        return TensorApart(tensor=tensor, inputs=inputs, absolute=None, relative=None, unlike=why)

    if first.shape != second.shape:
        return unlike(f"shapes {list(first.shape)} and {list(second.shape)}")
    if not (_number(first) and _number(second)):
        same = first.dtype.kind == second.dtype.kind and np.array_equal(first, second)
        return _equal(tensor, inputs) if same else unlike(f"{first.dtype} and {second.dtype} that are not the same")
    if not first.size:
        return _equal(tensor, inputs)
    a, b = np.asarray(first, np.float64), np.asarray(second, np.float64)
    finite = np.isfinite(a) & np.isfinite(b)
    wrong = tuple(_not_finite(a, b))
    if not finite.any():
        nothing = None if wrong else 0.0
        return TensorApart(tensor=tensor, inputs=inputs, absolute=nothing, relative=nothing, not_finite=wrong)
    distance = np.abs(np.where(finite, a, 0.0) - np.where(finite, b, 0.0))
    at = tuple(int(axis) for axis in np.unravel_index(int(np.argmax(distance)), distance.shape))
    worst, largest = float(distance[at]), float(np.max(np.abs(a[finite])))
    with np.errstate(divide="ignore", invalid="ignore"):
        own = np.where(distance > 0, distance / np.abs(np.where(finite, a, 1.0)), 0.0)
    top1, top5 = _same_order(a, b) if finite.all() and first.dtype.kind not in "b" else (None, None)
    return TensorApart(
        tensor=tensor,
        inputs=inputs,
        absolute=worst,
        relative=worst / max(largest, 1e-30) if worst else 0.0,
        elementwise=float(np.max(own)),
        index=at,
        first=float(np.where(finite, a, 0.0)[at]),
        second=float(np.where(finite, b, 0.0)[at]),
        cosine=_cosine(np.where(finite, a, 0.0).ravel(), np.where(finite, b, 0.0).ravel()),
        top1=top1,
        top5=top5,
        not_finite=wrong,
    )


def _number(array: Array) -> bool:
    return array.dtype.kind in _NUMBERS or array.dtype.name in ("bfloat16", "float8_e4m3fn", "float8_e5m2")


def _equal(tensor: str, inputs: int) -> TensorApart:
    return TensorApart(tensor=tensor, inputs=inputs, absolute=0.0, relative=0.0)


def _not_finite(a: Floats, b: Floats) -> list[NotFinite]:
    """What is NaN or Inf on one side only, or another of them there."""
    found = []
    for what, test in _KINDS:
        one, two = test(a), test(b)
        for side, where in ((1, one & ~two), (2, two & ~one)):
            if where.any():
                index = tuple(int(axis) for axis in np.argwhere(where)[0])
                found.append(NotFinite(side, what, int(np.count_nonzero(where)), a.size, index))
    return found


def _cosine(a: Floats, b: Floats) -> float | None:
    """1 for the same direction; None where one of them has none."""
    scale = max(float(np.max(np.abs(a))), float(np.max(np.abs(b))))
    if not scale:
        return None
    a, b = a / scale, b / scale
    lengths = float(np.linalg.norm(a)) * float(np.linalg.norm(b))
    return min(float(a @ b) / lengths, 1.0) if lengths else None


def _same_order(a: Floats, b: Floats) -> tuple[float | None, float | None]:
    if not a.ndim or a.shape[-1] < 2:
        return None, None
    rows_a, rows_b = a.reshape(-1, a.shape[-1]), b.reshape(-1, b.shape[-1])
    top1 = float(np.mean(np.argmax(rows_a, 1) == np.argmax(rows_b, 1)))
    if a.shape[-1] < 6:
        return top1, None
    five = (np.sort(np.argpartition(-rows, 4, axis=1)[:, :5], axis=1) for rows in (rows_a, rows_b))
    largest_a, largest_b = five
    return top1, float(np.mean(np.all(largest_a == largest_b, axis=1)))
