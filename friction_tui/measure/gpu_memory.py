"""GPU memory as the driver sees it, through NVML."""

from __future__ import annotations

import time
from collections.abc import Collection, Iterable
from pathlib import Path
from typing import Protocol

from friction_tui.engines.nvml import NOT_SUPPORTED, Device, Nvml, NvmlClosed, NvmlLost
from friction_tui.vocabulary.protocol import GpuSample

_LISTS = (
    "nvmlDeviceGetComputeRunningProcesses",
    "nvmlDeviceGetGraphicsRunningProcesses",
    "nvmlDeviceGetMPSComputeRunningProcesses",
)
"""NVML lists the processes of a GPU by what they do on it; one that does two things is in two lists."""
_FIRST_PID_NAMESPACE = "pid:[4026531836]"
"""The kernel's own: PROC_PID_INIT_INO in include/linux/proc_ns.h."""
MACHINE = "/proc/meminfo"


class GpuMeter(Protocol):
    """Something that can be asked for the memory of every GPU."""

    why_not: str
    """Why there is nothing to measure, in words; empty when there is."""

    def sample(self, pids: Iterable[int], phase: str = "") -> tuple[GpuSample, ...]:
        """One sample per GPU or MIG slice; `process` is the sum over `pids` and what they started."""
        ...


class NvmlMeter:
    """The real thing. Neither creating it nor sampling fails; `why_not` says why there is nothing to measure."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._nvml = Nvml()
        self._devices: tuple[Device, ...] = ()
        self.why_not = self._find()

    @property
    def names(self) -> tuple[str, ...]:
        """The GPUs' names."""
        return tuple(device.name for device in self._devices)

    def sample(self, pids: Iterable[int], phase: str = "") -> tuple[GpuSample, ...]:
        """One sample per GPU or MIG slice, in NVML's order; a GPU that is lost has one that says so."""
        wanted = set(pids)
        now = time.monotonic() - self._started
        found: list[GpuSample] = []
        for device in self._devices:
            found += self._sampled(device, wanted, now, phase)
        return tuple(found)

    def _find(self) -> str:
        """Ask for the GPUs; why there is none, in words."""
        if self._nvml.why_not:
            return self._nvml.why_not
        try:
            self._devices = self._nvml.devices()
        except NvmlLost as lost:
            return str(lost)
        return "" if self._devices else "the NVIDIA driver is loaded but reports no GPU"

    def _sampled(self, device: Device, pids: set[int], now: float, phase: str) -> list[GpuSample]:
        try:
            return self._parts(device, pids, now, phase)
        except NvmlClosed as closed:
            why = self._again() or ""
            device = next((one for one in self._devices if one.number == device.number), device)
            try:
                return [_lost(device, why or str(closed), now, phase)] if why else self._parts(device, pids, now, phase)
            except NvmlLost as lost:
                return [_lost(device, str(lost), now, phase)]
        except NvmlLost as lost:
            return [_lost(device, str(lost), now, phase)]

    def _again(self) -> str:
        """Open NVML again after it was closed; why that does not help, in words. The GPUs known stay known."""
        self._nvml.open()
        known = self._devices
        why = self._find()
        if why:
            self._devices = known
        return why

    def _parts(self, device: Device, pids: set[int], now: float, phase: str) -> list[GpuSample]:
        if device.handle is None:
            return [_lost(device, device.why, now, phase)]
        return [self._one(part, pids, now, phase) for part in self._nvml.parts(device)]

    def _one(self, device: Device, pids: set[int], now: float, phase: str) -> GpuSample:
        if device.handle is None:
            return _lost(device, device.why, now, phase)
        missing: dict[str, str] = {}
        memory, why = self._nvml.memory(device)
        total, used, reserved, source = None, None, None, "NVML"
        if memory is not None:
            total, used, reserved = memory.total, memory.used, getattr(memory, "reserved", None)
            if reserved is None:
                missing["reserved"] = "this driver counts it as used (NVML's memory info 2 is missing)"
        elif why == NOT_SUPPORTED and not device.part and (shared := _machine_memory()):
            (total, used), source = shared, MACHINE
            missing["memory"] = f"{why}, as where it shares the machine's memory: the figures are of {MACHINE}"
        else:
            missing["memory"] = why
        load, why = self._nvml.ask("nvmlDeviceGetUtilizationRates", device.handle)
        if why:
            missing["utilization"] = why
        running, why = self._running(device)
        process, others, count = (None, None, None)
        if running is None:
            missing["process"] = why
        else:
            process, others, count = _shares(running, pids, missing)
        return GpuSample(
            t=now,
            device=device.number,
            name=device.name,
            total=total,
            used=used,
            process=process,
            utilization=None if load is None else int(load.gpu),
            phase=phase,
            part=device.part,
            reserved=reserved,
            others=others,
            other_processes=count,
            source=source,
            missing=missing,
        )

    def _running(self, device: Device) -> tuple[dict[int, int | None] | None, str]:
        """(bytes by process id, None where NVML does not say how many; ""), or (None, why there is no list)."""
        found: dict[int, int | None] = {}
        whys = []
        for function in _LISTS:
            processes, why = self._nvml.ask(function, device.handle)
            whys.append(why)
            for one in processes or ():
                told = [used for used in (found.get(one.pid), one.usedGpuMemory) if used is not None]
                found[one.pid] = max(told, default=None)
        return (None, whys[0]) if whys[0] and not found else (found, "")


