"""A screen that is one page of lines: help, messages."""

from __future__ import annotations

from collections.abc import Callable
from typing import ClassVar, TypeAlias

from textual.app import ComposeResult
from textual.binding import Binding, BindingType
from textual.screen import ModalScreen

from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line
from friction_tui.ui.screens import StateScreen

PageMaker: TypeAlias = Callable[[int], list[Line]]
"""Lines for a width."""


class Page(LinesPanel):
    """The page itself."""

    def __init__(self, title: str, make: PageMaker) -> None:
        super().__init__(id="page")
        self._title = title
        self._make = make

    def title(self) -> str:
        """As given."""
        return self._title

    def lines(self, width: int) -> list[Line]:
        """As made for this width."""
        return self._make(width)

    def rebuild(self, keep: object = None) -> None:
        """As tall as the page, up to what the terminal allows."""
        super().rebuild(keep)
        self.styles.height = len(self._lines) + self.gutter.height


class TextScreen(StateScreen[None], ModalScreen[None]):
    """Shows a page until Escape."""

    CSS_PATH = "text_screen.tcss"
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("escape,q", "dismiss", "Close", show=False, id="page.close", tooltip="Close this page"),
    ]

    def __init__(self, title: str, make: PageMaker) -> None:
        super().__init__()
        self.headed = title
        """The title of the page."""
        self._make = make

    def compose(self) -> ComposeResult:
        """One page."""
        page = Page(self.headed, self._make)
        page.border_subtitle = "Esc closes"
        yield page
