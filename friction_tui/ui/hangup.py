"""What a terminal may do that is not a key: be gone where no signal says so, or send bytes that are no text.

Textual reads on from a closed terminal for ever, and a write to it may block for ever.
"""

from __future__ import annotations

import codecs
import os
import select
import signal
import threading
from collections.abc import Callable
from functools import partial

from textual.drivers import linux_driver

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


def take_any_bytes() -> None:
    """Let the terminal send bytes that are not UTF-8: part of a paste, a key of another encoding, noise of a line.

    Textual decodes its input strictly, and such a byte would end the app. It is read as U+FFFD.
    """
    strict = codecs.getincrementaldecoder

    def lenient(encoding: str) -> Callable[[], codecs.IncrementalDecoder]:
        return partial(strict(encoding), errors="replace")

    vars(linux_driver)["getincrementaldecoder"] = lenient
