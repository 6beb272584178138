"""Limits of memory and time for a child whose address space says nothing: CUDA reserves far more than it uses.

A thread looks once in a while and kills it; why is kept.
"""

from __future__ import annotations

import threading
import time
from pathlib import Path

from friction_tui.processes.child import Child

SHARE = 0.9
"""Of the machine's memory, before Linux begins to end other programs."""
_LOOK_EVERY_S = 0.5
_CGROUP = Path("/sys/fs/cgroup/memory.max")


class Watched:
    """A child under limits: `memory` in bytes, `seconds`; 0 for none.

    `why` says which of them ended it, "" for none; `late` that it was the time.
    """

    def __init__(self, child: Child, *, memory: int = 0, seconds: float = 0.0) -> None:
        self.why, self.late = "", False
        self._child, self._memory, self._seconds = child, memory, seconds
        threading.Thread(target=self._watch, name=f"limits of {child.pid}", daemon=True).start()

    def _watch(self) -> None:
        started = time.monotonic()
        while self._child.wait(_LOOK_EVERY_S) is None:
            if self._memory and resident(self._child.pid) > self._memory:
                self.why = f"needs more memory than there is ({self._memory / 1e9:,.1f} GB) and was ended"
            elif self._seconds and time.monotonic() - started > self._seconds:
                self.late = True
                self.why = f"took longer than {self._seconds:,.0f} s and was ended"
            if self.why:
                self._child.kill()
                return


def resident(pid: int) -> int:
    """Bytes of memory that a process holds; 0 for one that has ended."""
    try:
        status = Path(f"/proc/{pid}/status").read_text()
    except OSError:
        return 0
    return next((int(line.split()[1]) * 1024 for line in status.splitlines() if line.startswith("VmRSS")), 0)


def machine_memory() -> int:
    """Bytes of memory of this machine, or of the container we are in; 0 where that is not known."""
    try:
        lines = Path("/proc/meminfo").read_text().splitlines()
        total = next(int(line.split()[1]) * 1024 for line in lines if line.startswith("MemTotal"))
        allowed = _CGROUP.read_text().strip() if _CGROUP.exists() else "max"
    except (OSError, StopIteration, ValueError):
        return 0
    return min(total, int(allowed)) if allowed.isdigit() else total
