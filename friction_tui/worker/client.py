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
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Sequence
from typing import TypeVar

import msgspec

from friction_tui.vocabulary.protocol import Apply, Event, Open, Request, WorkerDied

_ENCODER = msgspec.json.Encoder()

QUICK_DEATHS = 3
"""A worker that dies this often within `QUICK_SECONDS` is not restarted again."""
QUICK_SECONDS = 60.0
GRACE_SECONDS = 0.4
"""How long a worker may take to clean up when the app ends."""
LAST_WORDS = 12
"""Lines of a dead worker's stderr that are worth showing."""

Process = subprocess.Popen[bytes]
_Heard = TypeVar("_Heard")


def spawn(command: Sequence[str] | None = None, first: str = "") -> Process:
    """Start a worker process, this machine's own unless another command is given.

    It gets a session of its own: a Ctrl+C in the terminal must not reach it, and its group dies with it. `first` is
    the ONNX file that it will be asked to open; a worker of this machine reads it before it is asked.
    """
    return subprocess.Popen(
        command or [sys.executable, "-m", "friction_tui.worker.host", *([first] if first else [])],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        start_new_session=True,
    )


class WorkerClient:
    """A worker process and its events. Use from one asyncio loop only.

    `early` is a worker that was spawned before there was a loop, while the face was still being imported.
    """

    def __init__(
        self, on_event: Callable[[Event], None], command: Sequence[str] | None = None, early: Process | None = None
    ) -> None:
        self._on_event, self._command, self._early = on_event, command, early
        self._process: Process | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsent: list[Request] = []
        self._last_words: collections.deque[str] = collections.deque(maxlen=LAST_WORDS)
        self._deaths: collections.deque[float] = collections.deque(maxlen=QUICK_DEATHS)
        self._model: Open | None = None
        self._closing = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the worker. Its events arrive on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._adopt(self._early or spawn(self._command))
        self._early = None

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
        # A dying worker's pipe breaks here first; its listener sees the death and a new one is started.
        with contextlib.suppress(OSError, ValueError):
            process.stdin.write(_ENCODER.encode(request) + b"\n")
            process.stdin.flush()

    async def close(self) -> None:
        """End the worker and every job it started; returns within `GRACE_SECONDS`."""
        self._closing = True
        process, self._process = self._process or self._early, None
        if process is None:
            return
        assert process.stdin is not None
        with contextlib.suppress(OSError):
            process.stdin.close()  # the worker ends on EOF and removes its temporary files
        with contextlib.suppress(subprocess.TimeoutExpired):
            await asyncio.to_thread(process.wait, GRACE_SECONDS)
        kill_group(process.pid)
        await asyncio.to_thread(process.wait)

    def _adopt(self, process: Process) -> None:
        self._process = process
        for work in (self._listen, self._hear):
            threading.Thread(target=work, args=(process,), name=f"worker {work.__name__}", daemon=True).start()
        unsent, self._unsent = self._unsent, []
        for request in unsent:
            self.send(request)

    def _listen(self, process: Process) -> None:
        """Decode events off the loop: a graph of 50k nodes takes a while."""
        decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
        assert process.stdout is not None
        for line in process.stdout:
            try:
                event = decoder.decode(line)
            except msgspec.MsgspecError as error:
                self._last_words.append(f"unreadable message from the worker: {error}")
                continue
            self._on_loop(self._on_event, event)
        process.wait()
        self._on_loop(self._died, process)

    def _hear(self, process: Process) -> None:
        assert process.stderr is not None
        for line in process.stderr:
            self._last_words.append(line.decode(errors="replace").rstrip())

    def _on_loop(self, call: Callable[[_Heard], None], value: _Heard) -> None:
        assert self._loop is not None
        if not self._closing:
            with contextlib.suppress(RuntimeError):  # the loop closed in between: nobody listens any more
                self._loop.call_soon_threadsafe(call, value)

    def _died(self, process: Process) -> None:
        if self._closing or process is not self._process:
            return
        kill_group(process.pid)  # jobs of the dead worker
        self._process = None
        now = time.monotonic()
        self._deaths.append(now)
        hopeless = len(self._deaths) == QUICK_DEATHS and now - self._deaths[0] < QUICK_SECONDS
        words = "\n".join(self._last_words)
        self._last_words.clear()
        self._on_event(WorkerDied(why=describe_exit(process.returncode), restarted=not hopeless, last_words=words))
        if hopeless:
            return
        if self._model is not None:
            self._unsent.insert(0, self._model)
        self._adopt(spawn(self._command))


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
