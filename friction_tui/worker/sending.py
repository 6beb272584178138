"""Sends a model of this machine to a worker elsewhere: what the model is first, its weights when they are needed."""

from __future__ import annotations

import queue
import threading
import time
from collections.abc import Callable
from pathlib import Path

import msgspec

from friction_tui.processes.begin import command
from friction_tui.processes.child import run
from friction_tui.vocabulary.protocol import Event, Sending, Sent
from friction_tui.vocabulary.protocol.line import Offer, Offered, Packed, Piece, written
from friction_tui.worker.store import key_of, read_span

PIECE = 1 << 17
MOST_ON_THE_WAY = 64 * PIECE
SOON_S = 1.0
"""A piece that was answered within this time allows more of them on the way, a later one fewer."""
TOLD_S = 0.25
"""Seconds between two words about how far it is."""
BUSY_S = 1.0
"""Seconds until a file is offered again that another session sends just now."""
SENT_SUFFIXES = (".onnx",)
"""Files of this machine that are sent; any other source is looked for on the worker's."""


def can_be_sent(path: str, factory: str) -> bool:
    """Whether a source is a file of this machine that the worker is given."""
    return not factory and path.lower().endswith(SENT_SUFFIXES) and Path(path).is_file()


class Sender:
    """Sends one file after the other, in a thread. `say` puts bytes on the line as it is, or will be.

    `tell` hears how far it is, `sent` that a file is there; both from the thread.
    """

    def __init__(self, say: Callable[[bytes], None], tell: Callable[[Event], None]) -> None:
        self._say, self._tell = say, tell
        self._answers: queue.SimpleQueue[Offered | None] = queue.SimpleQueue()
        self._wanted: queue.SimpleQueue[tuple[str, bool, Callable[[Sent | None], None]]] = queue.SimpleQueue()
        self._packed: dict[str, Packed] = {}
        self._attempt = 0
        self._closed = False
        threading.Thread(target=self._work, name="files", daemon=True).start()

    def send(self, path: str, *, weights: bool, then: Callable[[Sent | None], None]) -> None:
        """Send a file; with `weights` all of it. `then` is called with what came of it, None for nothing."""
        self._wanted.put((path, weights, then))

    def hear(self, answer: Offered) -> None:
        """The other end answers."""
        self._answers.put(answer)

    def line_is_up(self) -> None:
        """Another line: what was on the way over the one before has to be offered again."""
        self._answers.put(None)

    def close(self) -> None:
        """Send nothing any more."""
        self._closed = True
        self._answers.put(None)
        self._wanted.put(("", False, lambda _: None))

    def _work(self) -> None:
        while not self._closed:
            path, weights, then = self._wanted.get()
            if self._closed:
                return
            try:
                sent = self._send(path, weights=weights)
            except (OSError, _NotTaken) as error:
                self._tell(Sending(path=path, done=0, total=0, why_not=str(error)))
                sent = None
            if not self._closed:
                then(sent)

    def _send(self, path: str, *, weights: bool) -> Sent:
        packed = self._packed.get(path) if weights else None
        packed = packed or _packed(path)
        self._packed[path] = packed
        parts = packed.whole if weights or not packed.light else packed.light
        folder = Path(packed.folder)
        self._tell(Sending(path=path, done=0, total=sum(length for part in parts for _, length in part.segments)))
        stored = self._parcel(path, Offer(key=key_of(parts, folder), parts=parts), folder)
        return Sent(path, stored, light=parts is packed.light)

    def _parcel(self, path: str, offer: Offer, folder: Path) -> str:
        """Send a parcel, over as many lines as it takes; returns where its model lies."""
        total = offer.length
        while not self._closed:
            self._attempt += 1
            self._say(written(msgspec.structs.replace(offer, attempt=self._attempt)))
            answer = self._answer()
            if answer is None:
                continue
            if answer.busy:
                time.sleep(BUSY_S)
                continue
            following = done = answer.done
            window, told = PIECE, 0.0
            asked: dict[int, float] = {}
            while answer is not None and not answer.path:
                while following < total and following - done < window:
                    content = read_span(offer.parts, folder, following, min(PIECE, total - following))
                    if not content:
                        raise OSError("the file has become shorter")
                    piece = Piece(key=offer.key, offset=following, size=len(content), attempt=self._attempt)
                    following += len(content)
                    asked[following] = time.monotonic()
                    self._say(written(piece) + content)
                if time.monotonic() - told > TOLD_S:
                    told = time.monotonic()
                    self._tell(Sending(path=path, done=done, total=total))
                answer = self._answer()
                if answer is None:
                    break
                done = answer.done
                since = asked.pop(done, None)
                if since is not None:
                    soon = time.monotonic() - since < SOON_S
                    window = min(2 * window, MOST_ON_THE_WAY) if soon else max(window // 2, PIECE)
            if answer is not None:
                self._tell(Sending(path=path, done=total, total=total))
                return answer.path
        raise _NotTaken("the app ended")

    def _answer(self) -> Offered | None:
        """The next answer to this attempt; None when the line changed meanwhile."""
        while True:
            answer = self._answers.get()
            if answer is None:
                return None
            if answer.attempt == self._attempt:
                if answer.why_not and not answer.busy:
                    raise _NotTaken(answer.why_not)
                return answer


class _NotTaken(Exception):
    """The other end does not take a file: why."""


def _packed(path: str) -> Packed:
    done = run(
        command("friction_tui.worker.packing"), str(Path(path).absolute()).encode(errors="surrogateescape") + b"\n"
    )
    try:
        packed = msgspec.json.decode(done.out, type=Packed)
    except msgspec.MsgspecError:
        raise _NotTaken(f"it could not be read: {done.last_line}") from None
    if packed.why_not:
        raise _NotTaken(packed.why_not)
    return packed
