"""Other TensorRTs on the open model: whose interpreter to ask, and who refuses what."""

from __future__ import annotations

from pathlib import Path
from typing import ClassVar

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.containers import Vertical
from textual.screen import ModalScreen
from textual.widgets import Input, Label

from friction_tui import environments
from friction_tui.friction_toml import RecipeFileError
from friction_tui.report.matrix import matrix
from friction_tui.state.app_state import AppState
from friction_tui.ui.dialogs.text_screen import Page
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.panel import Ask
from friction_tui.ui.screens import StateScreen
from friction_tui.verdicts.side_by_side import engine_verdicts, own_label
from friction_tui.vocabulary.protocol import AskOthers

QUESTION = "Ask the TensorRT of another Python environment: its interpreter, which is run"
KEYS = "Enter asks; separate several with spaces   Esc leaves"


def table(state: AppState, width: int) -> list[Line]:
    """Who refuses which node, as far as they have answered."""
    asked = state.others
    if asked is None:
        return paragraph("No other environment has been asked yet.", width, "muted")
    parser = state.checks.get("parser")
    verdicts = engine_verdicts(own_label(parser), parser.findings if parser else (), asked.verdicts)
    lines = [line for text in matrix(verdicts) for line in paragraph(text, width)]
    if asked.revision != state.revision:
        lines += paragraph("stale: asked before the last edit; Enter asks again", width, "stale")
    return lines if asked.complete else [*lines, *paragraph("waiting for the others …", width, "note")]


class OtherEngines(StateScreen[None], ModalScreen[None]):
    """A line for interpreters, and the table, which fills as they answer."""

    CSS_PATH = "dialogs.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape", "dismiss(None)", "Leave", show=False, id="engines.leave", tooltip="Leave"),
    ]

    def __init__(self, state: AppState) -> None:
        super().__init__(state)

    def compose(self) -> ComposeResult:
        """The question, the line, the table."""
        with Vertical(classes="dialog"):
            yield Label(QUESTION, classes="question", markup=False)
            field = Input(self._proposed(), select_on_focus=False)
            field.cursor_blink = False
            yield field
            yield Label(KEYS, id="verdict", markup=False)
            yield Page("TensorRTs", lambda width: table(self.state, width))

    def _proposed(self) -> str:
        """Those asked before, or those of the friction.toml beside the model: shown, and run on Enter only."""
        if self.state.others is not None:
            return " ".join(verdict.python for verdict in self.state.others.verdicts)
        try:
            return " ".join(environments.also(self.state.recipe, (), allow_code=True)) if self.state.recipe else ""
        except RecipeFileError:  # the file's own finding says so
            return ""

    def state_changed(self, before: AppState) -> None:
        """Show what is known by now."""
        state = self.state
        if before.others is not state.others or before.revision != state.revision:
            self.query_one(Page).rebuild()
            self.query_one("#verdict", Label).update("asking …" if self._waiting() else KEYS)

    def _waiting(self) -> bool:
        return self.state.others is not None and not self.state.others.complete

    def on_input_submitted(self, event: Input.Submitted) -> None:
        """Ask them, if they are there."""
        wanted = event.value.split()
        missing = next((python for python in wanted if not Path(python).expanduser().exists()), None)
        label = self.query_one("#verdict", Label)
        label.set_class(missing is not None or not wanted, "refused")
        if missing is not None or not wanted:
            label.update(f"there is no {missing}" if missing else "type the path of an interpreter; Esc leaves")
            return
        label.update("asking …")
        pythons = tuple(environments.interpreter(python) for python in wanted)
        self.post_message(Ask(AskOthers(self.state.revision, pythons)))
