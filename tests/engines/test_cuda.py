"""The CUDA calls against a stand-in for the runtime, which refuses what the real one would."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.libraries.compiled import compiled

BEGIN = """
import json, sys
import numpy as np
from friction_tui.engines.cuda import Cuda, CudaFailed

def failed(call, *arguments):
    try:
        call(*arguments)
    except CudaFailed as error:
        return str(error)
    return ""

cuda = Cuda()
"""


@pytest.fixture(scope="module")
def library(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return compiled("cudart.c", tmp_path_factory.mktemp("cuda") / "libcudart.so.13")


def told(library: Path, code: str, wish: str = "") -> Any:
    """What `code` prints as JSON, in a process that finds the stand-in first."""
    environment = os.environ | {"LD_LIBRARY_PATH": str(library.parent), "FAKE_CUDA": wish}
    done = subprocess.run(
        [sys.executable, "-c", BEGIN + code], env=environment, capture_output=True, text=True, check=False, timeout=60
    )
    assert done.returncode == 0, done.stderr
    return json.loads(done.stdout)


def test_what_is_copied_there_and_back_is_the_same(library: Path) -> None:
    code = """
stream = cuda.create_stream()
sent, back = np.arange(1000, dtype=np.float32), np.zeros(1000, np.float32)
pointer, other = cuda.allocate(sent.nbytes), cuda.allocate(0)
cuda.to_device(pointer, sent.ctypes.data, sent.nbytes, stream)
cuda.to_host(back.ctypes.data, pointer, back.nbytes, stream)
before = back.any()
cuda.synchronize(stream)
held = cuda._lib.stub_held()
cuda.free(pointer); cuda.free(other); cuda.destroy_stream(stream)
print(json.dumps([bool(before), bool((sent == back).all()), other != 0, held, cuda._lib.stub_held()]))
"""
    assert told(library, code) == [False, True, True, 3, 0]


def test_events_time_what_lies_between_them_on_the_stream(library: Path) -> None:
    """The stand-in's clock goes 1 µs for each byte that is copied."""
    code = """
stream, start, end = cuda.create_stream(), cuda.create_event(), cuda.create_event()
array = np.zeros(2500, np.uint8)
pointer = cuda.allocate(array.nbytes)
unrecorded = failed(cuda.elapsed_ms, start, end)
cuda.record(start, stream)
cuda.to_device(pointer, array.ctypes.data, array.nbytes, stream)
cuda.record(end, stream)
unready = failed(cuda.elapsed_ms, start, end)
cuda.synchronize(stream)
elapsed = cuda.elapsed_ms(start, end)
for event in (start, end):
    cuda.destroy_event(event)
cuda.free(pointer); cuda.destroy_stream(stream)
print(json.dumps([unrecorded, unready, elapsed, cuda._lib.stub_held(), failed(cuda.destroy_event, end)]))
"""
    unrecorded, unready, elapsed, held, twice = told(library, code)
    assert unrecorded == "reading CUDA events failed: invalid resource handle (cudaError 400)"
    assert unready == "reading CUDA events failed: device not ready (cudaError 600)"
    assert (elapsed, held) == (2.5, 0)
    assert twice.startswith("destroying a CUDA event failed: invalid resource handle")


@pytest.mark.parametrize(
    ("wish", "call", "said", "status"),
    [
        (
            "",
            "cuda.allocate, 2**41",
            "allocating 2,199,023,255,552 bytes on the GPU failed: out of memory",
            2,
        ),
        ("", "cuda.free, 4096", "freeing GPU memory failed: invalid argument", 1),
        ("", "cuda.to_device, 4096, 0, 1, stream", "copying to the GPU failed: invalid argument", 1),
        ("", "cuda.to_host, 0, pointer, 17, stream", "copying from the GPU failed: invalid argument", 1),
        (
            "",
            "cuda.to_host, 0, pointer, 1, 4096",
            "copying from the GPU failed: invalid resource handle",
            400,
        ),
        ("", "cuda.destroy_stream, 4096", "destroying a CUDA stream failed: invalid resource handle", 400),
        ("", "cuda.record, 4096, stream", "recording a CUDA event failed: invalid resource handle", 400),
        ("cudaEventCreate=2", "cuda.create_event,", "creating a CUDA event failed: out of memory", 2),
        (
            "cudaStreamSynchronize=700",
            "cuda.synchronize, stream",
            "waiting for the GPU failed: an illegal memory access was encountered",
            700,
        ),
    ],
)
def test_a_call_that_fails_says_what_and_why(library: Path, wish: str, call: str, said: str, status: int) -> None:
    code = f"stream, pointer = cuda.create_stream(), cuda.allocate(16)\nprint(json.dumps(failed({call})))"
    assert told(library, code, wish) == f"{said} (cudaError {status})"
