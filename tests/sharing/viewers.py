"""Viewers without a screen: what a viewer does with a shared session, and a way to wait for what it comes to."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import fields
from functools import partial

from friction_tui.samples import sample
from friction_tui.sharing.joined import Connection, JoinedClient, join
from friction_tui.sharing.session_code import SessionCode
from friction_tui.state.app_state import AppState
from friction_tui.state.dispatch import dispatch
from friction_tui.state.viewer_messages import OWN_FIELDS
from friction_tui.ui.live import LiveSession
from friction_tui.vocabulary.recipe import Range, Recipe, Source

PRIVATE = OWN_FIELDS | {
    "details",
    "stats",
    "present",
    "forecast",
    "forecast_note",
    "forecast_revision",
    "looking",
    "pointed",
}


def recipe_of(name: str) -> Recipe:
    path = sample(name)
    assert path is not None
    return Recipe(source=Source(str(path)))


async def until(live: LiveSession, what: Callable[[AppState], object], seconds: float = 60.0) -> AppState:
    """Wait until something is true of a session's state."""
    async with asyncio.timeout(seconds):
        while not what(live.state):
            await asyncio.sleep(0.02)
    return live.state


class ViewerSession(LiveSession):
    """A viewer's session."""

    def __init__(self, connection: Connection) -> None:
        super().__init__(lambda _: None, client=partial(JoinedClient, connection))
        self.state = dispatch(self.state, connection.first)

    async def until(self, what: Callable[[AppState], object]) -> AppState:
        """Wait until something is true of the state."""
        return await until(self, what)

    def edit_range(self, key: str, largest: int) -> None:
        """One edit."""
        assert self.state.recipe is not None
        self.edit(self.state.recipe.with_range(key, Range(1, 1, largest)))


async def joined(code: SessionCode, name: str, *, watch_only: bool = False) -> ViewerSession:
    """A viewer that has joined and listens."""
    viewer = ViewerSession(await asyncio.to_thread(join, code, name, watch_only=watch_only))
    await viewer.start()
    return viewer


def is_judged(state: AppState) -> bool:
    """The newest revision has its verdict."""
    return state.judged is not None and not state.checking


def shared_part(state: AppState) -> dict[str, object]:
    """What all viewers must agree on."""
    return {field.name: getattr(state, field.name) for field in fields(state) if field.name not in PRIVATE}
