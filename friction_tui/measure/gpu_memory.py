"""GPU memory as the driver sees it, through NVML."""

from __future__ import annotations

import time
from collections.abc import Iterable
from typing import Protocol

from friction_tui.vocabulary.protocol import GpuSample


class GpuMeter(Protocol):
    """Something that can be asked for the memory of every GPU."""

    why_not: str
    """Why there is nothing to measure, in words; empty when there is."""

    def sample(self, pids: Iterable[int], phase: str = "") -> tuple[GpuSample, ...]:
        """One sample per GPU; `process` is the sum over `pids`, None where the driver does not tell."""
        ...


class NvmlMeter:
    """The real thing. Creating it never fails; `why_not` says what is missing."""

    def __init__(self) -> None:
        self.why_not = ""
        self._started = time.monotonic()
        self._handles: list[object] = []
        import pynvml

        self._nvml = pynvml
        try:
            pynvml.nvmlInit()
            self._handles = [pynvml.nvmlDeviceGetHandleByIndex(i) for i in range(pynvml.nvmlDeviceGetCount())]
        except pynvml.NVMLError as error:
            self.why_not = _reason(pynvml, error)
            return
        if not self._handles:
            self.why_not = "the NVIDIA driver is loaded but reports no GPU"

    @property
    def names(self) -> tuple[str, ...]:
        """The GPUs' names."""
        return tuple(self._nvml.nvmlDeviceGetName(handle) for handle in self._handles)

    def sample(self, pids: Iterable[int], phase: str = "") -> tuple[GpuSample, ...]:
        """One sample per GPU, in device order."""
        wanted = set(pids)
        now = time.monotonic() - self._started
        return tuple(self._one(i, handle, wanted, now, phase) for i, handle in enumerate(self._handles))

    def _one(self, device: int, handle: object, pids: set[int], now: float, phase: str) -> GpuSample:
        nvml = self._nvml
        memory = nvml.nvmlDeviceGetMemoryInfo(handle)
        try:
            running = nvml.nvmlDeviceGetComputeRunningProcesses(handle)
            mine = [p.usedGpuMemory for p in running if p.pid in pids and p.usedGpuMemory is not None]
            process = sum(mine) if mine else None
        except nvml.NVMLError:
            process = None  # not told inside some containers
        try:
            utilization = int(nvml.nvmlDeviceGetUtilizationRates(handle).gpu)
        except nvml.NVMLError:
            utilization = None
        return GpuSample(
            t=now,
            device=device,
            name=nvml.nvmlDeviceGetName(handle),
            total=memory.total,
            used=memory.used,
            process=process,
            utilization=utilization,
            phase=phase,
        )


def _reason(nvml: object, error: Exception) -> str:
    missing = getattr(nvml, "NVMLError_LibraryNotFound", ())
    if isinstance(error, missing):
        return "no NVIDIA driver here (libnvidia-ml.so.1 not found)"
    return f"NVML does not answer: {error}"
