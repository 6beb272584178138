"""The same drawing as lines of plain text, for `friction-tui graph MODEL` and for reports."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Literal

from friction_tui.drawing.glyphs import ASCII, UNICODE
from friction_tui.drawing.marks import ProblemMark
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.rows import Kind
from friction_tui.drawing.text import RowText, lanes_for
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import GraphData

AUTO_ROWS = 120
"""Scopes are opened level by level up to so many rows."""
AUTO_MARKS = 24
"""So many of the most severe problems are opened in any case."""


def print_graph(
    graph: GraphData,
    marks: Mapping[str, Severity | ProblemMark] | None = None,
    labels: Sequence[str] = (),
    width: int = 100,
    ascii: bool = False,
    fold: Literal["auto", "open"] = "auto",
    notes: Mapping[str, str] | None = None,
) -> Iterator[str]:
    """The graph's rows, at most `width` columns each.

    `auto` folds what would be too long and opens what has problems, one of each kind of repeated module;
    `open` shows everything. `labels` are shapes parallel to `graph.names`; `notes` say by path what a mark is about.
    """
    outline = Outline(graph if graph.order else with_order(graph))
    outline.set_marks(marks or {})
    if fold == "open":
        outline.unfold()
    else:
        outline.unfold_to(AUTO_ROWS)
        _reveal_gravest(outline)
    text = RowText(outline, lanes=lanes_for(width), glyphs=ASCII if ascii else UNICODE, labels=labels, notes=notes)
    text.prepare(0, len(outline))
    for row in range(len(outline)):
        yield text.plain(row, width)


def _reveal_gravest(outline: Outline) -> None:
    """Open the way to errors, else warnings, else open questions; each repeated module only once."""
    worst = max(outline.marks.values(), default=None)
    seen: set[int] = set()
    marked = sorted((outline.rank(item), item) for item, mark in outline.marks.items() if mark == worst)
    for _, item in marked[:AUTO_MARKS]:
        path = outline.graph.paths[item]
        row = outline.row_of(path)
        if row is None:
            continue
        kind, _, _, number, _, _ = outline[row]
        if kind == Kind.REPEAT and number in seen:
            continue
        seen |= outline.repeats_around(item)
        outline.reveal(path)
