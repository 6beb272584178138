"""Scales and zero points changed so that the quantization stays in the engine: int8, symmetric, a scale a channel.

Each keeps QuantizeLinear and DequantizeLinear, so TensorRT's integer kernels stay in use.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.carried import LIMITS
from friction_tui.rewrites.editing import copy_of
from friction_tui.rewrites.graph_editor import Array, GraphEditor, node_rewrite
from friction_tui.rewrites.graph_parts import forget_shapes, remove_unused
from friction_tui.rewrites.quantized import dequantized, quantized_type

_SMALLEST_SCALE = np.float32(1e-8)
"""The scale of a channel that is always 0, as calibrators choose it."""
_EIGHT_BITS = (TensorProto.UINT8, TensorProto.INT8)


class _Quantization:
    """The QuantizeLinear and DequantizeLinear nodes of a main graph, each with the other."""

    def __init__(self, model: OpenedModel) -> None:
        self.proto = copy_of(model)
        self.graph = GraphEditor(self.proto, model.path.parent)
        nodes = self.proto.graph.node
        self.quantizing = [node for node in nodes if node.op_type == "QuantizeLinear" and node.output]
        self.dequantizing = [node for node in nodes if node.op_type == "DequantizeLinear"]
        self._readers: dict[str, list[onnx.NodeProto]] = {}
        for node in nodes:
            for name in node.input:
                self._readers.setdefault(name, []).append(node)
        self._outputs = {value.name for value in self.proto.graph.output}

    def pairs(self) -> Iterator[tuple[onnx.NodeProto, list[onnx.NodeProto]]]:
        """Each QuantizeLinear whose integers only DequantizeLinears read, as what they dequantize, with these."""
        for node in self.quantizing:
            after = self._readers.get(node.output[0], [])
            if (
                after
                and node.output[0] not in self._outputs
                and all(_dequantizes(one, node.output[0]) for one in after)
            ):
                yield node, after

    def stored(self) -> Iterator[tuple[onnx.NodeProto, Array, Array, Array]]:
        """Each DequantizeLinear of constant integers with these, its scale and its zero point; none in blocks."""
        for node in self.dequantizing:
            values, scale = self.graph.constant(node.input[0]), self.graph.constant(node.input[1])
            zero = self.zero(node)
            blocks = self.graph.attribute(node, "block_size", 0)
            if values is not None and scale is not None and zero is not None and not blocks:
                yield node, values, scale, zero

    def zero(self, node: onnx.NodeProto) -> Array | None:
        """The zero point, 0 where it is left out, None where it is computed."""
        name = self.graph.input(node, 2)
        return self.graph.constant(name) if name else np.zeros((), np.uint8)

    def give(self, node: onnx.NodeProto, scale: str, zero: Array, values: str = "") -> None:
        """New parameters for a node, and other integers where `values` names them."""
        inputs = [values or node.input[0], scale, self.graph.const(zero, np.int8, name="zero_point")]
        node.input[:] = inputs
        kept = [attribute for attribute in node.attribute if attribute.name != "output_dtype"]
        if node.op_type == "QuantizeLinear":
            del node.attribute[:]
            node.attribute.extend(kept)

    def done(self, changed: int, why: str) -> onnx.ModelProto:
        """The edited model. Raises CannotRewrite saying `why` where nothing changed."""
        if not changed:
            raise CannotRewrite(why)
        forget_shapes(self.proto)
        remove_unused(self.proto)
        return self.proto


def _dequantizes(node: onnx.NodeProto, name: str) -> bool:
    return node.op_type == "DequantizeLinear" and node.input[0] == name and name not in node.input[1:]


def shifted(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """uint8 with zero point 128 as int8 with zero point 0: every integer less 128, bit-equal results."""
    del paths
    found, changed = _Quantization(model), 0
    for node, after in found.pairs():
        zeros = [found.zero(one) for one in (node, *after)]
        if quantized_type(found.graph, node) == TensorProto.UINT8 and all(
            z is not None and np.all(z == 128) for z in zeros
        ):
            for one, zero in zip((node, *after), zeros, strict=True):
                found.give(one, one.input[1], np.zeros_like(zero, np.int8))
            changed += 1
    for node, values, _, zero in found.stored():
        if values.dtype == np.uint8 and np.all(zero == 128):
            stored = found.graph.const(values.astype(np.int16) - 128, np.int8, name=f"{node.input[0]}_int8")
            found.give(node, node.input[1], np.zeros_like(zero, np.int8), stored)
            changed += 1
    return found.done(changed, "no zero point of a uint8 quantization is 128 throughout")


def symmetric(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Every 8-bit quantization as int8 with zero point 0, its scale wide enough for the range it had."""
    del paths
    found, changed = _Quantization(model), 0
    for node, after in found.pairs():
        scale, zero = found.graph.constant(node.input[1]), found.zero(node)
        kind = quantized_type(found.graph, node)
        if scale is None or zero is None or kind not in _EIGHT_BITS or _is_symmetric(kind, zero):
            continue
        if any(found.graph.attribute(one, "block_size", 0) for one in (node, *after)):
            continue
        low, high = (np.abs(end - zero.astype(np.float32)) for end in LIMITS[kind])
        wider = (np.maximum(low, high) * scale.astype(np.float32) / 127).astype(scale.dtype)
        name = found.graph.const(wider, scale.dtype, name="scale")
        for one in (node, *after):
            found.give(one, name, np.zeros(zero.shape, np.int8))
        changed += 1
    for node, values, scale, zero in found.stored():
        kind = helper.np_dtype_to_tensor_dtype(values.dtype)
        if kind not in _EIGHT_BITS or _is_symmetric(kind, zero):
            continue
        axis = int(found.graph.attribute(node, "axis", 1))
        integers, wider = _quantized(dequantized(values, scale, zero, axis), scale, axis)
        stored = found.graph.const(integers, np.int8, name=f"{node.input[0]}_int8")
        found.give(node, found.graph.const(wider, scale.dtype, name="scale"), np.zeros(wider.shape, np.int8), stored)
        changed += 1
    return found.done(changed, "every quantization to 8 bits is int8 and symmetric")


