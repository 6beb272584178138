"""Pictures on a screen of their own: the nodes around one node, and the groups of the whole graph."""

from __future__ import annotations

from functools import partial
from typing import TYPE_CHECKING, ClassVar

from rich.markup import escape
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.geometry import Size
from textual.screen import ModalScreen
from textual.scroll_view import ScrollView
from textual.strip import Strip

from friction_tui.drawing.glyphs import ASCII, UNICODE
from friction_tui.drawing.neighbourhood import Box, Neighbourhood, neighbourhood
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.overview import Group, Overview, overview, worst_item
from friction_tui.ui.graph.painter import LINE_ROLES
from friction_tui.ui.look.lines import strip_of
from friction_tui.ui.look.roles import cursor_style, role_style
from friction_tui.ui.panel import Panel
from friction_tui.ui.screens import StateScreen

if TYPE_CHECKING:
    from friction_tui.ui.workbench import Workbench

BOX_LINES = 3


class Picture(Panel, ScrollView):
    """Boxes and lines. Arrows go from box to box; subclasses draw."""

    DEFAULT_CSS = "Picture { overflow-x: hidden; overflow-y: auto; }"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(0, -1)", "Up", show=False, id="around.up", tooltip="Box above"),
        Binding("down,j", "move(0, 1)", "Down", show=False, id="around.down", tooltip="Box below"),
        Binding("left", "move(-1, 0)", "Left", show=False, id="around.left", tooltip="Box to the left"),
        Binding("right", "move(1, 0)", "Right", show=False, id="around.right", tooltip="Box to the right"),
    ]
    KEYS: ClassVar[str] = "arrows choose   Enter goes there   Esc leaves"

    def __init__(self, outline: Outline, item: int, *, ascii_only: bool) -> None:
        super().__init__(id="around")
        self._outline, self._glyphs = outline, ASCII if ascii_only else UNICODE
        self.item = item
        """What the chosen box stands for."""
        self._picture: Neighbourhood | Overview = Neighbourhood([], ())

    @property
    def path(self) -> str:
        """The path of what Enter goes to."""
        raise NotImplementedError

    def picture(self, width: int) -> Neighbourhood | Overview:
        """The picture at `width` columns."""
        raise NotImplementedError

    @property
    def _box(self) -> Box | None:
        return next((box for box in self._picture.boxes if box.item == self.item), None)

    def on_resize(self) -> None:
        """Drawn for the width there is."""
        self._draw()

    def _draw(self) -> None:
        width = max(self.scrollable_content_region.width, 16)
        self._picture = self.picture(width)
        self.border_title = self.title()
        self.virtual_size = Size(width, len(self._picture.lines))
        self.refresh()
        self.call_after_refresh(self._keep_in_view)

    def _keep_in_view(self) -> None:
        box = self._box
        if box is not None:
            middle = box.line - (self.scrollable_content_region.height - BOX_LINES) // 2
            self.scroll_to(y=max(middle, 0), animate=False, force=True)

    def render_line(self, y: int) -> Strip:
        """One line, the chosen box marked."""
        width, row = self.scrollable_content_region.width, y + self.scroll_offset.y
        style = partial(role_style, self)
        if row >= len(self._picture.lines):
            return Strip.blank(width, style("text"))
        strip = strip_of([(text, LINE_ROLES[role]) for text, role in self._picture.lines[row]], style)
        strip = strip.adjust_cell_length(width, style("text"))
        box = self._box
        if box is None or not box.line <= row < box.line + BOX_LINES:
            return strip
        left, inside, right = strip.divide([box.column, box.column + box.width, width])
        return Strip.join([left, inside.apply_style(cursor_style(self, "text")), right])

    def action_move(self, across: int, down: int) -> None:
        """To the nearest box in this direction."""
        here = self._box
        if here is None:
            return

        def apart(box: Box) -> tuple[int, int]:
            columns = abs(box.column + box.width // 2 - here.column - here.width // 2)
            lines = abs(box.line - here.line)
            return (lines, columns) if down else (columns, lines)

        there = [
            box
            for box in self._picture.boxes
            if (box.line - here.line) * down > 0 or (box.line == here.line and (box.column - here.column) * across > 0)
        ]
        if there:
            self.item = min(there, key=apart).item
            self.refresh()
            self._keep_in_view()


class Around(Picture):
    """The nodes around one node."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "centre", "Centre", show=False, id="around.centre", tooltip="Draw what is around this node"),
    ]
    KEYS = "arrows choose   Space centres   Enter goes there   Esc leaves"

    def __init__(self, outline: Outline, item: int, *, ascii_only: bool) -> None:
        super().__init__(outline, item, ascii_only=ascii_only)
        self._middle = item

    def title(self) -> str:
        """`Around head/Reshape`."""
        return escape(f"Around {self._outline.graph.names[self._middle] or self._outline.graph.ops[self._middle]}")

    @property
    def path(self) -> str:
        """The path of the chosen node."""
        return self._outline.graph.paths[self.item]

    def picture(self, width: int) -> Neighbourhood:
        """Around the node in the middle."""
        return neighbourhood(self._outline, self._middle, width, self._glyphs)

    def action_centre(self) -> None:
        """The chosen node is the middle of a new picture."""
        self._middle = self.item
        self._draw()


class Map(Picture):
    """The groups of the whole graph."""

    def title(self) -> str:
        """`Overview ─ 8 groups ─ shade: share of the nodes`."""
        return f"Overview ─ {len(self._groups)} groups ─ shade: number of nodes"

    @property
    def _groups(self) -> tuple[Group, ...]:
        return self._picture.groups if isinstance(self._picture, Overview) else ()

    @property
    def path(self) -> str:
        """The worst node of the chosen group, else its first."""
        if self.item >= len(self._groups):
            return ""
        return self._outline.graph.paths[worst_item(self._outline, self._groups[self.item])]

    def picture(self, width: int) -> Overview:
        """All groups; the cursor starts on the one with the graph's cursor, and stays in it at another width."""
        position = self._outline.position[self._at()]
        picture = overview(self._outline, width, self._glyphs)
        inside = (number for number, group in enumerate(picture.groups) if group.first <= position < group.last)
        self.item = next(inside, 0)
        return picture

    def _at(self) -> int:
        if not self._groups:
            return self.item
        return self._outline.graph.order[self._groups[self.item].first]


class AroundScreen(StateScreen[None], ModalScreen[None]):
    """Enter goes to what was chosen in the outline."""

    CSS_PATH = "around.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q,G,M", "dismiss", "Close", show=False, id="around.close", tooltip="Back to the outline"),
        Binding("enter", "go", "Go there", show=False, id="around.go", tooltip="Go to this node in the outline"),
    ]

    def __init__(self, bench: Workbench, picture: Picture) -> None:
        super().__init__(bench.state)
        self._bench = bench
        self._around = picture

    def compose(self) -> ComposeResult:
        """The picture, with its keys in the border."""
        self._around.border_subtitle = self._around.KEYS
        yield self._around

    def action_go(self) -> None:
        """Leave for the chosen node."""
        self.dismiss()
        self._bench.show_panel("graph")
        if self._around.path:
            self._bench.graph.reveal(self._around.path)
