"""The search line: find in the graph, a log or the source as one types, or filter the problem list."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Horizontal
from textual.message import Message
from textual.widgets import Input, Label

HINTS = {
    "graph": "name or operator",
    "build": "text of a line, name of a kernel or node",
    "source": "text of a line",
    "problems": "text, or tier: kind: by: op: at: before it",
}
AFTERWARDS = "n next  N previous  Esc clears"

COUNT_WIDTH = 46
"""Cells kept for how many match: a label that grows would lay out the screen at every letter."""


class SearchBar(Horizontal):
    """Shown while something is sought. `purpose` is the panel that is searched; of `problems` the filter."""

    DEFAULT_CSS = """
    SearchBar { height: 1; display: none; background: $panel; padding: 0 1; }
    SearchBar > #search-label { width: auto; color: $accent; text-style: bold; }
    SearchBar > #search-count { width: 48; color: $foreground 74%; padding: 0 1; }
    SearchBar > Input { height: 1; width: 1fr; border: none; padding: 0; background: $panel; }
    """
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "close", "Done", show=False, id="search.close", tooltip="Close the search line"),
        Binding("down", "step(1)", "Next", show=False, id="search.next", tooltip="Next match"),
        Binding("up", "step(-1)", "Previous", show=False, id="search.previous", tooltip="Previous match"),
    ]

    KEYS: ClassVar = (("Enter", "leaves the field"), ("Up Down", "matches"), ("Esc", "clears"))
    """What keys mean while one types."""

    class Typed(Message):
        """The text changed."""

        def __init__(self, bar: SearchBar, text: str) -> None:
            super().__init__()
            self.bar = bar
            self.purpose = bar.purpose
            self.text = text

    class Jump(Message):
        """The user wants the next (1) or previous (-1) match."""

        def __init__(self, bar: SearchBar, direction: int) -> None:
            super().__init__()
            self.bar = bar
            self.purpose = bar.purpose
            self.direction = direction

    class Left(Message):
        """The user is done with the field: `keep` tells whether by Enter, and with a text in it."""

        def __init__(self, bar: SearchBar, *, keep: bool) -> None:
            super().__init__()
            self.bar = bar
            self.purpose = bar.purpose
            self.keep = keep

    def __init__(self) -> None:
        super().__init__(id="search")
        self.purpose = "graph"

    def compose(self) -> ComposeResult:
        """A slash, the text, how many match."""
        yield Label("/", id="search-label", markup=False)
        field = Input(id="search-text", select_on_focus=False, compact=True)
        field.cursor_blink = False
        yield field
        yield Label("", id="search-count", markup=False)

    def open(self, purpose: str, text: str = "") -> None:
        """Show the line for one purpose, with `text` in it."""
        self.purpose = purpose
        self.display = True
        self.query_one("#search-label", Label).update(f"{purpose.capitalize()} / ")
        field = self.query_one(Input)
        field.placeholder = HINTS[purpose]
        with self.prevent(Input.Changed):
            field.value = text
        field.cursor_position = len(text)
        field.focus()
        self.count("")

    @property
    def typing(self) -> bool:
        """Whether keys go to the field."""
        return self.query_one(Input).has_focus

    def count(self, text: str, *, left: bool = False) -> None:
        """Say how many match, and once the field is left, with which keys to go on."""
        said = f"{text}   {AFTERWARDS}" if left else text
        self.query_one("#search-count", Label).update(f"{said:>{COUNT_WIDTH}}", layout=False)

    def on_input_changed(self, event: Input.Changed) -> None:
        """Search as one types."""
        event.stop()
        self.post_message(self.Typed(self, event.value))

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Enter leaves the field."""
        event.stop()
        self.post_message(self.Left(self, keep=bool(event.value.strip())))

    def action_step(self, direction: int) -> None:
        """Another match."""
        self.post_message(self.Jump(self, direction))

    def action_close(self) -> None:
        """Done."""
        self.post_message(self.Left(self, keep=False))
