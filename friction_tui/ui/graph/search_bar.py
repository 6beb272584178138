"""The search line: find in the graph as one types, or filter the problem list."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label

HINTS = {
    "graph": "name or operator; Enter next, Up previous, Esc done",
    "problems": "text, or tier: kind: by: op: at: before it; Esc shows all",
}

COUNT_WIDTH = 18
"""Cells kept for how many match: a label that grows would lay out the screen at every letter."""


class SearchBar(Horizontal):
    """Shown while searching. `purpose` is `graph` or `problems`."""

    DEFAULT_CSS = """
    SearchBar { height: 1; display: none; background: $panel; padding: 0 1; }
    SearchBar > #search-label { width: auto; color: $accent; text-style: bold; }
    SearchBar > #search-count { width: 20; color: $foreground 74%; padding: 0 1; }
    SearchBar > Input { height: 1; width: 1fr; border: none; padding: 0; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Done", show=False, id="search.close", tooltip="Close the search line"),
        Binding("down", "step(1)", "Next", show=False, id="search.next", tooltip="Next match"),
        Binding("up", "step(-1)", "Previous", show=False, id="search.previous", tooltip="Previous match"),
    ]

    class Typed(Message):
        """The text changed."""

        def __init__(self, purpose: str, text: str) -> None:
            super().__init__()
            self.purpose = purpose
            self.text = text

    class Jump(Message):
        """The user wants the next (1) or previous (-1) match."""

        def __init__(self, purpose: str, direction: int) -> None:
            super().__init__()
            self.purpose = purpose
            self.direction = direction

    class Closed(Message):
        """The user is done: `keep` tells whether by Enter."""

        def __init__(self, purpose: str, *, keep: bool) -> None:
            super().__init__()
            self.purpose = purpose
            self.keep = keep

    def __init__(self) -> None:
        super().__init__(id="search")
        self.purpose = "graph"

    def compose(self) -> ComposeResult:
        """A slash, the text, how many match."""
        yield Label("/ ", id="search-label")
        field = Input(id="search-text", select_on_focus=False, compact=True)
        field.cursor_blink = False
        yield field
        yield Label("", id="search-count", markup=False)

    def open(self, purpose: str, text: str = "") -> None:
        """Show the line for one purpose, with `text` in it."""
        self.purpose = purpose
        self.display = True
        field = self.query_one(Input)
        field.placeholder = HINTS[purpose]
        with self.prevent(Input.Changed):
            field.value = text
        field.cursor_position = len(text)
        field.focus()
        self.count("")

    def count(self, text: str) -> None:
        """Say how many match."""
        self.query_one("#search-count", Label).update(f"{text:>{COUNT_WIDTH}}", layout=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as one types."""
        event.stop()
        self.post_message(self.Typed(self.purpose, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter: the next match in the graph, done in the list."""
        event.stop()
        if self.purpose == "graph":
            self.post_message(self.Jump(self.purpose, 1))
        else:
            self.post_message(self.Closed(self.purpose, keep=True))

    def action_step(self, direction: int) -> None:
        """Another match."""
        self.post_message(self.Jump(self.purpose, direction))

    def action_close(self) -> None:
        """Done."""
        self.post_message(self.Closed(self.purpose, keep=False))
