"""The last step before the terminal in ASCII mode: borders, scrollbars, titles and whatever sign is left.

Panels write their own signs in ASCII first (`lines.in_ascii`), where one sign may take several characters. Here
each takes exactly one, so that nothing moves. Names that the user chose stay as they are.
"""

from __future__ import annotations

from rich.segment import Segment
from textual.color import Color
from textual.filter import LineFilter

_SIGNS = {
    "-": "─━┄┅╌╍▔‾–—−╴╶",
    "|": "│┃┆┇╎╏▏▎▍▌▐▕▊▉",
    "+": "┌┐└┘├┤┬┴┼╭╮╰╯┏┓┗┛┣┫┳┻╋┷┯✓",
    " ": "▁▂▃▄▅▆▇▀",
    "#": "█▓▒",
    ":": "░",
    ">": "→▸▶⇢►",
    "<": "←◂◀⇠◄",
    "^": "↑▲△",
    "v": "↓▼▽▾",
    "x": "×",
    "X": "✗",
    ".": "·",
    "~": "…",
    "o": "●○",
    "*": "•",
    "=": "≠",
    "'": "‘’",
    '"': "“”",
}
_GLASS = "\N{RIGHT-POINTING MAGNIFYING GLASS}"
"""Before what is typed into Textual's palette; two cells wide."""
_ONE_FOR_ONE = str.maketrans({sign: plain for plain, signs in _SIGNS.items() for sign in signs} | {_GLASS: "/ "})


class InAscii(LineFilter):
    """Writes our signs as single ASCII characters."""

    def apply(self, segments: list[Segment], background: Color) -> list[Segment]:  # noqa: ARG002
        """The same segments, as wide as before."""
        return [
            segment if segment.text.isascii() else Segment(segment.text.translate(_ONE_FOR_ONE), segment.style)
            for segment in segments
        ]
