"""Stored values: lengths that do not fit, NaN and Inf, the range of float16, and what is stored for nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from friction_tui.kinds import weights
from friction_tui.model.constants import element_count
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.weights.infinities import BOUNDS, absorbed
from friction_tui.rules.weights.stored_tensors import Stored, pieces_of, stored_tensors, values_of
from friction_tui.vocabulary.finding import Finding, Location, LocationKind
from friction_tui.vocabulary.recipe import Precision
from friction_tui.vocabulary.units import size_text

FP16_LARGEST = 65504.0
FP16_SMALLEST_NORMAL = 2.0**-14
FP16_SMALLEST = 2.0**-24
"""float16 (IEEE 754 binary16): largest finite, smallest normal and smallest subnormal magnitude."""
BYTE_BUDGET = 512_000_000
"""How much weight data is looked at; small tensors first, so that nearly all tensors are."""
_BIG = 1 << 20
"""Bytes from which on a tensor stored for nothing is worth a note."""
_KEEP_FLOAT32 = "Keep these layers in fp32, or use bf16, whose range is that of fp32."
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_FACTORS = {
    "Conv": (1,),
    "ConvTranspose": (1,),
    "MatMul": (0, 1),
    "Gemm": (0, 1),
    "Einsum": (0, 1, 2),
    "Gather": (0,),
    "LSTM": (1, 2),
    "GRU": (1, 2),
    "RNN": (1, 2),
    "LayerNormalization": (1,),
    "RMSNormalization": (1,),
    "BatchNormalization": (1,),
    "InstanceNormalization": (1,),
    "GroupNormalization": (1,),
}
"""Inputs that are multiplied with, or looked up: losing them loses the layer. A bias or a mask is not one."""
_INT32_FIELD = (
    TensorProto.INT32,
    TensorProto.INT16,
    TensorProto.INT8,
    TensorProto.UINT16,
    TensorProto.UINT8,
    TensorProto.BOOL,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
)
_TYPED_FIELDS: dict[int, tuple[str, int]] = {
    **dict.fromkeys(_INT32_FIELD, ("int32_data", 1)),
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}
"""Element type to (the TensorProto field that holds it, entries an element), from onnx.proto."""


@dataclass(frozen=True, slots=True)
class _Survey:
    """What one look at a float tensor says. `largest` is the largest finite magnitude."""

    nans: int
    infs: int
    negative_infs: int
    largest: float
    smallest_finite: float
    constant: bool


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for wrong lengths, NaN and Inf, warnings for weights float16 cannot hold, notes on needless weights."""
    model = context.model
    if model.file.kind != "onnx":
        return
    stored = list(stored_tensors(model))
    for tensor in stored:
        yield from _wrong_length(model, tensor)
    yield from _values(context, stored)


def _wrong_length(model: OpenedModel, stored: Stored) -> Iterator[Finding]:
    """The data against the dims."""
    tensor = stored.proto
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    dims = " × ".join(map(str, tensor.dims)) or "scalar"
    what = f"The {'constant' if stored.constant else 'initializer'} {stored.name}"
    name = dtype_name(tensor.data_type)
    problem = ""
    if any(dim < 0 for dim in tensor.dims):
        problem = f"{what} has a negative dimension: dims {dims}."
    elif not tensor.data_type:
        problem = f"{what} has no data type (dtype undefined)."
    elif not name:
        problem = f"{what} has the data type (dtype) number {tensor.data_type}, which ONNX {onnx.__version__} has not."
    elif tensor.HasField("raw_data"):
        have = len(tensor.raw_data)
        if tensor.data_type == TensorProto.STRING:
            problem = f"{what} holds strings in raw_data, which ONNX forbids."
        elif have != stored.bytes:
            problem = (
                f"{what} has dims (shape) {dims} of {name}, which is {stored.bytes:,} bytes, but its raw_data holds "
                f"{have:,} bytes: data and shape do not match in size."
            )
        elif any(len(getattr(tensor, field)) for field, _ in _TYPED_FIELDS.values()):
            problem = f"{what} has its data twice, in raw_data and in a typed field; ONNX allows exactly one."
    elif tensor.data_type in _TYPED_FIELDS:
        field, entries = _TYPED_FIELDS[tensor.data_type]
        have, want = len(getattr(tensor, field)), element_count(tensor) * entries
        if have != want:
            problem = (
                f"{what} has dims (shape) {dims} of {name}, which is {want:,} values ({stored.bytes:,} bytes), but "
                f"its {field} holds {have:,}: data and shape do not match in size."
            )
    if problem:
        yield weights.SIZE_MISMATCH.finding(
            name=stored.name,
            problem="does not match its dims" if name else "has no known data type",
            cause=f"{problem} The file is corrupt, or a tool changed one of the two.",
            locations=(
                stored.location(model),
                Location(LocationKind.INITIALIZER, stored.name),
                *(location_of(model, reader) for reader, _ in stored.readers[:1]),
            ),
            fixes=(
                "Re-export the model, or regenerate the file from an intact copy: the weights are corrupt.",
                f"If a script made it, write {stored.name} with onnx.numpy_helper.from_array, which sets dims and "
                "data together.",
            ),
        )


