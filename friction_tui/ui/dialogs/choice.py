"""A dialog that is a list of choices: opset, target, precision, fixes, commands. As tall as its list."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import ClassVar

from rich.markup import escape
from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from friction_tui.state.app_state import AppState
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line
from friction_tui.ui.screens import StateScreen

LinesMaker = Callable[[int], list[Line]]
"""Lines for a width; those with a key can be chosen."""


class ChoiceList(LinesPanel):
    """The list itself. It starts on the entry `start`."""

    def __init__(self, title: str, make: LinesMaker, start: object = None) -> None:
        super().__init__(id="choices")
        self._title = title
        self._make = make
        self._start = start

    def title(self) -> str:
        """As given."""
        return escape(self._title)

    def entitle(self, title: str) -> None:
        """Another title from now on."""
        self._title = title
        self.border_title = self.title()

    def lines(self, width: int) -> list[Line]:
        """As made for this width."""
        return self._make(width)

    def rebuild(self, keep: object = None) -> None:
        """The list is as tall as what is in it; the stylesheet limits it."""
        if not self._lines and self._start is not None:
            keep = self._start
        super().rebuild(keep)
        self.styles.height = len(self._lines) + 2
        if keep is not None and self._spans:
            self._go(self._cursor)


class ChoiceScreen(StateScreen[object], ModalScreen[object]):
    """Dismissed with the key of the chosen entry, or None. Subclasses may give other keys other meanings."""

    CSS_PATH = Path(__file__).with_name("dialogs.tcss")
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss(None)", "Leave", show=False, id="choice.leave", tooltip="Leave without choosing"),
    ]
    KEYS: str = "Enter chooses   Esc leaves"

    def __init__(self, title: str, make: LinesMaker, start: object = None, *, state: AppState) -> None:
        super().__init__(state)
        self._list = ChoiceList(title, make, start)
        self._list.state = AppState(ascii=state.ascii)

    def compose(self) -> ComposeResult:
        """The list, with its keys in the border."""
        self._list.border_subtitle = self.KEYS
        yield self._list

    @property
    def current(self) -> object:
        """What the cursor is on."""
        return self._list.cursor_key

    def on_lines_panel_chosen(self, event: LinesPanel.Chosen) -> None:
        """Enter."""
        event.stop()
        self.chosen(event.key)

    def on_lines_panel_moved(self, event: LinesPanel.Moved) -> None:
        """The list may show more of the entry under the cursor."""
        event.stop()
        self._list.rebuild()

    def chosen(self, key: object) -> None:
        """Enter on an entry: by default the answer."""
        self.dismiss(key)
