"""The question before any code of a source is run: what would run, from which files, for exactly which bytes."""

from __future__ import annotations

from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from friction_tui.ui.dialogs.text_screen import Page
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.screens import StateScreen
from friction_tui.vocabulary.protocol import ConsentNeeded


def page(asked: ConsentNeeded, width: int) -> list[Line]:
    """What the user must know to answer."""
    lines = [
        *paragraph("Opening this runs code that comes with it.", width, "warning"),
        Line(),
        *paragraph(asked.runs, width),
        Line(),
    ]
    for at, file in enumerate(asked.files):
        lines.extend(paragraph(file, width, "name", indent=((f"{'files' if at == 0 else '':<8}", "muted"),)))
    lines.extend(paragraph(asked.sha256, width, "code", indent=((f"{'sha256':<8}", "muted"),)))
    return [
        *lines,
        Line(),
        Line((("y  ", "key"), ("run it this time", "text"))),
        Line((("s  ", "key"), ("run it, also after you edit it, until you leave", "text"))),
        Line((("a  ", "key"), ("run exactly these bytes from now on, on this machine", "text"))),
        Line((("Esc  ", "key"), ("do not run it", "text"))),
    ]


class ConsentScreen(StateScreen[str], ModalScreen[str]):
    """Answers `once`, `session`, `always` or `no`. Enter does nothing, so that no one agrees by accident."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("y", "answer('once')", "This time", show=False, id="consent.once", tooltip="Run the code this time"),
        Binding(
            "s", "answer('session')", "Session", show=False, id="consent.session", tooltip="Run it, also after edits"
        ),
        Binding("a", "answer('always')", "Always", show=False, id="consent.always", tooltip="Run these bytes always"),
        Binding("escape,n,q", "answer('no')", "No", show=False, id="consent.no", tooltip="Do not run the code"),
    ]
    CSS_PATH = "text_screen.tcss"

    def __init__(self, asked: ConsentNeeded) -> None:
        super().__init__()
        self._asked = asked

    def compose(self) -> ComposeResult:
        """One page."""
        yield Page("Run this code?", lambda width: page(self._asked, width))

    def action_answer(self, answer: str) -> None:
        """Answer and close."""
        self.dismiss(answer)
