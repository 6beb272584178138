"""QuantizeLinear and DequantizeLinear: scales, zero points, axes and lengths, read from the constants themselves.

TensorRT quantizes symmetrically: zero points must be 0, scales finite and positive, one per output channel.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import numpy as np
import numpy.typing as npt
from onnx import ModelProto, TensorProto

from friction_tui.kinds import quantization
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.types.element_types import type_in
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier

Array = npt.NDArray[np.generic]
_Keyed = tuple[tuple[object, ...], Finding]
"""A finding without its nodes, and what the nodes that it holds for have in common."""

_OPS = ("QuantizeLinear", "DequantizeLinear")
_LISTED = 12
"""As many of those that are wrong in the same way are listed one by one."""
_LARGEST_SCALE_TENSOR = 1 << 20
_STORED = (TensorProto.INT8, TensorProto.UINT8, TensorProto.INT4, TensorProto.INT32, TensorProto.FLOAT4E2M1)
"""Types of a zero point that the builder wants as an initializer. A float8 one may be an input (RTX 1.7.1)."""
_OUTPUT_CHANNEL = {"Conv": 0, "ConvTranspose": 1}
"""Axis of the weight that counts output channels (ONNX operator docs)."""


@dataclass(frozen=True, slots=True)
class _Step:
    """One quantize or dequantize node with its constants; None for what is computed at run time."""

    node: Node
    scale: Array | None
    zero: Array | None
    axis: int
    block: int

    @property
    def name(self) -> str:
        """`QuantizeLinear q/act/Quant`."""
        return f"{self.node.proto.op_type} {self.node.name}"


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for scales and zero points that cannot work, warnings for what silently costs accuracy or speed."""
    model = context.model
    if model.file.kind != "onnx":
        return
    steps = [_step(model, node) for node in model.index.nodes if node.proto.op_type in _OPS]
    found: dict[tuple[object, ...], tuple[Finding, list[Location]]] = {}
    for step in steps:
        for key, finding in _wrong(context, step):
            _, locations = found.setdefault(key, (finding, []))
            locations.append(location_of(model, step.node))
            locations.extend(location for location in finding.locations if location.kind is LocationKind.INITIALIZER)
    by_kind: dict[tuple[str, Severity], list[Finding]] = {}
    for finding, locations in found.values():
        placed = msgspec.structs.replace(finding, locations=tuple(dict.fromkeys(locations)))
        by_kind.setdefault((placed.kind, placed.severity), []).append(placed)
    yield from map(_together, by_kind.values())


def _together(findings: list[Finding]) -> Finding:
    """One row for what is wrong in the same way: a calibration that goes wrong does so for every tensor."""
    first, others = findings[0], findings[1:]
    if not others:
        return first
    return msgspec.structs.replace(
        first,
        title=f"{first.title}, and {len(others)} more likewise",
        cause=f"{first.cause} It is the same with {len(others)} more.",
        locations=tuple(dict.fromkeys(location for one in findings for location in one.locations)),
        evidence=tuple(one.title for one in others[:_LISTED]),
    )


def _step(model: OpenedModel, node: Node) -> _Step:
    proto = node.proto
    attributes = {attribute.name: attribute.i for attribute in proto.attribute}

    def constant(position: int) -> Array | None:
        if len(proto.input) <= position or not proto.input[position]:
            return None
        return constant_value(model, proto.input[position], _LARGEST_SCALE_TENSOR, node.graph)

    return _Step(node, constant(1), constant(2), attributes.get("axis", 1), attributes.get("block_size", 0))


