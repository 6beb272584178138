"""A limit of time for a part of an export's work, within the process that does it."""

from __future__ import annotations

import signal
from collections.abc import Iterator
from contextlib import contextmanager

_patience = [1.0]


def be_patient(factor: float) -> None:
    """Let every limit of this process be `factor` times as long."""
    _patience[0] = factor


@contextmanager
def at_most(seconds: float) -> Iterator[None]:
    """Raise TimeoutError inside after `seconds`, in the main thread and between two steps of Python code.

    A native function that never returns is ended by the parent process (`friction_tui.sources.runner`).
    """

    def stop(_signal: int, _frame: object) -> None:
        raise TimeoutError(f"not done after {seconds:.0f} s")

    before = signal.signal(signal.SIGALRM, stop)
    signal.setitimer(signal.ITIMER_REAL, seconds * _patience[0])
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
