"""What the two ends of a line to a worker elsewhere say to each other, beside the requests and events it carries.

Such a message is a line that begins with `MARK`; every other line is a request or an event as it is, and counted. Each
end keeps what it sent until the other has said that it came, so that a line that was cut goes on where it ended.
"""

from __future__ import annotations

from typing import TypeVar

import msgspec

MARK = b"!"


class Attach(msgspec.Struct, frozen=True, kw_only=True, tag="attach"):
    """The terminal's first word on a line: which worker it means, and how many events it has.

    `new` asks for one to be started.
    """

    session: str
    token: str
    protocol: int
    version: str
    received: int = 0
    new: bool = False


class Attached(msgspec.Struct, frozen=True, kw_only=True, tag="attached"):
    """The answer: which machine it is, and how many requests have come."""

    machine: str
    version: str
    received: int = 0


class NotAttached(msgspec.Struct, frozen=True, tag="not_attached"):
    """The other answer. `gone`: this worker is not there any more, a new one can be asked for."""

    why: str
    gone: bool = False


class Received(msgspec.Struct, frozen=True, tag="received"):
    """How many requests or events have come, said every few seconds; an end that says nothing is not there."""

    number: int


class WorkerEnded(msgspec.Struct, frozen=True, tag="worker_ended"):
    """The worker is dead, and every event of it was sent. `how` follows "the process"."""

    how: str
    last_words: str


class Leave(msgspec.Struct, frozen=True, tag="leave"):
    """The terminal needs this worker no more."""


class Part(msgspec.Struct, frozen=True):
    """A file of a parcel: its name relative to the model's folder, its size, and which bytes of it are sent.

    `segments` are (offset, length) pairs in their order. The rest of the file is zeros.
    """

    name: str
    size: int
    segments: tuple[tuple[int, int], ...]


class Packed(msgspec.Struct, frozen=True):
    """The files of a model in `folder`, the model first: `whole`, and `light` without the weights, () if all is light.

    `why_not`: it is not a model that can be sent.
    """

    folder: str = ""
    whole: tuple[Part, ...] = ()
    light: tuple[Part, ...] = ()
    why_not: str = ""


class Offer(msgspec.Struct, frozen=True, kw_only=True, tag="offer"):
    """The terminal has files for the worker; the first part is the model. Their segments are one stream of bytes.

    `key` is the SHA-256 of that stream and the parts' layout, in hex: what a parcel is found by later.
    """

    key: str
    parts: tuple[Part, ...]
    attempt: int = 0
    """Counted up whenever it is offered again; pieces and answers of an older attempt mean nothing."""

    @property
    def length(self) -> int:
        """Bytes of the stream."""
        return sum(length for part in self.parts for _, length in part.segments)


class Offered(msgspec.Struct, frozen=True, kw_only=True, tag="offered"):
    """How many bytes of a parcel's stream are there. `path` is where its model lies once all were verified, "" before.

    `why_not`: it is not taken; `busy`: now, as another session receives the same files.
    """

    key: str
    done: int = 0
    path: str = ""
    why_not: str = ""
    busy: bool = False
    attempt: int = 0


class Piece(msgspec.Struct, frozen=True, kw_only=True, tag="piece"):
    """`size` bytes of a parcel's stream from `offset` on follow this line. Answered by `Offered`."""

    key: str
    offset: int
    size: int
    attempt: int = 0


FromTerminal = Attach | Received | Leave | Offer | Piece
FromWorker = Attached | NotAttached | Received | WorkerEnded | Offered


def layout(parts: tuple[Part, ...]) -> bytes:
    """What a parcel's key says of its files beside their bytes."""
    return msgspec.json.encode(parts)


_Said = TypeVar("_Said")


def written(message: FromTerminal | FromWorker) -> bytes:
    """A message as a line."""
    return MARK + msgspec.json.encode(message) + b"\n"


def read(line: bytes, decoder: msgspec.json.Decoder[_Said]) -> _Said:
    """The message of a line that begins with `MARK`. Raises msgspec.MsgspecError for what is none."""
    return decoder.decode(line[len(MARK) :])
