"""The few calls of the CUDA runtime that running an engine takes, through ctypes.

Prototypes: https://docs.nvidia.com/cuda/cuda-runtime-api (memory, stream and event management).
"""

from __future__ import annotations

import ctypes
from ctypes import byref, c_char_p, c_float, c_int, c_size_t, c_void_p

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.libraries import wheel_libraries

_NAMES = ("libcudart.so.13", "libcudart.so.12", "libcudart.so")
_HOST_TO_DEVICE, _DEVICE_TO_HOST = 1, 2


class CudaFailed(Exception):
    """A CUDA call failed; the text is CUDA's own."""


class Cuda:
    """The CUDA runtime. Pointers, streams and events are plain integers. Raises EngineMissing when there is none."""

    def __init__(self) -> None:
        self._lib = _load()
        self._lib.cudaGetErrorString.restype = c_char_p
        self._lib.cudaGetErrorString.argtypes = [c_int]
        for name, arguments in {
            "cudaMalloc": [c_void_p, c_size_t],
            "cudaFree": [c_void_p],
            "cudaMemcpyAsync": [c_void_p, c_void_p, c_size_t, c_int, c_void_p],
            "cudaStreamCreate": [c_void_p],
            "cudaStreamDestroy": [c_void_p],
            "cudaStreamSynchronize": [c_void_p],
            "cudaEventCreate": [c_void_p],
            "cudaEventDestroy": [c_void_p],
            "cudaEventRecord": [c_void_p, c_void_p],
            "cudaEventElapsedTime": [c_void_p, c_void_p, c_void_p],
        }.items():
            function = getattr(self._lib, name)
            function.restype, function.argtypes = c_int, arguments

    def allocate(self, size: int) -> int:
        """Return a device pointer to `size` bytes; the caller frees it."""
        pointer = c_void_p()
        self._check(self._lib.cudaMalloc(byref(pointer), max(size, 1)), f"allocating {size:,} bytes on the GPU")
        return pointer.value or 0

    def free(self, pointer: int) -> None:
        """Give device memory back."""
        self._check(self._lib.cudaFree(pointer), "freeing GPU memory")

    def to_device(self, device: int, host: int, size: int, stream: int) -> None:
        """Copy `size` bytes from host to device, in order on the stream."""
        self._check(self._lib.cudaMemcpyAsync(device, host, size, _HOST_TO_DEVICE, stream), "copying to the GPU")

    def to_host(self, host: int, device: int, size: int, stream: int) -> None:
        """Copy `size` bytes from device to host, in order on the stream."""
        self._check(self._lib.cudaMemcpyAsync(host, device, size, _DEVICE_TO_HOST, stream), "copying from the GPU")

    def create_stream(self) -> int:
        """Return a new stream; the caller destroys it."""
        stream = c_void_p()
        self._check(self._lib.cudaStreamCreate(byref(stream)), "creating a CUDA stream")
        return stream.value or 0

    def destroy_stream(self, stream: int) -> None:
        """Give a stream back."""
        self._check(self._lib.cudaStreamDestroy(stream), "destroying a CUDA stream")

    def synchronize(self, stream: int) -> None:
        """Wait until everything on the stream is done; errors of what ran on it surface here."""
        self._check(self._lib.cudaStreamSynchronize(stream), "waiting for the GPU")

    def create_event(self) -> int:
        """Return a new event, which keeps the time; the caller destroys it."""
        event = c_void_p()
        self._check(self._lib.cudaEventCreate(byref(event)), "creating a CUDA event")
        return event.value or 0

    def destroy_event(self, event: int) -> None:
        """Give an event back."""
        self._check(self._lib.cudaEventDestroy(event), "destroying a CUDA event")

    def record(self, event: int, stream: int) -> None:
        """Have the GPU note the time when all that is on the stream so far is done."""
        self._check(self._lib.cudaEventRecord(event, stream), "recording a CUDA event")

    def elapsed_ms(self, start: int, end: int) -> float:
        """Milliseconds on the GPU's clock between two recorded events, to about half a microsecond.

        The stream must have been waited for since.
        """
        elapsed = c_float()
        self._check(self._lib.cudaEventElapsedTime(byref(elapsed), start, end), "reading CUDA events")
        return elapsed.value

    def _check(self, status: int, doing: str) -> None:
        if status != 0:
            said = self._lib.cudaGetErrorString(status).decode(errors="replace")
            raise CudaFailed(f"{doing} failed: {said} (cudaError {status})")


def _load() -> ctypes.CDLL:
    for name in _NAMES:
        for candidate in (name, wheel_libraries(name)):
            if candidate is None:
                continue
            try:
                return ctypes.CDLL(str(candidate))
            except OSError:
                continue
    raise EngineMissing(f"The CUDA runtime is not installed: none of {', '.join(_NAMES)} was found.")
