"""A question answered by a typed text. What is typed is judged at once, before Enter."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, Generic, TypeVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from friction_tui.ui.screens import StateScreen

T = TypeVar("T")


class TextPrompt(StateScreen[T | None], ModalScreen[T | None], Generic[T]):
    """Dismissed with what `read` makes of the text, or None.

    `read` gives that, None for a text that cannot be taken, and a sentence about it.
    """

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave", show=False, id="prompt.leave", tooltip="Leave without an answer"),
    ]

    def __init__(self, question: str, proposed: str, read: Callable[[str], tuple[T | None, str]]) -> None:
        super().__init__()
        self._question, self._proposed, self._read = question, proposed, read

    def compose(self) -> ComposeResult:
        """The question, the text, what it means."""
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="question", markup=False)
            field = Input(self._proposed, select_on_focus=False)
            field.cursor_blink = False
            yield field
            yield Label("", id="verdict", markup=False)

    def on_mount(self) -> None:
        """Say at once what Enter would do."""
        self._check(self._proposed)

    def _check(self, text: str) -> T | None:
        taken, said = self._read(text)
        label = self.query_one("#verdict", Label)
        label.update(said)
        label.set_class(taken is None, "refused")
        return taken

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check while typing."""
        self._check(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, if it can be taken."""
        taken = self._check(event.value)
        if taken is not None:
            self.dismiss(taken)
