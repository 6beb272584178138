"""The parent's end of a child process: start it, talk to it in lines, hear how it ended."""

from __future__ import annotations

import contextlib
import math
import os
import signal
import subprocess
import threading
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import msgspec

from friction_tui.processes.begin import environment
from friction_tui.processes.ended import how_it_ended

TAIL = 4000
"""Bytes of a child's stderr that are kept: its last ones."""
Stop = Callable[[], bool]
_POLL_S = 0.05
_GRACE_S = 5.0
_ENCODER = msgspec.json.Encoder()

_STARTER = ThreadPoolExecutor(1, "start of children")
"""Starts every child. A child dies with the thread that started it (see `begin.end_with`): this one lives as long as
the process."""


class Stopped(Exception):
    """The child was killed because nobody waits for its answer any more."""


class Child:
    """A running process. With `own_group` a Ctrl+C in the terminal does not reach it, and what it starts dies with it.

    Raises OSError when the command cannot be run.
    """

    def __init__(
        self, command: Sequence[str], *, own_group: bool = False, variables: Mapping[str, str] | None = None
    ) -> None:
        self._own_group = own_group
        self._process = _STARTER.submit(
            subprocess.Popen[bytes],
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            start_new_session=own_group,
            env={**environment(), **(variables or {})},
        ).result()
        assert self._process.stdin and self._process.stdout and self._process.stderr
        self.pid = self._process.pid
        self.stdin, self.stdout, self._stderr = self._process.stdin, self._process.stdout, self._process.stderr
        self._tail = bytearray()
        self._hearing = threading.Thread(target=self._hear, name=f"stderr of {self.pid}", daemon=True)
        self._hearing.start()

    def send(self, message: object) -> None:
        """Send a message as a line of JSON. That the child is gone is noticed by who listens.

        Raises UnicodeEncodeError for text that is not Unicode, such as a file name in another encoding.
        """
        self.write(_ENCODER.encode(message) + b"\n")

    def send_soon(self, message: object, payload: bytes) -> None:
        """The same, followed by `payload`, without waiting until the child has read it."""
        line = _ENCODER.encode(message) + b"\n"
        threading.Thread(target=self.write, args=(line, payload), name=f"stdin of {self.pid}", daemon=True).start()

    def write(self, *parts: bytes) -> None:
        """Write to its stdin, and wait until it has been taken."""
        with contextlib.suppress(OSError, ValueError):
            for part in parts:
                self.stdin.write(part)
            self.stdin.flush()

    def lines(self) -> Iterator[bytes]:
        """The lines of its stdout until it ends."""
        yield from self.stdout
        self.end()

    def end_input(self) -> None:
        """Close its stdin, which asks it to end."""
        with contextlib.suppress(OSError, ValueError):
            self.stdin.close()

    def kill(self) -> None:
        """SIGKILL, to what it started too if the group is its own. Nothing happens if they are gone."""
        with contextlib.suppress(ProcessLookupError, PermissionError):
            if self._own_group:
                os.killpg(self.pid, signal.SIGKILL)
            else:
                self._process.kill()

    def wait(self, timeout: float | None = None) -> int | None:
        """The exit status once it has ended, negative for a signal; None when `timeout` seconds pass before."""
        try:
            return self._process.wait(timeout)
        except subprocess.TimeoutExpired:
            return None

    def end(self) -> int:
        """The exit status of a child whose output has ended; it is killed when it lives on."""
        code = self.wait(_GRACE_S)
        if code is None:
            self.kill()
            code = self._process.wait()
        return code

    @property
    def code(self) -> int | None:
        """The exit status, None while it runs."""
        return self._process.poll()

    @property
    def tail(self) -> str:
        """The end of what it wrote to stderr."""
        if self.code is not None:
            self._hearing.join(timeout=1)  # what it started may hold the pipe open
        return self._tail.decode(errors="replace").strip()

    @property
    def how(self) -> str:
        """How it ended, in words that follow "the process"; call it after its output ended."""
        return how_it_ended(self.end(), self.tail)

    def close(self) -> None:
        """Kill it and let go of its pipes."""
        self.kill()
        self._process.wait()
        self.end_input()
        self.stdout.close()

    def _hear(self) -> None:
        with contextlib.suppress(OSError, ValueError):
            while chunk := os.read(self._stderr.fileno(), 65536):
                self._tail += chunk
                del self._tail[:-TAIL]
        self._stderr.close()


@dataclass(frozen=True, slots=True)
class Finished:
    """What a short child gave. `code` is None when it was ended because it took too long."""

    code: int | None
    out: bytes
    tail: str

    @property
    def how(self) -> str:
        """How it ended, in words that follow "the process"."""
        return how_it_ended(self.code, self.tail)

    @property
    def last_line(self) -> str:
        """The last line it wrote to stderr, which names a Python error, else how it ended."""
        return self.tail.splitlines()[-1] if self.tail and self.code is not None else f"its process {self.how}"


def run(
    command: Sequence[str], request: bytes = b"", *, stop: Stop = lambda: False, limit_s: float = math.inf
) -> Finished:
    """Run a command with `request` on stdin until it ends, or is ended after `limit_s` seconds.

    `stop` is asked every 50 ms; when it says yes the child is killed and Stopped raised. Raises OSError when the
    command cannot be run.
    """
    child, out = Child(command), bytearray()

    def write() -> None:
        with contextlib.suppress(OSError, ValueError):
            child.stdin.write(request)
        child.end_input()

    writing = threading.Thread(target=write, daemon=True)
    reading = threading.Thread(target=lambda: out.extend(child.stdout.read()), daemon=True)
    writing.start()
    reading.start()
    deadline, stopped, late = time.monotonic() + limit_s, False, False
    while reading.is_alive() and not (stopped or late):
        reading.join(_POLL_S)
        if reading.is_alive():
            stopped, late = stop(), time.monotonic() > deadline
    if stopped or late:
        child.kill()
    code = child.wait()
    reading.join(timeout=1)
    writing.join(timeout=1)
    tail = child.tail
    if stopped:
        raise Stopped
    return Finished(None if late else code, bytes(out), tail)