def _shares(
    running: dict[int, int | None], pids: set[int], missing: dict[str, str]
) -> tuple[int | None, int | None, int | None]:
    """(bytes of ours, bytes of others, number of others); what is not known goes into `missing`."""
    ours = {pid: used for pid, used in running.items() if _belongs(pid, pids)}
    rest = {pid: used for pid, used in running.items() if pid not in ours}
    if not ours and _in_a_container():
        listed = f"NVML lists {len(running)} process{'es' if len(running) != 1 else ''}"
        missing["process"] = (
            f"{listed}, by the host's process ids, and this container has ids of its own: start it with --pid=host"
        )
        return None, None, None
    if not ours:
        missing["process"] = "NVML does not list it: it does not use this GPU now"
    process = _sum("process", ours.values(), missing)
    return process, _sum("others", rest.values(), missing) if rest else 0, len(rest)


def _sum(name: str, used: Collection[int | None], missing: dict[str, str]) -> int | None:
    told = [one for one in used if one is not None]
    silent = len(used) - len(told)
    if silent:
        missing[name] = f"NVML tells no memory (N/A) of {silent} of {len(used)} process{'es' if len(used) != 1 else ''}"
    return sum(told) if told else None


def _belongs(pid: int, ours: set[int]) -> bool:
    """Whether a process is one of `ours` or was started by one."""
    seen: set[int] = set()
    while pid > 1 and pid not in seen:
        if pid in ours:
            return True
        seen.add(pid)
        try:
            stat = Path(f"/proc/{pid}/stat").read_text(errors="replace")
        except OSError:
            return False
        pid = int(stat.rpartition(")")[2].split()[1])  # the name before it is in brackets and may hold anything
    return False


def _in_a_container() -> bool:
    """Whether process ids here are not the host's."""
    try:
        return str(Path("/proc/self/ns/pid").readlink()) != _FIRST_PID_NAMESPACE
    except OSError:
        return False


def _machine_memory() -> tuple[int, int] | None:
    """(total, in use) of the machine's memory, in bytes; in use is what could not be had without swapping."""
    try:
        rows = dict(line.split(":", 1) for line in Path(MACHINE).read_text().splitlines() if ":" in line)
        total, free = (int(rows[name].split()[0]) * 1024 for name in ("MemTotal", "MemAvailable"))
    except (OSError, KeyError, ValueError):
        return None
    return total, total - free


def _lost(device: Device, why: str, now: float, phase: str) -> GpuSample:
    """A sample that has no figure, and says why."""
    return GpuSample(
        now, device.number, device.name, None, None, None, phase=phase, part=device.part, missing={"gpu": why}
    )
