"""Inputs and outputs of a TensorRT-RTX plan, read from its bytes: nothing of the plan is loaded or run.

A plan is a stream of tagged values: a tag of 16 bits (0x8007 an int32, 0x8009 an int64, 0x8013 a string, 0x8059 dims),
a version of 16 bits, the value; an object ends with its tag's complement (0x7fa6 closes 0x8059). The engine's tensors
are one list of such objects. That was read off plans built with TensorRT-RTX 1.7.1 for models of known inputs and
outputs, it is not documented. So nothing is searched for by name: every tag of the list must be where those plans have
it, types and positions must make sense together, or nothing is reported.
"""

from __future__ import annotations

import struct
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

_LIST, _FIRST = b"\x08\x80\x01\x00", b"\x43\x80\x01\x00\x16\x80\x01\x00\x07\x80\x01\x00"
_INT, _LONG, _STRING = b"\x07\x80\x01\x00", b"\x09\x80\x01\x00", b"\x13\x80\x01\x00"
_CHARACTERS, _LONGS = b"\x01\x80\x0c\x80\x01\x00", b"\x01\x80\x09\x80\x01\x00"
_MOST_TENSORS, _LONGEST_NAME, _MOST_DIMS = 4096, 4096, 8
_BEGINNING = 8 * 2**20
"""The list lies in front of the weights and kernels, in the first kilobytes; no more than this is read."""

_DTYPES = (
    *("float32", "float16", "int8", "int32", "bool", "uint8", "float8_e4m3fn", "bfloat16", "int64", "int4"),
    *("float4_e2m1fn", "float8_e8m0fnu"),
)
"""TensorRT's `DataType` from 0 on (NvInferRuntimeBase.h)."""


@dataclass(frozen=True, slots=True)
class PlanTensor:
    """An input or output of a plan. `dims` None where the size may vary at run time."""

    name: str
    dtype: str
    dims: tuple[int | None, ...]
    is_input: bool


class _Unlike(Exception):
    """The bytes are not laid out as expected."""


def read_tensors(plan: Path) -> tuple[PlanTensor, ...]:
    """The plan's inputs, then its outputs, in the engine's order; () when they cannot be read for certain.

    Raises OSError when the file cannot be read.
    """
    with plan.open("rb") as stream:
        content = stream.read(_BEGINNING)
    found: list[tuple[PlanTensor, ...]] = []
    at = content.find(_FIRST)
    # A second list would mean that it is not known which one is meant.
    while at >= 0 and len(found) < 2:
        if at >= 12 and content[at - 12 : at - 8] == _LIST:
            with suppress(_Unlike, UnicodeDecodeError):
                found.append(_Reader(content, at - 12).tensors())
        at = content.find(_FIRST, at + 1)
    return found[0] if len(found) == 1 else ()


class _Reader:
    """A position in the stream; every method steps over what it reads or raises _Unlike."""

    def __init__(self, content: bytes, at: int) -> None:
        self._content, self._at = content, at

    def tensors(self) -> tuple[PlanTensor, ...]:
        count = self._count(_LIST, _MOST_TENSORS)
        placed = dict(self._tensor() for _ in range(count))
        if sorted(placed) != list(range(count)):
            raise _Unlike
        ordered = [placed[number] for number in range(count)]
        return tuple(sorted(ordered, key=lambda tensor: not tensor.is_input))

    def _tensor(self) -> tuple[int, PlanTensor]:
        """(position among the engine's inputs and outputs, tensor)."""
        self._tag(b"\x43\x80\x01\x00\x16\x80\x01\x00")
        self._int()
        self._tag(b"\x41\x80\x01\x00")
        name = self._string()
        self._tag(b"\x1c\x80\x01\x00\x03\x80\x01\x00")
        self._skip(1)
        self._tag(b"\x0d\x80\x01\x00")
        dtype = self._int()
        self._tag(b"\x03\x80\x01\x00")
        self._skip(1)
        self._longs()
        self._int()
        self._tag(b"\xe3\x7f")
        self._tag(b"\x59\x80\x01\x00")
        rank = self._int()
        dims = self._longs()
        self._tag(b"\xa6\x7f\x15\x80\x01\x00")
        self._int()
        self._tag(b"\x28\x80\x01\x00")
        mode = self._int()
        self._tag(b"\x06\x80\x01\x00")
        (position,) = struct.unpack("<i", self._skip(4))
        self._tag(b"\x12\x80\x01\x00")
        self._int()
        self._tag(_LONG)
        self._skip(8)
        self._tag(b"\xbe\x7f\xbc\x7f")
        if rank != len(dims) or mode not in (0, 1) or not 0 <= dtype < len(_DTYPES):
            raise _Unlike
        sizes = tuple(size if size >= 0 else None for size in dims)
        return position, PlanTensor(name, _DTYPES[dtype], sizes, mode == 0)

    def _tag(self, expected: bytes) -> None:
        if self._skip(len(expected)) != expected:
            raise _Unlike

    def _skip(self, size: int) -> bytes:
        taken = self._content[self._at : self._at + size]
        if len(taken) != size:
            raise _Unlike
        self._at += size
        return taken

    def _int(self) -> int:
        self._tag(_INT)
        return int(struct.unpack("<i", self._skip(4))[0])

    def _count(self, tag: bytes, most: int) -> int:
        self._tag(tag)
        (count,) = struct.unpack("<Q", self._skip(8))
        if count > most:
            raise _Unlike
        return int(count)

    def _longs(self) -> tuple[int, ...]:
        count = self._count(_LONGS, _MOST_DIMS)
        return struct.unpack(f"<{count}q", self._skip(8 * count))

    def _string(self) -> str:
        length = self._count(_STRING, _LONGEST_NAME)
        if self._count(_CHARACTERS, _LONGEST_NAME) != length:
            raise _Unlike
        return self._skip(length).decode()
