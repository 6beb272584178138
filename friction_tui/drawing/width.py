"""Text cut to a width in terminal cells, always with an ellipsis, and control characters made visible.

The width of a text is what Rich says, everywhere: that is what the terminal library lays it out by.
"""

from __future__ import annotations

from rich.cells import cell_len


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
    """The text in at most `width` cells, its end replaced by `dots` when it does not fit."""
    if cell_len(text) <= width:
        return text
    kept, room = [], width - cell_len(dots)
    for char in text:
        room -= cell_len(char)
        if room < 0:
            break
        kept.append(char)
    return ("".join(kept) + dots)[: max(width, 0)] if width < cell_len(dots) else "".join(kept) + dots


def cut_middle(text: str, width: int, dots: str = "…") -> str:
    """As `cut`, but keeps both ends: the end of a long name is often what tells it from others."""
    if cell_len(text) <= width:
        return text
    if width < 8:
        return cut(text, width, dots)
    tail, room = [], (width - cell_len(dots)) // 2
    for char in reversed(text):
        room -= cell_len(char)
        if room < 0:
            break
        tail.append(char)
    end = "".join(reversed(tail))
    return cut(text, width - cell_len(end), dots) + end
