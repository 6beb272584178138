"""One key after the other: the next is handed on when what the one before did is done.

Textual hands a key at once to whatever has the focus. A key that opens an editor or a dialog moves the focus only
after several queues; what was typed right behind it, in one burst as it comes over ssh, would go where the focus was.
"""

from __future__ import annotations

import asyncio
from collections import deque
from collections.abc import Awaitable, Callable
from typing import Any

from textual.app import App
from textual.events import Event
from textual.message_pump import MessagePump

ROUNDS = 4
"""Walks from the focus up to the app, at most. Each lets what the one before posted arrive: a key posts an edit, the
edit a new state, the state a new screen."""
LOOK_SECONDS = 0.02
"""Between two looks whether whom we wait for is still there: a dialog that closes answers no more."""
PATIENCE_SECONDS = 1.0
"""After this long at one place the next key goes on all the same."""


class KeysInTurn:
    """Takes the keys and pastes of `app`, and gives each to `hand_on` in its turn."""

    def __init__(self, app: App[Any], hand_on: Callable[[Event], Awaitable[None]]) -> None:
        self._app = app
        self._hand_on = hand_on
        self._waiting: deque[Event] = deque()
        self._task: asyncio.Task[None] | None = None

    def take(self, event: Event) -> None:
        """The next key."""
        self._waiting.append(event)
        if self._task is None or self._task.done():
            self._task = asyncio.create_task(self._all_in_turn())

    def stop(self) -> None:
        """No key any more: the app ends."""
        self._waiting.clear()
        if self._task is not None:
            self._task.cancel()

    async def _all_in_turn(self) -> None:
        while self._waiting:
            await self._hand_on(self._waiting.popleft())
            await self._settled()

    async def _settled(self) -> None:
        for _ in range(ROUNDS):
            path = (self._app.focused or self._app.screen).ancestors_with_self
            for pump in path:
                await _worked_off(pump)
            if path[0] is (self._app.focused or self._app.screen) and not any(p.message_queue_size for p in path):
                return


async def _worked_off(pump: MessagePump) -> None:
    """Wait until `pump` has handled all that is in its queue now."""
    reached = asyncio.Event()
    if not pump.call_later(reached.set):
        return
    for _ in range(round(PATIENCE_SECONDS / LOOK_SECONDS)):
        try:
            await asyncio.wait_for(reached.wait(), LOOK_SECONDS)
        except TimeoutError:
            if not pump.is_attached:
                return
        else:
            return