def _is_symmetric(kind: int, zero: Array) -> bool:
    return kind == TensorProto.INT8 and not np.any(zero)


def _quantized(floats: Array, like: Array, axis: int) -> tuple[Array, Array]:
    """Floats as int8 with the scale of their largest number, one for all or for each index of `axis`, as `like` is."""
    axes = tuple(i for i in range(floats.ndim) if i != axis % floats.ndim) if like.size > 1 else None
    largest = np.max(np.abs(floats), axis=axes, keepdims=True)
    scale = np.maximum(largest / np.float32(127), _SMALLEST_SCALE).astype(like.dtype)
    integers = np.clip(np.rint(floats / scale.astype(np.float32)), -127, 127).astype(np.int8)
    return integers, scale.reshape(-1) if like.size > 1 else scale.reshape(like.shape)


def recalibrated(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Scales of constant weights that are NaN, infinite, zero or negative, or too few, taken from the weights."""
    del paths
    found, changed = _Quantization(model), 0
    for node, after in found.pairs():
        weights, scale = found.graph.constant(node.input[0]), found.graph.constant(node.input[1])
        if weights is None or scale is None or not weights.ndim or not np.all(np.isfinite(weights)):
            continue
        axis = int(found.graph.attribute(node, "axis", 1))
        if not -weights.ndim <= axis < weights.ndim:
            continue
        fits = scale.size in (1, weights.shape[axis])
        bad = ~(np.isfinite(scale.astype(np.float32)) & (scale.astype(np.float32) > 0))
        if fits and not bad.any():
            continue
        _, taken = _quantized(weights.astype(np.float32), scale, axis)
        chosen = np.where(bad, taken.reshape(scale.shape), scale) if fits else taken
        name = found.graph.const(chosen, scale.dtype, name="scale")
        for one in (node, *after):
            found.give(one, name, np.zeros(chosen.shape, np.int8))
        changed += 1
    return found.done(changed, "the scales are not those of constant weights, so the data to calibrate with is missing")


def on_axis(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The axis of scales that do not fit it set to the only axis whose size is their number."""
    del paths
    found, changed = _Quantization(model), 0
    for node, after in found.pairs():
        changed += _moved(found, node.input[0], (node, *after))
    for node in found.dequantizing:
        changed += _moved(found, node.input[0], (node,))
    return found.done(changed, "no other single axis is as long as there are scales")


def _moved(found: _Quantization, tensor: str, nodes: Sequence[onnx.NodeProto]) -> int:
    dims, scale = found.graph.dims(tensor), found.graph.dims(nodes[0].input[1])
    axis = int(found.graph.attribute(nodes[0], "axis", 1))
    if dims is None or scale is None or len(scale) != 1 or scale == [1]:
        return 0
    fitting = [i for i, size in enumerate(dims) if size == scale[0]]
    if len(fitting) != 1 or (-len(dims) <= axis < len(dims) and axis % len(dims) == fitting[0]):
        return 0
    if -len(dims) <= axis < len(dims) and not isinstance(dims[axis], int):
        return 0  # a free size may be right
    for node in nodes:
        kept = [attribute for attribute in node.attribute if attribute.name != "axis"]
        del node.attribute[:]
        node.attribute.extend([*kept, helper.make_attribute("axis", fitting[0])])
    return 1


@node_rewrite(
    "quantize-in-one-type",
    "give the data and the scale one type in front of the QuantizeLinear",
    ("", "QuantizeLinear"),
)
def quantize_in_one_type(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """The type is that in which ONNX divides: `precision`, the scale's own where it is left out.

    https://onnx.ai/onnx/operators/onnx__QuantizeLinear.html
    """
    data, scale = graph.dtype(node.input[0]), graph.dtype(node.input[1])
    if data == scale:
        raise CannotRewrite("its scale has the type of what it scales")
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    divided = attributes.pop("precision", 0) or scale
    inputs = list(node.input)
    for position in range(2):
        name = inputs[position]
        if graph.dtype(name) != divided:
            value, dtype = graph.constant(name), helper.tensor_dtype_to_np_dtype(divided)
            inputs[position] = graph.cast(name, divided) if value is None else graph.const(value.astype(dtype), dtype)
    graph.op("QuantizeLinear", inputs, node.output[0], **attributes)


def _rewriter(
    name: str, title: str, run: Callable[[OpenedModel, Sequence[str]], onnx.ModelProto], changes: str = ""
) -> Rewriter:
    return Rewriter(name, title, run, Exactness.CHANGES if changes else Exactness.EXACT, changes)


SHIFTED = _rewriter("uint8-to-int8", "quantize to int8 with zero point 0 instead of uint8 with 128", shifted)
SYMMETRIC = _rewriter(
    "symmetric-int8",
    "quantize to int8, symmetric about 0, with scales as wide as the range needs",
    symmetric,
    "steps become up to twice as wide; the integer kernels stay in use",
)
RECALIBRATED = _rewriter(
    "scales-from-weights",
    "take unusable scales from the largest weight of each channel",
    recalibrated,
    "the channels with an unusable scale are quantized by their largest weight",
)
ON_AXIS = _rewriter(
    "scales-on-their-axis",
    "set the axis to the one that is as long as there are scales",
    on_axis,
    "the original runs nowhere; its scales are applied along another axis",
)
REWRITES = (SHIFTED, quantize_in_one_type, SYMMETRIC, RECALIBRATED, ON_AXIS)
