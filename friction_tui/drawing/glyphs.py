"""Two sets of characters: box drawing, and ASCII for fonts and logs without it.

Both say the same. A value that runs on below a reader joins it with `├ ┼ ┤` (`+`), one that ends there with
`╰ ┴ ╯` (`'`); a lane that is merely crossed keeps its `│`, so `─│─` never connects and `─┼─` always does.
"""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True, eq=False)
class Glyphs:
    """What each thing is drawn with; every glyph is one column wide."""

    lane: str
    across: str
    on: tuple[str, str, str]
    """A lane that is read and runs on: leftmost, in the middle, rightmost of a row's connections."""
    end: tuple[str, str, str]
    """A lane that is read and ends."""
    node: str
    input: str
    output: str
    control: str
    group: str
    folded: str
    opened: str
    error: str
    warning: str
    unknown: str
    far_in: str
    far_out: str
    back: str
    """A far reference to a later row: the graph has a cycle."""
    hidden: str
    """An operand the filter leaves out."""
    times: str
    dots: str
    minimap: tuple[str, ...]
    """Rising intensity, from nothing."""


UNICODE = Glyphs(
    lane="│",
    across="─",
    on=("├", "┼", "┤"),
    end=("╰", "┴", "╯"),
    node="●",
    input="▽",
    output="△",
    control="◆",
    group="▸",
    folded="▸",
    opened="▾",
    error="✗",
    warning="!",
    unknown="?",
    far_in="⇠",
    far_out="⇢",
    back="↺",
    hidden="⋯",
    times="×",
    dots="…",
    minimap=(" ", "⡀", "⣀", "⣄", "⣤", "⣦", "⣶", "⣷", "⣿"),
)

ASCII = Glyphs(
    lane="|",
    across="-",
    on=("+", "+", "+"),
    end=("'", "'", "'"),
    node="o",
    input="v",
    output="^",
    control="%",
    group=">",
    folded=">",
    opened="v",
    error="X",
    warning="!",
    unknown="?",
    far_in="<-",
    far_out="->",
    back="^-",
    hidden="..",
    times="x",
    dots="..",
    minimap=(" ", ".", ":", "-", "=", "+", "*", "%", "#"),
)
