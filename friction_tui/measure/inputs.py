"""Inputs to run a model on: the right shapes and types, harmless values, the same every time."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx

SEED = 20


def example_inputs(
    model: onnx.ModelProto,
    sizes: Mapping[str, Sequence[int]],
    values: Mapping[str, Sequence[int]] | None = None,
    seed: int = SEED,
) -> dict[str, np.ndarray]:
    """An array per graph input without an initializer of its own.

    Floats are standard normal. Integers are 0, which is a valid index and token everywhere, and 1 for inputs
    whose name says mask, length or batch size; `values` fixes an input's values (shape tensors).
    Raises KeyError naming an input that `sizes` lacks.
    """
    rng = np.random.default_rng(seed)
    initialized = {tensor.name for tensor in model.graph.initializer}
    arrays: dict[str, np.ndarray] = {}
    for port in model.graph.input:
        if port.name in initialized:
            continue
        dtype = onnx.helper.tensor_dtype_to_np_dtype(port.type.tensor_type.elem_type)
        shape = tuple(sizes[port.name])
        if values and port.name in values:
            arrays[port.name] = np.array(values[port.name], dtype).reshape(shape)
        else:
            arrays[port.name] = _fill(port.name, dtype, shape, rng)
    return arrays


def _fill(name: str, dtype: np.dtype, shape: tuple[int, ...], rng: np.random.Generator) -> np.ndarray:
    if dtype.kind == "f" or dtype.name == "bfloat16":
        return rng.standard_normal(shape, np.float32).astype(dtype)
    if dtype.kind == "b":
        return np.ones(shape, dtype)
    if dtype.kind in "iu":
        ones = any(word in name.lower() for word in ("mask", "length", "lens", "size"))
        return np.full(shape, 1 if ones else 0, dtype)
    if dtype.kind == "O":
        return np.full(shape, "", dtype)
    return np.zeros(shape, dtype)
