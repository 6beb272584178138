"""Statistics of one initializer, read from disk only when it is looked at.

External data are mapped, not loaded, and gone through piece by piece: a 2 GB weight costs 32 MB of memory.
"""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, numpy_helper

from friction_tui.model.file.external import element_bits, external_files, tensor_bytes
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel, all_tensors
from friction_tui.model.shapes.tensors import Array
from friction_tui.vocabulary.protocol import InitializerStats

_PIECE = 1 << 22
"""Elements looked at together. Even, so that pieces of 4-bit data end on a byte."""
_BINS = 16
_FP16_LEAST_NORMAL = 2.0**-14
_FP16_LARGEST = 65504.0
"""Limits of IEEE 754 binary16."""


def initializer_stats(model: OpenedModel, name: str) -> InitializerStats:
    """Range, moments, special values and a 16-bin histogram of the initializer called `name`.

    A tensor that does not exist or cannot be read gives statistics without figures and the reason in `error`.
    Moments and histogram leave NaN and infinities out.
    """
    tensor = model.index.initializers.get(name) or _elsewhere(model, name)
    if tensor is None:
        return InitializerStats(name=name, dtype="", shape=(), bytes=0, error=f"There is no initializer {name}.")
    size = tensor_bytes(tensor)
    shape, dtype = tuple(tensor.dims), dtype_name(tensor.data_type)
    try:
        seen = _Seen()
        for piece in _pieces(model, tensor):
            seen.take(piece)
        if seen.finite:
            for piece in _pieces(model, tensor):
                seen.count(piece)
    except _Unreadable as error:
        return InitializerStats(name=name, dtype=dtype, shape=shape, bytes=size, error=str(error))
    mean = seen.total / seen.finite if seen.finite else None
    spread = max(seen.squares / seen.finite - (mean or 0.0) ** 2, 0.0) if seen.finite else 0.0
    return InitializerStats(
        name=name,
        dtype=dtype,
        shape=shape,
        bytes=size,
        min=seen.low if seen.finite else None,
        max=seen.high if seen.finite else None,
        mean=mean,
        std=spread**0.5 if seen.finite else None,
        zeros=seen.zeros,
        nans=seen.nans,
        infs=seen.infs,
        fp16_subnormal=seen.subnormal,
        fp16_overflow=seen.overflow,
        histogram=tuple(seen.histogram.tolist()) if seen.finite else (),
    )


class _Unreadable(Exception):
    """Why a tensor's data cannot be read, for the person who asked."""


@dataclass(slots=True)
class _Seen:
    """Running figures over the pieces of a tensor."""

    finite: int = 0
    low: float = float("inf")
    high: float = float("-inf")
    total: float = 0.0
    squares: float = 0.0
    zeros: int = 0
    nans: int = 0
    infs: int = 0
    subnormal: int = 0
    overflow: int = 0
    histogram: np.ndarray[tuple[int], np.dtype[np.int64]] = None  # type: ignore[assignment]

    def take(self, piece: Array) -> None:
        """Everything but the histogram, whose bins need the range first."""
        floating = piece.dtype.kind not in "iub"
        numbers = piece.astype(np.float64).ravel()
        self.nans += int(np.isnan(numbers).sum())
        self.infs += int(np.isinf(numbers).sum())
        self.zeros += int((numbers == 0).sum())
        numbers = numbers[np.isfinite(numbers)]
        if not numbers.size:
            return
        self.finite += numbers.size
        self.low, self.high = min(self.low, float(numbers.min())), max(self.high, float(numbers.max()))
        self.total += float(numbers.sum())
        self.squares += float(np.square(numbers).sum())
        if floating:
            size = np.abs(numbers)
            self.subnormal += int(((size > 0) & (size < _FP16_LEAST_NORMAL)).sum())
            self.overflow += int((size > _FP16_LARGEST).sum())

    def count(self, piece: Array) -> None:
        """Add a piece to the histogram over the whole range."""
        if self.histogram is None:
            self.histogram = np.zeros(_BINS, np.int64)
        numbers = piece.astype(np.float64).ravel()
        numbers = numbers[np.isfinite(numbers)]
        top = self.high if self.high > self.low else self.low + 1.0
        self.histogram += np.histogram(numbers, bins=_BINS, range=(self.low, top))[0]


def _elsewhere(model: OpenedModel, name: str) -> TensorProto | None:
    """A tensor of a body, or a Constant node's by the name of its output."""
    for node in model.index.nodes:
        if node.proto.op_type == "Constant" and name in node.proto.output:
            return next((attribute.t for attribute in node.proto.attribute if attribute.HasField("t")), None)
    return next((tensor for tensor in all_tensors(model.index) if tensor.name == name), None)


def _pieces(model: OpenedModel, tensor: TensorProto) -> Iterator[Array]:
    bits = element_bits(tensor.data_type)
    if not bits:
        kind = dtype_name(tensor.data_type) or "unknown type"
        raise _Unreadable(f"{tensor.name} holds {kind}, which has no statistics.")
    if tensor.data_location == TensorProto.EXTERNAL:
        yield from _external_pieces(model, tensor, bits)
    elif tensor.HasField("raw_data"):
        needed = tensor_bytes(tensor)
        if len(tensor.raw_data) != needed:
            raise _Unreadable(
                f"{tensor.name} holds {len(tensor.raw_data):,} bytes of data, but its dims {list(tensor.dims)} "
                f"call for {needed:,}."
            )
        yield from _cut(memoryview(tensor.raw_data), tensor.data_type, bits)
    else:
        try:
            yield np.asarray(numpy_helper.to_array(tensor))
        except (ValueError, TypeError) as error:
            raise _Unreadable(f"{tensor.name} cannot be read: {error}.") from error


def _external_pieces(model: OpenedModel, tensor: TensorProto, bits: int) -> Iterator[Array]:
    file = next(external_files(iter((tensor,)), model.path.parent))
    if file.escapes:
        raise _Unreadable(f"{tensor.name} refers to {file.location}, outside the model's folder, so it is not read.")
    if file.missing:
        raise _Unreadable(f"{tensor.name} is kept in {file.location}, which is not beside the model ({file.path}).")
    if file.short:
        raise _Unreadable(
            f"{tensor.name} needs bytes {file.offset:,} to {file.offset + file.needed_bytes:,} of {file.location}, "
            f"which has only {file.size_on_disk:,}."
        )
    if not file.needed_bytes:
        return
    try:
        with file.path.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as mapped:
            # Each piece is copied, so that nothing points into the map when it closes.
            for start in range(0, file.needed_bytes, _PIECE * bits // 8):
                stop = min(start + _PIECE * bits // 8, file.needed_bytes)
                yield from _cut(memoryview(mapped[file.offset + start : file.offset + stop]), tensor.data_type, bits)
    except OSError as error:
        raise _Unreadable(f"{file.path} cannot be read: {error.strerror or error}.") from error


def _cut(data: memoryview, data_type: int, bits: int) -> Iterator[Array]:
    """Raw data as arrays of at most `_PIECE` elements."""
    step = _PIECE * bits // 8
    for start in range(0, len(data), step):
        content = data[start : start + step]
        piece = onnx.TensorProto(data_type=data_type, raw_data=bytes(content))
        piece.dims.append(len(content) * 8 // bits)
        yield np.asarray(numpy_helper.to_array(piece))
