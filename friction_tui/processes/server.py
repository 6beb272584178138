"""A child that answers one question after another, started on first use and anew after its death."""

from __future__ import annotations

import atexit
import select
import threading
import time
from collections.abc import Callable, Sequence

from friction_tui.processes.child import Child, Stop, Stopped
from friction_tui.processes.ended import ChildDied

_POLL_S = 0.05


class Server:
    """Questions are a line of JSON and bytes, answers a line of JSON. Calls from several threads queue up.

    `what` names it in ChildDied, or in the subclass `died` of it; `command` gives its command line; it may take
    `limit_s` seconds for an answer.
    """

    def __init__(
        self,
        what: str,
        command: Callable[[], Sequence[str]],
        *,
        limit_s: float,
        died: type[ChildDied] = ChildDied,
    ) -> None:
        self._what, self._command, self._died = what, command, died
        self.limit_s = limit_s
        self._lock = threading.Lock()
        self._child: Child | None = None
        atexit.register(self.close)

    @property
    def pid(self) -> int | None:
        """Its process id, None before it was started."""
        return self._child.pid if self._child else None

    def prestart(self) -> None:
        """Begin starting it. Returns at once; while it answers somebody there is nothing to start."""
        if self._lock.acquire(blocking=False):
            try:
                self._running()
            finally:
                self._lock.release()

    def ask(
        self, question: object, payload: bytes = b"", *, stop: Stop = lambda: False, limit_s: float | None = None
    ) -> bytes:
        """The answer to one question, for which it may take `limit_s` seconds instead of the usual ones.

        Raises ChildDied when the process ends or is silent too long, Stopped when `stop` says so.
        """
        with self._lock:
            if stop():  # while it answered somebody else
                raise Stopped
            limit = self.limit_s if limit_s is None else limit_s
            child, deadline, answer = self._running(), time.monotonic() + limit, bytearray()
            child.send_soon(question, payload)
            while not answer.endswith(b"\n"):
                late, stopped = time.monotonic() > deadline, stop()
                if late or stopped:
                    self.close()
                    raise Stopped if stopped else self._died(self._what, None, child.tail)
                if select.select([child.stdout], [], [], _POLL_S)[0]:
                    chunk = child.stdout.read1(1 << 20)  # type: ignore[attr-defined]
                    if not chunk:
                        raise self._died(self._what, child.end(), child.tail)
                    answer += chunk
            return bytes(answer)

    def close(self) -> None:
        """End it, whatever it is doing."""
        child, self._child = self._child, None
        if child is not None:
            child.close()

    def _running(self) -> Child:
        if self._child is None or self._child.code is not None:
            self._child = Child(self._command())
        return self._child
