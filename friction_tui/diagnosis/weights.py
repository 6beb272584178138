"""Stored values: their number, NaN and Inf, the range of float16, and weights stored twice or for nothing."""

from __future__ import annotations

import zlib
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from friction_tui.diagnosis.case import RULE, Case
from friction_tui.diagnosis.stored_tensors import Stored, pieces_of, stored_tensors, values_of
from friction_tui.finding import Finding, Fix, Place, PlaceKind, Severity, Tier
from friction_tui.model.constants import element_count
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import place_of
from friction_tui.recipe import Precision

FP16_LARGEST = 65504.0
FP16_SMALLEST_NORMAL = 2.0**-14
FP16_SMALLEST = 2.0**-24
"""float16 (IEEE 754 binary16): largest finite, smallest normal and smallest subnormal magnitude."""
BYTE_BUDGET = 512 << 20
"""How much weight data is looked at; small tensors first, so that nearly all tensors are."""
_BIG = 1 << 20
_FLOATS = (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)
_MASKING = frozenset({"Where", "Min", "Max", "Clip", "Equal", "Less", "Greater", "IsInf", "IsNaN"})
"""Operators for which an infinite constant is an ordinary bound or mask value."""
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
"""Inputs that are multiplied with, or looked up: losing them loses the layer. A bias or a mask is none."""
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


def check(case: Case) -> Iterator[Finding]:
    """Errors for wrong lengths and values that are no numbers, warnings for weights float16 cannot hold."""
    model = case.model
    if model.file.kind != "onnx":
        return
    stored = list(stored_tensors(model))
    for tensor in stored:
        yield from _length(model, tensor)
    yield from _values(case, stored)


def _length(model: OpenedModel, stored: Stored) -> Iterator[Finding]:
    """The data against the dims."""
    tensor = stored.proto
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    dims = " × ".join(map(str, tensor.dims)) or "scalar"
    what = f"The {'constant' if stored.constant else 'initializer'} {stored.name}"
    name = dtype_name(tensor.data_type) or "undefined"
    problem = ""
    if any(dim < 0 for dim in tensor.dims):
        problem = f"{what} has a negative dimension: dims {dims}."
    elif not tensor.data_type:
        problem = f"{what} has no data type (dtype undefined)."
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
        yield Finding(
            kind="weights/size-mismatch",
            severity=Severity.ERROR,
            tier=Tier.MODEL,
            title=f"The data of {stored.name} does not match its dims",
            cause=f"{problem} The file is corrupt, or a tool changed one of the two.",
            source=RULE,
            places=(stored.place(model), Place(PlaceKind.INITIALIZER, stored.name)),
            fixes=(
                Fix("Re-export the model, or regenerate the file from an intact copy: the weights are corrupt."),
                Fix(
                    f"If a script made it, write {stored.name} with onnx.numpy_helper.from_array, which sets dims and "
                    "data together."
                ),
            ),
        )


def _values(case: Case, stored: list[Stored]) -> Iterator[Finding]:
    """All that needs the values, within the byte budget."""
    model = case.model
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
        if _stays_float32(case, tensor):
            continue
        if _is_factor(tensor):
            if 0 < seen.largest < FP16_SMALLEST_NORMAL:
                lost.append((tensor, seen.largest))
            elif seen.largest > FP16_LARGEST or _clipped(tensor, seen):
                huge.append((tensor, seen.largest))
        elif seen.largest > FP16_LARGEST and case.recipe.precision is Precision.FP16 and not _is_mask(tensor):
            huge.append((tensor, seen.largest))
        if seen.constant and tensor.bytes >= _BIG:
            filled.append((tensor, seen.smallest_finite))
    if lost:
        yield _underflow(model, lost)
    if huge:
        yield _overflow(model, huge)
    yield from _filled(model, filled)
    yield from _duplicates(model, copies, left)
    if unread:
        yield _unread(model, unread)