def _wrong(context: CheckContext, step: _Step) -> Iterator[_Keyed]:
    """Each thing wrong with one node."""
    proto = step.node.proto
    scale_name = proto.input[1] if len(proto.input) > 1 else ""
    if step.scale is not None and step.scale.dtype.kind == "f":
        yield from _bad_scale(step, scale_name, step.scale)
        yield from _layout(context, step, scale_name, step.scale)
    zero_name = proto.input[2] if len(proto.input) > 2 else ""
    yield from _scale_type(context, step, scale_name, zero_name)
    if step.zero is not None and step.zero.dtype.kind in "iu" and np.any(step.zero != 0):
        yield ("zero", zero_name), _asymmetric(context, step, zero_name, step.zero)
    elif zero_name and step.zero is None and type_in(context.model, step.node.graph, zero_name) in _STORED:
        computed = quantization.COMPUTED_ZERO_POINT.finding(
            tensor=zero_name,
            cause=f"{step.name} takes its zero point from {zero_name}, which is computed or an input. The builder "
            "wants it as an initializer (`has zero_point which is not an initializer`), although the parser accepts "
            "it.",
            locations=(),
            fixes=("Quantize statically: store the zero point, 0, as an initializer, or leave it out.",),
        )
        yield ("computed", zero_name), computed
    else:
        yield from _stored_type(context, step)


def _scale_type(context: CheckContext, step: _Step, scale: str, zero: str) -> Iterator[_Keyed]:
    """A float16 scale for float32 data that becomes fp8 (TensorRT-RTX 1.7.1 builds the other combinations)."""
    model, graph = context.model, step.node.graph
    if step.node.proto.op_type != "QuantizeLinear" or not zero or not scale:
        return
    data = step.node.proto.input[0]
    types = [type_in(model, graph, name) for name in (data, scale, zero)]
    if types != [TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.FLOAT8E4M3FN]:
        return
    finding = quantization.SCALE_TYPE.finding(
        scale=scale,
        dtype=dtype_name(types[1]),
        data=dtype_name(types[0]),
        cause=f"{step.name} quantizes the {dtype_name(types[0])} tensor {data} to fp8 with the {dtype_name(types[1])} "
        f"scale {scale}. The parser accepts it; the builder cannot do it (`Could not infer output types for operation: "
        "quantize`).",
        locations=_at(scale),
        fixes=(f"Store {scale} as {dtype_name(types[0])}, the data type of what it scales.",),
    )
    yield ("scale-type", scale), finding


def _at(initializer: str) -> tuple[Location, ...]:
    return (Location(LocationKind.INITIALIZER, initializer),) if initializer else ()


def _channels(bad: npt.NDArray[np.bool_]) -> str:
    """Which entries of a scale are meant."""
    if bad.size == 1:
        return ""
    where = np.flatnonzero(bad)
    return f" in channel {', '.join(str(n) for n in where[:5])}" + (
        f" and {where.size - 5} more" if where.size > 5 else ""
    )


def _bad_scale(step: _Step, name: str, scale: Array) -> Iterator[_Keyed]:
    """NaN, infinite, zero and negative scales."""
    values = scale.astype(np.float64).ravel()
    refused = "TensorRT says `Scale coefficients must all be positive`."
    for kind, bad, what, effect in (
        (quantization.NAN_SCALE, np.isnan(values), "NaN", refused),
        (
            quantization.INFINITE_SCALE,
            np.isinf(values),
            "infinite (Inf)",
            "TensorRT accepts it and the result is wrong.",
        ),
        (quantization.SCALE_NOT_POSITIVE, values <= 0, "zero or negative, not positive", refused),
    ):
        if not bad.any():
            continue
        finding = kind.finding(
            scale=name,
            cause=f"The scale {name} of {step.name} is {what}{_channels(bad)} (value {float(values[bad][0]):g}): "
            f"{int(bad.sum())} of {values.size} entries. Every scale must be a finite number above 0; such a value "
            f"comes from a calibration that saw NaN, or a channel that is always 0. {effect}",
            locations=_at(name),
            fixes=(
                "Recalibrate: run the calibration again on data without NaN, and give channels that are always 0 a "
                "small positive scale such as 1e-8 (calibrators call it a minimum scale).",
                "Leave this layer unquantized.",
            ),
        )
        yield (kind.id, name), finding


def _asymmetric(context: CheckContext, step: _Step, name: str, zero: Array) -> Finding:
    values = zero.astype(np.int64).ravel()
    off = values[values != 0]
    dtype = dtype_name(type_in(context.model, step.node.graph, name)) or str(zero.dtype)
    return quantization.ASYMMETRIC.finding(
        tensor=name,
        value=int(off[0]),
        cause=f"The zero point (zero-point) {name} of {step.name} is non-zero: {int(off[0])} ({dtype}), so the "
        f"quantization is asymmetric ({off.size} of {values.size} entries). TensorRT supports symmetric quantization "
        "only, with zero point 0: `Non-zero zero point is not supported`.",
        locations=_at(name),
        fixes=(f"Quantize again symmetrically, signed int8 with zero point 0: {_quantizer(context.model.proto)}",),
    )


