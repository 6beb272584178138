"""Whether the sizes of a node's inputs can work together: the operators that move and combine elements.

onnx's strict inference is silent on many of these (Reshape's element count, a Gather index out of range), and
where it speaks it leaves the sizes out. Every rule follows the operator's text in
https://onnx.ai/onnx/operators. Layers with weights are in `friction_tui.model.shapes.layer_checks`.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np

from friction_tui.model.shapes.shape_values import (
    Attributes,
    Inputs,
    axes_of,
    range_length,
    reshape_target,
    split_sizes,
)
from friction_tui.model.shapes.tensors import dims_text

Dims = tuple[int, ...]
Operands = Sequence[Dims | None]
"""The sizes of the inputs, None for a blank one."""
Check = Callable[[Attributes, Operands, Inputs, int], str]
"""(attributes, input dims, input values where known, opset) -> what cannot work, "" when it can."""


def broadcast_fault(shapes: Sequence[Dims]) -> str:
    """Why `shapes` do not broadcast together, numpy's way; "" when they do."""
    first = shapes[0]
    if all(shape == first for shape in shapes):
        return ""
    rank = max(len(shape) for shape in shapes)
    for axis in range(1, rank + 1):
        sizes = {shape[-axis] for shape in shapes if len(shape) >= axis} - {1}
        if len(sizes) > 1:
            texts = " and ".join(dims_text(shape) for shape in shapes)
            where = f"axis {rank - axis}" if len(set(map(len, shapes))) == 1 else f"axis {-axis}"
            return f"{texts} do not broadcast: {_against(sizes)} on {where}"
    return ""


def one_way_fault(shape: Dims, target: Dims) -> str:
    """Why `shape` does not broadcast to exactly `target`; "" when it does."""
    fits = len(shape) <= len(target) and all(
        size in (1, wanted) for size, wanted in zip(reversed(shape), reversed(target), strict=False)
    )
    return "" if fits else f"{dims_text(shape)} does not broadcast to {dims_text(target)}"


def _against(sizes: set[int]) -> str:
    return " against ".join(str(size) for size in sorted(sizes))


def _elementwise(_: Attributes, dims: Operands, __: Inputs, opset: int) -> str:
    shapes = [shape for shape in dims if shape is not None]
    if opset < 7 or len(shapes) < 2:
        return ""  # before opset 7 broadcasting was asked for with attributes
    return broadcast_fault(shapes)


