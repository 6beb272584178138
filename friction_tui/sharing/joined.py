"""A viewer's end of a shared session: joining it, and a connection in place of a worker."""

from __future__ import annotations

import asyncio
import contextlib
import socket
import threading
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import BinaryIO

import msgspec

from friction_tui import __version__
from friction_tui.processes.begin import command
from friction_tui.processes.child import Child
from friction_tui.sharing.session_code import SessionCode, Start, new_code
from friction_tui.vocabulary.protocol import PROTOCOL, Ended, FromViewer, Join, Snapshot, Synced, ToViewer, TurnedAway

ANSWER_SECONDS = 20.0
"""How long the hub may take to answer who joins."""
_ENCODER = msgspec.json.Encoder()


class CannotJoin(Exception):
    """Why a shared session was not joined, for the person at the terminal."""


@dataclass(frozen=True, slots=True)
class Connection:
    """A viewer's open connection. `first` is the whole state as it was on joining."""

    socket: socket.socket
    lines: BinaryIO
    first: Snapshot

    def send(self, message: FromViewer) -> None:
        """Send one line. A closed connection is noticed by the listening thread."""
        with contextlib.suppress(OSError):
            self.socket.sendall(_ENCODER.encode(message) + b"\n")


def start_hub(worker: Sequence[str] | None, *, watch_only: bool) -> tuple[Child, SessionCode]:
    """Start a hub with a worker of its own, and the code to join it with; it lives as long as it has viewers."""
    code = new_code()
    # It outlives this terminal while others look on.
    hub = Child(command("friction_tui.sharing.hub", parent=0), own_group=True)
    hub.send(Start(str(code.socket), code.token, tuple(worker or ()), watch_only))
    return hub, code


def wait_for(hub: Child) -> None:
    """Return when the hub can be joined."""
    if hub.stdout.readline() != b"ready\n":
        why = hub.how
        raise CannotJoin(f"the session could not be shared: {(hub.tail or f'its process {why}').splitlines()[-1]}")


def join(code: SessionCode, name: str, *, watch_only: bool = False) -> Connection:
    """Join a shared session. CannotJoin says why that is not possible."""
    try:
        link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        link.settimeout(ANSWER_SECONDS)
        link.connect(str(code.socket))
        wants = Join(token=code.token, name=name, protocol=PROTOCOL, version=__version__, watch_only=watch_only)
        link.sendall(_ENCODER.encode(wants) + b"\n")
        lines = link.makefile("rb")
        said = msgspec.json.decode(lines.readline(), type=ToViewer)
    except (OSError, msgspec.MsgspecError) as error:
        raise CannotJoin(
            f"{code.socket}: {error}. Is the session over? The user who shares it sees the code."
        ) from error
    if not isinstance(said, Snapshot):
        raise CannotJoin(said.why if isinstance(said, TurnedAway | Ended) else "its answer cannot be understood")
    link.settimeout(None)
    connection = Connection(link, lines, said)
    connection.send(Synced(said.number))
    return connection


class JoinedClient:
    """Stands where `WorkerClient` does, for a session whose worker is shared. Use from one asyncio loop only."""

    def __init__(self, connection: Connection, on_event: Callable[[ToViewer], None]) -> None:
        self._connection, self._on_event = connection, on_event
        self._loop: asyncio.AbstractEventLoop | None = None
        self._closing = False

    async def start(self) -> None:
        """Listen from now on."""
        self._loop = asyncio.get_running_loop()
        threading.Thread(target=self._listen, name="shared session", daemon=True).start()

    def send(self, message: FromViewer) -> None:
        """Ask for something."""
        self._connection.send(message)

    async def close(self) -> None:
        """Leave; the session goes on with those who stay."""
        self._closing = True
        with contextlib.suppress(OSError):
            self._connection.socket.shutdown(socket.SHUT_RDWR)
        self._connection.socket.close()

    def _listen(self) -> None:
        """Decode off the loop: a graph of 50k nodes takes a while."""
        decoder: msgspec.json.Decoder[ToViewer] = msgspec.json.Decoder(ToViewer)
        why = "its process is gone"
        with contextlib.suppress(OSError, ValueError):
            for line in self._connection.lines:
                try:
                    heard = decoder.decode(line)
                except msgspec.MsgspecError as error:
                    why = f"it sent a message that cannot be understood ({error})"
                    break
                self._on_loop(heard)
                if isinstance(heard, Ended):
                    return
        self._on_loop(Ended(why))

    def _on_loop(self, heard: ToViewer) -> None:
        assert self._loop is not None
        if not self._closing:
            with contextlib.suppress(RuntimeError):  # the loop closed in between
                self._loop.call_soon_threadsafe(self._take, heard)

    def _take(self, heard: ToViewer) -> None:
        self._on_event(heard)
        if isinstance(heard, Snapshot):
            self.send(Synced(heard.number))
