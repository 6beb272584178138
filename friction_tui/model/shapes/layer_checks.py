"""Whether the sizes of a node's inputs can work together: matrix products, convolutions, norms and recurrences.

The companion of `friction_tui.model.shapes.shape_checks`, with the same kind of rules.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import TypeVar

import numpy as np

from friction_tui.model.shapes.shape_checks import Check, Dims, Operands, broadcast_fault, one_way_fault
from friction_tui.model.shapes.shape_values import Attributes, Inputs
from friction_tui.model.shapes.tensors import dims_text

T = TypeVar("T")


def _matmul(_: Attributes, dims: Operands, __: Inputs, ___: int) -> str:
    return _product_fault(dims, 0, 1)


def _qlinear_matmul(_: Attributes, dims: Operands, __: Inputs, ___: int) -> str:
    return _product_fault(dims, 0, 3)


def _product_fault(dims: Operands, first: int, second: int) -> str:
    if len(dims) <= second or dims[first] is None or dims[second] is None:
        return ""
    a, b = dims[first] or (), dims[second] or ()
    if not a or not b:
        return f"{dims_text(a)} and {dims_text(b)}: a scalar has no matrix product"
    inner = b[-2] if len(b) > 1 else b[0]
    if a[-1] != inner:
        return f"{dims_text(a)} × {dims_text(b)}: the inner sizes {a[-1]} and {inner} differ"
    if len(a) > 2 and len(b) > 2 and broadcast_fault([a[:-2], b[:-2]]):
        return f"{dims_text(a)} × {dims_text(b)}: the leading dimensions do not broadcast"
    return ""


def _gemm(attributes: Attributes, dims: Operands, _: Inputs, opset: int) -> str:
    a, b = dims[0] or (), dims[1] or ()
    if len(a) != 2 or len(b) != 2:
        return f"{dims_text(a)} × {dims_text(b)}: Gemm takes matrices"
    rows, left = reversed(a) if attributes.get("transA") else a
    right, columns = reversed(b) if attributes.get("transB") else b
    if left != right:
        return f"{dims_text((rows, left))} × {dims_text((right, columns))}: the inner sizes {left} and {right} differ"
    bias = dims[2] if len(dims) > 2 else None
    if bias is None or opset < 7:
        return ""
    fault = one_way_fault(bias, (rows, columns))
    return f"C {fault}" if fault else ""


def _conv(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    data, weight = dims[0] or (), dims[1] or ()
    group = attributes.get("group", 1)
    if len(data) < 3 or len(data) != len(weight):
        return f"input {dims_text(data)} and weight {dims_text(weight)} should have the same rank, at least 3"
    if data[1] != weight[1] * group:
        wanted = weight[1] * group
        return (
            f"input {dims_text(data)} has {data[1]} channels, "
            f"weight {dims_text(weight)} in {group} group(s) takes {wanted}"
        )
    if group and weight[0] % group:
        return f"{weight[0]} output channels do not divide by {group} groups"
    if len(dims) > 2 and dims[2] is not None and dims[2] != (weight[0],):
        return f"bias {dims_text(dims[2])} for {weight[0]} output channels"
    kernel = attributes.get("kernel_shape") or weight[2:]
    return _window_fault(attributes, data, kernel)


def _pool(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    data, kernel = dims[0] or (), attributes.get("kernel_shape", ())
    if len(data) != len(kernel) + 2:
        return f"a kernel of {len(kernel)} axes does not slide over {dims_text(data)}"
    return _window_fault(attributes, data, kernel)


def _window_fault(attributes: Attributes, data: Dims, kernel: Sequence[int]) -> str:
    """A window that is larger than the padded input leaves no output, unless rounding up grants it one."""
    axes = len(kernel)
    strides = attributes.get("strides") or [1] * axes
    granted = [stride - 1 if attributes.get("ceil_mode") else 0 for stride in strides]
    if attributes.get("auto_pad", "NOTSET") in ("SAME_UPPER", "SAME_LOWER"):
        return ""
    pads = attributes.get("pads") or [0] * (2 * axes)
    if attributes.get("auto_pad") == "VALID":
        pads = [0] * (2 * axes)
    dilations = attributes.get("dilations") or [1] * axes
    if len(pads) != 2 * axes or len(dilations) != axes or len(strides) != axes:
        return f"{len(pads)} pads, {len(strides)} strides and {len(dilations)} dilations for {axes} axes"
    for axis in range(axes):
        size = data[axis + 2] + pads[axis] + pads[axis + axes]
        window = dilations[axis] * (kernel[axis] - 1) + 1
        if size + granted[axis] < window:
            return f"a window of {window} does not fit into axis {axis + 2} of {dims_text(data)}, {size} with its pads"
    return ""


def _conv_transpose(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    data, weight = dims[0] or (), dims[1] or ()
    if len(data) < 3 or len(data) != len(weight):
        return f"input {dims_text(data)} and weight {dims_text(weight)} should have the same rank, at least 3"
    if data[1] != weight[0]:
        return f"input {dims_text(data)} has {data[1]} channels, weight {dims_text(weight)} takes {weight[0]}"
    if len(dims) > 2 and dims[2] is not None and dims[2] != (weight[1] * attributes.get("group", 1),):
        return f"bias {dims_text(dims[2])} for {weight[1] * attributes.get('group', 1)} output channels"
    return ""


def _per_channel(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    """BatchNormalization and InstanceNormalization: every parameter is as long as axis 1."""
    data = dims[0] or ()
    if len(data) < 2 or attributes.get("spatial", 1) == 0:
        return ""
    for name, parameter in zip(("scale", "bias", "mean", "variance"), dims[1:5], strict=False):
        if parameter is not None and parameter != (data[1],):
            return f"{name} {dims_text(parameter)} for {data[1]} channels of {dims_text(data)}"
    return ""


def _layer_norm(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    data, axis = dims[0] or (), attributes.get("axis", -1)
    if not -len(data) <= axis < len(data):
        return f"axis {axis} is outside {dims_text(data)}"
    for name, parameter in zip(("scale", "bias"), dims[1:3], strict=False):
        fault = one_way_fault(parameter, data[axis % len(data) :]) if parameter is not None else ""
        if fault:
            return f"{name} {fault}, the normalized part of {dims_text(data)}"
    return ""


def _group_norm(attributes: Attributes, dims: Operands, _: Inputs, opset: int) -> str:
    data, groups = dims[0] or (), attributes.get("num_groups", 1)
    if len(data) < 2:
        return f"{dims_text(data)} has no channels"
    if groups < 1 or data[1] % groups:
        return f"{data[1]} channels of {dims_text(data)} do not divide by {groups} groups"
    wanted = groups if opset < 21 else data[1]  # opset 21 changed the parameters from one a group to one a channel
    for name, parameter in zip(("scale", "bias"), dims[1:3], strict=False):
        if parameter is not None and parameter not in ((wanted,), (1,)):  # runtimes broadcast a single one
            unit = f"{groups} groups" if opset < 21 else f"{data[1]} channels"
            return (
                f"{name} {dims_text(parameter)} for {data[1]} channels in {groups} groups: opset {opset} wants one "
                f"value for each of the {unit}"
            )
    return ""


def _prelu(_: Attributes, dims: Operands, __: Inputs, opset: int) -> str:
    if opset < 7 or len(dims) < 2 or dims[0] is None or dims[1] is None:
        return ""
    fault = one_way_fault(dims[1], dims[0])
    return f"slope {fault}" if fault else ""


def _quantize(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    data, scale = dims[0] or (), dims[1] if len(dims) > 1 else None
    if scale is None or math.prod(scale) == 1 or len(scale) != 1:
        return ""  # one scale for all, or blocked quantization, which has its own rules
    axis = attributes.get("axis", 1)
    if not -len(data) <= axis < len(data):
        return f"axis {axis} is outside {dims_text(data)}"
    if scale[0] != data[axis]:
        return f"{scale[0]} scales for axis {axis % len(data)} of {dims_text(data)}, which has size {data[axis]}"
    return ""


_GATES = {"LSTM": 4, "GRU": 3, "RNN": 1}


def _recurrence(gates: int) -> Check:
    def check(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
        data, weight, recurrent = dims[0] or (), dims[1] or (), dims[2] or ()
        if len(data) != 3 or len(weight) != 3 or len(recurrent) != 3:
            return f"X {dims_text(data)}, W {dims_text(weight)} and R {dims_text(recurrent)} should have three axes"
        directions, hidden = weight[0], recurrent[2]
        if weight[2] != data[2]:
            return f"X {dims_text(data)} has {data[2]} features, W {dims_text(weight)} takes {weight[2]}"
        if weight[1] != gates * hidden or recurrent[:2] != (directions, gates * hidden):
            return f"W {dims_text(weight)} and R {dims_text(recurrent)} do not agree on the hidden size"
        bias = _at(dims, 3)
        if bias is not None and bias != (directions, 2 * gates * hidden):
            return f"B {dims_text(bias)} should be {dims_text((directions, 2 * gates * hidden))}"
        batch = data[0] if attributes.get("layout") else data[1]
        states = (batch, directions, hidden) if attributes.get("layout") else (directions, batch, hidden)
        lengths = _at(dims, 4)
        if lengths is not None and lengths != (batch,):
            return f"sequence_lens {dims_text(lengths)} should be {dims_text((batch,))} for X {dims_text(data)}"
        for name, state in (("initial_h", _at(dims, 5)), ("initial_c", _at(dims, 6) if gates == 4 else None)):
            if state is not None and state != states:
                return f"{name} {dims_text(state)} should be {dims_text(states)} for X {dims_text(data)}"
        return ""

    return check


def _resize(attributes: Attributes, dims: Operands, values: Inputs, opset: int) -> str:
    data = dims[0] or ()
    scales = _at(values, 1 if opset < 11 else 2)
    sizes = _at(values, 3) if opset >= 11 else None
    axes = attributes.get("axes") or range(len(data))
    given = sizes if sizes is not None and np.size(sizes) else scales
    if given is None or not np.size(given):
        return ""
    if np.size(given) != len(list(axes)):
        return f"{np.size(given)} sizes or scales for {len(list(axes))} axes of {dims_text(data)}"
    for axis, number in zip(axes, np.asarray(given).ravel().tolist(), strict=True):
        size = math.floor(data[axis] * number) if given is scales else number
        if size <= 0 < data[axis]:
            what = "scale" if given is scales else "size"
            return f"{what} {number:g} leaves nothing of axis {axis} of {dims_text(data)}"
    return ""


def _einsum(attributes: Attributes, dims: Operands, _: Inputs, __: int) -> str:
    equation = str(attributes.get("equation", "")).replace(" ", "")
    terms = equation.split("->")[0].split(",")
    shapes = [shape for shape in dims if shape is not None]
    if len(terms) != len(shapes):
        return f"`{equation}` has {len(terms)} operands, the node {len(shapes)}"
    sizes: dict[str, int] = {}
    for term, shape in zip(terms, shapes, strict=True):
        if "..." in term:
            continue
        if len(term) != len(shape):
            return f"`{term}` does not name the axes of {dims_text(shape)}"
        for letter, size in zip(term, shape, strict=True):
            if size != 1 and sizes.setdefault(letter, size) != size:
                texts = ", ".join(dims_text(shape) for shape in shapes)
                return f"`{equation}` over {texts}: {letter} is {sizes[letter]} and {size}"
    return ""


def _grid_sample(_: Attributes, dims: Operands, __: Inputs, ___: int) -> str:
    data, grid = dims[0] or (), dims[1] or ()
    if len(data) != len(grid) or not data or data[0] != grid[0] or grid[-1] != len(data) - 2:
        return f"grid {dims_text(grid)} does not sample {dims_text(data)}"
    return ""


def _at(row: Sequence[T | None], position: int) -> T | None:
    return row[position] if position < len(row) else None


LAYER_CHECKS: Mapping[str, Check] = {
    "AveragePool": _pool,
    "BatchNormalization": _per_channel,
    "Conv": _conv,
    "ConvTranspose": _conv_transpose,
    "DequantizeLinear": _quantize,
    "Einsum": _einsum,
    "Gemm": _gemm,
    "GridSample": _grid_sample,
    "GroupNormalization": _group_norm,
    "InstanceNormalization": _per_channel,
    "LayerNormalization": _layer_norm,
    "LpPool": _pool,
    "MatMul": _matmul,
    "MatMulInteger": _matmul,
    "MaxPool": _pool,
    "PRelu": _prelu,
    "QLinearMatMul": _qlinear_matmul,
    "QuantizeLinear": _quantize,
    "Resize": _resize,
    **{op: _recurrence(gates) for op, gates in _GATES.items()},
}