def _concat(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    shapes = [shape for shape in dims if shape is not None]
    first = shapes[0] if shapes else ()
    axis = attributes.get("axis", 1)
    if not -len(first) <= axis < len(first):
        return f"axis {axis} is outside {dims_text(first)}"
    axis %= len(first)
    for shape in shapes[1:]:
        if len(shape) != len(first):
            return f"{dims_text(first)} and {dims_text(shape)} have different ranks"
        for at, (one, other) in enumerate(zip(first, shape, strict=True)):
            if at != axis and one != other:
                return (
                    f"{dims_text(first)} and {dims_text(shape)} do not join along axis {axis}: "
                    f"{one} against {other} on axis {at}"
                )
    return ""


def _reshape(attributes: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    target = attributes.get("shape") if opset < 5 else _ints_at(values, 1)
    if target is None or dims[0] is None:
        return ""
    try:
        reshape_target(dims[0], target, bool(attributes.get("allowzero")))
    except ValueError as error:
        return f"{dims_text(dims[0])} cannot be reshaped to {dims_text(tuple(target))}: {error}"
    return ""


def _expand(_: Attributes, dims: Operands, values: Inputs, __: int) -> str:
    target = _ints_at(values, 1)
    if target is None or dims[0] is None:
        return ""
    if any(size < 0 for size in target):
        return f"the target {dims_text(tuple(target))} has a negative size"
    fault = broadcast_fault([dims[0], tuple(target)])
    return f"{dims_text(dims[0])} cannot be expanded to {dims_text(tuple(target))}" if fault else ""


def _squeeze(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    shape = dims[0] or ()
    for axis in axes_of(attributes, values, 1) or []:
        if not -len(shape) <= axis < len(shape):
            return f"axis {axis} is outside {dims_text(shape)}"
        if shape[axis] != 1:
            return f"axis {axis % len(shape)} of {dims_text(shape)} has size {shape[axis]}, and only size 1 can go"
    return ""


def _unsqueeze(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    axes = axes_of(attributes, values, 1) or []
    rank = len(dims[0] or ()) + len(axes)
    if any(not -rank <= axis < rank for axis in axes):
        return f"axes {axes} are outside the {rank} dimensions of the result"
    if len({axis % rank for axis in axes}) < len(axes):
        return f"axes {axes} name one axis twice"
    return ""


def _gather(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    data, axis = dims[0] or (), attributes.get("axis", 0)
    if not -len(data) <= axis < len(data):
        return f"axis {axis} is outside {dims_text(data)}"
    return _index_fault(values[1] if len(values) > 1 else None, data, axis)


def _gather_elements(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    data, indices = dims[0] or (), dims[1] if len(dims) > 1 and dims[1] is not None else ()
    return _along_axis(data, indices, attributes.get("axis", 0), values[1])


def _along_axis(data: Dims, indices: Dims, axis: int, known: Any) -> str:
    """What is wrong with indices of elements along one axis of `data`; `known` are their values, where known."""
    if len(data) != len(indices):
        return f"data {dims_text(data)} and indices {dims_text(indices)} have different ranks"
    if not -len(data) <= axis < len(data):
        return f"axis {axis} is outside {dims_text(data)}"
    for at, (have, want) in enumerate(zip(data, indices, strict=True)):
        if at != axis % len(data) and want > have:
            return f"indices {dims_text(indices)} reach beyond data {dims_text(data)} on axis {at}"
    return _index_fault(known, data, axis)


def _index_fault(indices: Any, data: Dims, axis: int) -> str:
    size = data[axis]
    if indices is None or not np.size(indices):
        return ""
    low, high = int(np.min(indices)), int(np.max(indices))
    if low >= -size and high < size:
        return ""
    index = high if high >= size else low
    return f"index {index} is out of range on axis {axis % len(data)} of {dims_text(data)}, which has size {size}"


def _gather_nd(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    data, indices = dims[0] or (), dims[1] if len(dims) > 1 and dims[1] is not None else ()
    batch = attributes.get("batch_dims", 0)
    if not indices or batch + indices[-1] > len(data):
        return f"indices {dims_text(indices)} address more dimensions than data {dims_text(data)} has"
    if data[:batch] != indices[:batch]:
        return f"the first {batch} dimensions of data {dims_text(data)} and indices {dims_text(indices)} differ"
    return _tuple_index_fault(values[1], data[batch : batch + indices[-1]])


def _scatter_nd(_: Attributes, dims: Operands, values: Inputs, __: int) -> str:
    if len(dims) < 3 or dims[0] is None or dims[1] is None or dims[2] is None:
        return ""
    data, indices, updates = dims[0], dims[1], dims[2]
    if not indices or indices[-1] > len(data):
        return f"indices {dims_text(indices)} address more dimensions than data {dims_text(data)} has"
    wanted = indices[:-1] + data[indices[-1] :]
    if updates != wanted:
        return (
            f"updates {dims_text(updates)} should be {dims_text(wanted)} for data {dims_text(data)} "
            f"and indices {dims_text(indices)}"
        )
    return _tuple_index_fault(values[1], data[: indices[-1]])


def _tuple_index_fault(indices: Any, sizes: Dims) -> str:
    if indices is None or not np.size(indices):
        return ""
    for position, size in enumerate(sizes):
        column = np.asarray(indices)[..., position]
        for index in (int(column.min()), int(column.max())):
            if not -size <= index < size:
                return f"index {index} is out of range in a dimension of size {size}"
    return ""


def _scatter_elements(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    if len(dims) < 3 or dims[0] is None or dims[1] is None or dims[2] is None:
        return ""
    data, indices, updates = dims[0], dims[1], dims[2]
    if indices != updates:
        return f"indices {dims_text(indices)} and updates {dims_text(updates)} differ"
    return _along_axis(data, indices, attributes.get("axis", 0), values[1])


def _split(attributes: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    shape, axis = dims[0] or (), attributes.get("axis", 0)
    if not -len(shape) <= axis < len(shape):
        return f"axis {axis} is outside {dims_text(shape)}"
    if len(dims) > 1 and dims[1] is not None and values[1] is None:
        return ""  # sizes are given, only not known here
    size, outputs = shape[axis], attributes["#outputs"]
    given = values[1] if len(values) > 1 else None
    sizes = split_sizes(attributes, given, size, outputs)
    where = f"axis {axis % len(shape)} of {dims_text(shape)}"
    if given is None and "split" not in attributes:
        if opset < 18:
            return (
                f"{where} has size {size}, which does not divide into {outputs} equal parts" if size % outputs else ""
            )
        too_many = -(-size // outputs) * (outputs - 1) > size
        return f"{where} has size {size}, too little for {outputs} parts" if too_many else ""
    if sum(sizes) != size or any(part < 0 for part in sizes):
        return f"parts {sizes} make {sum(sizes)}, but {where} has size {size}"
    return f"{len(sizes)} parts {sizes} for {outputs} outputs" if len(sizes) != outputs else ""


def _pad(attributes: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    shape = dims[0] or ()
    pads = attributes.get("pads") if opset < 11 else _ints_at(values, 1)
    if pads is None:
        return ""
    axes = _ints_at(values, 3) if len(values) > 3 else None
    if len(dims) > 3 and dims[3] is not None and axes is None:
        return ""
    axes = list(range(len(shape))) if axes is None else axes
    if len(pads) != 2 * len(axes):
        return f"{len(pads)} pads for {len(axes)} axes of {dims_text(shape)}: there must be two an axis"
    mode = attributes.get("mode", "constant")
    for position, axis in enumerate(axes):
        if not -len(shape) <= axis < len(shape):
            return f"axis {axis} is outside {dims_text(shape)}"
        size, before, after = shape[axis], pads[position], pads[position + len(axes)]
        where = f"axis {axis % len(shape)} of {dims_text(shape)}"
        left = size + min(before, 0) + min(after, 0)
        if left < 0:
            return f"pads {before} and {after} take more than the {size} elements of {where}"
        if mode == "reflect" and max(before, after) > max(left - 1, 0):
            return f"reflecting {max(before, after)} elements needs at least one more than that on {where}"
        if mode == "edge" and left == 0 and max(before, after) > 0:
            return f"{where} is empty, it has no edge to repeat"
    return ""


def _topk(attributes: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    shape, axis = dims[0] or (), attributes.get("axis", -1)
    k = [attributes["k"]] if opset < 10 else _ints_at(values, 1)
    if not k:
        return ""
    if not -len(shape) <= axis < len(shape):
        return f"axis {axis} is outside {dims_text(shape)}"
    if 0 <= k[0] <= shape[axis]:
        return ""
    return f"K is {k[0]}, but axis {axis % len(shape)} of {dims_text(shape)} has size {shape[axis]}"


def _tile(_: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    repeats = _ints_at(values, 1)
    if opset < 6 or repeats is None or dims[0] is None:
        return ""
    if len(repeats) != len(dims[0]):
        return f"{len(repeats)} repeats for {dims_text(dims[0])}: there must be one an axis"
    return f"repeats {repeats} are negative" if min(repeats, default=0) < 0 else ""


def _slice(attributes: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    shape = dims[0] or ()
    if opset < 10:
        starts, ends, axes = attributes.get("starts"), attributes.get("ends"), attributes.get("axes")
        steps = None
    else:
        starts, ends = _ints_at(values, 1), _ints_at(values, 2)
        axes, steps = _ints_at(values, 3), _ints_at(values, 4)
    for axis in axes or []:
        if not -len(shape) <= axis < len(shape):
            return f"axis {axis} is outside {dims_text(shape)}"
    counts = {len(row) for row in (starts, ends, axes, steps) if row is not None}
    if len(counts) > 1:
        return f"starts {starts}, ends {ends}, axes {axes} and steps {steps} have different lengths"
    return "a step of 0" if steps and 0 in steps else ""


def _range(_: Attributes, __: Operands, values: Inputs, ___: int) -> str:
    if len(values) < 3 or any(value is None or np.size(value) != 1 for value in values[:3]):
        return ""
    start, limit, delta = (np.asarray(value).ravel()[0] for value in values[:3])
    try:
        range_length(start, limit, delta)
    except ZeroDivisionError:
        return f"Range from {start} to {limit} in steps of 0"
    except (ValueError, OverflowError):
        return f"Range from {start} to {limit} in steps of {delta} never ends"
    return ""


def _constant_of_shape(_: Attributes, __: Operands, values: Inputs, ___: int) -> str:
    sizes = _ints_at(values, 0) or []
    return f"the shape {dims_text(tuple(sizes))} has a negative size" if any(size < 0 for size in sizes) else ""


def _transpose(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    shape, perm = dims[0] or (), attributes.get("perm")
    if perm is None or sorted(perm) == list(range(len(shape))):
        return ""
    return f"perm {list(perm)} is not an order of the {len(shape)} axes of {dims_text(shape)}"


def _reduction(attributes: Attributes, dims: Operands, values: Inputs, _: int) -> str:
    shape = dims[0] or ()
    for axis in axes_of(attributes, values, 1) or []:
        if not -len(shape) <= axis < max(len(shape), 1):
            return f"axis {axis} is outside {dims_text(shape)}"
    return ""


def _depth_to_space(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    shape, block = dims[0] or (), attributes.get("blocksize", 1)
    if len(shape) == 4 and shape[1] % (block * block):
        return f"{shape[1]} channels of {dims_text(shape)} do not divide by blocksize² = {block * block}"
    return ""


def _space_to_depth(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    shape, block = dims[0] or (), attributes.get("blocksize", 1)
    if len(shape) == 4 and (shape[2] % block or shape[3] % block):
        return f"height and width of {dims_text(shape)} do not divide by blocksize {block}"
    return ""


def _cumsum(_: Attributes, dims: Operands, values: Inputs, __: int) -> str:
    shape, axis = dims[0] or (), _ints_at(values, 1)
    if not axis or -len(shape) <= axis[0] < len(shape):
        return ""
    return f"axis {axis[0]} is outside {dims_text(shape)}"


def _ints_at(values: Inputs, position: int) -> list[int] | None:
    """The integers of one input, None when it is blank or not known."""
    value = values[position] if position < len(values) else None
    return None if value is None else [int(item) for item in np.asarray(value).ravel().tolist()]


def _not_larger(limit: int) -> Check:
    def check(_: Attributes, dims: Operands, __: Inputs, ___: int) -> str:
        return "" if math.prod(dims[0] or ()) <= limit else f"{dims_text(dims[0])} should hold one element"

    return check


_BROADCASTING = (
    "Add Sub Mul Div Pow Mod And Or Xor Equal Less Greater LessOrEqual GreaterOrEqual Where Max Min Sum Mean "
    "BitwiseAnd BitwiseOr BitwiseXor BitShift"
)
_REDUCTIONS = "Max Mean Min Prod Sum L1 L2 LogSum LogSumExp SumSquare"

CHECKS: Mapping[str, Check] = {
    **dict.fromkeys(_BROADCASTING.split(), _elementwise),
    **{f"Reduce{kind}": _reduction for kind in _REDUCTIONS.split()},
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "CumSum": _cumsum,
    "DepthToSpace": _depth_to_space,
    "Expand": _expand,
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "GatherND": _gather_nd,
    "If": _not_larger(1),
    "Pad": _pad,
    "Range": _range,
    "Reshape": _reshape,
    "ScatterElements": _scatter_elements,
    "ScatterND": _scatter_nd,
    "Slice": _slice,
    "SpaceToDepth": _space_to_depth,
    "Split": _split,
    "Squeeze": _squeeze,
    "Tile": _tile,
    "TopK": _topk,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
}
