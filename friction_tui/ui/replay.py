"""The app on a recording: no worker, no model file; what was shown then is shown again, at any speed."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from dataclasses import replace
from functools import partial
from typing import Any, ClassVar

from textual.binding import Binding, BindingType
from textual.screen import Screen
from textual.widgets import Input

from friction_tui.sharing.playback import Playback
from friction_tui.sharing.recording import Recording
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.viewer_messages import NOTICE_FIELDS, OWN_FIELDS, adopted
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.bars import Bar
from friction_tui.ui.live import LiveSession
from friction_tui.ui.look.lines import Line, Span
from friction_tui.vocabulary.protocol import (
    LOOKS,
    Request,
    ToViewer,
)

KEPT = OWN_FIELDS - NOTICE_FIELDS
"""What belongs to the one who watches; notices are shown as they were recorded."""
SPEEDS = (0.25, 0.5, 1.0, 2.0, 4.0, 8.0, 16.0)
TRACK = 30
"""Cells of the line that shows how far it is."""


class Answers:
    """Stands where a worker does: knows what was answered in the recording."""

    def __init__(self, playback: Playback, on_event: Callable[[ToViewer], None]) -> None:
        self._playback, self._on_event = playback, on_event

    async def start(self) -> None:
        """There is nothing to start."""

    async def close(self) -> None:
        """There is nothing to end."""

    def send(self, request: Request) -> None:
        """Answer what was answered then; whatever would change something cannot be done."""
        answer = self._playback.answer(request)
        if answer is not None:
            asyncio.get_running_loop().call_soon(self._on_event, answer)


class ReplaySession(LiveSession):
    """A session that shows a playback."""

    def __init__(self, on_state: Callable[[AppState], None], playback: Playback, **options: Any) -> None:
        super().__init__(on_state, client=partial(Answers, playback), **options)

    def ask(self, request: Request) -> None:
        """Questions are answered from the recording, anything else is refused with a reason."""
        if isinstance(request, LOOKS) or self.may_change():
            super().ask(request)


class ReplayBar(Bar):
    """`▶ 0:12 ━━━━━───── 3:40  ×1`, and the keys."""

    DEFAULT_CSS = "ReplayBar { background: $panel; }"

    position, length, now, seconds, speed, playing = 0, 0, 0.0, 0.0, 1.0, True

    def line(self, width: int) -> Line:
        """Where the recording stands; the keys as far as they fit."""
        plain = self.state.ascii
        sign = ("> " if plain else "▶ ") if self.playing else ("= " if plain else "⏸ ")
        done = round(TRACK * self.position / self.length) if self.length else TRACK
        full, empty = ("#", "-") if plain else ("━", "─")
        spans: list[Span] = [(sign, "note"), (f"{_clock(self.now)} ", "strong")]
        if width >= 100:
            spans += [(full * done, "note"), (empty * (TRACK - done), "muted"), (" ", "text")]
        spans += [(f"of {_clock(self.seconds)}  {'x' if plain else '×'}{self.speed:g}   ", "muted")]
        for key, word in (("space", "pause" if self.playing else "play"), ("[ ]", "step"), ("< >", "speed")):
            spans += [(key, "key"), (f" {word}  ", "muted")]
        return Line(tuple(spans))


def _first_state(recording: Recording) -> AppState:
    """What is shown before anything happens."""
    header = recording.header
    about = f"recorded by friction-tui {header.friction_tui} on {header.began.replace('T', ' at ')}"
    state = AppState().with_notice(NoticeLevel.INFO, f"a recording of {header.model or 'a session'}", about)
    if recording.cut_off:
        state = state.with_notice(
            NoticeLevel.WARNING, "this recording ends in the middle of a line", "as after a crash"
        )
    return state


def _clock(seconds: float) -> str:
    return f"{int(seconds) // 60}:{int(seconds) % 60:02}"


class ReplayApp(FrictionApp):
    """Plays a recording. Its keys win over those of the panels: folding is on the arrow keys here."""

    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(key, action, label, show=False, id=f"replay.{name}", tooltip=tooltip, priority=True)
        for key, action, label, name, tooltip in (
            ("space", "pause", "Pause", "pause", "Pause or go on"),
            ("right_square_bracket", "step(1)", "Step", "forward", "To the next edit, job or verdict"),
            ("left_square_bracket", "step(-1)", "Back", "back", "To the edit, job or verdict before"),
            ("greater_than_sign", "speed(1)", "Faster", "faster", "Twice as fast"),
            ("less_than_sign", "speed(-1)", "Slower", "slower", "Half as fast"),
        )
    ]

    def __init__(self, recording: Recording, *, speed: float = 1.0, **look: Any) -> None:
        self._playback = Playback(recording, _first_state(recording))
        super().__init__(live=partial(ReplaySession, playback=self._playback), **look)
        self._position, self._speed, self._playing = 0, speed, True
        self._bar = ReplayBar(id="replay")
        self._next: asyncio.TimerHandle | None = None
        self.live.state = adopted(replace(self.live.state, recorded=True), self._playback.state(0), KEPT)

    def get_default_screen(self) -> Screen[None]:
        """The workbench, whatever comes."""
        return self._workbench()

    def on_mount(self) -> None:
        """Begin once there is something to see."""
        self.call_after_refresh(self._begin)

    def _begin(self) -> None:
        if self.workbench is not None:
            self.workbench.mount(self._bar, before="#keys")
        self._go_to(0)

    def check_action(self, action: str, parameters: tuple[object, ...]) -> bool | None:
        """What is typed into a line is text, not a key of the player."""
        typing = action in ("pause", "step", "speed") and isinstance(self.focused, Input)
        return not typing and super().check_action(action, parameters)

    def action_pause(self) -> None:
        """Pause, go on, or begin again at the end."""
        self._playing = not self._playing
        at_end = self._position == len(self._playback)
        self._go_to(0 if self._playing and at_end else self._position)

    def action_step(self, steps: int) -> None:
        """To the next edit, verdict or job, or the one before; it stays there."""
        self._playing = False
        self._go_to(self._playback.mark_after(self._position, steps))

    def action_speed(self, steps: int) -> None:
        """Faster or slower."""
        nearest = min(range(len(SPEEDS)), key=lambda at: abs(SPEEDS[at] - self._speed))
        self._speed = SPEEDS[min(max(nearest + steps, 0), len(SPEEDS) - 1)]
        self._go_to(self._position)

    def _go_to(self, position: int) -> None:
        """Show the state at a position, and wait for the next entry if it plays."""
        if self._next is not None:
            self._next.cancel()
            self._next = None
        if position != self._position:
            self._position = position
            self.live.show(adopted(self.live.state, self._playback.state(position), KEPT))
        self._playing = self._playing and position < len(self._playback)
        if self._playing:
            wait = self._playback.pause(position) / self._speed
            self._next = asyncio.get_running_loop().call_later(wait, self._go_to, position + 1)
        bar, playback = self._bar, self._playback
        bar.position, bar.length, bar.now, bar.seconds = (
            position,
            len(playback),
            playback.at(position),
            playback.seconds,
        )
        bar.speed, bar.playing = self._speed, self._playing
        bar.update_state(self.live.state)
        bar.refresh()
