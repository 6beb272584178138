"""What a figure was measured on, and how figures are told."""

from __future__ import annotations

import os
import platform
import time
from collections.abc import Callable, Sequence
from pathlib import Path


def machine() -> str:
    """Processor, cores available, memory and Python, in one line."""
    model = platform.processor() or platform.machine()
    for line in Path("/proc/cpuinfo").read_text().splitlines():
        if line.startswith("model name"):
            model = line.split(":", 1)[1].strip()
            break
    memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") / 2**30
    cores = len(os.sched_getaffinity(0))
    return f"{model}, {cores} cores, {memory:.0f} GiB, Linux, Python {platform.python_version()}"


def timed(work: Callable[[], object]) -> float:
    """Wall time of one run, in seconds."""
    begin = time.perf_counter()
    work()
    return time.perf_counter() - begin


def row(cells: Sequence[str], widths: Sequence[int]) -> str:
    """A line of a table, the first cell to the left, the others to the right."""
    first, *rest = (
        f"{cell:<{w}}" if i == 0 else f"{cell:>{w}}" for i, (cell, w) in enumerate(zip(cells, widths, strict=True))
    )
    return "  ".join((first, *rest))
