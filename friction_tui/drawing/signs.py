"""What an item is called and which glyph stands for it."""

from __future__ import annotations

from friction_tui.drawing.glyphs import Glyphs
from friction_tui.drawing.marks import ProblemMark
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.scopes import INPUT, OUTER, OUTPUT


def mark_glyph(mark: ProblemMark, glyphs: Glyphs) -> str:
    """The symbol of a mark."""
    return {ProblemMark.ERROR: glyphs.error, ProblemMark.WARNING: glyphs.warning, ProblemMark.UNKNOWN: glyphs.unknown}[
        mark
    ]


def item_glyph(outline: Outline, item: int, glyphs: Glyphs) -> str:
    """The symbol of an item's mark, else of what it is."""
    mark = outline.marks.get(item)
    if mark:
        return mark_glyph(mark, glyphs)
    op = outline.graph.ops[item]
    if op in (INPUT, OUTER):
        return glyphs.input
    if op == OUTPUT:
        return glyphs.output
    return glyphs.control if outline.graph.owners.get(item) else glyphs.node


def item_name(outline: Outline, item: int) -> str:
    """The module an item is alone in, else its name without its scope; empty when that only repeats the operator."""
    graph = outline.graph
    caption = outline.tree.captions.get(outline.position[item])
    if caption:
        return caption
    name = graph.names[item]
    prefix = "/".join(("", *graph.scope_table[graph.scopes[item]], ""))
    if name.startswith(prefix):
        name = name[len(prefix) :]
    elif name.startswith(prefix[1:]):
        name = name[len(prefix) - 1 :]
    return "" if name == graph.ops[item] else name
