"""Keeping the protocol's stdout clean: native libraries print to fd 1 whenever they like."""

from __future__ import annotations

import os
import sys
import threading
from typing import Any, BinaryIO

import msgspec


def take_stdout() -> BinaryIO:
    """Claim the real stdout and point fd 1 at fd 2. Call before importing anything native."""
    sys.stdout.flush()
    channel = os.fdopen(os.dup(1), "wb")
    os.dup2(2, 1)
    return channel


class LineWriter:
    """Writes messages as JSON lines, whole, from any thread."""

    def __init__(self, channel: BinaryIO) -> None:
        self._channel = channel
        self._encoder = msgspec.json.Encoder()
        self._lock = threading.Lock()

    def __call__(self, message: object) -> None:
        """Send one message. A reader that is gone ends this process: nobody is left to talk to."""
        try:
            line = self._encoder.encode(message)
        except UnicodeEncodeError:
            line = self._encoder.encode(_printable(msgspec.to_builtins(message)))
        self.raw(line)

    def raw(self, line: bytes) -> None:
        """Send one message that is already encoded."""
        with self._lock:
            try:
                self._channel.write(line + b"\n")
                self._channel.flush()
            except (BrokenPipeError, ValueError):
                os._exit(0)


def printable(text: str) -> str:
    """The text with what is not Unicode, such as bytes of a file name in another encoding, as an escape."""
    return text.encode("utf-8", "backslashreplace").decode()


def _printable(message: Any) -> Any:
    """The same for every text in a message."""
    match message:
        case str():
            return printable(message)
        case dict():
            return {_printable(key): _printable(value) for key, value in message.items()}
        case list() | tuple():
            return [_printable(value) for value in message]
    return message
