"""The hub of a shared session: one worker, any number of viewers, one order in which everything happens.

It keeps the same state as its viewers do. An edit is granted when it was made on the newest revision, and then sent
to the others; an edit of an older one is answered with the present state. Every viewer has a queue with a limit: who
reads too slowly gets the state instead of what was missed. The hub ends with its last viewer.
"""

from __future__ import annotations

import asyncio
import hmac
import os
import signal
import sys
from dataclasses import replace
from itertools import count
from pathlib import Path
from typing import Any

import msgspec

from friction_tui import __version__
from friction_tui.log import LOG, start_log
from friction_tui.sharing.session_code import SessionCode, Start
from friction_tui.sharing.viewer import ViewerConnection
from friction_tui.state.app_state import AppState
from friction_tui.state.dispatch import dispatch
from friction_tui.state.user_actions import after_request, next_job
from friction_tui.state.viewer_messages import snapshot
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    LOOKS,
    PROTOCOL,
    Apply,
    Asked,
    CancelJob,
    ConsentNeeded,
    Detail,
    Ended,
    Event,
    FindWidest,
    Forecast,
    Forecasted,
    FromViewer,
    Inspect,
    Join,
    Looking,
    Looks,
    NetronStarted,
    Open,
    Present,
    Preview,
    Previewed,
    ReadInitializer,
    ReadSource,
    Request,
    SourceText,
    StartJob,
    StartNetron,
    Stats,
    Synced,
    ToViewer,
    TurnedAway,
    Viewer,
    WatchGpu,
    WidestFound,
    WorkerDied,
)
from friction_tui.worker.client import WorkerClient

LONGEST_REQUEST = 16 << 20
JOIN_SECONDS = 5.0
"""How long a connection may stay without a word."""
EMPTY_SECONDS = 30.0
"""How long the hub waits for its first viewer."""


