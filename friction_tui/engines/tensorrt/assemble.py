"""Putting models together from serialised parts: re-parsing a suffix must not cost a copy of the whole graph."""

from __future__ import annotations

from collections.abc import Iterable
from functools import cache

import onnx


def model_head(proto: onnx.ModelProto) -> bytes:
    """Everything of a model but its graph."""
    head = onnx.ModelProto(ir_version=proto.ir_version)
    head.opset_import.extend(proto.opset_import)
    head.functions.extend(proto.functions)
    return serialized(head)


def assembled(head: bytes, parts: Iterable[bytes]) -> bytes:
    """A serialised model with the given fields of its graph."""
    return head + field(7, field(2, b"main") + b"".join(parts))


def serialized(message: onnx.ModelProto | onnx.NodeProto | onnx.TensorProto | onnx.ValueInfoProto) -> bytes:
    """Return a message's bytes."""
    data: bytes = message.SerializeToString()
    return data


def node_field(node: onnx.NodeProto) -> bytes:
    """A node as a field of GraphProto."""
    return field(1, serialized(node))


def initializer_field(tensor: onnx.TensorProto) -> bytes:
    """An initializer as a field of GraphProto."""
    return field(5, serialized(tensor))


def input_field(value: onnx.ValueInfoProto) -> bytes:
    """A graph input as a field of GraphProto."""
    return field(11, serialized(value))


def output_field(value: onnx.ValueInfoProto) -> bytes:
    """A graph output as a field of GraphProto."""
    return field(12, serialized(value))


def field(number: int, payload: bytes) -> bytes:
    """A length-delimited protobuf field (https://protobuf.dev/programming-guides/encoding)."""
    return _varint(number << 3 | 2) + _varint(len(payload)) + payload


@cache  # a graph's nodes have few different lengths
def _varint(value: int) -> bytes:
    out = bytearray()
    while value > 0x7F:
        out.append(value & 0x7F | 0x80)
        value >>= 7
    out.append(value)
    return bytes(out)
