"""What every screen of the app is: a view of the newest state, with `?` for its keys."""

from __future__ import annotations

from typing import ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen, ScreenResultType

from friction_tui.state.app_state import AppState


class StateScreen(Screen[ScreenResultType]):
    """Shows `state`. A state that arrives before the widgets are there is held, and drawn once they are.

    The app hands every new state to `update_state`; subclasses override `state_changed` and nothing else of it.
    """

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("question_mark", "app.keys_here", "Keys", show=False, id="screen.keys", tooltip="These keys"),
    ]

    def __init__(self, state: AppState | None = None) -> None:
        super().__init__()
        self.state = state or AppState()
        self._drawn = self.state
        self._made = False
        """Whether the widgets are there."""

    def on_mount(self) -> None:
        """The widgets are there: draw what arrived meanwhile. Called beside a subclass's own, after it."""
        self._made = True
        self.update_state(self.state)

    def update_state(self, state: AppState) -> None:
        """Take the newest state, and draw it as soon as that is possible."""
        self.state = state
        if self._made:
            before, self._drawn = self._drawn, state
            self.state_changed(before)

    def state_changed(self, before: AppState) -> None:
        """Draw `self.state`; `before` is the state drawn so far, the same one the first time if none came since."""
