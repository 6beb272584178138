"""Notices that the terminal is gone where no signal says so: no controlling terminal, a closed pipe.

Textual reads on from a closed terminal for ever, and a write to it may block for ever.
"""

from __future__ import annotations

import os
import select
import signal
import threading
from collections.abc import Callable

PATIENCE = 3.0
"""Seconds that the app has to leave in its own way."""
STATUS = 128 + signal.SIGHUP


def watch_terminal(descriptor: int, gone: Callable[[], object]) -> None:
    """Call `gone` from a thread once the other end is gone; the process ends soon after, whatever happens."""
    threading.Thread(target=_wait, args=(descriptor, gone), name="hangup", daemon=True).start()


def _wait(descriptor: int, gone: Callable[[], object]) -> None:
    poll = select.poll()
    poll.register(descriptor, 0)  # hang-up and errors are always reported
    try:
        poll.poll()
    except OSError:
        return
    left = threading.Timer(PATIENCE, os._exit, (STATUS,))  # the worker sees its pipe close, and ends too
    left.daemon = True
    left.start()
    gone()
