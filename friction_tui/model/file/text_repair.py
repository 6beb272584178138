r"""Names that are not valid UTF-8, from damaged files and from exporters that write their system's own encoding.

Protobuf hands such strings over as bytes. They are spelt out (`\xb3`) once, on opening, so that every name
anywhere is text.
"""

from __future__ import annotations

from typing import Any

from google.protobuf.message import Message


def repair_text(message: Message) -> None:
    """Make every string in `message` text, in place: what is not UTF-8 is spelt out."""
    pending: list[Any] = [message]
    while pending:
        current = pending.pop()
        for field, value in current.ListFields():
            repeated = hasattr(value, "extend")
            if field.type == field.TYPE_MESSAGE:
                pending.extend(value if repeated else (value,))
            elif field.type == field.TYPE_STRING and repeated:
                if any(isinstance(text, bytes) for text in value):
                    value[:] = [_text(text) for text in value]
            elif field.type == field.TYPE_STRING and isinstance(value, bytes):
                setattr(current, field.name, _text(value))


def _text(value: str | bytes) -> str:
    return value if isinstance(value, str) else value.decode("utf-8", "backslashreplace")
