"""The terminal's end of the boundary: start a worker, talk to it, notice its death, start it again.

A session is its source plus recipe, so a worker that dies is replaced by a fresh one that is sent the last
`Open` with the newest recipe; whoever listens hears `WorkerDied` and then the same events as after opening.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import os
import signal
import sys
import time
from collections.abc import Callable, Sequence

import msgspec

from friction_tui.protocol import Apply, Event, Open, Request, WorkerDied

_ENCODER = msgspec.json.Encoder()
_DECODER: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)

LINE_LIMIT = 256 * 1024 * 1024
"""Longest message in bytes. A 1 M-node graph is about 100 MB."""
QUICK_DEATHS = 3
"""A worker that dies this often within `QUICK_SECONDS` is not restarted again."""
QUICK_SECONDS = 60.0
GRACE_SECONDS = 0.4
"""How long a worker may take to clean up when the app ends."""


def local_worker() -> list[str]:
    """The command that starts a worker on this machine."""
    return [sys.executable, "-m", "friction_tui.worker.host"]


class WorkerClient:
    """A worker process and its events. Use from one asyncio loop only."""

    def __init__(self, on_event: Callable[[Event], None], command: Sequence[str] | None = None) -> None:
        self._on_event = on_event
        self._command = list(command or local_worker())
        self._process: asyncio.subprocess.Process | None = None
        self._tasks: list[asyncio.Task[None]] = []
        self._unsent: list[Request] = []
        self._last_words: collections.deque[str] = collections.deque(maxlen=40)
        self._deaths: collections.deque[float] = collections.deque(maxlen=QUICK_DEATHS)
        self._model: Open | None = None
        self._closing = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Spawn the worker. Events begin to arrive on the running loop."""
        self._process = await asyncio.create_subprocess_exec(
            *self._command,
            stdin=asyncio.subprocess.PIPE,
            stdout=asyncio.subprocess.PIPE,
            stderr=asyncio.subprocess.PIPE,
            limit=LINE_LIMIT,
            start_new_session=True,  # a Ctrl+C in the terminal must not reach it, and its jobs die with its group
        )
        self._tasks = [asyncio.create_task(self._listen(self._process)), asyncio.create_task(self._hear(self._process))]
        unsent, self._unsent = self._unsent, []
        for request in unsent:
            self.send(request)

    def send(self, request: Request) -> None:
        """Send a request; before the worker is up it is kept and sent then."""
        if isinstance(request, Open):
            self._model = request
        elif isinstance(request, Apply) and self._model:
            self._model = Open(revision=request.revision, recipe=request.recipe)
        process = self._process
        if process is None or process.stdin is None:
            self._unsent.append(request)
            return
        # A dying worker's pipe breaks here first; `_listen` sees the death and restarts it.
        with contextlib.suppress(ConnectionError, RuntimeError):
            process.stdin.write(_ENCODER.encode(request) + b"\n")

    async def close(self) -> None:
        """End the worker and every job it started; returns within `GRACE_SECONDS`."""
        self._closing = True
        process, self._process = self._process, None
        if process is not None:
            if process.stdin is not None:
                process.stdin.close()  # the worker ends on EOF and removes its temporary files
            with contextlib.suppress(TimeoutError):
                await asyncio.wait_for(process.wait(), GRACE_SECONDS)
            kill_group(process.pid)
            await process.wait()
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def _listen(self, process: asyncio.subprocess.Process) -> None:
        assert process.stdout is not None
        while line := await process.stdout.readline():
            try:
                event = _DECODER.decode(line)
            except msgspec.MsgspecError as error:
                self._last_words.append(f"unreadable message from the worker: {error}")
                continue
            self._on_event(event)
        await process.wait()
        if not self._closing:
            await self._revive(process)

    async def _hear(self, process: asyncio.subprocess.Process) -> None:
        assert process.stderr is not None
        while chunk := await process.stderr.read(65536):
            self._last_words.extend(chunk.decode(errors="replace").splitlines())

    async def _revive(self, process: asyncio.subprocess.Process) -> None:
        kill_group(process.pid)  # jobs of the dead worker
        self._process = None
        now = time.monotonic()
        self._deaths.append(now)
        hopeless = len(self._deaths) == QUICK_DEATHS and now - self._deaths[0] < QUICK_SECONDS
        why = describe_exit(process.returncode)
        words = "\n".join(list(self._last_words)[-12:])
        self._last_words.clear()
        self._on_event(WorkerDied(why=why, restarted=not hopeless, last_words=words))
        if hopeless:
            return
        if self._model is not None:
            self._unsent.insert(0, self._model)
        await self.start()


def kill_group(pid: int) -> None:
    """SIGKILL a process started in its own session, with all its children. Nothing happens if it is gone."""
    with contextlib.suppress(ProcessLookupError, PermissionError):
        os.killpg(pid, signal.SIGKILL)


def describe_exit(code: int | None) -> str:
    """An exit status in words: `killed by SIGSEGV`, `exited with status 1`."""
    if code is not None and code < 0:
        try:
            return f"killed by {signal.Signals(-code).name}"
        except ValueError:
            return f"killed by signal {-code}"
    return f"exited with status {code}"
