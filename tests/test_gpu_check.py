"""The GPU check's own parts, as far as a machine without a GPU can run them."""

from __future__ import annotations

from pathlib import Path

import pytest

from benchmarks.gpu_check import app_charts, main
from friction_tui.measure.gpu_memory import NvmlMeter

no_gpu = pytest.mark.skipif(not NvmlMeter().why_not, reason="there is a GPU: make gpu-check is the test")


@no_gpu
def test_it_says_that_there_is_no_gpu(capsys: pytest.CaptureFixture[str]) -> None:
    assert main() == 3
    assert "no NVIDIA driver" in capsys.readouterr().out


@no_gpu
@pytest.mark.slow
async def test_the_app_is_driven_to_its_charts(tmp_path: Path) -> None:
    result = await app_charts(tmp_path)
    assert result["gpu_samples"] == 0
    assert "ONNX Runtime" in result["latency_source"]
    assert sorted(result["screenshots"]) == ["gpu-latency.svg", "gpu-memory.svg"]
    assert all((tmp_path / name).stat().st_size > 10_000 for name in result["screenshots"])
