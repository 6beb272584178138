"""The graph panel: draws `friction_tui.drawing`'s outline through the Line API, with a cursor.

Rows are made when they come into view, so the size of the model does not matter to a key press. Laying out a
large graph takes a moment and happens in a thread.
"""

from __future__ import annotations

import asyncio
import gc
from collections.abc import Callable
from functools import partial
from importlib import import_module
from typing import TYPE_CHECKING, ClassVar

from rich.markup import escape
from textual.binding import Binding, BindingType
from textual.events import Click
from textual.geometry import Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from friction_tui.drawing.marks import notes_of
from friction_tui.drawing.same_items import labels, named
from friction_tui.state.app_state import AppState
from friction_tui.state.derived import changed_nodes
from friction_tui.ui.graph.notes import graph_note, graph_title
from friction_tui.ui.look.lines import Line, fitted, strip_of
from friction_tui.ui.look.roles import role_style
from friction_tui.ui.panel import Searched, differs
from friction_tui.vocabulary.protocol import GraphData

if TYPE_CHECKING:
    from friction_tui.drawing.outline import Outline
    from friction_tui.ui.graph.navigation import GraphSearch, Jumps
    from friction_tui.ui.graph.painter import GraphPainter

SMALL = 4_000
"""Items up to which the outline is made at once; more go to a thread."""
AT_ONCE = 4
"""The part of a panel, one in so many, that comes into view when the cursor passes its edge."""
OPEN_ROWS = 120
"""Levels are opened at first as long as no more rows than this are shown."""