def _stored_type(context: CheckContext, step: _Step) -> Iterator[_Keyed]:
    """uint8 with zero point 0, and int32 biases."""
    proto, node = step.node.proto, step.node
    quantized = proto.output[0] if proto.op_type == "QuantizeLinear" and proto.output else next(iter(proto.input), "")
    data_type = type_in(context.model, node.graph, quantized)
    if data_type == TensorProto.UINT8:
        stored = proto.op_type == "DequantizeLinear" and quantized not in context.model.index.producer_in(node.graph)
        finding = quantization.UINT8.finding(
            how="Weights stored as" if stored else "Quantized to",
            severity=Severity.ERROR if stored else Severity.WARNING,
            tier=Tier.PARSER if stored else Tier.HAZARD,
            cause=f"{step.name} dequantizes the uint8 tensor {quantized}. TensorRT's quantization is int8 and "
            "symmetric; it refuses uint8 there (`Found unsupported input type of UINT8`)."
            if stored
            else f"{step.name} works with uint8. TensorRT's quantization is int8 and symmetric: its layer gives int8 "
            "where the model says uint8, without an error, so what lies above 127 times the scale saturates.",
            locations=(),
            fixes=("Quantize to signed int8 (QInt8) with symmetric scales and zero point 0.",),
        )
        yield ("uint8", stored), finding
    elif data_type == TensorProto.INT32 and proto.op_type == "DequantizeLinear":
        finding = quantization.INT32_BIAS.finding(
            cause=f"{step.name} dequantizes int32 values (a quantized bias). TensorRT's DequantizeLinear takes int8, "
            "int4 and fp8 only; int32 is not supported there.",
            locations=(),
            fixes=(
                "Keep biases in float: ONNX Runtime's `extra_options={'QuantizeBias': False}`.",
                "Fold the DequantizeLinear: store the bias as float32 (int32 value times scale).",
            ),
        )
        yield ("int32",), finding


def _layout(context: CheckContext, step: _Step, name: str, scale: Array) -> Iterator[_Keyed]:
    """Axis in range, one scale a channel, and along the output channels of the weight."""
    proto = step.node.proto
    if scale.size == 1 or step.block:
        return
    dims = _dims_before(context, step.node)
    if dims is None:
        return
    axis = step.axis + len(dims) if step.axis < 0 else step.axis
    shape = " × ".join("?" if dim is None else str(dim) for dim in dims)
    if not 0 <= axis < len(dims):
        finding = quantization.AXIS_RANGE.finding(
            axis=step.axis,
            cause=f"{step.name} quantizes along axis {step.axis}, but {proto.input[0]} has shape {shape}, {len(dims)} "
            "dimensions: the axis is out of range.",
            locations=_at(name),
            fixes=(
                f"Set the axis to the channel axis, 0 to {len(dims) - 1} (0 for the output channel of a Conv weight).",
            ),
        )
        yield ("axis-range", name, step.axis), finding
        return
    size = dims[axis]
    if size is not None and size != scale.size:
        finding = quantization.SCALE_LENGTH.finding(
            scales=scale.size,
            channels=size,
            cause=f"{step.name} has {scale.size} scales ({name}) for axis {axis} of {proto.input[0]}, which has size "
            f"{size} (shape {shape}): the number of scales must be the number of channels along the axis.",
            locations=_at(name),
            fixes=(
                f"Correct the axis: the scales belong to an axis of size {scale.size}."
                if scale.size in dims
                else "Calibrate again: the scales belong to another tensor.",
            ),
        )
        yield ("length", name), finding
        return
    yield from _wrong_channel(context, step, name, axis, shape)


