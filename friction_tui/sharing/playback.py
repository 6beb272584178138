"""A recording as a playback: where it stands, what the screen showed there, and when the next thing happens."""

from __future__ import annotations

from bisect import bisect_right

from friction_tui.sharing.recording import Recording, is_mark
from friction_tui.state.app_state import AppState
from friction_tui.state.dispatch import dispatch
from friction_tui.vocabulary.protocol import (
    Asked,
    Detail,
    Event,
    Forecast,
    Forecasted,
    Inspect,
    ReadInitializer,
    Request,
    Stats,
)

KEPT_EVERY = 64
"""Entries between two states that are kept; what lies between is made again from the one before."""
LONGEST_PAUSE = 3.0
"""Seconds of the recording in which nothing happens that are waited for at most."""


class Playback:
    """The states of a recording: `begin`, and position n after its first n entries."""

    def __init__(self, recording: Recording, begin: AppState) -> None:
        self._entries = recording.entries
        self._kept = {0: begin}
        self._last = 0, begin
        self.marks = [number for number, entry in enumerate(self._entries, 1) if is_mark(entry)]
        """Positions right after something that is worth a step."""
        self._answers: dict[object, Event] = {}
        for entry in self._entries:
            if isinstance(entry.heard, Detail | Stats | Forecasted):
                self._answers[_topic(entry.heard)] = entry.heard

    def __len__(self) -> int:
        return len(self._entries)

    @property
    def seconds(self) -> float:
        """How long it took."""
        return self.at(len(self))

    def at(self, position: int) -> float:
        """When the entry before a position happened, in seconds after the beginning."""
        return self._entries[position - 1].t if position else 0.0

    def pause(self, position: int) -> float:
        """Seconds to wait at a position for the entry behind it; hours in which nothing happened are cut short."""
        return min(self.at(position + 1) - self.at(position), LONGEST_PAUSE) if position < len(self) else 0.0

    def state(self, position: int) -> AppState:
        """What was known at a position."""
        start, state = self._last
        if start > position:
            start = max(kept for kept in self._kept if kept <= position)
            state = self._kept[start]
        for number in range(start, position):
            if number % KEPT_EVERY == 0:
                self._kept.setdefault(number, state)
            state = self._step(state, number)
        self._last = position, state
        return state

    def mark_after(self, position: int, steps: int) -> int:
        """The mark `steps` ahead, or back when negative; the beginning or the end when there is none."""
        stops = [0, *self.marks, *([len(self)] if not self.marks or self.marks[-1] < len(self) else [])]
        here = bisect_right(stops, position) - 1
        if steps < 0 and stops[here] < position:
            here += 1  # between two marks, back is to the one before
        return stops[min(max(here + steps, 0), len(stops) - 1)]

    def answer(self, request: Request) -> Event | None:
        """The recorded answer to a question; for a node that was not inspected, that nothing is known of it."""
        match request:
            case Inspect():
                return self._answers.get((Inspect, request.path), Detail(path=request.path, node=None))
            case ReadInitializer():
                return self._answers.get((ReadInitializer, request.name))
            case Forecast():
                return self._answers.get(Forecast, Forecasted(None, "this recording holds no forecast"))
        return None

    def _step(self, state: AppState, number: int) -> AppState:
        entry = self._entries[number]
        if entry.asked is not None:
            return dispatch(state, Asked("", entry.asked))
        return dispatch(state, entry.heard) if entry.heard is not None else state


def _topic(answer: Detail | Stats | Forecasted) -> object:
    match answer:
        case Detail():
            return Inspect, answer.path
        case Stats():
            return ReadInitializer, answer.stats.name
    return Forecast
