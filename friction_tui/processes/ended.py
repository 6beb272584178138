"""How a child process ended, in words. Standard library of Python 3.10 only, as `begin`."""

from __future__ import annotations

import re
import signal

_NO_MEMORY = re.compile(
    r"std::bad_alloc|\bMemoryError\b|[Cc]annot allocate memory|can't allocate memory|OutOfMemoryError"
)


def out_of_memory(code: int | None, tail: str) -> bool:
    """Whether memory ran out, by the exit status and the end of stderr.

    When memory runs out, Linux ends a process with SIGKILL, native code raises std::bad_alloc and Python MemoryError.
    """
    return code == -signal.SIGKILL or (code != 0 and _NO_MEMORY.search("\n".join(tail.splitlines()[-5:])) is not None)


def how_it_ended(code: int | None, tail: str = "") -> str:
    """What follows "the process": `was killed by SIGSEGV`, `exited with status 1`.

    `code` is the exit status, negative for a signal, None for a process that was ended because it did not answer.
    `tail` is the end of its stderr.
    """
    if code is None:
        return "did not answer in time and was ended"
    if code == -signal.SIGKILL:
        return "was killed by SIGKILL, as Linux does when memory runs out"
    how = f"was killed by {_signal(-code)}" if code < 0 else f"exited with status {code}"
    if out_of_memory(code, tail):
        return f"ran out of memory and {how}"
    return "ended without an answer" if code == 0 else how


class ChildDied(Exception):
    """A child died, or was ended because it did not answer. The text says which and how.

    `code` is the exit status, negative for a signal, None when it was ended for being silent. `tail` is the end of
    what it wrote to stderr.
    """

    def __init__(self, what: str, code: int | None, tail: str = "") -> None:
        self.what, self.code, self.tail = what, code, tail.strip()
        super().__init__(f"{what} {self.how}" + (f": {self.tail[-400:]}" if self.tail else ""))

    @property
    def how(self) -> str:
        """How it ended, in words: `was killed by SIGSEGV`."""
        return how_it_ended(self.code, self.tail)


def _signal(number: int) -> str:
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"
