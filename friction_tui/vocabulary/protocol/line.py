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


FromTerminal = Attach | Received | Leave
FromWorker = Attached | NotAttached | Received | WorkerEnded
_Said = TypeVar("_Said")


def written(message: FromTerminal | FromWorker) -> bytes:
    """A message as a line."""
    return MARK + msgspec.json.encode(message) + b"\n"


def read(line: bytes, decoder: msgspec.json.Decoder[_Said]) -> _Said:
    """The message of a line that begins with `MARK`. Raises msgspec.MsgspecError for what is none."""
    return decoder.decode(line[len(MARK) :])
