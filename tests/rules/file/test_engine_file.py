"""A plan is opened as what it is: version and GPUs from its header, and what is missing here to run it."""

from __future__ import annotations

import struct
from pathlib import Path

from friction_tui.engines.tensorrt.module import RTX, Installed
from friction_tui.rules.file.engine_file import Here, finding
from friction_tui.vocabulary.finding import Finding, Severity

NO_GPU = "no NVIDIA GPU here"


def _plan(path: Path, version: tuple[int, ...] = (1, 7, 1, 116), size: int = 4096) -> Path:
    """A file with the header of a TensorRT-RTX plan for SM86 and SM89."""
    head = b"vtrt" + bytes(12) + struct.pack("<Q", 4096) + bytes(version) + b"vtrt" + struct.pack("<I", 0b1100)
    path.write_bytes(head + bytes(size - len(head)))
    return path


def _finding(path: Path, *, no_gpu: str = "", gpu: str = "NVIDIA L4, SM89, driver 580.65") -> Finding:
    found = finding(path, Here((Installed(RTX, "1.7.1.116"),), no_gpu, (gpu,)))
    assert found.kind == "file/engine"
    return found


def test_a_plan_of_the_installed_version_needs_only_its_gpu(tmp_path: Path) -> None:
    plan = _plan(tmp_path / "x.plan")
    found = _finding(plan, no_gpu=NO_GPU)
    assert found.title == "A TensorRT-RTX 1.7.1 engine for SM86, SM89, not an ONNX model"
    assert "a GPU with SM86 or SM89: no NVIDIA GPU here" in found.cause
    assert "pip install" not in " ".join(fix.text for fix in found.fixes)
    assert "the plan's own list" not in " ".join(found.evidence), "this file has none"


def test_a_plan_that_can_run_here_is_not_an_error_and_can_be_measured(tmp_path: Path) -> None:
    plan = _plan(tmp_path / "x.plan")
    found = _finding(plan)
    assert (found.severity, found.title) == (
        Severity.NOTE,
        "A TensorRT-RTX 1.7.1 engine for SM86, SM89, which can run here",
    )
    assert found.fixes[0].text.startswith("Press m")
    other = _finding(plan, gpu="NVIDIA H100, SM90, driver 580.65")
    assert other.severity is Severity.ERROR
    assert "a GPU with SM86 or SM89, where there is NVIDIA H100, SM90" in other.cause


def test_another_version_and_a_cut_file_are_named(tmp_path: Path) -> None:
    found = _finding(_plan(tmp_path / "x.plan", (1, 6, 0, 50), size=1000))
    assert "tensorrt-rtx 1.6.0.50, where tensorrt-rtx 1.7.1.116 is installed" in found.cause
    assert "the last 3,096 bytes" in found.cause
    assert "pip install tensorrt-rtx==1.6.0.50" in [fix.text for fix in found.fixes]
