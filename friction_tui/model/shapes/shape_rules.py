"""Output sizes that onnx's inference leaves out or gets wrong, in ONNX 1.23.

Found by comparing it with the expected outputs of every operator test case of the onnx package.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np

from friction_tui.model.shapes.shape_values import Attributes, Inputs, range_length
from friction_tui.model.shapes.tensors import TensorType

OutputRule = Callable[[Attributes, Sequence[TensorType], Inputs], list[TensorType] | None]
"""(attributes, input types, input values where known) -> output types, None to leave it to onnx."""


def _same_as_first(_: Attributes, types: Sequence[TensorType], __: Inputs) -> list[TensorType] | None:
    return [types[0]]


def _range(_: Attributes, types: Sequence[TensorType], values: Inputs) -> list[TensorType] | None:
    """Range, also of one-element tensors: not to the letter of the specification, and everything runs it."""
    scalars = [np.asarray(value).ravel() for value in values if value is not None and np.size(value) == 1]
    if len(scalars) < 3 or scalars[2][0] == 0:
        return [TensorType(types[0].dtype, (None,))] if types else None
    return [TensorType(types[0].dtype, (range_length(*(value[0] for value in scalars)),))]


def _compress(attributes: Attributes, types: Sequence[TensorType], values: Inputs) -> list[TensorType] | None:
    condition = values[1] if len(values) > 1 else None
    dims = types[0].dims
    if condition is None or dims is None:
        return None
    taken = int(np.count_nonzero(condition))
    if "axis" not in attributes:
        return [TensorType(types[0].dtype, (taken,))]
    axis = attributes["axis"] % max(len(dims), 1)
    return [TensorType(types[0].dtype, (*dims[:axis], taken, *dims[axis + 1 :]))]


def _gather_nd(attributes: Attributes, types: Sequence[TensorType], _: Inputs) -> list[TensorType] | None:
    """Onnx says nothing when the result is a scalar."""
    if len(types) < 2 or types[0].dims is None or not types[1].dims or types[1].dims[-1] is None:
        return None
    skipped = attributes.get("batch_dims", 0) + types[1].dims[-1]
    return [TensorType(types[0].dtype, types[1].dims[:-1] + types[0].dims[skipped:])]


def _stft(attributes: Attributes, types: Sequence[TensorType], values: Inputs) -> list[TensorType] | None:
    """Onnx forgets that one-sided output, the default, keeps n // 2 + 1 of n frequencies."""
    signal = types[0].sizes
    step = values[1] if len(values) > 1 else None
    length = values[3] if len(values) > 3 else None
    window = types[2].sizes if len(types) > 2 else None
    size = int(np.asarray(length).ravel()[0]) if length is not None else (window[0] if window else None)
    if signal is None or step is None or size is None or not np.asarray(step).all():
        return None
    frames = (signal[1] - size) // int(np.asarray(step).ravel()[0]) + 1
    bins = size // 2 + 1 if attributes.get("onesided", 1) else size
    return [TensorType(types[0].dtype, (signal[0], frames, bins, 2))]


OUTPUT_RULES: Mapping[str, OutputRule] = {
    "Compress": _compress,
    "GatherND": _gather_nd,
    "GroupNormalization": _same_as_first,
    "MeanVarianceNormalization": _same_as_first,
    "Range": _range,
    "STFT": _stft,
}
