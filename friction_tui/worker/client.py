"""The terminal's end of the boundary: start a worker, talk to it, notice its death, start it again.

A session is its source plus recipe, so a worker that dies is replaced by a fresh one that is sent the last `Open` with
the newest recipe, to be judged without the native code that most likely killed it. Whoever listens hears `WorkerDied`
and then the same events as after opening.
"""

from __future__ import annotations

import asyncio
import collections
import contextlib
import threading
import time
from collections.abc import Callable, Sequence
from functools import partial
from typing import TypeVar

import msgspec

from friction_tui.processes import begin
from friction_tui.processes.child import Child
from friction_tui.vocabulary.protocol import (
    Apply,
    Event,
    JobEnded,
    Open,
    Reconnect,
    Refused,
    Request,
    StartJob,
    WorkerDied,
)
from friction_tui.worker.remote import RemoteWorker

QUICK_DEATHS = 3
"""A worker that dies this often within `QUICK_SECONDS` is not restarted again."""
QUICK_SECONDS = 60.0
GRACE_SECONDS = 0.4
"""How long a worker may take to clean up when the app ends."""
LAST_WORDS = 12
"""Lines of a dead worker's stderr that are worth showing."""

_SAME_VERSION = "Use the same version of friction-tui on both sides."

Process = Child
_Heard = TypeVar("_Heard")


def spawn(command: Sequence[str] | None = None, first: str = "", *, drawn: bool = True) -> Process:
    """Start a worker process, this machine's own unless another command is given.

    A Ctrl+C in the terminal does not reach it. `first` is the ONNX file that it will be asked to open; a worker of this
    machine reads it before it is asked, and shows its graph if it is to be `drawn`.
    """
    arguments = [first, *([] if drawn else ["undrawn"])] if first else []
    return Child(command or begin.command("friction_tui.worker.host", *arguments), own_group=True)


class WorkerClient:
    """A worker process and its events. Use from one asyncio loop only.

    `command` leads to a worker elsewhere, over a line that may be cut: it goes on there meanwhile (`worker.remote`).
    `early` is a worker that was spawned before there was a loop, while the face was still being imported.
    """

    def __init__(
        self, on_event: Callable[[Event], None], command: Sequence[str] | None = None, early: Process | None = None
    ) -> None:
        self._on_event, self._command, self._early = on_event, command, early
        self._process: Process | RemoteWorker | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._unsent: list[Request] = []
        self._deaths: collections.deque[float] = collections.deque(maxlen=QUICK_DEATHS)
        self._model: Open | None = None
        self._closing = False

    @property
    def pid(self) -> int | None:
        """The worker's process id, None while there is none on this machine."""
        return self._process.pid if self._process else None

    async def start(self) -> None:
        """Start the worker. Its events arrive on the running loop."""
        self._loop = asyncio.get_running_loop()
        self._adopt(self._new())

    def send(self, request: Request) -> None:
        """Send a request; before the worker is up it is kept and sent then."""
        if isinstance(request, Reconnect):
            self._reconnect()
            return
        if isinstance(request, Open):
            self._model = request
        elif isinstance(request, Apply) and self._model:
            self._model = Open(revision=request.revision, recipe=request.recipe, kernels=self._model.kernels)
        if self._process is None:
            self._unsent.append(request)
            return
        try:
            self._process.send(request)
        except UnicodeEncodeError:
            why = "a name in it, that of a file most likely, is not in the encoding of this system (UTF-8)"
            self._refuse("The request could not be sent", why, "Rename the file.", getattr(request, "revision", 0))
            if isinstance(request, StartJob):
                ended = JobEnded(request.job, request.kind, 0.0, error=f"The job was not started: {why}")
                self._on_loop(self._on_event, ended)

    async def close(self) -> None:
        """End the worker and every job it started; returns within `GRACE_SECONDS`."""
        self._closing = True
        process, self._process = self._process or self._early, None
        if process is None:
            return
        process.end_input()  # the worker ends on EOF and removes its temporary files
        await asyncio.to_thread(process.wait, GRACE_SECONDS)
        process.kill()
        await asyncio.to_thread(process.wait)

    def _new(self) -> Process | RemoteWorker:
        early, self._early = self._early, None
        if not self._command:
            return early or spawn()
        return RemoteWorker(self._command, partial(self._on_loop, self._on_event), early)

    def _reconnect(self) -> None:
        if isinstance(self._process, RemoteWorker):
            self._process.reconnect()
        elif self._process is None and self._loop is not None:  # it died too often, and somebody thinks it will not now
            self._deaths.clear()
            self._unsent = [request for request in self._unsent if not isinstance(request, Open | Apply)]
            self._start_again()

    def _start_again(self) -> None:
        if self._model is not None:
            self._unsent.insert(0, self._model)
        self._adopt(self._new())

    def _adopt(self, process: Process | RemoteWorker) -> None:
        self._process = process
        threading.Thread(target=self._listen, args=(process,), name="worker's events", daemon=True).start()
        unsent, self._unsent = self._unsent, []
        for request in unsent:
            self.send(request)

    def _listen(self, process: Process | RemoteWorker) -> None:
        """Decode events off the loop: a graph of 50k nodes takes a while."""
        decoder: msgspec.json.Decoder[Event] = msgspec.json.Decoder(Event)
        for line in process.lines():
            try:
                event = decoder.decode(line)
            except msgspec.MsgspecError as error:
                revision = self._model.revision if self._model else 0
                self._refuse("A message of the worker could not be read", str(error), _SAME_VERSION, revision)
                continue
            self._on_loop(self._on_event, event)
        self._on_loop(self._died, process)

    def _refuse(self, what: str, why: str, hint: str, revision: int) -> None:
        """Answer in the worker's place, later: whoever asks is not ready for the answer while asking."""
        self._on_loop(self._on_event, Refused(what, why, hint, revision=revision))

    def _on_loop(self, call: Callable[[_Heard], None], value: _Heard) -> None:
        assert self._loop is not None
        if not self._closing:
            with contextlib.suppress(RuntimeError):  # the loop closed in between: nobody listens any more
                self._loop.call_soon_threadsafe(call, value)

    def _died(self, process: Process | RemoteWorker) -> None:
        if self._closing or process is not self._process:
            return
        process.kill()  # whatever it had started
        self._process = None
        now = time.monotonic()
        self._deaths.append(now)
        hopeless = len(self._deaths) == QUICK_DEATHS and now - self._deaths[0] < QUICK_SECONDS
        words = "\n".join(process.tail.splitlines()[-LAST_WORDS:])
        why = process.how.removeprefix("was ")
        self._on_event(WorkerDied(why=why, restarted=not hopeless, last_words=words))
        if hopeless:
            return
        if self._model is not None:
            # Only what kills a worker again is judged without onnx's shapes: such a verdict lacks what they would show.
            again = len(self._deaths) > 1 and now - self._deaths[-2] < QUICK_SECONDS
            self._model = msgspec.structs.replace(self._model, careful=again)
        self._start_again()
