"""Whether there is an NVIDIA driver and which GPUs it shows. Asks gently: a machine without one is no fault."""

from __future__ import annotations

import ctypes
from collections.abc import Collection
from functools import lru_cache


@lru_cache(maxsize=1)
def driver_missing() -> str:
    """Why nothing can run on a GPU here, in words; "" when the driver's library loads."""
    try:
        ctypes.CDLL("libcuda.so.1")
    except OSError as error:
        text = str(error)
        return f"no NVIDIA driver: {'libcuda.so.1 not found' if 'No such file' in text else text}"
    return ""


@lru_cache(maxsize=1)
def gpus() -> tuple[str, ...]:
    """`NVIDIA L4, SM89, driver 580.65` for every GPU that NVML shows; () without a driver."""
    if driver_missing():
        return ()
    import pynvml

    try:
        pynvml.nvmlInit()
    except pynvml.NVMLError:
        return ()
    try:
        driver = _text(pynvml.nvmlSystemGetDriverVersion())
        found = []
        for number in range(pynvml.nvmlDeviceGetCount()):
            handle = pynvml.nvmlDeviceGetHandleByIndex(number)
            major, minor = pynvml.nvmlDeviceGetCudaComputeCapability(handle)
            found.append(f"{_text(pynvml.nvmlDeviceGetName(handle))}, SM{major}{minor}, driver {driver}")
        return tuple(found)
    except pynvml.NVMLError:
        return ()
    finally:
        pynvml.nvmlShutdown()


def cannot_run() -> str:
    """Why no engine can run here: no driver, or a driver without a GPU; "" when one can."""
    return driver_missing() or ("" if gpus() else "the NVIDIA driver is installed but shows no GPU")


def has_one_of(targets: Collection[str], here: tuple[str, ...]) -> bool:
    """Whether a GPU `here` (as `gpus` gives them) has one of the compute capabilities `targets`, such as `SM89`."""
    return any(set(targets) & set(gpu.split(", ")) for gpu in here)


def _text(value: str | bytes) -> str:
    # Old releases of nvidia-ml-py answer in bytes.
    return value.decode() if isinstance(value, bytes) else value