class Hub:
    """Orders what viewers ask and the worker says."""

    def __init__(self, start: Start, code: SessionCode) -> None:
        self._start, self._code = start, str(code)
        self._worker = WorkerClient(self.hear, start.worker or None)
        self._state = AppState()
        self._viewers: list[ViewerConnection] = []
        self._asked: dict[object, list[ViewerConnection]] = {}
        """Who waits for the answer to a question."""
        self._opened_by: ViewerConnection | None = None
        self._gpu_every: dict[ViewerConnection, float] = {}
        self.over = asyncio.Event()

    def end_if_empty(self) -> None:
        """End when no viewer is connected."""
        if not self._viewers:
            self.over.set()

    async def begin(self) -> None:
        """Start the worker."""
        await self._worker.start()

    async def end(self, why: str) -> None:
        """Tell everybody and end the worker."""
        self._send_all(Ended(why))
        await asyncio.sleep(0.1)  # for those who read
        await self._worker.close()

    # --------------------------------------------------------------------------------------------- viewers

    async def welcome(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, from its first word to its end."""
        try:
            async with asyncio.timeout(JOIN_SECONDS):
                join = msgspec.json.decode(await reader.readuntil(b"\n"), type=Join)
        except (TimeoutError, asyncio.IncompleteReadError, asyncio.LimitOverrunError, msgspec.MsgspecError, OSError):
            writer.close()
            return
        why = self._why_not(join)
        if why:
            writer.write(msgspec.json.encode(TurnedAway(why)) + b"\n")
            writer.close()
            return
        watch_only = join.watch_only or (self._start.watch_only and bool(self._viewers))
        viewer = ViewerConnection(self._free_name(join.name), writer, self._snapshot_for, watch_only=watch_only)
        viewer.colour = next(free for free in count() if free not in {other.colour for other in self._viewers})
        self._viewers.append(viewer)
        self._announce(f"{viewer.name} joined")
        viewer.resync("")
        try:
            await self._listen(viewer, reader)
        finally:
            viewer.leave()
            self._left(viewer)

    def _why_not(self, join: Join) -> str:
        if not hmac.compare_digest(join.token.encode(), self._start.token.encode()):
            return "the code is wrong: its second part is not this session's"
        if join.protocol != PROTOCOL:
            return (
                f"it is shared by friction-tui {__version__}, and you have {join.version}, which uses another "
                "protocol: install the same version"
            )
        return ""

    def _free_name(self, wanted: str) -> str:
        name = "".join(c for c in wanted if c.isprintable()).strip()[:20] or "somebody"
        taken = {viewer.name for viewer in self._viewers}
        return next(free for n in range(1, len(taken) + 2) if (free := name if n == 1 else f"{name} {n}") not in taken)

    async def _listen(self, viewer: ViewerConnection, reader: asyncio.StreamReader) -> None:
        decoder: msgspec.json.Decoder[FromViewer] = msgspec.json.Decoder(FromViewer)
        while True:
            try:
                line = await reader.readuntil(b"\n")
                said = decoder.decode(line)
            except (asyncio.IncompleteReadError, asyncio.LimitOverrunError, OSError):
                return
            except msgspec.MsgspecError as error:
                LOG.warning("%s sent what cannot be read: %s", viewer.name, error)
                return
            if isinstance(said, Synced):
                viewer.synced = said.number
            elif isinstance(said, Looking):
                looks = Looks(viewer.name, said.path, said.here)
                self._state = dispatch(self._state, msgspec.structs.replace(looks, here=False))
                self._send_all(looks, apart=viewer)
            else:
                self.asked(viewer, said)

    def _left(self, viewer: ViewerConnection) -> None:
        self._viewers.remove(viewer)
        self._state = replace(self._state, looking={k: v for k, v in self._state.looking.items() if k != viewer.name})
        self._gpu_every.pop(viewer, None)
        for waiting in self._asked.values():
            waiting[:] = [other for other in waiting if other is not viewer]
        self._announce(f"{viewer.name} left")
        self.end_if_empty()

    def _announce(self, said: str) -> None:
        LOG.info("shared session: %s", said)
        for viewer in self._viewers:
            viewer.send(_line(self._present(viewer, said)))

    def _present(self, viewer: ViewerConnection, said: str = "") -> Present:
        here = tuple(Viewer(viewer.name, viewer.watch_only, viewer.colour) for viewer in self._viewers)
        return Present(viewers=here, you=viewer.name, code=self._code, said=said)

    def _snapshot_for(self, viewer: ViewerConnection, number: int, why: str) -> bytes:
        state = replace(self._state, present=self._present(viewer))
        return _line(snapshot(state if viewer is self._opened_by else replace(state, consent=None), number, why))

    # -------------------------------------------------------------------------------------------- requests

    def asked(self, viewer: ViewerConnection, request: Request) -> None:
        """Grant a request or not; what is granted happens for everybody in the same order."""
        if viewer.watch_only and not isinstance(request, LOOKS):
            viewer.resync("nothing was changed: you are only watching")
            return
        match request:
            case Open() | Apply() | StartJob():
                self._change(viewer, request)
                return
            case CancelJob() if request.job == EXPORT_JOB and self._state.consent is not None:
                self._state = dispatch(self._state, request)
                for other in self._viewers:
                    if other is not viewer:
                        other.resync(f"{viewer.name} did not let the source's code run")
            case CancelJob():
                self._send_all(Asked(viewer.name, request), apart=viewer)
            case WatchGpu():
                self._gpu_every[viewer] = request.interval
                wanted = [every for every in self._gpu_every.values() if every]
                request = WatchGpu(min(wanted, default=0.0))
            case _ if (key := _question(request)) is not None:
                self._asked.setdefault(key, []).append(viewer)
        self._worker.send(request)

    def _change(self, viewer: ViewerConnection, request: Open | Apply | StartJob) -> None:
        """What moves the state: granted to a viewer that saw the newest one."""
        state = self._state
        if isinstance(request, StartJob):
            newest = state.recipe is not None and request.job == next_job(state)
        else:
            newest = request.revision == state.revision + 1
        if not newest or not viewer.in_step:
            what = "job was not started" if isinstance(request, StartJob) else "edit was not made"
            viewer.resync(f"your {what}: somebody else changed the session first")
            return
        asked = Asked(viewer.name, request, state.recipe if isinstance(request, StartJob) else None)
        self._state = after_request(state, request, asked.recipe, viewer.name)
        if isinstance(request, Open):
            self._opened_by = viewer
        self._send_all(asked, apart=viewer)
        self._worker.send(request)

    # ---------------------------------------------------------------------------------------------- events

    def hear(self, event: Event) -> None:
        """Pass on what the worker says: an answer to who asked, everything else to all."""
        key = _answered(event)
        if key is not None:
            line = _line(event)
            waiting = self._asked.get(key, [])
            for viewer in waiting[:1] if key in ONE_AT_A_TIME else waiting:
                viewer.send(line)
            self._asked[key] = waiting[1:] if key in ONE_AT_A_TIME else []
            return
        if isinstance(event, WorkerDied):
            self._asked.clear()
        self._state = dispatch(self._state, event)
        if isinstance(event, ConsentNeeded):
            if self._opened_by in self._viewers and self._opened_by is not None:
                self._opened_by.send(_line(event))
            return
        self._send_all(event)

    def _send_all(self, message: ToViewer, apart: ViewerConnection | None = None) -> None:
        line = _line(message)
        for viewer in self._viewers:
            if viewer is not apart:
                viewer.send(line)


ONE_AT_A_TIME = (Forecast, StartNetron)
"""Questions whose answers do not say what they answer; the worker answers in the order asked."""


def _question(request: Request) -> object:
    """What the answer to a question will be recognised by; None for what is not a question of one viewer."""
    match request:
        case Inspect():
            return Inspect, request.path
        case ReadInitializer():
            return ReadInitializer, request.name
        case ReadSource():
            return ReadSource, request.file
        case FindWidest():
            return FindWidest, request.key
        case Preview():
            return Preview, request.revision, request.rewrite
        case Forecast() | StartNetron():
            return type(request)
    return None


def _answered(event: Event) -> object:
    match event:
        case Detail():
            return Inspect, event.path
        case Stats():
            return ReadInitializer, event.stats.name
        case SourceText():
            return ReadSource, event.file
        case Previewed():
            return Preview, event.revision, event.rewrite
        case WidestFound():
            return FindWidest, event.key
        case Forecasted():
            return Forecast
        case NetronStarted():
            return StartNetron
    return None


def _line(message: Any) -> bytes:
    return msgspec.json.encode(message) + b"\n"


def main() -> None:
    """In a process of its own: one `Start` on stdin, one line on stdout once it listens."""
    start = msgspec.json.decode(sys.stdin.buffer.readline(), type=Start)
    start_log()
    asyncio.run(_serve(start))
    os._exit(0)


async def _serve(start: Start) -> None:
    socket = Path(start.socket)
    hub, loop = Hub(start, SessionCode(socket, start.token)), asyncio.get_running_loop()
    ended = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, ended.set)
    server = await asyncio.start_unix_server(hub.welcome, socket, limit=LONGEST_REQUEST)
    try:
        await hub.begin()
        _cut_loose()
        loop.call_later(EMPTY_SECONDS, hub.end_if_empty)
        waits = [asyncio.ensure_future(event.wait()) for event in (hub.over, ended)]
        await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
    except Exception:
        LOG.critical("the hub of a shared session crashed", exc_info=True)
        raise
    finally:
        server.close()
        socket.unlink(missing_ok=True)
        await hub.end("it was ended on the machine that runs it")


def _cut_loose() -> None:
    """Say that viewers can come, and let go of the terminal that this was started from: it may go first."""
    os.write(1, b"ready\n")
    nowhere = os.open(os.devnull, os.O_RDWR)
    for number in (0, 1, 2):
        os.dup2(nowhere, number)
