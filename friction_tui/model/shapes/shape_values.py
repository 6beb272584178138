"""The arithmetic of shapes: small integer, boolean and float tensors computed with numpy.

Exporters compute Reshape targets, Slice bounds and Resize sizes with ordinary operators. Following their values
at one point of the ranges is what makes those shapes known. Operators as in
https://onnx.ai/onnx/operators, every opset from 7 on.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import numpy as np
import numpy.typing as npt

from friction_tui.model.shapes.tensors import Array

Attributes = Mapping[str, Any]
Inputs = Sequence[Array | None]
Rule = Callable[[Attributes, Inputs, int], Sequence[Array]]
"""(attributes, input values with None for a blank, opset) -> output values. May raise for impossible inputs."""

FOLLOWED_ELEMENTS = 1024
"""Results larger than this are not followed: no shape is that long."""


def evaluate(op: str, attributes: Attributes, inputs: Inputs, opset: int) -> Sequence[Array] | None:
    """The outputs of an operator of the default domain, None when they are not to be had or too large.

    Numpy warns of a division by zero here as anywhere; callers that follow many nodes silence it once.
    """
    rule = RULES.get(op)
    if rule is None:
        return None
    try:
        outputs = rule(attributes, inputs, opset)
    except (ValueError, IndexError, TypeError, ZeroDivisionError, OverflowError, MemoryError, AttributeError, KeyError):
        return None  # the inputs do not fit together; the shape checks say so
    return None if any(value.size > FOLLOWED_ELEMENTS for value in outputs) else outputs


def _ints(value: Array | None) -> list[int]:
    return [int(item) for item in np.asarray(value).ravel().tolist()]


def axes_of(attributes: Attributes, inputs: Inputs, position: int) -> list[int] | None:
    """The axes of Squeeze, Unsqueeze and the reductions: an attribute up to some opset, then an input."""
    if position < len(inputs) and inputs[position] is not None:
        return _ints(inputs[position])
    return list(attributes["axes"]) if "axes" in attributes else None


def _unary(function: Callable[[Any], Any]) -> Rule:
    return lambda _, inputs, __: [np.asarray(function(inputs[0])).astype(np.asarray(inputs[0]).dtype)]


def _binary(function: Callable[[Any, Any], Any]) -> Rule:
    return lambda _, inputs, __: [np.asarray(function(inputs[0], inputs[1]))]


def _folded(function: Callable[[Any, Any], Any]) -> Rule:
    def rule(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
        result = inputs[0]
        for value in inputs[1:]:
            result = function(result, value)
        return [np.asarray(result)]

    return rule


def _divide(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    a, b = np.asarray(inputs[0]), np.asarray(inputs[1])
    if a.dtype.kind not in "iu":
        return [np.asarray(a / b, dtype=a.dtype)]
    if not b.all():
        raise ZeroDivisionError
    # ONNX truncates towards zero, numpy's // rounds down.
    quotient = np.abs(a) // np.abs(b)
    return [np.asarray(np.sign(a) * np.sign(b) * quotient, dtype=a.dtype)]


def _modulo(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    a, b = np.asarray(inputs[0]), np.asarray(inputs[1])
    if a.dtype.kind in "iu" and not b.all():
        raise ZeroDivisionError
    return [np.asarray(np.fmod(a, b) if attributes.get("fmod") else np.mod(a, b))]


def _reduction(function: Callable[..., Any]) -> Rule:
    def rule(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
        data = np.asarray(inputs[0])
        axes = axes_of(attributes, inputs, 1)
        if not axes and attributes.get("noop_with_empty_axes"):
            return [data]
        keep = bool(attributes.get("keepdims", 1))
        return [np.asarray(function(data, axis=tuple(axes) if axes else None, keepdims=keep)).astype(data.dtype)]

    return rule


def _cast(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    from onnx.helper import tensor_dtype_to_np_dtype

    data = np.asarray(inputs[0])
    if data.dtype.kind in "OSU":
        raise TypeError("shapes are not computed from text")
    return [data.astype(tensor_dtype_to_np_dtype(attributes["to"]))]


def _squeeze(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    axes = axes_of(attributes, inputs, 1)
    return [np.squeeze(np.asarray(inputs[0]), axis=None if axes is None else tuple(axes))]


def _unsqueeze(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    return [np.expand_dims(np.asarray(inputs[0]), tuple(axes_of(attributes, inputs, 1) or ()))]


def _slice(attributes: Attributes, inputs: Inputs, opset: int) -> Sequence[Array]:
    data = np.asarray(inputs[0])
    if opset < 10:
        starts, ends = list(attributes["starts"]), list(attributes["ends"])
        axes, steps = list(attributes.get("axes", range(len(starts)))), [1] * len(starts)
    else:
        starts, ends = _ints(inputs[1]), _ints(inputs[2])
        axes = _ints(inputs[3]) if len(inputs) > 3 and inputs[3] is not None else list(range(len(starts)))
        steps = _ints(inputs[4]) if len(inputs) > 4 and inputs[4] is not None else [1] * len(starts)
    cut = [slice(None)] * data.ndim
    for axis, start, end, step in zip(axes, starts, ends, steps, strict=True):
        # Stepping down to an end before the first element needs None: -1 would mean the last one.
        cut[axis] = slice(start, None if step < 0 and end < -data.shape[axis] else end, step)
    return [data[tuple(cut)]]


def _split(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    data = np.asarray(inputs[0])
    axis = attributes.get("axis", 0)
    sizes = split_sizes(attributes, inputs[1] if len(inputs) > 1 else None, data.shape[axis], attributes["#outputs"])
    return np.split(data, np.cumsum(sizes)[:-1], axis=axis)


def split_sizes(attributes: Attributes, given: Array | None, size: int, outputs: int) -> list[int]:
    """How Split cuts an axis of `size` into `outputs` parts: as given, else equally with a smaller last part."""
    if given is not None:
        return _ints(given)
    if "split" in attributes:
        return list(attributes["split"])
    chunk = -(-size // outputs)
    return [max(min(chunk, size - chunk * number), 0) for number in range(outputs)]


def reshape_target(dims: Sequence[int], target: Sequence[int], allowzero: bool) -> list[int]:
    """Reshape's result for concrete `dims`: 0 copies a dim unless `allowzero`, -1 takes what is left.

    Raises ValueError with the reason when the element counts cannot match.
    """
    have = math.prod(dims)
    result = []
    for axis, size in enumerate(target):
        copied = size == 0 and not allowzero
        if copied and axis >= len(dims):
            raise ValueError(f"0 in place {axis} copies a dimension the input does not have")
        result.append(dims[axis] if copied else size)
    if any(size < -1 for size in result) or result.count(-1) > 1:
        raise ValueError("a target may hold one -1 and no other negative size")
    if -1 in result:
        rest = -math.prod(result)
        if rest == 0 or have % rest:
            raise ValueError(f"{have} elements do not divide by {rest}")
        result[result.index(-1)] = have // rest
    need = math.prod(result)
    if need != have:
        raise ValueError(f"{have} elements do not fill {need}")
    return result


def _reshape(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    data = np.asarray(inputs[0])
    return [data.reshape(reshape_target(data.shape, _ints(inputs[1]), bool(attributes.get("allowzero"))))]


def _expand(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    data = np.asarray(inputs[0])
    shape = np.broadcast_shapes(data.shape, tuple(_bounded(_ints(inputs[1]))))
    return [np.broadcast_to(data, shape)]


def _bounded(sizes: list[int]) -> list[int]:
    """`sizes`, unless they make more than is followed: nothing large is ever allocated."""
    if any(size < 0 for size in sizes) or math.prod(sizes) > FOLLOWED_ELEMENTS:
        raise ValueError("too large to follow")
    return sizes


def _constant_of_shape(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    fill = np.asarray(attributes.get("value", np.zeros(1, np.float32))).ravel()
    return [np.full(_bounded(_ints(inputs[0])), fill[0], dtype=fill.dtype)]


def _range(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    start, limit, delta = (np.asarray(value).ravel()[0] for value in inputs[:3])
    _bounded([range_length(start, limit, delta)])
    return [np.arange(start, limit, delta, dtype=np.asarray(inputs[0]).dtype)]


def range_length(start: Any, limit: Any, delta: Any) -> int:
    """Number of elements Range makes. Raises ZeroDivisionError for a step of 0."""
    if delta == 0:
        raise ZeroDivisionError("a step of 0")
    return max(int(np.ceil((float(limit) - float(start)) / float(delta))), 0)


def _tile(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    data = np.asarray(inputs[0])
    _bounded([a * b for a, b in zip(data.shape, _ints(inputs[1]), strict=True)])
    return [np.tile(data, _ints(inputs[1]))]


def _concat(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    return [np.concatenate([np.asarray(value) for value in inputs], axis=attributes.get("axis", 1))]


def _gather(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    return [np.take(np.asarray(inputs[0]), np.asarray(inputs[1]), axis=attributes.get("axis", 0))]


def _gather_elements(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    data, indices = np.asarray(inputs[0]), np.asarray(inputs[1]).astype(np.int64)
    return [np.take_along_axis(data, indices, axis=attributes.get("axis", 0))]


def _scatter_nd(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    if attributes.get("reduction", "none") != "none":
        raise ValueError("only plain scatters are followed")
    data, indices, updates = (np.asarray(value) for value in inputs[:3])
    result = data.copy()
    result[tuple(np.moveaxis(indices, -1, 0))] = updates
    return [result]


def _clip(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    low = inputs[1] if len(inputs) > 1 else attributes.get("min")
    high = inputs[2] if len(inputs) > 2 else attributes.get("max")
    data = np.asarray(inputs[0])
    return [np.asarray(data if low is None and high is None else np.clip(data, low, high)).astype(data.dtype)]


def _nonzero(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    return [np.array(np.nonzero(np.atleast_1d(np.asarray(inputs[0]))), dtype=np.int64)]


def _flatten(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    data = np.asarray(inputs[0])
    rows = math.prod(data.shape[: attributes.get("axis", 1)])
    return [data.reshape(rows, data.size // rows)]


def _cumsum(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    if attributes.get("exclusive") or attributes.get("reverse"):
        raise ValueError("only plain sums are followed")
    data = np.asarray(inputs[0])
    return [np.cumsum(data, axis=_ints(inputs[1])[0], dtype=data.dtype)]


def _power(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    base = np.asarray(inputs[0])
    return [np.asarray(np.power(base.astype(np.float64), np.asarray(inputs[1]))).astype(base.dtype)]


def _where(_: Attributes, inputs: Inputs, __: int) -> Sequence[Array]:
    return [np.where(np.asarray(inputs[0]), np.asarray(inputs[1]), np.asarray(inputs[2]))]


def _transpose(attributes: Attributes, inputs: Inputs, _: int) -> Sequence[Array]:
    return [np.transpose(np.asarray(inputs[0]), attributes.get("perm"))]


RULES: Mapping[str, Rule] = {
    "Abs": _unary(np.abs),
    "Add": _binary(np.add),
    "And": _binary(np.logical_and),
    "Cast": _cast,
    "CastLike": lambda _, inputs, __: [np.asarray(inputs[0]).astype(np.asarray(inputs[1]).dtype)],
    "Ceil": _unary(np.ceil),
    "Clip": _clip,
    "Concat": _concat,
    "ConstantOfShape": _constant_of_shape,
    "CumSum": _cumsum,
    "Div": _divide,
    "Equal": _binary(np.equal),
    "Exp": _unary(np.exp),
    "Expand": _expand,
    "Flatten": _flatten,
    "Floor": _unary(np.floor),
    "Gather": _gather,
    "GatherElements": _gather_elements,
    "Greater": _binary(np.greater),
    "GreaterOrEqual": _binary(np.greater_equal),
    "Identity": lambda _, inputs, __: [np.asarray(inputs[0])],
    "Less": _binary(np.less),
    "LessOrEqual": _binary(np.less_equal),
    "Log": _unary(np.log),
    "Max": _folded(np.maximum),
    "Min": _folded(np.minimum),
    "Mod": _modulo,
    "Mul": _binary(np.multiply),
    "Neg": _unary(np.negative),
    "NonZero": _nonzero,
    "Not": _unary(np.logical_not),
    "Or": _binary(np.logical_or),
    "Pow": _power,
    "Range": _range,
    "Reciprocal": _unary(np.reciprocal),
    "ReduceMax": _reduction(np.max),
    "ReduceMean": _reduction(np.mean),
    "ReduceMin": _reduction(np.min),
    "ReduceProd": _reduction(np.prod),
    "ReduceSum": _reduction(np.sum),
    "Reshape": _reshape,
    "Relu": lambda _, inputs, __: [np.maximum(np.asarray(inputs[0]), 0)],
    "Round": _unary(np.rint),
    "ScatterND": _scatter_nd,
    "Sign": _unary(np.sign),
    "Slice": _slice,
    "Split": _split,
    "Sqrt": _unary(np.sqrt),
    "Squeeze": _squeeze,
    "Sub": _binary(np.subtract),
    "Sum": _folded(np.add),
    "Tile": _tile,
    "Transpose": _transpose,
    "Unsqueeze": _unsqueeze,
    "Where": _where,
    "Xor": _binary(np.logical_xor),
}


def shape_value(attributes: Attributes, dims: tuple[int | None, ...]) -> npt.NDArray[np.int64] | None:
    """What Shape gives for `dims`, None when a dimension it would give is not known."""
    cut = dims[attributes.get("start", 0) : attributes.get("end", len(dims))]
    known = [dim for dim in cut if dim is not None]
    return np.array(known, dtype=np.int64) if len(known) == len(cut) else None
