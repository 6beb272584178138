"""One viewer as the hub sees it: a name, and a queue that never makes anybody else wait."""

from __future__ import annotations

import asyncio
import collections
import contextlib
from collections.abc import Callable

QUEUE_BYTES = 8 << 20
"""What may wait for a viewer beside the graph of a large model (3 MB at 10k nodes); more, and it is resynced."""


class ViewerConnection:
    """Sends lines to one connection. `snapshot` makes the line that stands for everything missed."""

    def __init__(
        self,
        name: str,
        writer: asyncio.StreamWriter,
        snapshot: Callable[[ViewerConnection, int, str], bytes],
        *,
        watch_only: bool,
    ) -> None:
        self.name, self.watch_only = name, watch_only
        self.colour = 0
        """A number that tells it from the others."""
        self.synced = 0
        """Number of the last snapshot that it says it has taken."""
        self._writer, self._snapshot = writer, snapshot
        self._number = 0
        self._queue: collections.deque[bytes] = collections.deque()
        self._queued = 0
        self._behind, self._why = False, ""
        self._news = asyncio.Event()
        self._feeding = asyncio.ensure_future(self._feed())

    @property
    def in_step(self) -> bool:
        """Whether what it asks is meant for the state that it was last sent."""
        return not self._behind and self.synced == self._number

    def send(self, line: bytes) -> None:
        """Queue a line; too many, and a snapshot stands for all of them."""
        if self._behind:
            return
        self._queue.append(line)
        self._queued += len(line)
        if self._queued > QUEUE_BYTES:
            self.resync(self._why)
        self._news.set()

    def resync(self, why: str) -> None:
        """Send the state as it will be when the line is free, instead of what waits now; the viewer reads `why`."""
        self._behind, self._why = True, why
        self._queue.clear()
        self._queued = 0
        self._news.set()

    def leave(self) -> None:
        """Send nothing any more."""
        self._feeding.cancel()
        self._writer.close()

    async def _feed(self) -> None:
        with contextlib.suppress(OSError):  # it has gone: who listens to it hears that too
            while True:
                await self._news.wait()
                self._news.clear()
                while self._behind or self._queue:
                    self._writer.write(self._next())
                    await self._writer.drain()

    def _next(self) -> bytes:
        if self._queue and not self._behind:
            line = self._queue.popleft()
            self._queued -= len(line)
            return line
        self._number += 1
        self._behind, why, self._why = False, self._why, ""
        return self._snapshot(self, self._number, why)
