"""`friction-tui worker`: one line to a worker, from stdin and stdout to the keeper that has it.

It lives as long as the line does. What it carries it does not read, but for the first word.
"""

from __future__ import annotations

import contextlib
import os
import socket
import threading
from pathlib import Path

import msgspec

from friction_tui import __version__
from friction_tui.ending import FAILED
from friction_tui.processes import private
from friction_tui.processes.begin import command
from friction_tui.processes.child import Child
from friction_tui.vocabulary.protocol import PROTOCOL, Refused
from friction_tui.vocabulary.protocol.line import MARK, Attach, NotAttached, read, written
from friction_tui.worker.keeper import Start

_PIECE = 1 << 16


def relay(keep_s: float) -> int:
    """Carry one line until it ends; returns the exit status. A worker is kept for `keep_s` seconds without one."""
    first = _line(0)
    if not first.startswith(MARK):
        _say(_not_understood())
        return FAILED
    try:
        attach = read(first, msgspec.json.Decoder(Attach))
    except msgspec.MsgspecError as error:
        _say(written(NotAttached(_versions("unknown", str(error)))))
        return FAILED
    try:
        link = _link(attach, keep_s)
    except (private.NotPrivate, OSError, _Refuses) as error:
        _say(written(error.answer if isinstance(error, _Refuses) else NotAttached(str(error))))
        return FAILED
    link.sendall(first)
    threading.Thread(target=_to_keeper, args=(link,), daemon=True).start()
    with contextlib.suppress(OSError):
        while piece := link.recv(_PIECE):
            _say(piece)
    return 0


class _Refuses(Exception):
    def __init__(self, why: str, *, gone: bool = False) -> None:
        super().__init__(why)
        self.answer = NotAttached(why, gone)


def _link(attach: Attach, keep_s: float) -> socket.socket:
    """A connection to the worker that is meant."""
    if attach.protocol != PROTOCOL:
        raise _Refuses(_versions(attach.version))
    if not attach.session or not set(attach.session) <= set(private.ALPHABET):
        raise _Refuses("the name of the session is none")
    private.made(private.temporary_dir())
    folder = private.made(private.temporary_dir() / "workers")
    place = folder / f"{attach.session}.sock"
    if attach.new and not place.exists():
        private.sweep(folder)
        _begin(place, attach.token, keep_s)
    link = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    try:
        link.connect(str(place))
    except (FileNotFoundError, ConnectionRefusedError):
        link.close()
        why = "nobody came back to it in time, or it was ended there"
        raise _Refuses(why, gone=True) from None
    return link


def _begin(place: Path, token: str, keep_s: float) -> None:
    keeper = Child(command("friction_tui.worker.keeper", parent=0), own_group=True)
    keeper.send(Start(str(place), token, keep_s))
    if keeper.stdout.readline() != b"ready\n":
        how = keeper.how
        raise _Refuses(f"a worker could not be started: {(keeper.tail or f'its process {how}').splitlines()[-1]}")


def _to_keeper(link: socket.socket) -> None:
    """Until stdin ends, whatever way: then the line is lost."""
    with contextlib.suppress(OSError):
        while piece := os.read(0, _PIECE):
            link.sendall(piece)
    with contextlib.suppress(OSError):
        link.shutdown(socket.SHUT_RDWR)


def _line(descriptor: int) -> bytes:
    """The first line, and not a byte behind it."""
    line = bytearray()
    while not line.endswith(b"\n"):
        byte = os.read(descriptor, 1)
        if not byte:
            break
        line += byte
    return bytes(line)


def _say(content: bytes) -> None:
    left = memoryview(content)
    while left:
        try:
            left = left[os.write(1, left) :]
        except OSError:
            os._exit(0)  # nobody is left to talk to


def _versions(theirs: str, more: str = "") -> str:
    there = f"friction-tui {__version__} is installed there, and the terminal has {theirs}"
    return f"{there}, which speak differently: install the same version" + (f" ({more})" if more else "")


def _not_understood() -> bytes:
    """The answer to a terminal that is older than this way to talk, in its own words."""
    refused = Refused("The worker is not of this version", _versions("an older one"))
    return msgspec.json.encode(refused) + b"\n"
