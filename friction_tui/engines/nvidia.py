"""Whether there is an NVIDIA driver and which GPUs it shows. Asks gently: a machine without one is no fault."""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from functools import lru_cache

from friction_tui.engines.nvml import Device, Nvml, NvmlClosed, NvmlLost


@lru_cache(maxsize=1)
def driver_missing() -> str:
    """Why nothing can run on a GPU here, in words; "" when the driver's library loads."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        text = str(error)
        return f"no NVIDIA driver: {'libcuda.so.1 not found' if 'No such file' in text else text}"
    return ""


def gpus() -> tuple[str, ...]:
    """`NVIDIA L4, SM89, driver 580.65` for every GPU that NVML shows; () without a driver."""
    return _shown()[0]


def cannot_run() -> str:
    """Why no engine can run here: no driver, or a driver that shows no GPU; "" when one can."""
    return driver_missing() or _shown()[1]


@lru_cache(maxsize=1)
def _shown() -> tuple[tuple[str, ...], str]:
    """(What `gpus` gives, why that is nothing)."""
    if reason := driver_missing():
        return (), reason
    nvml = Nvml()
    if nvml.why_not:
        return (), nvml.why_not
    try:
        driver, _ = nvml.ask("nvmlSystemGetDriverVersion")
        devices = nvml.devices()
        found = tuple(_described(nvml, device, driver or "unknown") for device in devices if not device.why)
    except NvmlLost as lost:
        return (), str(lost)
    finally:
        nvml.close()
    why = "; ".join(f"{device.name}: {device.why}" for device in devices)
    return found, "" if found else why or "the NVIDIA driver is installed but shows no GPU"


def _described(nvml: Nvml, device: Device, driver: str) -> str:
    try:
        capability, _ = nvml.ask("nvmlDeviceGetCudaComputeCapability", device.handle)
    except NvmlClosed:
        raise
    except NvmlLost:
        capability = None
    target = f", SM{capability[0]}{capability[1]}" if capability else ""
    return f"{device.name}{target}, driver {driver}"


def has_one_of(targets: Collection[str], here: tuple[str, ...]) -> bool:
    """Whether a GPU `here` (as `gpus` gives them) has one of the compute capabilities `targets`, such as `SM89`."""
    return any(set(targets) & set(gpu.split(", ")) for gpu in here)