def _values(context: CheckContext, stored: list[Stored]) -> Iterator[Finding]:
    """All that needs the values, within the byte budget."""
    model = context.model
    left = BYTE_BUDGET
    unread: list[Stored] = []
    lost: list[tuple[Stored, float]] = []
    huge: list[tuple[Stored, float]] = []
    filled: list[tuple[Stored, float]] = []
    copies: dict[tuple[int, tuple[int, ...]], list[Stored]] = {}
    for tensor in sorted(stored, key=lambda each: each.bytes):
        if tensor.bytes >= _BIG:
            copies.setdefault((tensor.proto.data_type, tuple(tensor.proto.dims)), []).append(tensor)
        if tensor.proto.data_type not in _FLOATS or not tensor.bytes:
            continue
        if tensor.bytes > left:
            unread.append(tensor)
            continue
        values = values_of(tensor)
        if values is None or not values.size:
            continue
        left -= tensor.bytes
        seen = _survey(values)
        if seen.nans or seen.infs or seen.negative_infs:
            yield from _non_finite(model, tensor, seen)
        if _stays_float32(context, tensor):
            continue
        if _is_factor(tensor):
            if 0 < seen.largest < FP16_SMALLEST_NORMAL:
                lost.append((tensor, seen.largest))
            elif seen.largest > FP16_LARGEST or _clipped(tensor, seen):
                huge.append((tensor, seen.largest))
        elif seen.largest > FP16_LARGEST and context.recipe.precision is Precision.FP16 and not _is_mask(tensor):
            huge.append((tensor, seen.largest))
        if seen.constant and tensor.bytes >= _BIG:
            filled.append((tensor, seen.smallest_finite))
    if lost:
        yield _underflow(model, lost)
    if huge:
        yield _overflow(model, huge)
    if filled:
        yield _filled_with_one_value(model, filled)
    yield from _duplicates(model, copies, left)
    if unread:
        yield _not_read(model, unread)


def _stays_float32(context: CheckContext, tensor: Stored) -> bool:
    """Whether all its readers were chosen to stay float32 while the rest is made half."""
    readers = context.model.index.consumers.get(tensor.name, ())
    return bool(readers) and all(reader.name in context.recipe.keep_float32 for reader in readers)


def _survey(values: npt.NDArray[np.generic]) -> _Survey:
    looks = [_look(piece) for piece in pieces_of(values)]
    return _Survey(
        nans=sum(look.nans for look in looks),
        infs=sum(look.infs for look in looks),
        negative_infs=sum(look.negative_infs for look in looks),
        largest=max(look.largest for look in looks),
        smallest_finite=min(look.smallest_finite for look in looks),
        constant=all(look.constant for look in looks) and len({look.smallest_finite for look in looks}) == 1,
    )


def _look(values: npt.NDArray[np.generic]) -> _Survey:
    """Two passes over healthy values, more over others."""
    array = values if values.dtype != np.float16 else values.astype(np.float32)
    with np.errstate(invalid="ignore"):
        low, high = float(array.min()), float(array.max())
    if np.isfinite(low) and np.isfinite(high):
        return _Survey(0, 0, 0, max(abs(low), abs(high)), low, low == high)
    numbers = array.astype(np.float64, copy=False)
    nans = int(np.isnan(numbers).sum())
    positive, negative = int(np.isposinf(numbers).sum()), int(np.isneginf(numbers).sum())
    finite = numbers[np.isfinite(numbers)]
    largest = float(np.abs(finite).max()) if finite.size else 0.0
    return _Survey(nans, positive, negative, largest, float(finite.min()) if finite.size else 0.0, False)


