"""Models broken on purpose: valid ones with a few fields of their protobuf messages changed at random."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import onnx
from google.protobuf.descriptor import FieldDescriptor
from google.protobuf.message import Message

SAMPLES = Path(__file__).parents[2] / "sample_models"
LARGEST = 60_000
"""Bytes of a sample that is mutated: larger ones add time, not fields."""
BYTES_SHARE = 0.15
"""This share of the files is broken as bytes: cut, overwritten, doubled."""

_INTEGERS = (0, 1, -1, 2, 7, 127, 255, 2**31 - 1, -(2**31), 2**40, 10**12, 2**62, 2**63 - 1, -(2**63))
_NUMBERS = (0.0, -0.0, 1.0, -1.0, 1e38, float("inf"), float("-inf"), float("nan"))
_TEXTS = (
    *("", "x", "N", "ai.onnx", "com.microsoft", "../../../etc/passwd", "/dev/zero", "%s%n", "{0}", "a" * 5000),
    *("\x1b[31m", "\x00", "\u202e", "\u2028", "\x85", "name with spaces", "‹1›", "[bold]x[/]", "\U0001f600"),
)
_OPERATORS = (
    *("If", "Loop", "Scan", "Reshape", "Resize", "Concat", "Constant", "RegexFullMatch", "Expand", "Range", "Split"),
    *("ConstantOfShape", "NonZero", "Gather", "Slice", "Transpose", "MatMul", "Conv", "SequenceAt", "StringSplit"),
    *("QuantizeLinear", "DequantizeLinear", "LSTM", "Einsum", "Pad", "Tile", "TopK", "Cast", "Attention", "DFT"),
)


def samples() -> list[bytes]:
    """The models that are mutated, smallest first."""
    files = [path for path in sorted(SAMPLES.glob("*.onnx")) if path.stat().st_size < LARGEST]
    return [path.read_bytes() for path in sorted(files, key=lambda path: path.stat().st_size)]


def mutated(seed: int, models: list[bytes]) -> bytes:
    """The model with this number; the same for the same number."""
    chance = random.Random(seed)
    content = chance.choice(models)
    if chance.random() < BYTES_SHARE:
        return _broken_bytes(content, chance)
    model = onnx.ModelProto.FromString(content)
    messages = list(_messages(model))
    for _ in range(chance.choice((1, 1, 1, 2, 3, 8))):
        _mutate(chance.choice(messages), chance)
    return bytes(model.SerializeToString())


def _broken_bytes(content: bytes, chance: random.Random) -> bytes:
    at = chance.randrange(len(content))
    match chance.randrange(4):
        case 0:
            return content[:at]
        case 1:
            return content[:at] + chance.randbytes(chance.choice((1, 1, 4, 64))) + content[at + 1 :]
        case 2:
            return content[:at] + content
    return content[:at] + content[at + chance.randrange(1, 200) :]


def _messages(top: Message) -> Iterator[Message]:
    pending = [top]
    while pending:
        message = pending.pop()
        yield message
        for field, value in message.ListFields():
            if field.type == FieldDescriptor.TYPE_MESSAGE:
                pending.extend(value if hasattr(value, "add") else [value])


def _mutate(message: Any, chance: random.Random) -> None:
    """Change one field, one that is set three times in four."""
    fields = [field for field, _ in message.ListFields()]
    if not fields or chance.random() < 0.25:
        fields = list(message.DESCRIPTOR.fields)
    field = chance.choice(fields)
    value = getattr(message, field.name)
    if hasattr(value, "extend"):
        _mutate_list(message, field, value, chance)
    elif field.type == FieldDescriptor.TYPE_MESSAGE:
        if message.HasField(field.name) and chance.random() < 0.7:
            message.ClearField(field.name)
        else:
            value.SetInParent()
    elif chance.random() < 0.15:
        message.ClearField(field.name)
    else:
        _set(message, field, chance)


def _set(message: Any, field: Any, chance: random.Random) -> None:
    try:
        setattr(message, field.name, _scalar(field, chance))
    except (ValueError, TypeError):  # out of the range of this field, or no value of this enum
        message.ClearField(field.name)


def _mutate_list(message: Any, field: Any, value: Any, chance: random.Random) -> None:
    held = list(value)
    if field.type == FieldDescriptor.TYPE_MESSAGE:
        held = [type(one).FromString(one.SerializeToString()) for one in held]
    match chance.randrange(6):
        case 0 if held:
            del held[chance.randrange(len(held))]
        case 1 if held:
            held.insert(chance.randrange(len(held)), chance.choice(held))
        case 2:
            chance.shuffle(held)
        case 3:
            held = []
        case 4 if held:
            held += [chance.choice(held)] * chance.choice((1, 2, 50))
        case _ if field.type == FieldDescriptor.TYPE_MESSAGE:
            value.add()
            return
        case _:
            new = _scalar(field, chance)
            at = chance.randrange(len(held) + 1)
            held[at : at + 1] = [new]
    message.ClearField(field.name)
    for one in held:
        try:
            getattr(message, field.name).append(one)
        except (ValueError, TypeError):
            continue


def _scalar(field: Any, chance: random.Random) -> Any:
    kind = field.cpp_type
    if kind == FieldDescriptor.CPPTYPE_STRING:
        if field.type == FieldDescriptor.TYPE_BYTES:
            return chance.randbytes(chance.choice((0, 1, 3, 8, 100)))
        return chance.choice(_OPERATORS if field.name == "op_type" else _TEXTS)
    if kind in (FieldDescriptor.CPPTYPE_FLOAT, FieldDescriptor.CPPTYPE_DOUBLE):
        return chance.choice(_NUMBERS)
    if kind == FieldDescriptor.CPPTYPE_ENUM:
        return chance.randrange(-1, 30)
    return chance.choice((*_INTEGERS, chance.randrange(-5, 30)))
