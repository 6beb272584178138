"""Draws the rows of one outline as strips, and remembers them: scrolling by one row draws one row."""

from __future__ import annotations

from rich.segment import Segment as Styled
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from friction_tui.drawing.glyphs import ASCII, UNICODE
from friction_tui.drawing.minimap import minimap
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import Role, Segment
from friction_tui.drawing.text import RowText, lanes_for
from friction_tui.ui.look.roles import cursor_style, role_style

ROWS_KEPT = 2_000
MINIMAP_WIDTH = 3
"""Columns of the minimap strip, with the gap before it."""
MINIMAP_FROM = 40
"""Columns from which there is room for the minimap strip."""

LINE_ROLES = {
    Role.GUTTER: "gutter",
    Role.GLYPH_OK: "glyph",
    Role.GLYPH_ERROR: "error",
    Role.GLYPH_WARNING: "warning",
    Role.GLYPH_UNKNOWN: "note",
    Role.OP: "text",
    Role.NAME: "name",
    Role.SCOPE: "strong",
    Role.SHAPE: "muted",
    Role.COUNT: "muted",
    Role.FAR: "link",
    Role.DIM: "gutter",
    Role.MARK_ERROR: "error",
    Role.MARK_WARNING: "warning",
    Role.MARK_UNKNOWN: "note",
    Role.GOES: "error",
    Role.CHANGES: "good",
}


class GraphPainter:
    """Strips for `widget`, on whose background it draws. A change of labels, marks or notes is seen by itself."""

    def __init__(
        self, widget: Widget, outline: Outline, labels: list[str], notes: dict[str, str], *, ascii_only: bool
    ) -> None:
        self._widget = widget
        self._outline = outline
        self._glyphs = ASCII if ascii_only else UNICODE
        lanes = lanes_for(widget.app.size.width)
        self.text = RowText(outline, lanes=lanes, glyphs=self._glyphs, labels=labels, notes=notes)
        self._minimap: list[list[Segment]] = []
        self._minimap_of: tuple[int, int] = (-1, 0)
        self._prepared: tuple[int, int, int] = (-1, 0, 0)
        self._drawn: dict[int, list[Styled]] = {}
        self._drawn_of: tuple[object, ...] = ()
        self._gutters: dict[int, tuple[int, int]] = {}

    def line(self, y: int, top: int, size: Size, cursor: int) -> Strip:
        """Line `y` of a panel of `size` cells that begins at row `top`."""
        row = top + y
        if row >= len(self._outline):
            return Strip.blank(size.width, role_style(self._widget, "text"))
        self._prepare(top, size.height)
        minimap_width = MINIMAP_WIDTH if size.width >= MINIMAP_FROM else 0
        width = size.width - minimap_width
        if row == cursor:
            pieces = self._styled(self.text.segments(row, width), under=True)
        else:
            pieces = self._remembered(row, width)
        if minimap_width:
            pieces = [*pieces, *self._styled(self._minimap_line(y, size.height))]
        return Strip(pieces, size.width)

    def _prepare(self, top: int, height: int) -> None:
        """Lay out the gutters of a screen; where one got wider, rows drawn before do not line up any more."""
        if self._prepared == (self._outline.version, top, height):
            return
        self._prepared = (self._outline.version, top, height)
        last = min(top + height, len(self._outline))
        self.text.prepare(top, last)
        spans = {frame: self.text.sheets.span(frame) for frame in set(self._outline.rows.frame[top:last])}
        if any(self._gutters.get(frame, span) != span for frame, span in spans.items()):
            self._drawn = {}
        self._gutters |= spans

    def _remembered(self, row: int, width: int) -> list[Styled]:
        text, colours = self.text, self._widget.app.theme_variables
        drawn_of = (self._outline.version, width, id(colours), id(text.labels), id(text.notes), id(text.changes))
        if drawn_of != self._drawn_of or len(self._drawn) > ROWS_KEPT:
            self._drawn, self._drawn_of = {}, drawn_of
        if row not in self._drawn:
            self._drawn[row] = self._styled(self.text.segments(row, width))
        return self._drawn[row]

    def _styled(self, segments: list[Segment], *, under: bool = False) -> list[Styled]:
        """The segments in the theme's colours; blanks take their neighbour's, which saves a run."""
        style, widget = cursor_style if under else role_style, self._widget
        pieces: list[Styled] = []
        for text, role in segments:
            if pieces and text.isspace():
                pieces[-1] = Styled(pieces[-1].text + text, pieces[-1].style)
            else:
                pieces.append(Styled(text, style(widget, LINE_ROLES[role])))
        return pieces

    def _minimap_line(self, y: int, height: int) -> list[Segment]:
        if self._minimap_of != (self._outline.version, height):
            self._minimap = minimap(self._outline, height, self._glyphs)
            self._minimap_of = (self._outline.version, height)
        return [(" ", Role.DIM), *self._minimap[y]]
