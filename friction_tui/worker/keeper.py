"""Keeps a worker for a terminal that is at the other end of a line, across the line's cuts.

The keeper belongs to no login. It listens on a socket that only this account can reach, and holds what the worker said
until the terminal has it: a terminal that comes back hears what it missed, a job's result included. It ends with its
worker when the terminal leaves, or when nobody has come back for a while.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import hmac
import os
import platform
import queue
import signal
import sys
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from friction_tui import __version__
from friction_tui.log import LOG, start_log
from friction_tui.processes.begin import command
from friction_tui.processes.child import Child
from friction_tui.vocabulary.protocol.line import (
    MARK,
    Attach,
    Attached,
    FromTerminal,
    FromWorker,
    Leave,
    NotAttached,
    Offer,
    Offered,
    Piece,
    Received,
    WorkerEnded,
    read,
    written,
)
from friction_tui.worker.store import Store

LONGEST_REQUEST = 16 << 20
LONGEST_PIECE = 8 << 20
SILENT_S = 60.0
"""A line on which the terminal says nothing for so long is lost; it says something every few seconds."""
JOIN_SECONDS = 20.0
"""How long a connection may stay without a word."""
MOST_WAITING = 512 << 20
"""Bytes of events that are kept for a terminal that is away; a worker that says more is ended."""
LAST_WORDS = 12
_DECODER: msgspec.json.Decoder[FromTerminal] = msgspec.json.Decoder(FromTerminal)


class Start(msgspec.Struct, frozen=True):
    """What a keeper reads from its stdin: where to listen, the secret, how long it waits for its terminal."""

    socket: str
    token: str
    keep_s: float


class Link:
    """One connection of the terminal. `next` is the number of the event it is sent next."""

    def __init__(self, writer: asyncio.StreamWriter, following: int) -> None:
        self.writer, self.next = writer, following
        self.control: collections.deque[bytes] = collections.deque()
        self.news = asyncio.Event()
        self.told_end = False
        self.heard_at = time.monotonic()

    def say(self, message: FromWorker) -> None:
        """Send a message of the line itself, before the next event."""
        self.control.append(written(message))
        self.news.set()

    def close(self) -> None:
        """Send nothing any more."""
        self.writer.transport.abort()


class Keeper:
    """The worker, what it said and nobody has yet, and the connection there is at present."""

    def __init__(self, start: Start) -> None:
        self._start = start
        self._worker = Child(command("friction_tui.worker.host"), own_group=True)
        self._said: collections.deque[bytes] = collections.deque()
        self._first = 0
        """Number of the first event in `_said`."""
        self._waiting = 0
        self._heard = 0
        self._requests: queue.SimpleQueue[bytes] = queue.SimpleQueue()
        self._ended: WorkerEnded | None = None
        self._link: Link | None = None
        self._alone_since = time.monotonic()
        self._store, self._attempt = Store(), 0
        self._loop = asyncio.get_running_loop()
        self.over = asyncio.Event()
        threading.Thread(target=self._listen_to_worker, name="worker's events", daemon=True).start()
        threading.Thread(target=self._write_to_worker, name="requests", daemon=True).start()

    async def watch(self) -> None:
        """End once the terminal has been away for too long."""
        while not self.over.is_set():
            alone = time.monotonic() - self._alone_since
            if self._link is not None and time.monotonic() - self._link.heard_at > SILENT_S:
                self._link.close()
            if self._link is None and alone >= self._start.keep_s:
                LOG.info("the terminal did not come back for %.0f s", alone)
                self.over.set()
            await asyncio.sleep(min(1.0, self._start.keep_s / 4))

    def end(self) -> None:
        """End the worker and all that it started."""
        self._worker.end_input()  # it removes its temporary files
        self._worker.wait(1.0)
        self._worker.kill()

    # -------------------------------------------------------------------------------------------- the worker

    def _listen_to_worker(self) -> None:
        with contextlib.suppress(RuntimeError):  # the loop is closed
            for line in self._worker.lines():
                if line.endswith(b"\n"):  # not the half of one that it died over
                    self._loop.call_soon_threadsafe(self._take, line)
            how = self._worker.how
            words = "\n".join(self._worker.tail.splitlines()[-LAST_WORDS:])
            self._loop.call_soon_threadsafe(self._worker_ended, WorkerEnded(how.removeprefix("was "), words))

    def _take(self, line: bytes) -> None:
        self._said.append(line)
        self._waiting += len(line)
        if self._waiting > MOST_WAITING:
            self._worker.kill()
        if self._link is not None:
            self._link.news.set()

    def _worker_ended(self, ended: WorkerEnded) -> None:
        self._worker.kill()  # whatever it had started
        self._ended = ended
        if self._link is not None:
            self._link.news.set()

    def _write_to_worker(self) -> None:
        while True:
            line = self._requests.get()
            with contextlib.suppress(OSError, ValueError):
                self._worker.stdin.write(line)
                self._worker.stdin.flush()

    # ------------------------------------------------------------------------------------------ the terminal

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first word to its end."""
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                attach = read(await reader.readuntil(b"\n"), _DECODER)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, msgspec.MsgspecError, OSError):
            writer.close()
            return
        if not isinstance(attach, Attach) or not hmac.compare_digest(attach.token, self._start.token):
            writer.write(written(NotAttached("the token is not this worker's")))
            writer.close()
            return
        if not self._first <= attach.received <= self._first + len(self._said):
            writer.write(written(NotAttached("its events are not the ones that the terminal has", gone=True)))
            writer.close()
            return
        if self._link is not None:
            self._link.close()  # its line was lost, though nobody on this side has heard of that yet
        link = self._link = Link(writer, attach.received)
        self._trim(attach.received)
        link.say(Attached(machine=platform.node(), version=__version__, received=self._heard))
        feeding = asyncio.ensure_future(self._feed(link))
        try:
            await self._listen(link, reader)
        finally:
            feeding.cancel()
            link.close()
            if link.told_end:
                self.over.set()
            if self._link is link:
                self._store.pause()
                self._link, self._alone_since = None, time.monotonic()

    async def _listen(self, link: Link, reader: asyncio.StreamReader) -> None:
        while True:
            try:
                line = await reader.readuntil(b"\n")
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
                return  # the half of a line is sent again on the next connection
            if link is not self._link:
                return
            link.heard_at = time.monotonic()
            if not line.startswith(MARK):
                self._heard += 1
                self._requests.put(line)
                continue
            try:
                said = read(line, _DECODER)
            except msgspec.MsgspecError as error:
                LOG.warning("the terminal sent what cannot be read: %s", error)
                return
            if isinstance(said, Leave):
                self.over.set()
                return
            if isinstance(said, Received):
                self._trim(said.number)
                link.say(Received(self._heard))
            elif isinstance(said, Offer):
                self._attempt = said.attempt
                await self._answer(link, said.key, self._store.take, said)
            elif isinstance(said, Piece):
                if not 0 <= said.size <= LONGEST_PIECE:
                    return
                try:
                    content = await reader.readexactly(said.size)
                except (asyncio.IncompleteReadError, OSError):
                    return
                if said.attempt == self._attempt:
                    await self._answer(link, said.key, self._store.put, said.key, said.offset, content)

    async def _answer(self, link: Link, key: str, do: Callable[..., Offered], *given: object) -> None:
        """Say what became of a file, or of a piece of one; one that is all there is read back first."""
        answer = await asyncio.to_thread(do, *given)
        if not answer.path and not answer.why_not and answer.done == self._store.length(key):
            answer = await asyncio.to_thread(self._store.whole, key)
        link.say(msgspec.structs.replace(answer, attempt=self._attempt))

    async def _feed(self, link: Link) -> None:
        with contextlib.suppress(OSError):  # who listens to it hears that too
            while True:
                await link.news.wait()
                link.news.clear()
                while (line := self._next(link)) is not None:
                    link.writer.write(line)
                    await link.writer.drain()

    def _next(self, link: Link) -> bytes | None:
        if link.control:
            return link.control.popleft()
        at = link.next - self._first
        if at < len(self._said):
            link.next += 1
            return self._said[at]
        if self._ended is not None and not link.told_end:
            link.told_end = True
            return written(self._ended)
        return None

    def _trim(self, received: int) -> None:
        while self._first < received and self._said:
            self._waiting -= len(self._said.popleft())
            self._first += 1


def main() -> None:
    """In a process of its own: one `Start` on stdin, one line on stdout once it listens."""
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    start_log()
    asyncio.run(_serve(start))
    os._exit(0)


async def _serve(start: Start) -> None:
    socket, ended = Path(start.socket), asyncio.Event()
    keeper, loop = Keeper(start), asyncio.get_running_loop()
    for number in (signal.SIGTERM, signal.SIGINT, signal.SIGHUP):
        loop.add_signal_handler(number, ended.set)
    server = await asyncio.start_unix_server(keeper.welcome, socket, limit=LONGEST_REQUEST)
    socket.chmod(0o600)
    try:
        _cut_loose()
        waits = [asyncio.ensure_future(wait) for wait in (keeper.watch(), ended.wait(), keeper.over.wait())]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    except Exception:
        LOG.critical("the keeper of a remote worker crashed", exc_info=True)
        raise
    finally:
        server.close()
        socket.unlink(missing_ok=True)
        await asyncio.to_thread(keeper.end)


def _cut_loose() -> None:
    """Say that the terminal can come, and let go of the login that this was started from: it may go first."""
    os.write(1, b"ready\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
