"""The NVML meter, on an NVML that plays a machine with two GPUs and on the one this machine has."""

from types import SimpleNamespace

import pynvml
import pytest

from friction_tui.measure.gpu_memory import NvmlMeter

GIB = 2**30


@pytest.fixture
def two_gpus(monkeypatch: pytest.MonkeyPatch) -> None:
    """NVML's own functions, answering for two GPUs; the second does not tell about processes or load."""

    def told(handle: int, answer: object) -> object:
        if handle == 1:
            raise pynvml.NVMLError(pynvml.NVML_ERROR_NOT_SUPPORTED)
        return answer

    running = [
        SimpleNamespace(pid=7, usedGpuMemory=2 * GIB),
        SimpleNamespace(pid=8, usedGpuMemory=GIB),
        SimpleNamespace(pid=9, usedGpuMemory=None),
    ]
    answers = {
        "nvmlInit": lambda: None,
        "nvmlDeviceGetCount": lambda: 2,
        "nvmlDeviceGetHandleByIndex": lambda index: index,
        "nvmlDeviceGetName": lambda handle: f"GPU {handle}",
        "nvmlDeviceGetMemoryInfo": lambda handle: SimpleNamespace(total=24 * GIB, used=(5 + handle) * GIB),
        "nvmlDeviceGetComputeRunningProcesses": lambda handle: told(handle, running),
        "nvmlDeviceGetUtilizationRates": lambda handle: told(handle, SimpleNamespace(gpu=63)),
    }
    for name, answer in answers.items():
        monkeypatch.setattr(pynvml, name, answer)


@pytest.mark.usefixtures("two_gpus")
def test_every_gpu_is_sampled_and_the_process_tree_summed() -> None:
    meter = NvmlMeter()
    assert (meter.why_not, meter.names) == ("", ("GPU 0", "GPU 1"))
    first, second = meter.sample((7, 8, 9), "build")
    assert (first.used, first.total, first.process, first.utilization) == (5 * GIB, 24 * GIB, 3 * GIB, 63)
    assert (second.used, second.process, second.utilization) == (6 * GIB, None, None), "what is not told is not zero"
    assert {first.phase, second.phase} == {"build"}


@pytest.mark.usefixtures("two_gpus")
def test_a_process_that_uses_no_gpu_is_not_known_rather_than_zero() -> None:
    assert NvmlMeter().sample((1,))[0].process is None


def test_this_machine_has_a_gpu_or_says_why_not() -> None:
    meter = NvmlMeter()
    assert bool(meter.why_not) == (meter.sample(()) == ())
