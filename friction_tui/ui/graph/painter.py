"""Draws the rows of one outline as strips, and remembers them: scrolling by one row draws one row."""

from __future__ import annotations

from rich.cells import cell_len, set_cell_size
from rich.segment import Segment as Styled
from textual.geometry import Size
from textual.strip import Strip
from textual.widget import Widget

from friction_tui.drawing.glyphs import ASCII, UNICODE
from friction_tui.drawing.minimap import minimap
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import Role, Segment
from friction_tui.drawing.text import RowText, lanes_for
from friction_tui.ui.look.roles import PEOPLE, cursor_style, role_style
from friction_tui.vocabulary.protocol import Viewer

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
LONGEST_NAME, SHORT_NAME = 8, 3
"""Cells for the name of another viewer in the gutter, and on a panel of less than `WIDE_FROM` columns."""
WIDE_FROM = 70


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
        self.people: dict[str, list[Viewer]] = {}
        """The other viewers of a shared session, by the path that their cursor is on."""
        self.names: tuple[str, ...] = ()
        """All of their names, for which a gutter is kept free."""
        self._people_at: dict[int, Viewer] = {}
        self._people_of: tuple[object, ...] = ()

    def line(self, y: int, top: int, size: Size, cursor: int) -> Strip:
        """Line `y` of a panel of `size` cells that begins at row `top`."""
        row = top + y
        if row >= len(self._outline):
            return Strip.blank(size.width, role_style(self._widget, "text"))
        self._prepare(top, size.height)
        minimap_width = MINIMAP_WIDTH if size.width >= MINIMAP_FROM else 0
        gutter = self._names_width(size.width)
        width = size.width - minimap_width - gutter
        if row == cursor:
            pieces = self._styled(self.text.segments(row, width), under=True)
        else:
            pieces = self._remembered(row, width)
        if gutter:
            pieces = [self._who(row, gutter), *pieces]
        if minimap_width:
            pieces = [*pieces, *self._styled(self._minimap_line(y, size.height))]
        return Strip(pieces, size.width)

    def _names_width(self, width: int) -> int:
        """Columns of the gutter with the others' names; none where nobody else is there."""
        longest = LONGEST_NAME if width >= WIDE_FROM else SHORT_NAME
        return 1 + min(max(map(cell_len, self.names)), longest) + 1 if self.names else 0

    def _who(self, row: int, width: int) -> Styled:
        """The name of who is on a row, or folded into it."""
        made_of = (self._outline.version, id(self.people))
        if self._people_of != made_of:
            rows = ((self._outline.row_of(path), here) for path, here in self.people.items())
            self._people_at, self._people_of = {at: here[0] for at, here in rows if at is not None}, made_of
        viewer = self._people_at.get(row)
        if viewer is None:
            return Styled(" " * width, role_style(self._widget, "text"))
        mark = ">" if self._glyphs is ASCII else "▸"
        name = set_cell_size(viewer.name, width - 2)
        return Styled(f"{mark}{name} ", role_style(self._widget, PEOPLE[viewer.colour % len(PEOPLE)]))

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
