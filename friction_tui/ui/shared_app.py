"""The app on a session with others."""

from __future__ import annotations

from functools import partial
from typing import Any

from textual.screen import Screen

from friction_tui.sharing.joined import Connection, JoinedClient
from friction_tui.sharing.recording import Recorder
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.dispatch import dispatch
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.live import LiveSession
from friction_tui.vocabulary.recipe import Recipe


class SharedApp(FrictionApp):
    """One viewer's UI. `recipe` is what the one who shares opens; those who join see what is open."""

    def __init__(
        self, connection: Connection, recipe: Recipe | None = None, *, record: Recorder | None = None, **look: Any
    ) -> None:
        joined = partial(LiveSession, client=partial(JoinedClient, connection), record=record)
        super().__init__(recipe, live=joined, **look)
        if record is not None:
            record.heard(connection.first)
        state = dispatch(self.live.state, connection.first)
        present = state.present
        if present is not None and len(present.viewers) == 1:
            said = f"shared: others type  friction-tui join {present.code}"
            state = state.with_notice(
                NoticeLevel.WARNING, said, "Esc dismisses this"
            )  # a warning stays until it is put away
        self.live.state = state

    def get_default_screen(self) -> Screen[None]:
        """What the others look at; without others as usual."""
        return self._workbench() if self.live.state.recipe is not None else super().get_default_screen()

    def _state_changed(self, state: AppState) -> None:
        """Whoever opens a model opens it for all."""
        if self.is_running and self.workbench is None and state.recipe is not None:
            self.call_later(self._open_workbench)
        super()._state_changed(state)

    def _open_workbench(self) -> None:
        if self.workbench is None:
            self.switch_screen(self._workbench())