class GraphView(Searched, ScrollView):
    """The outline with its lanes. What the cursor is on is said with `Selected`."""

    DEFAULT_CSS = "GraphView { overflow-x: hidden; overflow-y: auto; }"
    NAME = "Graph"
    READS = frozenset(
        {"graph", "labels", "marks", "ascii", "open_file_only", "findings", "summary", "revision", "refused", "jobs"}
        | {"previews", "previewed", "present", "looking"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="graph.up", tooltip="Row above"),
        Binding("down,j", "move(1)", "Down", show=False, id="graph.down", tooltip="Row below"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="graph.page-up", tooltip="One page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="graph.page-down", tooltip="One page down"),
        Binding("home", "end(-1)", "First", show=False, id="graph.first", tooltip="First row"),
        Binding("end", "end(1)", "Last", show=False, id="graph.last", tooltip="Last row"),
        Binding("enter", "inspect", "Inspect", show=False, id="graph.inspect", tooltip="Explain or inspect this node"),
        Binding("space", "turn", "Fold", show=False, id="graph.toggle", tooltip="Fold or unfold"),
        Binding("left", "fold", "Fold", show=False, id="graph.fold", tooltip="Fold, or go to the module around it"),
        Binding("right", "unfold", "Unfold", show=False, id="graph.unfold", tooltip="Unfold"),
        Binding("E", "unfold_all", "Unfold all", show=False, id="graph.unfold-all", tooltip="Unfold everything"),
        Binding("C", "fold_all", "Fold all", show=False, id="graph.fold-all", tooltip="Fold everything"),
        Binding(
            "H",
            "shape_only",
            "Shape-only",
            show=False,
            id="graph.shape_only",
            tooltip="Hide or show shape-only nodes",
        ),
        Binding(
            "left_square_bracket",
            "follow(-1)",
            "To input",
            show=False,
            id="graph.to-input",
            tooltip="Go to where its inputs come from",
        ),
        Binding(
            "right_square_bracket",
            "follow(1)",
            "To reader",
            show=False,
            id="graph.to-reader",
            tooltip="Go to the nodes that read it",
        ),
        Binding("backspace", "return", "Return", show=False, id="graph.return", tooltip="Back to before a jump"),
    ]

    class Selected(Message):
        """The cursor is on another item; `path` is empty on a row that is not a single item.

        `moved`: the user put it there. Otherwise the graph was drawn anew and its items are numbered anew.
        """

        def __init__(self, path: str, *, moved: bool = True) -> None:
            super().__init__()
            self.path = path
            self.moved = moved

        def can_replace(self, message: Message) -> bool:
            """Only the last place counts."""
            return isinstance(message, GraphView.Selected)

    class Entered(Message):
        """Enter on a node."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.outline: Outline | None = None
        self.cursor = 0
        self._painter: GraphPainter | None = None
        self._search: GraphSearch | None = None
        self._jumps: Jumps | None = None
        self._shape_only_hidden = False
        self._notes: dict[str, str] = {}
        """What the mark of an item is about, by its path."""
        self._sized = -1
        """Version of the outline that the scrollbar knows."""
        self._restore: tuple[tuple[str, ...], str, dict[str, str]] = ((), "", {})

    def on_mount(self) -> None:
        """What draws a graph is imported while the worker reads it, after the first paint."""
        super().on_mount()
        for module in ("painter", "navigation"):
            self.call_after_refresh(import_module, f"friction_tui.ui.graph.{module}")

    @property
    def _shown(self) -> Outline | None:
        """The outline, if it has a row to put the cursor on."""
        return self.outline if self.outline is not None and len(self.outline) else None

    # --------------------------------------------------------------------------------------------- state

    def title(self) -> str:
        """`Graph ─ 412 nodes ─ /neck`, and the scope the cursor is in."""
        if self.state.summary is None or self._shown is None:
            return self.NAME
        return escape(graph_title(self.NAME, self.state, self._shown, self.cursor, hides=self._shape_only_hidden))

    def state_changed(self, before: AppState) -> None:
        """Another graph is laid out; other marks and labels only redraw."""
        state = self.state
        if state.graph is not before.graph:
            self._take_graph(state.graph)
        elif self.outline is not None and self._painter is not None:
            if state.marks is not before.marks:
                self.outline.set_marks(state.marks)
                self._notes = notes_of(state.findings)
                self._painter.text.notes = self._notes
            if state.ascii != before.ascii:
                self._make_painter()
            self._painter.text.labels = state.labels
            self._show_people()
            if differs(before, state, ("previews", "previewed")):
                self._painter.text.changes = changed_nodes(state)
            if not len(self.outline):
                self._size_rows()
        if self._shown is None or differs(before, state, self.READS - {"jobs"}):
            self.refresh()

    def _take_graph(self, graph: GraphData | None) -> None:
        if graph is None:
            self.outline = self._painter = None
            self._size_rows()
        elif len(graph.order) <= SMALL:
            self._show_outline(_laid_out(graph))
        else:
            self.run_worker(self._lay_out(graph), exclusive=True, group="outline")

    async def _lay_out(self, graph: GraphData) -> None:
        outline = await asyncio.to_thread(_laid_out, graph)
        if self.state.graph is not graph:
            return
        self._show_outline(outline)
        if self._search is not None:
            await asyncio.to_thread(self._search.prepare)
        gc.freeze()  # a collection that goes through all of a large graph takes 60 ms, in the middle of a key press

    def _show_outline(self, outline: Outline) -> None:
        """Take a new outline; what was open and what the cursor was on are found again, wherever they are now."""
        from friction_tui.ui.graph.navigation import GraphSearch, Jumps, carried_over

        folds, path, known = self._restore
        if self._shown is not None:
            folds, path = carried_over(self._shown, self.cursor, outline.graph)
        elif known:
            places = named(outline.graph, known)
            folds, path = tuple(places[fold] for fold in folds if fold in places), places.get(path, "")
        self._restore = ((), "", {})
        self.outline = outline
        if self._shape_only_hidden:
            outline.set_filter(True)
        outline.set_marks(self.state.marks)
        self._notes = notes_of(self.state.findings)
        for fold in folds:
            outline.reveal(fold)
        self._make_painter()
        self._search, self._jumps = GraphSearch(outline), Jumps()
        self._search.start(self.sought, 0)
        self._size_rows()
        row = outline.row_of(path) if path else None
        self._go(row or 0, moved=False)

    def _make_painter(self) -> None:
        assert self.outline is not None
        from friction_tui.ui.graph.painter import GraphPainter

        state = self.state
        self._painter = GraphPainter(self, self.outline, state.labels, self._notes, ascii_only=state.ascii)
        self._show_people()

    def _show_people(self) -> None:
        """Where the others of a shared session are."""
        present, painter = self.state.present, self._painter
        if painter is not None and (present is not None or painter.names):
            here = present.viewers if present is not None else ()
            painter.people = self.state.others_at
            painter.names = tuple(one.name for one in here if present is not None and one.name != present.you)

    def _size_rows(self) -> None:
        """The rows changed: so does what can be scrolled through."""
        rows = len(self.outline) if self.outline is not None else 0
        self._sized = self.outline.version if self.outline is not None else -1
        width = self.scrollable_content_region.width
        self.cursor = max(0, min(self.cursor, rows - 1))
        self._resize_rows(Size(width, rows or len(graph_note(self.state, width))))
        self.border_title = self.title()
        self._show_hints(on=self.has_focus)
        self.refresh()

    def _show_hints(self, *, on: bool) -> None:
        """Its keys mean nothing without a graph."""
        super()._show_hints(on=on and self._shown is not None)

    def _resize_rows(self, size: Size) -> None:
        """Set how much there is to scroll through; as long as a scrollbar stays, without a layout of the screen."""
        height = self.scrollable_content_region.height
        if self.show_vertical_scrollbar and self.virtual_size.height > height and size.height > height:
            self.set_reactive(ScrollView.virtual_size, size)
            self._scroll_update(size)
            self.scroll_to(y=min(self.scroll_offset.y, size.height - height), animate=False, force=True, immediate=True)
        else:
            self.virtual_size = size

    def on_resize(self) -> None:
        """More lanes where there is more room."""
        if self.outline is not None:
            self._make_painter()
            self._size_rows()
            self._keep_in_view()

    # ----------------------------------------------------------------------------------------- session

    def open_folds(self) -> tuple[str, ...]:
        """What is open, as paths that `restore` takes."""
        from friction_tui.ui.graph.navigation import open_folds

        return open_folds(self.outline) if self.outline is not None else ()

    def restore(self, folds: tuple[str, ...], cursor: str, known: dict[str, str]) -> None:
        """Open these folds and go there as soon as the graph is here; `known` says what was there (see `labels`)."""
        self._restore = (folds, cursor, known)

    def labels(self, *paths: str) -> dict[str, str]:
        """What is at these paths, by which it is found again in a graph that has changed."""
        return labels(self.outline.graph, paths) if self.outline is not None else {}

    # ----------------------------------------------------------------------------------------- drawing

    def render_line(self, y: int) -> Strip:
        """One row of the visible part."""
        size = self.scrollable_content_region.size
        if self._painter is not None and self._shown is not None:
            return self._painter.line(y, self.scroll_offset.y, size, self.cursor)
        said = graph_note(self.state, size.width)[y + self.scroll_offset.y :]
        return strip_of(fitted(said[0] if said else Line(), size.width), partial(role_style, self))

    def on_focus(self) -> None:
        """The cursor shows where keys go."""
        self.refresh_line(self.cursor)

    def on_blur(self) -> None:
        """The cursor shows where keys go."""
        self.refresh_line(self.cursor)

    # ------------------------------------------------------------------------------------------ cursor

    def _go(self, row: int, *, moved: bool = True) -> None:
        """Put the cursor on a row: two lines are redrawn, unless it scrolls."""
        outline = self._shown
        if outline is None:
            return
        before, self.cursor = self.cursor, max(0, min(row, len(outline) - 1))
        self.refresh_line(before)
        self.refresh_line(self.cursor)
        self._keep_in_view()
        title = self.title()
        if title != self.border_title:
            self.border_title = title
        self.post_message(self.Selected(outline.path(self.cursor), moved=moved))

    def _keep_in_view(self) -> None:
        """Past the edge some rows come at once: every scroll sends the whole panel down the line."""
        height = max(self.scrollable_content_region.height, 1)
        margin = min(2, (height - 1) // 2)
        top = self.scroll_offset.y
        if self.cursor < top + margin:
            top = self.cursor - margin - height // AT_ONCE
        elif self.cursor > top + height - 1 - margin:
            top = self.cursor + margin + 1 - height + height // AT_ONCE
        else:
            return
        self.scroll_to(y=max(top, 0), animate=False, force=True, immediate=True)

    def reveal(self, path: str, *, at_top: bool = False) -> None:
        """Show an item, opening folds on the way, and go there; `at_top`: in one of the first rows."""
        row = self.outline.reveal(path) if self.outline is not None else None
        if row is not None:
            self._opened(row)
            if at_top:
                self.scroll_to(y=max(row - 1, 0), animate=False, force=True, immediate=True)

    def _opened(self, row: int) -> None:
        """Go to a row; folds may have been opened on the way."""
        if self.outline is not None and self.outline.version != self._sized:
            self._size_rows()
        self._go(row)

    def action_move(self, step: int) -> None:
        """Rows up or down; where there are none, what is said instead."""
        if self._shown is None:
            self.scroll_relative(y=step, animate=False)
        self._go(self.cursor + step)

    def action_page(self, direction: int) -> None:
        """A page up or down."""
        self._go(self.cursor + direction * max(self.scrollable_content_region.height - 2, 1))

    def action_end(self, direction: int) -> None:
        """First or last row."""
        self._go(0 if direction < 0 else self.virtual_size.height - 1)

    def on_click(self, event: Click) -> None:
        """Put the cursor where the mouse is; a second time there folds or unfolds."""
        at = event.get_content_offset(self)
        if at is None:
            return
        row = at.y + self.scroll_offset.y
        if row == self.cursor and event.chain == 2:
            self.action_turn()
        self._go(row)

    # ------------------------------------------------------------------------------------------- folds

    def action_turn(self) -> None:
        """Fold or unfold."""
        if self._shown is not None:
            row = self._shown.toggle(self.cursor)
            self._size_rows()
            self._go(row)

    def action_unfold(self) -> None:
        """Unfold, if it is folded."""
        if self._shown is not None and self._shown.opens(self.cursor) is False:
            self.action_turn()

    def action_fold(self) -> None:
        """Fold what is open; on anything else, go to the row it lies in."""
        outline = self._shown
        if outline is None:
            return
        if outline.opens(self.cursor):
            self.action_turn()
            return
        from friction_tui.ui.graph.navigation import row_around

        self._go(row_around(outline, self.cursor))

    def action_unfold_all(self) -> None:
        """Open everything."""
        self._relaid(lambda outline: outline.unfold())

    def action_fold_all(self) -> None:
        """Fold everything."""
        self._relaid(lambda outline: outline.fold_all())

    def action_shape_only(self) -> None:
        """Hide the nodes that only compute shapes, or show them again."""
        self._shape_only_hidden = not self._shape_only_hidden
        self._relaid(lambda outline: outline.set_filter(self._shape_only_hidden))

    def _relaid(self, change: Callable[[Outline], None]) -> None:
        """Change what is shown; the cursor stays on its item, or on what it is folded into."""
        outline = self._shown
        if outline is None:
            return
        path = outline.graph.paths[outline.item(self.cursor)]
        change(outline)
        self._size_rows()
        self._go(outline.row_of(path) or 0)

    # ------------------------------------------------------------------------------------------- jumps

    def action_follow(self, direction: int) -> None:
        """To what this row reads (-1) or what reads it (1). Pressed again at once, to the next of these."""
        outline = self._shown
        if outline is None or self._painter is None or self._jumps is None:
            return
        row = self._jumps.follow(outline, self._painter.text.sheets, self.cursor, direction)
        if row is not None:
            self._go(row)

    def action_return(self) -> None:
        """Back to where the last jump began."""
        path = self._jumps.back() if self._jumps is not None else None
        if path is not None:
            self.reveal(path)

    def action_inspect(self) -> None:
        """Enter: unfold a folded scope, else say that a node was chosen."""
        outline = self._shown
        if outline is None:
            return
        from friction_tui.drawing.rows import Kind

        if outline[self.cursor].kind == Kind.NODE:
            self.post_message(self.Entered())
        else:
            self.action_turn()

    # ------------------------------------------------------------------------------------------ search

    def search(self, text: str) -> str:
        """Go to the first match from here on; says how many there are."""
        self.sought = text.strip()
        return self._searched(lambda search: search.start(self.sought, self.cursor))

    def search_step(self, direction: int) -> str:
        """Go to the next or previous match, seen from the cursor."""
        return self._searched(lambda search: search.step(direction, self.cursor))

    def _searched(self, ask: Callable[[GraphSearch], tuple[str, str]]) -> str:
        path, said = ask(self._search) if self._search is not None and self._shown is not None else ("", "")
        if path:
            self.reveal(path)
        return said


def _laid_out(graph: GraphData) -> Outline:
    from friction_tui.drawing.outline import Outline

    outline = Outline(graph)
    outline.unfold_to(OPEN_ROWS)
    return outline