def _dims_before(context: CheckContext, node: Node) -> tuple[int | None, ...] | None:
    """The shape of what is quantized; behind a QuantizeLinear that cannot work it is the one before it."""
    tensor = node.proto.input[0]
    writer = context.model.index.writer_in(node.graph, tensor)
    if writer is not None and writer.proto.op_type == "QuantizeLinear" and writer.proto.input:
        tensor = writer.proto.input[0]
    found = context.table.opt.types.get(tensor) if not node.graph else None
    return found.dims if found else None


def _wrong_channel(context: CheckContext, step: _Step, name: str, axis: int, shape: str) -> Iterator[_Keyed]:
    """Scales along the input channels of a weight: legal, and no integer kernel can use them."""
    consumer = _weight_reader(context.model, step.node)
    if consumer is None:
        return
    node, expected = consumer
    if axis == expected:
        return
    finding = quantization.AXIS.finding(
        axis=axis,
        node=node.name,
        cause=f"{step.name} quantizes the weight of {node.proto.op_type} {node.name} (shape {shape}) per channel along "
        f"axis {axis}, the input channels; the output channel is axis {expected}. No int8 kernel can take a scale "
        "out of the sum over input channels, so TensorRT dequantizes the weight and computes in float.",
        locations=_at(name),
        fixes=(
            f"Quantize along the output channel: axis={expected} (axis {expected}), one scale per output channel.",
            "Or quantize the weight per tensor.",
        ),
    )
    yield ("channel", node.path), finding


def _weight_reader(model: OpenedModel, node: Node) -> tuple[Node, int] | None:
    """The Conv, Gemm or MatMul whose weight a step prepares, and the axis of the weight's output channels."""
    index = model.index
    writers, readers = index.producer_in(node.graph), index.consumers_in(node.graph)
    if node.graph:
        return None
    source = node.proto.input[0]
    while source in writers and writers[source].proto.op_type in _OPS:
        source = writers[source].proto.input[0]
    if constant_value(model, source, 1 << 62, node.graph) is None and source not in index.initializers:
        return None
    tensor = node.proto.output[0]
    for _ in range(4):
        nodes = readers.get(tensor, [])
        if len(nodes) != 1:
            return None
        following = nodes[0]
        op, inputs = following.proto.op_type, following.proto.input
        if op == "DequantizeLinear":
            tensor = following.proto.output[0]
            continue
        if op in _OUTPUT_CHANNEL and len(inputs) > 1 and inputs[1] == tensor:
            return following, _OUTPUT_CHANNEL[op]
        if op == "Gemm" and len(inputs) > 1 and inputs[1] == tensor:
            transposed = any(a.name == "transB" and a.i for a in following.proto.attribute)
            return following, 0 if transposed else 1
        if op == "MatMul" and len(inputs) > 1 and inputs[1] == tensor:
            found = index.initializers.get(source)
            return (following, len(found.dims) - 1) if found is not None else None
        return None
    return None


CHECK = Check(
    "quantization",
    "scales and zero points",
    check,
    (
        quantization.ASYMMETRIC,
        quantization.NAN_SCALE,
        quantization.INFINITE_SCALE,
        quantization.SCALE_NOT_POSITIVE,
        quantization.SCALE_LENGTH,
        quantization.AXIS_RANGE,
        quantization.AXIS,
        quantization.UINT8,
        quantization.INT32_BIAS,
        quantization.COMPUTED_ZERO_POINT,
        quantization.SCALE_TYPE,
    ),
)


def _quantizer(proto: ModelProto) -> str:
    """How the tool that this model was quantized with does it symmetrically."""
    match proto.producer_name:
        case "tf2onnx":
            return (
                "in TensorFlow give fake quantization a range about 0 without its smallest step "
                "(`tf.quantization.fake_quant_with_min_max_vars(x, -r, r, narrow_range=True)`), or quantize the float "
                "ONNX model with NVIDIA ModelOpt, which is symmetric by default."
            )
        case "pytorch":
            return (
                "in torchao's PT2E flow a quantizer with `qscheme=torch.per_tensor_symmetric` and int8, or NVIDIA "
                "ModelOpt, which is symmetric by default."
            )
    return (
        "in ONNX Runtime `extra_options={'ActivationSymmetric': True, 'WeightSymmetric': True}` and QInt8 for both "
        "types; or NVIDIA ModelOpt, which is symmetric by default."
    )
