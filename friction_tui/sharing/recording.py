"""A session written down: one JSON object a line, a header first, then what was asked and what was heard, with times.

    {"recording": 1, "friction_tui": "0.1.0", "protocol": 1, "model": "detector.onnx", "began": "2026-03-01T09:30:00"}
    {"t": 0.0, "asked": {"type": "open", …}}
    {"t": 0.31, "heard": {"type": "graph", …}}

It holds what the screen could show, no weights. Directories of the models that were opened, and the home directory,
are taken out of every text; the machine's name is left out.
"""

from __future__ import annotations

import datetime
import os
import time
from dataclasses import dataclass
from pathlib import Path

import msgspec

from friction_tui import __version__
from friction_tui.files import read_whole
from friction_tui.vocabulary.protocol import (
    PROTOCOL,
    Apply,
    Asked,
    CancelJob,
    Hello,
    JobEnded,
    Judged,
    LineChanged,
    Open,
    Refused,
    Request,
    Snapshot,
    StartJob,
    ToViewer,
    WorkerDied,
)

FORMAT = 1
_ENCODER = msgspec.json.Encoder()


class BrokenRecording(Exception):
    """A recording that cannot be made or read: which, where, why, and what to do."""


class Header(msgspec.Struct, frozen=True, kw_only=True):
    """The first line. `began` is the local time, ISO 8601."""

    recording: int
    friction_tui: str
    protocol: int
    model: str
    began: str


class Entry(msgspec.Struct, frozen=True, omit_defaults=True):
    """Any other line: `t` seconds after the beginning, either was something asked or something heard."""

    t: float
    asked: Request | None = None
    heard: ToViewer | None = None


@dataclass(frozen=True, slots=True)
class Recording:
    """A recording that was read. `cut_off`: its last line is not whole, as after a crash."""

    header: Header
    entries: tuple[Entry, ...]
    cut_off: bool = False


class Recorder:
    """Writes a session to a new file, readable by its owner only, line by line. `model` is what is open already."""

    def __init__(self, path: Path, model: str = "") -> None:
        try:
            handle = os.open(path, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        except FileExistsError as error:
            raise BrokenRecording(f"{path} exists already: choose another name for the recording") from error
        except OSError as error:
            raise BrokenRecording(f"{path} cannot be written: {error.strerror}") from error
        self._file = os.fdopen(handle, "wb")
        self._began = time.monotonic()
        self._hidden: dict[bytes, bytes] = {}
        self.failed = ""
        """Why nothing is written any more, "" while it is."""
        home = str(Path.home())
        if home != "/":
            self._hide(home, "~")
        self._hide_folder_of(model)
        began = datetime.datetime.now().isoformat(timespec="seconds")
        name = Path(model).name
        self._write(Header(recording=FORMAT, friction_tui=__version__, protocol=PROTOCOL, model=name, began=began))

    def asked(self, request: Request) -> None:
        """Something was asked of the worker."""
        self._look_at(request)
        self._write(Entry(self._t, asked=request))

    def heard(self, message: ToViewer) -> None:
        """Something was heard from it, or from another viewer."""
        if isinstance(message, Hello):
            message = msgspec.structs.replace(message, machine="", pid=0)
        if isinstance(message, LineChanged):
            message = msgspec.structs.replace(message, machine="", why="")
        if isinstance(message, Snapshot):
            message = _without_machine(message)
        if isinstance(message, Asked):
            self._look_at(message.request)
        self._write(Entry(self._t, heard=message))

    def close(self) -> None:
        """No more."""
        self._file.close()

    @property
    def _t(self) -> float:
        return round(time.monotonic() - self._began, 4)

    def _look_at(self, request: Request) -> None:
        if isinstance(request, Open):
            self._hide_folder_of(request.recipe.source.path)

    def _hide_folder_of(self, model: str) -> None:
        folder = Path(model).absolute().parent
        if model and len(folder.parts) > 1:
            self._hide(f"{folder}/", "")

    def _hide(self, text: str, instead: str) -> None:
        """From now on one text stands for another; longer ones first, for one may be the beginning of another."""
        self._hidden[_ENCODER.encode(text)[1:-1]] = instead.encode()
        self._hidden = dict(sorted(self._hidden.items(), key=lambda pair: -len(pair[0])))

    def _write(self, line: Header | Entry) -> None:
        encoded = _ENCODER.encode(line)
        for text, instead in self._hidden.items():
            encoded = encoded.replace(text, instead)
        if self.failed:
            return
        try:
            self._file.write(encoded + b"\n")
            self._file.flush()
        except (OSError, ValueError) as error:
            self.failed = f"the recording stops here: {error}"


def _without_machine(snapshot: Snapshot) -> Snapshot:
    state = msgspec.json.decode(snapshot.state)
    for field, private in (("hello", ("machine",)), ("line", ("machine", "why"))):
        if state.get(field):
            state[field] |= dict.fromkeys(private, "")
    return msgspec.structs.replace(snapshot, state=msgspec.Raw(_ENCODER.encode(state)))


LARGEST = 1 << 30
"""Bytes of a recording that is read."""


def read(path: Path) -> Recording:
    """Read a recording. BrokenRecording names the line that cannot be read."""
    try:
        lines = read_whole(path, LARGEST).split(b"\n")
    except OSError as error:
        raise BrokenRecording(f"{path} cannot be read: {error.strerror}") from error
    header = _header(path, lines[0])
    last = lines.pop()  # what follows the last newline: nothing, or the half of a line
    decoder = msgspec.json.Decoder(Entry)
    entries = []
    for number, line in enumerate(lines[1:], 2):
        try:
            entries.append(decoder.decode(line))
        except (msgspec.MsgspecError, RecursionError) as error:
            raise BrokenRecording(
                f"{path} is damaged in line {number}: {error}. `head -n {number - 1}` of it can be replayed."
            ) from error
    return Recording(header, tuple(entries), cut_off=bool(last))


def _header(path: Path, line: bytes) -> Header:
    try:
        header = msgspec.json.decode(line, type=Header)
    except (msgspec.MsgspecError, RecursionError) as error:
        what = "is empty" if not line else f"is not a friction-tui recording: its first line is not a header ({error})"
        raise BrokenRecording(f"{path} {what}. `friction-tui MODEL --record FILE` makes one.") from error
    if header.recording > FORMAT or header.protocol > PROTOCOL:
        raise BrokenRecording(
            f"{path} was recorded by friction-tui {header.friction_tui}, which is newer than this one "
            f"({__version__}): upgrade to replay it"
        )
    return header


def is_mark(entry: Entry) -> bool:
    """Whether an entry is worth a step of its own: something was done, or an answer is complete."""
    asked = entry.heard.request if isinstance(entry.heard, Asked) else entry.asked
    done = isinstance(asked, Open | Apply | StartJob | CancelJob)
    return done or isinstance(entry.heard, Judged | JobEnded | Refused | WorkerDied | Snapshot)
