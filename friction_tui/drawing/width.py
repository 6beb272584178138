"""How wide text is in a terminal, and how to cut it without pretending it was all there."""

from __future__ import annotations

import unicodedata
from functools import lru_cache


@lru_cache(maxsize=4096)
def char_width(char: str) -> int:
    """Columns of one character: 2 for wide ones (CJK, emoji), 0 for combining marks and joiners, else 1."""
    if char.isascii():
        return 1
    if unicodedata.combining(char) or unicodedata.category(char) in ("Mn", "Me", "Cf"):
        return 0
    return 2 if unicodedata.east_asian_width(char) in ("W", "F") else 1


def columns(text: str) -> int:
    """Columns of a text without control characters."""
    return len(text) if text.isascii() else _wide_columns(text)


@lru_cache(maxsize=8192)
def _wide_columns(text: str) -> int:
    return sum(map(char_width, text))


def visible(text: str) -> str:
    """The text with control characters, line breaks and invisible direction marks written out as escapes."""
    if text.isprintable():
        return text
    return "".join(char if char.isprintable() else _escaped(char) for char in text)


def visible_lines(text: str) -> str:
    """As `visible`, but line breaks stay."""
    return "\n".join(visible(line) for line in text.splitlines())


def _escaped(char: str) -> str:
    code = ord(char)
    named = {"\n": "\\n", "\r": "\\r", "\t": "\\t"}.get(char)
    return named or (f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}" if code < 0x10000 else f"\\U{code:08x}")


def cut(text: str, width: int, dots: str = "…") -> str:
    """The text in at most `width` columns, its end replaced by `dots` when it does not fit."""
    if columns(text) <= width:
        return text
    kept, room = [], width - columns(dots)
    for char in text:
        room -= char_width(char)
        if room < 0:
            break
        kept.append(char)
    return ("".join(kept) + dots)[: max(width, 0)] if width < columns(dots) else "".join(kept) + dots


def cut_middle(text: str, width: int, dots: str = "…") -> str:
    """As `cut`, but keeps both ends: the end of a long name is often what tells it from others."""
    if columns(text) <= width:
        return text
    if width < 8:
        return cut(text, width, dots)
    tail, room = [], (width - columns(dots)) // 2
    for char in reversed(text):
        room -= char_width(char)
        if room < 0:
            break
        tail.append(char)
    end = "".join(reversed(tail))
    return cut(text, width - columns(end), dots) + end
