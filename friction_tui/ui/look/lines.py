"""Lines of styled text: what a panel's content is made of before it becomes a Textual strip.

A span is a text with the *role* it plays (`error`, `muted`, `name`…); what a role looks like is the theme's
business. Neighbours of one role are merged, because every style run costs bytes over SSH.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import TypeAlias

from rich.cells import cell_len, chop_cells, set_cell_size
from rich.segment import Segment
from rich.style import Style
from textual.strip import Strip

from friction_tui.drawing.width import visible
from friction_tui.vocabulary.finding import Severity, Tier

Span: TypeAlias = tuple[str, str]
"""Text and role, one of `roles.LOOKS`."""

SYMBOLS = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "·"}
ASCII_SYMBOLS = {Severity.ERROR: "X", Severity.WARNING: "!", Severity.NOTE: "."}
UNSURE_TIERS = frozenset({Tier.UNCHECKED, Tier.UNKNOWN})


def symbol(severity: Severity, tier: Tier | None = None, *, ascii_only: bool = False) -> Span:
    """The mark of a finding and its role: `?` where it is not known."""
    if tier in UNSURE_TIERS:
        return "?", "note"
    role = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "muted"}[severity]
    return (ASCII_SYMBOLS if ascii_only else SYMBOLS)[severity], role


@dataclass(frozen=True, slots=True)
class Line:
    """One line: spans from the left, a `tail` that keeps to the right edge, and what it stands for.

    Neighbouring lines with one `key` are one entry to the cursor; None cannot be selected.
    """

    spans: tuple[Span, ...] = ()
    tail: tuple[Span, ...] = ()
    key: object = None


def width_of(spans: Iterable[Span]) -> int:
    """Cells that the spans take."""
    return sum(cell_len(text) for text, _ in spans)


def cut(spans: Sequence[Span], width: int) -> list[Span]:
    """The spans in at most `width` cells, ending in `…` where something was left out."""
    if width_of(spans) <= width:
        return list(spans)
    kept: list[Span] = []
    room = width - 1
    for text, role in spans:
        size = cell_len(text)
        if size > room:
            kept.append((set_cell_size(text, max(room, 0)).rstrip() + "…", role))
            break
        kept.append((text, role))
        room -= size
    return kept if width > 0 else []


def fitted(line: Line, width: int) -> list[Span]:
    """The line in exactly `width` cells; the left gives way to the tail, down to a third of the line."""
    spans = _shown(line.spans)
    tail = _shown(line.tail)
    tail = cut(tail, max(width - min(width_of(spans) + 1, width // 3), 0)) if tail else []
    tail_width = width_of(tail)
    left = cut(spans, width - tail_width - (1 if tail else 0))
    gap = width - width_of(left) - tail_width
    return [*left, (" " * gap, "text"), *tail]


def _shown(spans: Sequence[Span]) -> list[Span]:
    """The spans as they are drawn: what is written out as an escape takes more room than it seems."""
    return [(visible(text), role) for text, role in spans]


def wrapped(text: str, width: int) -> list[str]:
    """`text` broken into lines of at most `width` cells, at spaces where possible, keeping its own line breaks."""
    lines: list[str] = []
    for paragraph in text.splitlines() or [""]:
        current = ""
        for word in paragraph.split(" "):
            if cell_len(current) + bool(current) + cell_len(word) <= width:
                current = f"{current} {word}" if current else word
                continue
            if current:
                lines.append(current)
            *full, current = _chopped(word, max(width, 1))
            lines.extend(full)
        lines.append(current)
    return lines


def _chopped(word: str, width: int) -> list[str]:
    """A word in pieces of at most `width` cells: a path after its slashes where that wastes less than half a line."""
    pieces = []
    while cell_len(word) > width:
        piece = chop_cells(word, width)[0]
        slash = piece.rfind("/") + 1
        piece = piece[:slash] if slash > len(piece) // 2 else piece
        pieces.append(piece)
        word = word[len(piece) :]
    return [*pieces, word]


def paragraph(
    text: str, width: int, role: str = "text", *, indent: Sequence[Span] = (), key: object = None
) -> list[Line]:
    """`text` wrapped into lines whose first starts with `indent` and the rest with as much space."""
    margin = width_of(indent)
    lines = wrapped(text, max(width - margin, 8))
    first = Line((*indent, (lines[0], role)), key=key)
    return [first, *(Line(((" " * margin, "text"), (line, role)), key=key) for line in lines[1:])]


_IN_ASCII = str.maketrans(
    {"·": "-", "→": "->", "←": "<-", "≤": "<=", "≥": ">=", "≠": "!=", "×": "x", "−": "-", "–": "-", "─": "-", "²": "^2"}
    | {"“": '"', "”": '"', "’": "'", "▸": ">", "◂": "<", "✓": "+", "✗": "X"}
)
"""Our own signs for a terminal that has only ASCII; names that the user chose stay as they are."""


def in_ascii(line: Line) -> Line:
    """The line with our signs written in ASCII."""
    spans, tail = (tuple((text.translate(_IN_ASCII), role) for text, role in part) for part in (line.spans, line.tail))
    return Line(spans, tail, line.key)


def packed(items: Iterable[Sequence[Span]], width: int, gap: int = 3) -> list[Line]:
    """The items beside each other, as many a line as fit."""
    rows: list[list[Span]] = []
    for item in items:
        if rows and width_of(rows[-1]) + gap + width_of(item) <= width:
            rows[-1] += [(" " * gap, "text"), *item]
        else:
            rows.append(list(item))
    return [Line(tuple(cut(row, width))) for row in rows]


def strip_of(spans: Iterable[Span], style_of: Callable[[str], Style]) -> Strip:
    """The spans as a Textual strip, neighbours of one role merged."""
    runs: list[tuple[str, list[str]]] = []
    for raw, role in spans:
        if not raw:
            continue
        text = visible(raw)
        if runs and (runs[-1][0] == role or text.isspace()):
            runs[-1][1].append(text)  # blanks take their neighbour's style: one run less
        else:
            runs.append((role, [text]))
    return Strip([Segment("".join(texts), style_of(role)) for role, texts in runs])
