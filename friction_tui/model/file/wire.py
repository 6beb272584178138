"""Reading what is left of a broken protobuf file, field by field.

A whole-file parse gives all or nothing. This reader walks the wire format itself
(https://protobuf.dev/programming-guides/encoding), hands each complete field to protobuf, and knows the
byte where the file stopped making sense.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from google.protobuf.message import DecodeError

_GRAPH_FIELD = 7
"""`graph` in ModelProto, the only field worth opening when it is incomplete."""
_MODEL_FIELDS = frozenset({1, 2, 3, 4, 5, 6, 7, 8, 14, 20, 25, 26})
"""Field numbers of ModelProto in onnx.proto, ONNX 1.23."""


@dataclass(frozen=True, slots=True)
class Break:
    """Where reading stopped: byte `offset`, and `why`. `missing` bytes were announced and are not there."""

    offset: int
    why: str
    missing: int = 0


class _Broken(Exception):
    def __init__(self, at: Break) -> None:
        super().__init__(at.why)
        self.at = at


def _varint(data: memoryview, at: int, end: int) -> tuple[int, int]:
    """The varint at `at` and the offset behind it."""
    value = shift = 0
    start = at
    while at < end:
        byte = data[at]
        at += 1
        value |= (byte & 0x7F) << shift
        if byte < 0x80:
            return value, at
        shift += 7
        if shift > 63:
            raise _Broken(Break(start, "a number longer than ten bytes"))
    raise _Broken(Break(start, "the file ends inside a number", missing=1))


def _fields(data: memoryview, start: int, end: int) -> Iterator[tuple[int, int, int, int]]:
    """(number, first byte of the tag, first byte of the payload, end) of every field that is announced.

    The last one may end behind `end`: then it is incomplete.
    """
    at = start
    while at < end:
        tag, body = _varint(data, at, end)
        number, wire_type = tag >> 3, tag & 7
        if number == 0:
            raise _Broken(Break(at, "field number 0, which protobuf does not allow"))
        if wire_type == 0:
            _, stop = _varint(data, body, end)
        elif wire_type == 1:
            stop = body + 8
        elif wire_type == 2:
            length, body = _varint(data, body, end)
            stop = body + length
        elif wire_type == 5:
            stop = body + 4
        else:
            raise _Broken(Break(at, f"wire type {wire_type}, which protobuf does not use here"))
        yield number, at, body, stop
        at = stop


class Unreadable(Exception):
    """A part of a file is not what it should be."""


@dataclass(frozen=True, slots=True)
class Field:
    """A field of a message: its number, and where its content begins and ends."""

    number: int
    body: int
    stop: int


@dataclass(frozen=True, slots=True)
class Fields:
    """The fields of the message between two bytes. Raises Unreadable where they do not fill it."""

    data: memoryview
    start: int
    end: int

    def __iter__(self) -> Iterator[Field]:
        try:
            for number, _, body, stop in _fields(self.data, self.start, self.end):
                if stop > self.end:
                    raise Unreadable
                yield Field(number, body, stop)
        except _Broken as error:
            raise Unreadable from error


def salvage(content: bytes) -> tuple[onnx.ModelProto, Break | None]:
    """The fields of a ModelProto that can still be read, and the first place where one could not."""
    data = memoryview(content)
    model = onnx.ModelProto()
    broken: Break | None = None
    try:
        for number, tag, body, stop in _fields(data, 0, len(data)):
            if number not in _MODEL_FIELDS:
                raise _Broken(Break(tag, f"field {number}, which no ONNX model has"))
            if number == _GRAPH_FIELD:
                broken = _salvage_graph(model.graph, data, body, min(stop, len(data))) or broken
            elif stop <= len(data):
                broken = _merge(model, data[tag:stop], tag) or broken
            if stop > len(data):
                # A graph that breaks off says more precisely where than its own length does.
                inner = broken.offset if broken else tag
                raise _Broken(Break(inner, f"the file ends {stop - len(data)} bytes early", stop - len(data)))
    except _Broken as error:
        broken = error.at if broken is None or error.at.missing else broken
    return model, broken


def _salvage_graph(graph: onnx.GraphProto, data: memoryview, start: int, end: int) -> Break | None:
    first: Break | None = None
    try:
        for _, tag, _, stop in _fields(data, start, end):
            if stop > end:
                return first or Break(tag, f"the file ends {stop - end} bytes early", stop - end)
            first = first or _merge(graph, data[tag:stop], tag)
    except _Broken as error:
        return first or error.at
    return first


def _merge(message: onnx.ModelProto | onnx.GraphProto, field: memoryview, offset: int) -> Break | None:
    """Add one complete field. A field whose inside does not decode is left out whole."""
    try:
        type(message).FromString(bytes(field))
    except DecodeError:
        return Break(offset, "a field whose content does not decode")
    message.MergeFromString(bytes(field))
    return None
