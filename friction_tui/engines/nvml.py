"""NVML, the driver's own library, asked so that an answer that is missing costs only itself.

What each call returns: https://docs.nvidia.com/deploy/nvml-api
"""

from __future__ import annotations

from contextlib import suppress
from dataclasses import dataclass, replace
from typing import Any

NOT_SUPPORTED = "not supported by this GPU or its driver (NVML: Not Supported)"


class NvmlLost(Exception):
    """NVML answers nothing more about this GPU, or about any; the text says why."""


class NvmlClosed(NvmlLost):
    """NVML is not initialised, or no longer."""


@dataclass(frozen=True, slots=True)
class Device:
    """A GPU, or one MIG slice of it. `handle` is None where NVML gives none, and `why` says why.

    `number` is the index that NVML gives the GPU, in PCI order, and `part` names the slice: `MIG 0`.
    """

    number: int
    name: str
    handle: Any
    part: str = ""
    why: str = ""


class Nvml:
    """NVML, initialised. Creating it never fails: `why_not` says why it answers nothing, "" when it does."""

    def __init__(self) -> None:
        self.why_not = ""
        try:
            import pynvml
        except ImportError:
            self.why_not = "nvidia-ml-py, which asks the driver, is not installed"
            return
        self._nvml = pynvml
        self.open()

    def open(self) -> None:
        """Initialise NVML, again if need be."""
        try:
            self._nvml.nvmlInit()
        except self._nvml.NVMLError as error:
            self.why_not = self._words(error)
        else:
            self.why_not = ""

    def close(self) -> None:
        """Give NVML back; nothing is asked afterwards."""
        with suppress(NvmlLost):
            self.ask("nvmlShutdown")

    def ask(self, function: str, *arguments: object, **named: object) -> tuple[Any, str]:
        """(What NVML's `function` answers, ""), or (None, why it does not). Raises NvmlLost where nothing answers."""
        nvml = self._nvml
        try:
            return getattr(nvml, function)(*arguments, **named), ""
        except nvml.NVMLError as error:
            if error.value == nvml.NVML_ERROR_UNINITIALIZED:
                raise NvmlClosed(self._words(error)) from error
            if error.value in {nvml.NVML_ERROR_GPU_IS_LOST, nvml.NVML_ERROR_RESET_REQUIRED}:
                raise NvmlLost(self._words(error)) from error
            return None, self._words(error)
        except (AttributeError, nvml.NVMLLibraryMismatchError):
            return None, f"{function} is missing in this driver or in this nvidia-ml-py"
        except UnicodeDecodeError:
            return None, f"{function} answers with what is no text"

    def devices(self) -> tuple[Device, ...]:
        """Every GPU, those without a handle included. Raises NvmlLost."""
        count, why = self.ask("nvmlDeviceGetCount")
        if why:
            raise NvmlLost(why)
        return tuple(self._device(number) for number in range(count))

    def parts(self, device: Device) -> tuple[Device, ...]:
        """What has memory of its own: the GPU itself, or its MIG slices that are visible here. Raises NvmlLost."""
        mode, why = self.ask("nvmlDeviceGetMigMode", device.handle)
        if why or mode[0] != self._nvml.NVML_DEVICE_MIG_ENABLE:
            return (device,)
        count, _ = self.ask("nvmlDeviceGetMaxMigDeviceCount", device.handle)
        found = []
        for number in range(count or 0):
            handle, missing = self.ask("nvmlDeviceGetMigDeviceHandleByIndex", device.handle, number)
            if not missing:  # "Not Found" for each number without a slice
                name, _ = self.ask("nvmlDeviceGetName", handle)
                found.append(Device(device.number, name or device.name, handle, f"MIG {number}"))
        return tuple(found) or (replace(device, handle=None, why="MIG is on and no slice is visible here"),)

    def memory(self, device: Device) -> tuple[Any, str]:
        """(NVML's memory info, ""), or (None, why). Bytes: `total`, `used` and, from version 2 on, `reserved`.

        Version 2, of driver 510, tells apart what the driver reserves; in version 1 it is part of `used`.
        """
        answer, _ = self.ask("nvmlDeviceGetMemoryInfo", device.handle, version=self._nvml.nvmlMemory_v2)
        return (answer, "") if answer is not None else self.ask("nvmlDeviceGetMemoryInfo", device.handle)

    def _device(self, number: int) -> Device:
        try:
            handle, why = self.ask("nvmlDeviceGetHandleByIndex", number)
            name = None if why else self.ask("nvmlDeviceGetName", handle)[0]
        except NvmlClosed:
            raise
        except NvmlLost as lost:
            handle, name, why = None, None, str(lost)
        return Device(number, name or f"GPU {number}", handle, "", why)

    def _words(self, error: Any) -> str:
        nvml = self._nvml
        said = f"NVML: {str(error).rstrip('.')}"
        explained = {
            nvml.NVML_ERROR_LIBRARY_NOT_FOUND: "no NVIDIA driver here (libnvidia-ml.so.1 not found)",
            nvml.NVML_ERROR_DRIVER_NOT_LOADED: f"the NVIDIA kernel module is not loaded ({said})",
            nvml.NVML_ERROR_LIB_RM_VERSION_MISMATCH: "the NVIDIA kernel module and libnvidia-ml.so.1 are of different "
            f"versions, as after an update without a restart or in a container of another driver ({said})",
            nvml.NVML_ERROR_NO_PERMISSION: f"this user may not ask ({said})",
            nvml.NVML_ERROR_NOT_SUPPORTED: NOT_SUPPORTED,
            nvml.NVML_ERROR_FUNCTION_NOT_FOUND: f"this driver is too old to be asked ({said})",
            nvml.NVML_ERROR_GPU_IS_LOST: f"the GPU has fallen off the bus or cannot be reached ({said})",
            nvml.NVML_ERROR_RESET_REQUIRED: f"the GPU must be reset ({said})",
            nvml.NVML_ERROR_UNINITIALIZED: f"NVML was closed, or the driver unloaded ({said})",
        }
        return explained.get(error.value, said)