def _clipped(stored: Stored, seen: _Survey) -> bool:
    """Whether a conversion to float16 cut off what was larger: it leaves exactly the largest number."""
    return stored.proto.data_type == TensorProto.FLOAT16 and seen.largest == FP16_LARGEST


def _is_factor(stored: Stored) -> bool:
    """Whether a layer multiplies with the tensor or looks rows up in it."""
    return len(stored.proto.dims) > 0 and any(
        position in _FACTORS.get(node.proto.op_type, ()) for node, position in stored.readers
    )


def _is_mask(stored: Stored) -> bool:
    return bool(stored.readers) and all(node.proto.op_type in BOUNDS for node, _ in stored.readers)


def _infinite_on_purpose(model: OpenedModel, stored: Stored, seen: _Survey) -> bool:
    """A bound, or an attention mask: a lone infinite scalar, nothing but 0 and -Inf, or taken in by what follows.

    Nothing infinite is multiplied with on purpose: 0 × Inf is NaN.
    """
    if absorbed(model.index, stored, positive=seen.infs > 0):
        return True
    if any(node.proto.op_type in _FACTORS or node.proto.op_type == "Mul" for node, _ in stored.readers):
        return False
    mask = seen.infs == 0 and seen.largest == 0.0
    return mask or element_count(stored.proto) == 1 or _is_mask(stored)


def _non_finite(model: OpenedModel, stored: Stored, seen: _Survey) -> Iterator[Finding]:
    """NaN and Inf, unless they are a bound or an attention mask."""
    if all(node.proto.op_type in ("QuantizeLinear", "DequantizeLinear") for node, _ in stored.readers):
        return  # unread, or a scale, which has a check of its own
    if not seen.nans and _infinite_on_purpose(model, stored, seen):
        return
    parts = [
        f"{count:,} {name}"
        for count, name in ((seen.nans, "NaN"), (seen.infs, "+Inf"), (seen.negative_infs, "-Inf"))
        if count
    ]
    node = stored.readers[0][0]
    multiplied = node.proto.op_type == "Mul" and not seen.nans
    mask = "Use Where(mask, x, -inf) instead of multiplying, or a finite value such as -1e4 (fp16 holds 65504)."
    yield (weights.NAN if seen.nans else weights.INF).finding(
        name=stored.name,
        cause=f"The {'constant' if stored.constant else 'initializer'} {stored.name} contains {' and '.join(parts)} "
        f"among its {element_count(stored.proto):,} values; {node.proto.op_type} {node.name} computes with it, so the "
        "output is not finite (NaN or Inf)."
        + (" Multiplied with a 0, such as a mask's, Inf gives NaN." if multiplied else "")
        + " Every engine builds it in silence.",
        locations=(stored.location(model), location_of(model, node)),
        evidence=(f"{stored.name}: {', '.join(parts)}; largest finite magnitude {seen.largest:g}",),
        fixes=(
            *((mask,) if multiplied else ()),
            "Go back to an earlier checkpoint: the training diverged, or the weights were damaged on the way.",
            "If the value is meant as a bound, clamp it to a finite one, such as torch.finfo(dtype).max.",
        ),
    )


