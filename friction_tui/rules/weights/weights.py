"""Stored values: NaN and Inf, and the range of float16."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
from onnx import TensorProto

from friction_tui.kinds import KINDS
from friction_tui.model.constants import element_count
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.weights.needless_weights import duplicates, filled_with_one_value
from friction_tui.rules.weights.stored_lengths import wrong_length
from friction_tui.rules.weights.stored_tensors import Stored, pieces_of, stored_tensors, values_of
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Severity, Tier
from friction_tui.vocabulary.recipe import Precision
from friction_tui.vocabulary.units import size_text

FP16_LARGEST = 65504.0
FP16_SMALLEST_NORMAL = 2.0**-14
FP16_SMALLEST = 2.0**-24
"""float16 (IEEE 754 binary16): largest finite, smallest normal and smallest subnormal magnitude."""
BYTE_BUDGET = 512_000_000
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
    """Errors for wrong lengths and values that are no numbers, warnings for weights float16 cannot hold."""
    model = context.model
    if model.file.kind != "onnx":
        return
    stored = list(stored_tensors(model))
    for tensor in stored:
        yield from wrong_length(model, tensor)
    yield from _values(context, stored)


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
    yield from filled_with_one_value(model, filled)
    yield from duplicates(model, copies, left)
    if unread:
        yield _unread(model, unread)


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
        locations=(stored.location(model), location_of(model, node)),
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
        locations=tuple(tensor.location(model) for tensor, _ in found),
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
        locations=tuple(tensor.location(model) for tensor, _ in found),
        evidence=tuple(f"{tensor.name}: largest magnitude {largest:.6g}" for tensor, largest in found[:12]),
        fixes=(
            Fix("Keep these layers in fp32, or use bf16, whose range is that of fp32."),
            Fix("Rescale: divide the weights by a power of two and multiply the layer's output by it."),
        ),
    )


def _unread(model: OpenedModel, unread: list[Stored]) -> Finding:
    total = sum(tensor.bytes for tensor in unread)
    return Finding(
        kind="weights/not-read",
        severity=Severity.NOTE,
        tier=Tier.UNCHECKED,
        title=f"{len(unread)} large tensors were not looked into",
        cause=f"{len(unread)} of the largest tensors, {size_text(total)}, were not searched for NaN, Inf and "
        f"values outside fp16: the check reads {size_text(BYTE_BUDGET)}, small tensors first.",
        source=RULE,
        locations=tuple(tensor.location(model) for tensor in unread),
        fixes=(Fix("Inspect a tensor of interest on its own: its statistics are read whole."),),
    )


CHECK = Check("weights", "values that overflow, vanish or are not finite", check, tuple(KINDS.values()))
