"""Draws the rows of one outline as strips, and remembers them: scrolling by one row draws one row."""

from __future__ import annotations

from functools import partial

from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from friction_tui.drawing.glyphs import ASCII, UNICODE
from friction_tui.drawing.heat import heat
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.text import Role, RowText, Segment, lanes_for
from friction_tui.tui.lines import strip_of
from friction_tui.tui.roles import cursor_style, role_style

STRIPS_KEPT = 2_000
HEAT_WIDTH = 3
"""Columns of the heat strip, with the gap before it."""
HEAT_FROM = 40
"""Columns from which there is room for the heat strip."""

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
        self._heat: list[list[Segment]] = []
        self._heat_of: tuple[int, int] = (-1, 0)
        self._prepared: tuple[int, int, int] = (-1, 0, 0)
        self._strips: dict[int, Strip] = {}
        self._strips_of: tuple[object, ...] = ()
        self._gutters: dict[int, tuple[int, int]] = {}

    def line(self, y: int, top: int, size: Size, cursor: int) -> Strip:
        """Line `y` of a panel of `size` cells that begins at row `top`."""
        row = top + y
        if row >= len(self._outline):
            return Strip.blank(size.width, role_style(self._widget, "text"))
        self._prepare(top, size.height)
        heat_width = HEAT_WIDTH if size.width >= HEAT_FROM else 0
        width = size.width - heat_width
        if row == cursor:
            strip = self._strip(self.text.segments(row, width), under=True)
        else:
            strip = self._remembered(row, width)
        return Strip.join([strip, self._strip(self._heat_line(y, size.height))]) if heat_width else strip

    def _prepare(self, top: int, height: int) -> None:
        """Lay out the gutters of a screen; where one got wider, rows drawn before do not line up any more."""
        if self._prepared == (self._outline.version, top, height):
            return
        self._prepared = (self._outline.version, top, height)
        last = min(top + height, len(self._outline))
        self.text.prepare(top, last)
        spans = {frame: self.text.sheets.span(frame) for frame in set(self._outline.rows.frame[top:last])}
        if any(self._gutters.get(frame, span) != span for frame, span in spans.items()):
            self._strips = {}
        self._gutters |= spans

    def _remembered(self, row: int, width: int) -> Strip:
        text, colours = self.text, self._widget.app.theme_variables
        drawn_of = (self._outline.version, width, id(colours), id(text.labels), id(text.notes))
        if drawn_of != self._strips_of or len(self._strips) > STRIPS_KEPT:
            self._strips, self._strips_of = {}, drawn_of
        if row not in self._strips:
            self._strips[row] = self._strip(self.text.segments(row, width))
        return self._strips[row]

    def _strip(self, segments: list[Segment], *, under: bool = False) -> Strip:
        style = partial(cursor_style if under else role_style, self._widget)
        return strip_of([(text, LINE_ROLES[role]) for text, role in segments], style)

    def _heat_line(self, y: int, height: int) -> list[Segment]:
        if self._heat_of != (self._outline.version, height):
            self._heat = heat(self._outline, height, self._glyphs)
            self._heat_of = (self._outline.version, height)
        return [(" ", Role.DIM), *self._heat[y]]
