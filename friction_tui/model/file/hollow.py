"""Which bytes of a model's files say what the model is, and which only hold its large weights.

A copy in which the latter are zeros is as long as the original and is opened and judged as it is; only what depends on
the values of weights cannot be said of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from friction_tui.model.file.external import ExternalFile
from friction_tui.model.file.wire import Fields, Unreadable

_SMALL = 1 << 16
"""Bytes up to which a tensor keeps its values: what the checks read of constants is smaller."""
_INTEGERS = 1 << 20
"""Bytes up to which an index or shape tensor does."""
_INDEX_TYPES = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT32, TensorProto.UINT64)
_GRAPH, _NODE, _INITIALIZER = 7, 1, 5
"""Field numbers of ModelProto.graph, GraphProto.node and GraphProto.initializer in onnx.proto."""
_ATTRIBUTE, _TENSOR = 5, 5
"""Of NodeProto.attribute and AttributeProto.t."""
_DATA_TYPE, _NAME, _RAW_DATA = 2, 8, 9
"""Of TensorProto."""
Segment = tuple[int, int]
"""(offset, length) in bytes."""


def embedded(content: memoryview, kept: set[str]) -> list[Segment]:
    """Where the values of large tensors lie inside a model file: initializers and Constants of the main graph.

    `kept` are names of tensors whose values are needed. Empty for a file that cannot be read to its end.
    """
    try:
        return list(_in_model(content, kept))
    except Unreadable:
        return []


def _in_model(content: memoryview, kept: set[str]) -> Iterator[Segment]:
    for graph in Fields(content, 0, len(content)):
        if graph.number != _GRAPH:
            continue
        for field in Fields(content, graph.body, graph.stop):
            if field.stop - field.body <= _SMALL:
                continue
            if field.number == _INITIALIZER:
                yield from _in_tensor(content, field.body, field.stop, kept)
            elif field.number == _NODE:
                for attribute in Fields(content, field.body, field.stop):
                    if attribute.number == _ATTRIBUTE:
                        for inner in Fields(content, attribute.body, attribute.stop):
                            if inner.number == _TENSOR:
                                yield from _in_tensor(content, inner.body, inner.stop, kept)


def _in_tensor(content: memoryview, start: int, stop: int, kept: set[str]) -> Iterator[Segment]:
    data_type, name, raw = 0, "", (0, 0)
    for field in Fields(content, start, stop):
        if field.number == _DATA_TYPE:
            data_type = content[field.body]
        elif field.number == _NAME:
            name = bytes(content[field.body : field.stop]).decode("utf-8", "replace")
        elif field.number == _RAW_DATA:
            raw = (field.body, field.stop - field.body)
    if raw[1] and not _keeps(raw[1], data_type, name, kept):
        yield raw


def outside(external: tuple[ExternalFile, ...], types: dict[str, int], kept: set[str]) -> dict[Path, list[Segment]]:
    """Of every external file the segments whose values are needed. `types` are the element types by tensor."""
    found: dict[Path, list[Segment]] = {}
    for file in external:
        if file.missing or file.escapes:
            continue
        segments = found.setdefault(file.path, [])
        if not file.short and _keeps(file.needed_bytes, types.get(file.initializer, 0), file.initializer, kept):
            segments.append((file.offset, file.needed_bytes))
    return {path: merged(segments) for path, segments in found.items()}


def merged(segments: list[Segment]) -> list[Segment]:
    """The same bytes, in their order, none twice."""
    found: list[Segment] = []
    for offset, length in sorted(segments):
        if found and offset <= sum(found[-1]):
            start = found[-1][0]
            found[-1] = (start, max(sum(found[-1]), offset + length) - start)
        elif length:
            found.append((offset, length))
    return found


def without(holes: list[Segment], size: int) -> list[Segment]:
    """What is left of a file of `size` bytes."""
    left, at = [], 0
    for offset, length in merged(holes):
        left.append((at, offset - at))
        at = offset + length
    left.append((at, size - at))
    return [segment for segment in left if segment[1]]


def _keeps(size: int, data_type: int, name: str, kept: set[str]) -> bool:
    return size <= _SMALL or name in kept or (data_type in _INDEX_TYPES and size <= _INTEGERS)


def element_types(tensors: Iterator[onnx.TensorProto]) -> dict[str, int]:
    """Element types of tensors by name."""
    return {tensor.name: tensor.data_type for tensor in tensors}
