"""Files that the terminal has sent to this machine, the weights of some of them only when they are needed."""

from __future__ import annotations

import threading
from collections.abc import Callable
from pathlib import Path

from friction_tui.processes.child import Stop, Stopped
from friction_tui.vocabulary.protocol import Event, NeedWeights, Sent

_POLL_S = 0.05


class NoWeights(Exception):
    """The weights of a model cannot be had."""


class SentFiles:
    """Where files lie that the terminal calls by its own names."""

    def __init__(self, emit: Callable[[Event], None]) -> None:
        self._emit = emit
        self._sent: dict[str, Sent] = {}
        self._asked: set[str] = set()
        self._failed: set[str] = set()
        self._news = threading.Condition()

    def take(self, sent: Sent) -> None:
        """A file is there, or its weights are; or they cannot be sent."""
        with self._news:
            self._asked.discard(sent.path)
            if sent.stored:
                self._sent[sent.path] = sent
            else:
                self._failed.add(sent.path)
            self._news.notify_all()

    def where(self, path: str) -> Sent | None:
        """Where a file lies; None for one that was not sent, and is one of this machine's."""
        return self._sent.get(path)

    def whole(self, path: str, stop: Stop) -> Path:
        """Wait until all of a file is there. Raises Stopped when `stop` says yes before, NoWeights if it fails."""
        with self._news:
            sent = self._sent[path]
            if sent.light and path not in self._asked:
                self._asked.add(path)
                self._failed.discard(path)
                self._emit(NeedWeights(path))
            while self._sent[path].light:
                if path in self._failed:
                    raise NoWeights("the weights could not be sent to this machine")
                if stop():
                    raise Stopped
                self._news.wait(_POLL_S)
            return Path(self._sent[path].stored)
