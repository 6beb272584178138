"""The terminal's end of a line to a worker elsewhere: it attaches, notices that the line is cut, and attaches again.

To `WorkerClient` it is a process as any other, whose output does not end when the line does. Requests wait while the
line is down; events that the other end could not send are sent by it later (see `worker.keeper`). Every call returns
at once: whatever can wait has a thread of its own.
"""

from __future__ import annotations

import collections
import os
import select
import threading
import time
from collections.abc import Callable, Iterator, Sequence

import msgspec

from friction_tui import __version__
from friction_tui.processes import private
from friction_tui.processes.child import Child
from friction_tui.vocabulary.protocol import PROTOCOL, Event, Hello, LineChanged, NeedWeights, Open, Sent
from friction_tui.vocabulary.protocol.line import (
    MARK,
    Attach,
    Attached,
    FromTerminal,
    FromWorker,
    Leave,
    NotAttached,
    Offered,
    Received,
    WorkerEnded,
    read,
    written,
)
from friction_tui.worker.sending import Sender, can_be_sent

BEAT_S = 5.0
"""Seconds between two signs of life."""
SILENT_S = 20.0
"""A line on which nothing was heard for so long is lost, whether or not anybody says so."""
CONNECT_S = 60.0
"""How long a line may take to come up."""
BACKOFF_S = (0.5, 1.0, 2.0, 4.0, 8.0, 15.0, 30.0)
"""Seconds between attempts to come back; the last one goes on for ever."""
_PIECE = 1 << 16
_EVERY = 256
"""Events after which the other end is told that they came."""
_NEEDS_WEIGHTS = b'{"type":"need_weights"'
_DECODER: msgspec.json.Decoder[FromWorker] = msgspec.json.Decoder(FromWorker)


class _Lost(Exception):
    """Why a line ended. `for_good`: trying again changes nothing until somebody does something about it."""

    def __init__(self, why: str, *, for_good: bool = False) -> None:
        super().__init__(why)
        self.for_good = for_good


class _Over(Exception):
    """The worker itself is gone: how, and its last words."""

    def __init__(self, how: str, words: str = "") -> None:
        super().__init__(how)
        self.words = words


