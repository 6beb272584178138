"""A bare app around one panel: what it shows, and what it says to the app."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import ClassVar

from textual.app import App, ComposeResult
from textual.message import Message
from textual.pilot import Pilot
from textual.screen import Screen

import friction_tui.ui
from friction_tui.state.app_state import AppState
from friction_tui.ui import panel as said
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.look.themes import DARK
from friction_tui.ui.panel import Panel
from friction_tui.ui.workbench import Workbench

OpenApp = Callable[..., AbstractAsyncContextManager[tuple[FrictionApp, Pilot[None]]]]
"""`async with open_app(size) as (app, pilot)`: the detector, opened and judged; a fixture."""

STYLES = Path(friction_tui.ui.__file__).parent


class Bench(App[None]):
    """Shows a panel, or a dialog over nothing, and keeps every message meant for the app."""

    CSS_PATH: ClassVar[list[str | Path]] = [STYLES / "app.tcss"]  # type: ignore[assignment]
    ENABLE_COMMAND_PALETTE = False

    def __init__(self, panel: Panel | None = None, dialog: Screen[object] | None = None) -> None:
        super().__init__()
        self.register_theme(DARK)
        self.theme = DARK.name
        self.panel, self.dialog = panel, dialog
        self.heard: list[Message] = []
        self.copied: list[str] = []

    def compose(self) -> ComposeResult:
        """The panel fills the screen."""
        if self.panel is not None:
            self.panel.styles.height = "1fr"
            yield self.panel

    def on_mount(self) -> None:
        """Keys go to what is tested."""
        if self.dialog is not None:
            self.push_screen(self.dialog)
        elif self.panel is not None:
            self.panel.focus()

    def copy_to_clipboard(self, text: str) -> None:
        """Keep it."""
        self.copied.append(text)

    def on_edit(self, event: said.Edit) -> None:
        """Keep it, and show the recipe as the app would."""
        self.heard.append(event)

    def on_ask(self, event: said.Ask) -> None:
        """Keep it."""
        self.heard.append(event)

    def on_say(self, event: said.Say) -> None:
        """Keep it."""
        self.heard.append(event)

    def on_begin(self, event: said.Begin) -> None:
        """Keep it."""
        self.heard.append(event)

    def on_cancel(self, event: said.Cancel) -> None:
        """Keep it."""
        self.heard.append(event)

    def on_reveal(self, event: said.Reveal) -> None:
        """Keep it."""
        self.heard.append(event)

    def text(self) -> str:
        """What the screen shows, line by line."""
        strips = self.screen._compositor.render_strips()
        return "\n".join("".join(segment.text for segment in strip).rstrip() for strip in strips)

    def show(self, state: AppState) -> None:
        """Hand the panel a state."""
        assert self.panel is not None
        self.panel.update_state(state)


async def settled(pilot: Pilot[None]) -> None:
    """A key becomes a message, that a state, that a line on the screen: wait for the last of them."""
    for _ in range(4):
        await pilot.pause()


def screen_text(app: FrictionApp) -> str:
    """What is on the screen, as plain text."""
    width, height = app.size
    lines = app.screen._compositor.render_strips()
    assert len(lines) == height and all(strip.cell_length == width for strip in lines)
    return "\n".join(strip.text for strip in lines)


def bench_of(app: FrictionApp) -> Workbench:
    """The workbench."""
    assert app.workbench is not None
    return app.workbench