def _listed(found: list[tuple[Stored, float]]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(f"{tensor.name} (largest {largest:.3g})" for tensor, largest in found[:3]) + more


def _underflow(model: OpenedModel, found: list[tuple[Stored, float]]) -> Finding:
    zero = all(largest < FP16_SMALLEST / 2 for _, largest in found)
    effect = "every weight becomes 0" if zero else "every weight becomes subnormal or 0 and loses most of its digits"
    return weights.FP16_UNDERFLOW.finding(
        name=found[0][0].name,
        cause=f"All values of the weights {_listed(found)} are too small for fp16 (float16, half): below its smallest "
        f"normal magnitude {FP16_SMALLEST_NORMAL:.3g} they underflow, {effect} (subnormal, denormal), and TensorRT "
        "only logs `Detected subnormal FP16 values`.",
        locations=_locations(model, found),
        evidence=_magnitudes(found),
        fixes=(_KEEP_FLOAT32, "Rescale: multiply the weights by a power of two and divide the layer's output by it."),
    )


def _overflow(model: OpenedModel, found: list[tuple[Stored, float]]) -> Finding:
    return weights.FP16_OVERFLOW.finding(
        name=found[0][0].name,
        cause=f"The weights {_listed(found)} exceed the range of fp16 (float16, half), whose largest number is "
        f"{FP16_LARGEST:g}: there they overflow to Inf, or are clipped to {FP16_LARGEST:g} by the conversion, and the "
        "output is Inf, NaN or wrong.",
        locations=_locations(model, found),
        evidence=_magnitudes(found),
        fixes=(_KEEP_FLOAT32, "Rescale: divide the weights by a power of two and multiply the layer's output by it."),
    )


def _locations(model: OpenedModel, found: list[tuple[Stored, float]]) -> list[Location]:
    return [tensor.location(model) for tensor, _ in found]


def _magnitudes(found: list[tuple[Stored, float]]) -> list[str]:
    return [f"{tensor.name}: largest magnitude {largest:.6g}" for tensor, largest in found[:12]]


def _filled_with_one_value(model: OpenedModel, found: list[tuple[Stored, float]]) -> Finding:
    total = sum(tensor.bytes for tensor, _ in found)
    first, value = found[0]
    return weights.GENERATED_CONSTANT.finding(
        size=size_text(total),
        cause=f"{len(found)} big constants hold nothing but one value, first {first.name} ({value:g} in all "
        f"{element_count(first.proto):,} places): {total:,} bytes of the model that a ConstantOfShape or an "
        "Expand would make at run time. A constant folder generated them.",
        locations=_locations(model, found),
        fixes=(
            "Export without folding such constants, or replace them by Expand of a scalar.",
            "Nothing needs to be done if the size of the file and the engine does not matter.",
        ),
    )


def _duplicates(
    model: OpenedModel, copies: dict[tuple[int, tuple[int, ...]], list[Stored]], left: int
) -> Iterator[Finding]:
    """Big tensors stored several times, found by checksum among those of one type and shape.

    `left` is how many bytes may still be read.
    """
    groups: list[list[Stored]] = []
    for similar in copies.values():
        if len(similar) < 2:
            continue
        by_sample: dict[bytes, list[Stored]] = {}
        for tensor in similar:
            values = values_of(tensor)
            if values is not None:
                by_sample.setdefault(values[:: max(1, values.size // 64)].tobytes(), []).append(tensor)
        for suspects in by_sample.values():
            if len(suspects) < 2 or sum(tensor.bytes for tensor in suspects) > left:
                continue
            by_sum: dict[int, list[Stored]] = {}
            for tensor in suspects:
                values = values_of(tensor)
                if values is not None:
                    left -= tensor.bytes
                    by_sum.setdefault(_checksum(values), []).append(tensor)
            groups.extend(same for same in by_sum.values() if len(same) > 1)
    if groups:
        wasted = sum((len(same) - 1) * same[0].bytes for same in groups)
        yield weights.DUPLICATED.finding(
            size=size_text(wasted),
            cause=f"{sum(len(same) for same in groups)} big tensors are duplicates of each other, first "
            f"{', '.join(tensor.name for tensor in groups[0][:3])}: {wasted:,} bytes more than needed. Often tied "
            "weights that the export copied.",
            locations=(tensor.location(model) for same in groups for tensor in same),
            fixes=("Let all readers use one initializer (onnxslim and onnxscript's optimizer do it), and save.",),
        )


def _checksum(values: npt.NDArray[np.generic]) -> int:
    checksum = 0
    for piece in pieces_of(values):
        checksum = zlib.crc32(np.ascontiguousarray(piece).view(np.uint8).data, checksum)
    return checksum


def _not_read(model: OpenedModel, unread: list[Stored]) -> Finding:
    total = sum(tensor.bytes for tensor in unread)
    return weights.NOT_READ.finding(
        count=len(unread),
        cause=f"{len(unread)} of the largest tensors, {size_text(total)}, were not searched for NaN, Inf and "
        f"values outside fp16: the check reads {size_text(BYTE_BUDGET)}, small tensors first.",
        locations=(tensor.location(model) for tensor in unread),
        fixes=("Inspect a tensor of interest on its own: its statistics are read whole.",),
    )


CHECK = Check(
    "weights",
    "values that overflow, vanish or are not finite",
    check,
    (
        weights.SIZE_MISMATCH,
        weights.NAN,
        weights.INF,
        weights.FP16_UNDERFLOW,
        weights.FP16_OVERFLOW,
        weights.GENERATED_CONSTANT,
        weights.DUPLICATED,
        weights.NOT_READ,
    ),
)