class RemoteWorker:
    """A worker that `command` leads to. `tell` hears of the line, from a thread. `early` is a line that was begun."""

    def __init__(self, command: Sequence[str], tell: Callable[[Event], None], early: Child | None = None) -> None:
        self._command, self._tell, self._early = command, tell, early
        self._session, self._token = private.letters(16), private.letters(24)
        self._line: Child | None = None
        self._attached_once = self._closing = False
        self._machine = self._over = self._words = ""
        self._sent: collections.deque[bytes] = collections.deque()
        self._first = 0
        """Number of the first request in `_sent`."""
        self._held: list[bytes] = []
        """What waits until a file is there that it is about."""
        self._sending = 0
        self._files = Sender(self._say_bytes, self._tell)
        self._control: collections.deque[bytes] = collections.deque()
        self._received = 0
        self._news = threading.Condition()
        self._again = threading.Event()

    pid = None
    """It has no process on this machine."""

    def send(self, message: object) -> None:
        """Send a message as soon as the line is up. Raises UnicodeEncodeError as `Child.send` does.

        A file of this machine goes before the request to open it, and before all that is asked after that.
        """
        line = msgspec.json.encode(message) + b"\n"
        with self._news:
            source = message.recipe.source if isinstance(message, Open) else None
            if source is not None and can_be_sent(source.path, source.factory):
                self._sending += 1
                self._files.send(source.path, weights=False, then=self._file_came)
            if self._sending:
                self._held.append(line)
            else:
                self._sent.append(line)
            self._news.notify_all()

    def _file_came(self, sent: Sent | None) -> None:
        with self._news:
            if sent is not None:
                self._sent.append(msgspec.json.encode(sent) + b"\n")
            self._sending -= 1
            if not self._sending:
                self._sent.extend(self._held)
                self._held.clear()
            self._news.notify_all()

    def _send_weights(self, path: str) -> None:
        def came(sent: Sent | None) -> None:
            with self._news:
                self._sent.append(msgspec.json.encode(sent or Sent(path, "", light=True)) + b"\n")
                self._news.notify_all()

        self._files.send(path, weights=True, then=came)

    def reconnect(self) -> None:
        """Try to come back now."""
        self._again.set()

    def lines(self) -> Iterator[bytes]:
        """The worker's events, until the worker is gone or this end is closed."""
        attempt = 0
        while not self._closing:
            lost: _Lost
            before = self._received
            try:
                yield from self._over_one_line()
            except _Over as over:
                self._over, self._words = str(over), over.words
                break
            except _Lost as error:
                lost = error
            if self._closing:
                break
            attempt = 1 if self._received > before else attempt + 1
            wait = None if lost.for_good else BACKOFF_S[min(attempt, len(BACKOFF_S)) - 1]
            self._tell(LineChanged(machine=self._machine, up=False, why=str(lost), again_s=wait))
            self._again.wait(wait)
            self._again.clear()

    def end_input(self) -> None:
        """Leave: the worker ends, and its keeper with it."""
        with self._news:
            self._closing = True
            self._control.append(written(Leave()))
            self._news.notify_all()
        self._again.set()

    def kill(self) -> None:
        """Hang up."""
        self._closing = True
        self._files.close()
        self._again.set()
        line = self._line or self._early
        if line is not None:
            line.kill()

    def wait(self, timeout: float | None = None) -> int | None:
        """Wait until the line has ended, `timeout` seconds at most."""
        line = self._line
        return line.wait(timeout) if line is not None else 0

    @property
    def how(self) -> str:
        """How the worker ended, in words that follow "the process"."""
        return self._over or "was left"

    @property
    def tail(self) -> str:
        """The end of what the worker wrote to stderr."""
        return self._words

    # ------------------------------------------------------------------------------------------------ one line

    def _over_one_line(self) -> Iterator[bytes]:
        """What comes over one line. Ends with _Lost or _Over."""
        try:
            line, self._early = self._early or Child(self._command, own_group=True), None
        except OSError as error:
            raise _Lost(str(error), for_good=True) from error
        self._line = line
        done = threading.Event()
        try:
            lines = _lines_of(line)
            line.stdin.write(written(self._attach()))
            line.stdin.flush()
            attached = self._answer(line, lines)
            with self._news:
                self._trim(attached.received)
                self._control.clear()  # what belonged to the line before
                if self._closing:
                    self._control.append(written(Leave()))
            self._files.line_is_up()
            self._attached_once, self._machine = True, attached.machine
            self._tell(LineChanged(machine=attached.machine, up=True, version=attached.version))
            threading.Thread(
                target=self._write, args=(line, attached.received, done), name="line's requests", daemon=True
            ).start()
            yield from self._listen(lines)
        except OSError as error:
            raise _Lost(_ended(line) or str(error)) from error
        finally:
            done.set()
            with self._news:
                self._news.notify_all()
            line.close()

    def _attach(self) -> Attach:
        return Attach(
            session=self._session,
            token=self._token,
            protocol=PROTOCOL,
            version=__version__,
            received=self._received,
            new=not self._attached_once,
        )

    def _answer(self, line: Child, lines: Iterator[bytes]) -> Attached:
        """The other end's first word. What a login writes before it (a banner) is passed over."""
        started = time.monotonic()
        for said in lines:
            if said.startswith(MARK):
                answer = read(said, _DECODER)
                if isinstance(answer, Attached):
                    return answer
                if isinstance(answer, NotAttached) and answer.gone:
                    raise _Over(answer.why)
                raise _Lost(answer.why if isinstance(answer, NotAttached) else "it did not answer", for_good=True)
            version = _older(said)
            if version:
                here = f"friction-tui {version} is installed there, and {__version__} here, which speak differently"
                raise _Lost(f"{here}: install the same version", for_good=True)
            if time.monotonic() - started > CONNECT_S:
                break
        raise _Lost(_ended(line) or "it did not answer")

    def _listen(self, lines: Iterator[bytes]) -> Iterator[bytes]:
        for line in lines:
            if not line.startswith(MARK):
                self._received += 1
                if line.startswith(_NEEDS_WEIGHTS):
                    self._send_weights(msgspec.json.decode(line, type=NeedWeights).path)
                if self._received % _EVERY == 0:
                    self._say(Received(self._received))
                yield line
                continue
            said = read(line, _DECODER)
            if isinstance(said, Received):
                with self._news:
                    self._trim(said.number)
            if isinstance(said, Offered):
                self._files.hear(said)
            if isinstance(said, WorkerEnded):
                raise _Over(said.how, said.last_words)
        raise _Lost(_ended(self._line) if self._line is not None else "")

    def _say(self, message: FromTerminal) -> None:
        self._say_bytes(written(message))

    def _say_bytes(self, content: bytes) -> None:
        with self._news:
            self._control.append(content)
            self._news.notify_all()

    def _trim(self, received: int) -> None:
        while self._first < received and self._sent:
            self._sent.popleft()
            self._first += 1

    def _write(self, line: Child, following: int, done: threading.Event) -> None:
        """Write what is to be sent, and a sign of life now and then."""
        beat = time.monotonic() + BEAT_S
        while True:
            with self._news:
                while not (done.is_set() or self._control or following - self._first < len(self._sent)):
                    if time.monotonic() >= beat:
                        break
                    self._news.wait(max(0.0, beat - time.monotonic()))
                if done.is_set():
                    return
                if self._control:
                    piece = self._control.popleft()
                elif time.monotonic() >= beat:
                    piece, beat = written(Received(self._received)), time.monotonic() + BEAT_S
                else:
                    piece = self._sent[following - self._first]
                    following += 1
            try:
                line.stdin.write(piece)
                line.stdin.flush()
                if self._closing and not self._control:
                    line.end_input()
                    return
            except (OSError, ValueError):
                return  # who listens hears that too


def _lines_of(line: Child) -> Iterator[bytes]:
    """Whole lines until the output ends. Raises _Lost when nothing comes for too long."""
    parts: list[bytes] = []
    descriptor = line.stdout.fileno()
    heard, patience = time.monotonic(), CONNECT_S
    while True:
        if not select.select([descriptor], [], [], 1.0)[0]:
            if time.monotonic() - heard > patience:
                raise _Lost(f"nothing was heard for {patience:.0f} s")
            continue
        piece = os.read(descriptor, _PIECE)
        if not piece:
            return  # what is left is the half of a line, which is sent again
        heard = time.monotonic()
        whole, newline, rest = piece.rpartition(b"\n")
        if newline:
            patience = SILENT_S
            yield from (b"".join((*parts, whole))).split(b"\n")
            parts = [rest]
        else:
            parts.append(piece)


def _ended(line: Child) -> str:
    """Why a line ended, as far as it says so itself."""
    code = line.wait(2.0)
    words = [text.strip() for text in line.tail.splitlines() if text.strip()]
    if words:
        return words[-1]
    return f"its process {line.how}" if code is not None else ""


def _older(said: bytes) -> str:
    """The version of a worker that does not know how to keep a line, "" for what such a one does not say."""
    try:
        event = msgspec.json.decode(said, type=Event)
    except msgspec.MsgspecError:
        return ""
    return event.version if isinstance(event, Hello) else ""
