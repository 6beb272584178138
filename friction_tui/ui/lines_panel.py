"""A panel that is a list of lines with a cursor: problems, the inspector, the "Why" page.

Lines are made once per state and width and drawn through the Line API, so thousands of them cost nothing.
"""

from __future__ import annotations

from functools import partial
from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.geometry import Region, Size
from textual.message import Message
from textual.scroll_view import ScrollView
from textual.strip import Strip

from friction_tui.state.app_state import AppState
from friction_tui.ui.look.lines import Line, fitted, in_ascii, strip_of
from friction_tui.ui.look.roles import cursor_style, role_style
from friction_tui.ui.panel import Holds, Panel, Searched


class LinesPanel(Panel, ScrollView):
    """Subclasses give `lines(width)`; entries are the runs of lines with one key."""

    DEFAULT_CSS = """
    LinesPanel { overflow-x: hidden; overflow-y: auto; }
    """
    CURSOR_AT_REST: ClassVar[bool] = False
    """Whether the entry under the cursor is marked, faintly, while keys go elsewhere."""
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("up,k", "move(-1)", "Up", show=False, id="lines.up", tooltip="Entry above"),
        Binding("down,j", "move(1)", "Down", show=False, id="lines.down", tooltip="Entry below"),
        Binding("pageup", "page(-1)", "Page up", show=False, id="lines.page-up", tooltip="One page up"),
        Binding("pagedown", "page(1)", "Page down", show=False, id="lines.page-down", tooltip="One page down"),
        Binding("home", "end(-1)", "First", show=False, id="lines.first", tooltip="First entry"),
        Binding("end", "end(1)", "Last", show=False, id="lines.last", tooltip="Last entry"),
        Binding("enter", "choose", "Open", show=False, id="lines.choose", tooltip="Open this entry"),
    ]

    class Moved(Message):
        """The cursor is on another entry."""

        def __init__(self, panel: LinesPanel, key: object) -> None:
            super().__init__()
            self.panel = panel
            self.key = key

        @property
        def control(self) -> LinesPanel:
            """The panel."""
            return self.panel

    class Chosen(Moved):
        """Enter on an entry."""

    def __init__(self, *, id: str | None = None, classes: str | None = None) -> None:
        super().__init__(id=id, classes=classes)
        self.holds = 0
        """Rows that it would take to show everything, border included."""
        self._lines: list[Line] = []
        self._spans: list[tuple[object, int, int]] = []
        """Entries: key, first line, line after the last."""
        self._cursor = 0
        self._moved = False
        """Whether the cursor was ever put somewhere; until then it stays on the first entry, whatever that is."""

    def lines(self, width: int) -> list[Line]:
        """Everything to show, at `width` cells."""
        raise NotImplementedError

    def made(self) -> list[Line]:
        """The lines for the present width, in ASCII if that is asked for."""
        lines = self.lines(max(self.scrollable_content_region.width, 8))
        return [in_ascii(line) for line in lines] if self.state.ascii else lines

    @property
    def cursor_key(self) -> object:
        """What the cursor is on, None in an empty list."""
        return self._spans[self._cursor][0] if self._spans else None

    def rebuild(self, keep: object = None) -> None:
        """Make the lines again; the cursor stays on its entry, or moves to the entry `keep`."""
        wanted = self.cursor_key if keep is None else keep
        self._moved |= keep is not None
        seen = self._in_view()
        self._lines = self.made()
        self._spans = []
        for at, line in enumerate(self._lines):
            if line.key is None:
                continue
            if self._spans and self._spans[-1][0] == line.key and self._spans[-1][2] == at:
                self._spans[-1] = (line.key, self._spans[-1][1], at + 1)
            else:
                self._spans.append((line.key, at, at + 1))
        found = next((i for i, (key, _, _) in enumerate(self._spans) if key == wanted), None) if self._moved else 0
        self._cursor = min(self._cursor, max(len(self._spans) - 1, 0)) if found is None else found
        rows = len(self._lines) + self.gutter.height
        if rows != self.holds:
            self.holds = rows
            self.post_message(Holds())
        self.virtual_size = Size(self.scrollable_content_region.width, len(self._lines))
        if seen and self._moved and self._spans and not self._in_view():
            self._show_cursor()
        self.refresh()

    def _in_view(self) -> bool:
        """Whether the entry under the cursor begins in the visible part."""
        if not 0 <= self._cursor < len(self._spans):
            return False
        top = self.scroll_offset.y
        return top <= self._spans[self._cursor][1] < top + self.scrollable_content_region.height

    def _show_cursor(self) -> None:
        """Scroll to the entry under the cursor; the first brings the lines above it along."""
        _, first, last = self._spans[self._cursor]
        top = 0 if self._cursor == 0 else first
        self.scroll_to_region(Region(0, top, 1, last - top), animate=False, force=True)

    def show_entry(self) -> None:
        """Scroll so that the entry under the cursor is at the top, and what follows it is seen."""
        if self._spans:
            self.scroll_to(y=self._spans[self._cursor][1], animate=False, force=True)

    def state_changed(self, before: AppState) -> None:  # noqa: ARG002
        """Make the lines of the new state."""
        self.rebuild()

    def on_resize(self) -> None:
        """Wrap to the new width."""
        self.rebuild()

    def render_line(self, y: int) -> Strip:
        """One line of the visible part."""
        width = self.scrollable_content_region.width
        at = y + self.scroll_offset.y
        if at >= len(self._lines):
            return Strip.blank(width, role_style(self, "text"))
        style = cursor_style if self._under_cursor(at) else role_style
        return strip_of(fitted(self._lines[at], width), partial(style, self))

    def _under_cursor(self, at: int) -> bool:
        if not self._spans or not (self.has_focus or self.CURSOR_AT_REST):
            return False
        _, first, last = self._spans[self._cursor]
        return first <= at < last

    def on_focus(self) -> None:
        """The cursor shows only where keys go."""
        self.refresh()

    def on_blur(self) -> None:
        """The cursor shows only where keys go."""
        self.refresh()

    def _go(self, index: int) -> None:
        if not self._spans:
            return
        index = max(0, min(index, len(self._spans) - 1))
        moved = index != self._cursor
        self._cursor, self._moved = index, True
        self._show_cursor()
        self.refresh()
        if moved:
            self.post_message(self.Moved(self, self.cursor_key))

    def action_move(self, step: int) -> None:
        """Go `step` entries on, or scroll where there is nothing to select."""
        if self._spans:
            self._go(self._cursor + step)
        else:
            self.scroll_relative(y=step, animate=False)

    def action_page(self, direction: int) -> None:
        """Go a page on."""
        height = max(self.scrollable_content_region.height - 1, 1)
        if not self._spans:
            self.scroll_relative(y=direction * height, animate=False)
            return
        target = self._spans[self._cursor][1] + direction * height
        nearest = min(range(len(self._spans)), key=lambda i: abs(self._spans[i][1] - target))
        self._go(nearest if nearest != self._cursor else self._cursor + direction)

    def action_end(self, direction: int) -> None:
        """Go to the first or last entry."""
        if self._spans:
            self._go(0 if direction < 0 else len(self._spans) - 1)
        else:
            self.scroll_to(y=0 if direction < 0 else self.max_scroll_y, animate=False)

    def action_choose(self) -> None:
        """Say which entry was chosen."""
        if self._spans:
            self.post_message(self.Chosen(self, self.cursor_key))

    def on_click(self, event: object) -> None:
        """Put the cursor on the entry clicked."""
        at = getattr(event, "y", 0) - self.gutter.top + self.scroll_offset.y
        for index, (_, first, last) in enumerate(self._spans):
            if first <= at < last:
                self._go(index)


class SearchedLines(Searched, LinesPanel):
    """A list of lines that can be searched: a match is an entry with the text in it."""

    def search(self, text: str) -> str:
        """Go to the first match from the cursor on."""
        self.sought = text.strip()
        found = self._matches() if self.sought else []
        if found:
            self._go(next((at for at in found if at >= self._cursor), found[0]))
        return self._said(found)

    def search_step(self, direction: int) -> str:
        """The match after or before the cursor, round the ends."""
        found = self._matches()
        if found:
            beyond = [at for at in found if (at - self._cursor) * direction > 0]
            self._go((beyond or found)[0 if direction > 0 else -1])
        return self._said(found)

    def _matches(self) -> list[int]:
        """The entries with the text in them, of whatever case."""
        needle = self.sought.lower()
        return [at for at, (_, first, last) in enumerate(self._spans) if needle in self._text(first, last).lower()]

    def _text(self, first: int, last: int) -> str:
        lines = (line.spans for line in self._lines[first:last])
        return " ".join("".join(text for text, _ in spans) for spans in lines)

    def _said(self, found: list[int]) -> str:
        if not self.sought:
            return ""
        return f"{found.index(self._cursor) + 1} of {len(found)}" if self._cursor in found else "no match"
