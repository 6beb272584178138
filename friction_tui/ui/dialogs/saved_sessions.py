"""Asks, when a model is opened that was edited before, whether to go on from there or to start afresh."""

from __future__ import annotations

import time
from collections.abc import Sequence
from pathlib import Path
from typing import ClassVar

from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState
from friction_tui.ui import sessions
from friction_tui.ui.dialogs.choice import ChoiceScreen
from friction_tui.ui.look.lines import Line, paragraph
from friction_tui.ui.sessions import Found, SavedSession, ago, edits_text
from friction_tui.vocabulary.recipe import Recipe
from friction_tui.vocabulary.recipe.changes import changes

AFRESH = "afresh"
CHANGES = 3
"""So many differences from the model as it is are named in one line."""


class SavedSessions(ChoiceScreen):
    """Dismissed with the file of the session to resume, AFRESH, or None."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("n", "afresh", "Start afresh", show=False, id="sessions.afresh", tooltip="Open the model unedited"),
    ]
    KEYS = "Enter resumes   n starts afresh   Esc leaves"

    def __init__(self, recipe: Recipe, offered: Sequence[Found], state: AppState) -> None:
        now = time.time()

        def lines(width: int) -> list[Line]:
            first = offered[0][1]
            said = [*paragraph(headline(first, now), width), Line()]
            for path, session in offered[: sessions.KEPT]:
                what = ", ".join(changes(session.past[0].recipe, session.recipe)[:CHANGES]) or "nothing is changed"
                text = f"Resume {edits_text(session.edits)}, {ago(now - session.saved)}"
                said += [Line(((text, "strong"),), key=path), Line(((f"  {what}", "muted"),), key=path)]
            return [*said, Line((("Start afresh", "strong"), ("  every session above is kept", "muted")), key=AFRESH)]

        super().__init__(Path(recipe.source.path).name, lines, state=state)

    def action_afresh(self) -> None:
        """The model as it is."""
        self.dismiss(AFRESH)


def headline(session: SavedSession, now: float) -> str:
    """What there is to go on with; whether it was lost from sight by a crash."""
    when, edits = ago(now - session.saved).replace("just now", "a moment ago"), edits_text(session.edits)
    if session.running and session.unsaved:
        unsaved = edits_text(session.unsaved).replace(" ", " unsaved ", 1)
        ended = f"friction-tui did not end as it should ({when}): you had {unsaved}."
        return f"{ended} Enter resumes with them, n starts afresh."
    return f"A session with {edits} from {when}: Enter resumes, n starts afresh."