def _stays_float32(case: Case, tensor: Stored) -> bool:
    """Whether all its readers were chosen to stay float32 while the rest is made half."""
    readers = case.model.index.consumers.get(tensor.name, ())
    return bool(readers) and all(reader.name in case.recipe.keep_float32 for reader in readers)


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
    return bool(stored.readers) and all(node.proto.op_type in _MASKING for node, _ in stored.readers)


def _infinite_on_purpose(stored: Stored, seen: _Survey) -> bool:
    """A bound, or an attention mask: a lone infinite scalar, nothing but 0 and -Inf, or read by comparing operators.

    Nothing infinite is multiplied with on purpose: 0 × Inf is NaN.
    """
    if any(node.proto.op_type in _FACTORS or node.proto.op_type == "Mul" for node, _ in stored.readers):
        return False
    mask = seen.infs == 0 and seen.largest == 0.0
    return mask or element_count(stored.proto) == 1 or _is_mask(stored)


def _non_finite(model: OpenedModel, stored: Stored, seen: _Survey) -> Iterator[Finding]:
    """NaN and Inf, unless they are a bound or an attention mask."""
    if all(node.proto.op_type in ("QuantizeLinear", "DequantizeLinear") for node, _ in stored.readers):
        return  # unread, or a scale, which has a check of its own
    if not seen.nans and _infinite_on_purpose(stored, seen):
        return
    parts = [
        f"{count:,} {word}"
        for count, word in ((seen.nans, "NaN"), (seen.infs, "+Inf"), (seen.negative_infs, "-Inf"))
        if count
    ]
    node = stored.readers[0][0]
    what = "NaN" if seen.nans else "Inf"
    multiplied = node.proto.op_type == "Mul" and not seen.nans
    mask = (Fix("Use Where(mask, x, -inf) instead of multiplying, or a finite value such as -1e4 (fp16 holds 65504)."),)
    yield Finding(
        kind="weights/nan" if seen.nans else "weights/inf",
        severity=Severity.ERROR,
        tier=Tier.HAZARD,
        title=f"{what} in {stored.name}",
        cause=f"The {'constant' if stored.constant else 'initializer'} {stored.name} contains {' and '.join(parts)} "
        f"among its {element_count(stored.proto):,} values; {node.proto.op_type} {node.name} computes with it, so the "
        "output is not finite (NaN or Inf)."
        + (" Multiplied with a 0, such as a mask's, Inf gives NaN." if multiplied else "")
        + " Every engine builds it in silence.",
        source=RULE,
        places=(stored.place(model), place_of(model, node)),
        evidence=(f"{stored.name}: {', '.join(parts)}; largest finite magnitude {seen.largest:g}",),
        fixes=(
            *(mask if multiplied else ()),
            Fix("Go back to an earlier checkpoint: the training diverged, or the weights were damaged on the way."),
            Fix("If the value is meant as a bound, clamp it to a finite one, such as torch.finfo(dtype).max."),
        ),
    )


def _listed(found: list[tuple[Stored, float]]) -> str:
    more = f" and {len(found) - 3} more" if len(found) > 3 else ""
    return ", ".join(f"{tensor.name} (largest {largest:.3g})" for tensor, largest in found[:3]) + more


def _underflow(model: OpenedModel, found: list[tuple[Stored, float]]) -> Finding:
    zero = all(largest < FP16_SMALLEST / 2 for _, largest in found)
    effect = "every weight becomes 0" if zero else "every weight becomes subnormal or 0 and loses most of its digits"
    return Finding(
        kind="weights/fp16-underflow",
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        title=f"{found[0][0].name} underflows in fp16",
        cause=f"All values of the weights {_listed(found)} are too small for fp16 (float16, half): below its smallest "
        f"normal magnitude {FP16_SMALLEST_NORMAL:.3g} they underflow, {effect} (subnormal, denormal), and TensorRT "
        "only logs `Detected subnormal FP16 values`.",
        source=RULE,
        places=tuple(tensor.place(model) for tensor, _ in found),
        evidence=tuple(f"{tensor.name}: largest magnitude {largest:.6g}" for tensor, largest in found[:12]),
        fixes=(
            Fix("Keep these layers in fp32, or use bf16, whose range is that of fp32."),
            Fix("Rescale: multiply the weights by a power of two and divide the layer's output by it."),
        ),
    )


