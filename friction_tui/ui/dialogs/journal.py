"""Every edit of this session as a sentence, with what it came to; Enter goes back to any of them."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState
from friction_tui.state.derived import author_of, outcome_text
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.vocabulary.recipe import History
from friction_tui.vocabulary.recipe.changes import changes

WRITE_RECIPE, SAVE_MODEL, WRITE_SCRIPT = "recipe", "model", "script"


def sentence(history: History, step: int) -> str:
    """What the edit that led to a step changed; the first step is the model as it was opened."""
    if step == 0:
        return "opened"
    return (
        ", ".join(changes(history.steps[step - 1], history.steps[step], in_full=True))
        or "nothing that a build depends on"
    )


class Journal(ChoiceScreen):
    """Dismissed with the number of a step of the history, WRITE_RECIPE, SAVE_MODEL, WRITE_SCRIPT, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("f", "export('recipe')", "friction.toml", show=False, id="journal.recipe", tooltip="Write the recipe"),
        Binding("S", "export('model')", "Save model", show=False, id="journal.model", tooltip="Write the edited model"),
        Binding(
            "p",
            "export('script')",
            "Python script",
            show=False,
            id="journal.script",
            tooltip="Write a Python script that repeats the edits",
        ),
    ]
    KEYS = "Enter goes there   f friction.toml   S model   p script   Esc leaves"

    def __init__(self, state: AppState, history: History) -> None:
        self._history = history
        super().__init__("Journal", self._lines, start=len(history.past), state=state)

    def _lines(self, width: int) -> list[Line]:
        return [line for step in range(len(self._history.steps)) for line in self._step(step, width)]

    def _step(self, step: int, width: int) -> list[Line]:
        history, here = self._history, len(self._history.past)
        role = "strong" if step == here else "muted" if step > here else "text"
        by = author_of(self.state, history.steps[step - 1], history.steps[step]) if step else ""
        said = f"{by}: " if by else ""
        said += f"{sentence(history, step)}{' (undone)' if step > here else ''}"
        lines = paragraph(said, width, role, indent=((f"{'▸' if step == here else ' '} {step:>3}  ", role),))
        came_to = outcome_text(self.state, history.steps[step - 1], history.steps[step]) if step else ""
        lines += paragraph(came_to, width, "muted", indent=(("       ", "muted"),)) if came_to else []
        return [Line(line.spans, line.tail, key=step) for line in lines]

    def action_export(self, what: str) -> None:
        """Write the present recipe, the model with it, or a script that makes that."""
        self.dismiss(what)
