"""Live GPU memory: samples sent on a timer while somebody watches."""

from __future__ import annotations

import os
import threading
from collections.abc import Callable

from friction_tui.measure.gpu_memory import GpuMeter, NvmlMeter
from friction_tui.vocabulary.protocol import GpuSamples
from friction_tui.worker.jobs import Jobs


class GpuWatch:
    """Samples every GPU while `every(seconds)` is above zero; `process` counts this worker and its jobs."""

    def __init__(self, send: Callable[[GpuSamples], None], jobs: Jobs, meter: GpuMeter | None = None) -> None:
        self._send, self._jobs, self._meter = send, jobs, meter
        self._interval = 0.0
        self._wake = threading.Event()
        self._thread: threading.Thread | None = None

    def every(self, interval: float) -> None:
        """Sample every `interval` seconds, 0 stops."""
        self._interval = interval
        self._wake.set()
        if interval > 0 and self._thread is None:
            self._meter = self._meter or NvmlMeter()
            if self._meter.why_not:
                return
            self._thread = threading.Thread(target=self._run, name="gpu", daemon=True)
            self._thread.start()

    def _run(self) -> None:
        assert self._meter is not None
        while True:
            self._wake.wait(self._interval if self._interval > 0 else None)
            self._wake.clear()
            if self._interval > 0:
                samples = self._meter.sample([os.getpid(), *self._jobs.pids], self._jobs.phase)
                self._send(GpuSamples(samples))