def _overflow(model: OpenedModel, found: list[tuple[Stored, float]]) -> Finding:
    return Finding(
        kind="weights/fp16-overflow",
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        title=f"{found[0][0].name} overflows in fp16",
        cause=f"The weights {_listed(found)} exceed the range of fp16 (float16, half), whose largest number is "
        f"{FP16_LARGEST:g}: there they overflow to Inf, or are clipped to {FP16_LARGEST:g} by the conversion, and the "
        "output is Inf, NaN or wrong.",
        source=RULE,
        places=tuple(tensor.place(model) for tensor, _ in found),
        evidence=tuple(f"{tensor.name}: largest magnitude {largest:.6g}" for tensor, largest in found[:12]),
        fixes=(
            Fix("Keep these layers in fp32, or use bf16, whose range is that of fp32."),
            Fix("Rescale: divide the weights by a power of two and multiply the layer's output by it."),
        ),
    )


def _filled(model: OpenedModel, found: list[tuple[Stored, float]]) -> Iterator[Finding]:
    """Big tensors that hold one value."""
    if found:
        total = sum(tensor.bytes for tensor, _ in found)
        first, value = found[0]
        yield Finding(
            kind="weights/generated-constant",
            severity=Severity.NOTE,
            tier=Tier.HAZARD,
            title=f"{total / 2**20:,.0f} MiB of a single value",
            cause=f"{len(found)} big constants hold nothing but one value, first {first.name} ({value:g} in all "
            f"{element_count(first.proto):,} places): {total:,} bytes of the model that a ConstantOfShape or an "
            "Expand would make at run time. A constant folder generated them.",
            source=RULE,
            places=tuple(tensor.place(model) for tensor, _ in found),
            fixes=(
                Fix("Export without folding such constants, or replace them by Expand of a scalar."),
                Fix("Nothing needs to be done if the size of the file and the engine does not matter."),
            ),
        )


def _duplicates(
    model: OpenedModel, copies: dict[tuple[int, tuple[int, ...]], list[Stored]], left: int
) -> Iterator[Finding]:
    """Big tensors stored several times, found by checksum among those of one type and shape."""
    groups: list[list[Stored]] = []
    for alike in copies.values():
        if len(alike) < 2:
            continue
        by_sample: dict[bytes, list[Stored]] = {}
        for tensor in alike:
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
        first = groups[0]
        yield Finding(
            kind="weights/duplicated",
            severity=Severity.NOTE,
            tier=Tier.HAZARD,
            title=f"{wasted / 2**20:,.0f} MiB of weights stored twice",
            cause=f"{sum(len(same) for same in groups)} big tensors are duplicates of each other, first "
            f"{', '.join(tensor.name for tensor in first[:3])}: {wasted:,} bytes more than needed. Often tied weights "
            "that the export copied.",
            source=RULE,
            places=tuple(tensor.place(model) for same in groups for tensor in same),
            fixes=(Fix("Let all readers use one initializer (onnxslim and onnxscript's optimizer do it), and save."),),
        )


def _checksum(values: npt.NDArray[np.generic]) -> int:
    checksum = 0
    for piece in pieces_of(values):
        checksum = zlib.crc32(np.ascontiguousarray(piece).view(np.uint8).data, checksum)
    return checksum


def _unread(model: OpenedModel, unread: list[Stored]) -> Finding:
    total = sum(tensor.bytes for tensor in unread)
    return Finding(
        kind="weights/not-read",
        severity=Severity.NOTE,
        tier=Tier.UNCHECKED,
        title=f"{len(unread)} large tensors were not looked into",
        cause=f"{len(unread)} of the largest tensors, {total / 2**20:,.0f} MiB, were not searched for NaN, Inf and "
        f"values outside fp16: the check reads {BYTE_BUDGET >> 20} MiB, small tensors first.",
        source=RULE,
        places=tuple(tensor.place(model) for tensor in unread),
        fixes=(Fix("Inspect a tensor of interest on its own: its statistics are read whole."),),
    )
