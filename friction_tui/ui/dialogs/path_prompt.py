"""Asks for the file to write: an engine, a command. Says before Enter what writing there would do."""

from __future__ import annotations

import os
from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label


def verdict(text: str) -> tuple[bool, str]:
    """Whether a file can be written there, and what that would mean, in words."""
    if not text.strip():
        return False, "type a path; Esc leaves without saving"
    path = Path(text).expanduser()
    if path.is_dir():
        return False, f"{path} is a directory: add a file name"
    if not path.parent.is_dir():
        return False, f"the directory {path.parent} does not exist"
    if not os.access(path if path.exists() else path.parent, os.W_OK):
        return False, f"{path if path.exists() else path.parent} is not writable for you"
    if path.exists():
        return True, f"Enter replaces the {path.stat().st_size:,} bytes that are there"
    return True, "Enter writes a new file"


class PathPrompt(ModalScreen[Path | None]):
    """Dismissed with the path, or None."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave", show=False, id="path.leave", tooltip="Leave without saving"),
    ]

    def __init__(self, question: str, proposed: Path) -> None:
        super().__init__()
        self._question = question
        self._proposed = proposed

    def compose(self) -> ComposeResult:
        """The question, the path, the verdict."""
        with Vertical(classes="dialog"):
            yield Label(self._question, classes="question", markup=False)
            field = Input(str(self._proposed), select_on_focus=False)
            field.cursor_blink = False
            yield field
            yield Label("", id="verdict", markup=False)

    def on_mount(self) -> None:
        """Say at once what Enter would do."""
        self._check(str(self._proposed))

    def _check(self, text: str) -> bool:
        good, said = verdict(text)
        label = self.query_one("#verdict", Label)
        label.update(said)
        label.set_class(not good, "refused")
        return good

    def on_input_changed(self, event: Input.Changed) -> None:
        """Check while typing."""
        self._check(event.value)

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Take it, if it can be written."""
        if self._check(event.value):
            self.dismiss(Path(event.value).expanduser())
