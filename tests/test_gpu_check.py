"""The GPU check, as far as a machine without a GPU can run it: rehearsed, and with a stand-in for NVML."""

from __future__ import annotations

import contextlib
import json
import os
import re
import subprocess
import sys
import tomllib
import zipfile
from importlib import metadata
from pathlib import Path
from typing import Any

import pytest

from benchmarks import gpu_check
from friction_tui.measure.gpu_memory import NvmlMeter
from tests.libraries.compiled import compiled

ROOT = Path(__file__).parents[1]
GPUS = """
count 2
driver 580.65.06
0.name NVIDIA GB10
0.compute none
1.name NVIDIA L4
1.memory 24000000000 600000000 5000000000
1.compute 4000001:3000000000
1.utilization 63
"""
L4 = "count 1\n0.name NVIDIA L4\n0.memory 24000000000 600000000 5000000000\n0.compute none\n"
no_gpu = pytest.mark.skipif(not NvmlMeter().why_not, reason="there is a GPU: make gpu-check is the test")


def checked(out: Path, *options: str, **environment: str) -> tuple[subprocess.CompletedProcess[str], dict[str, Any]]:
    command = [sys.executable, "-m", "benchmarks.gpu_check", "--out", str(out), *options]
    done = subprocess.run(
        command, cwd=ROOT, env=os.environ | environment, capture_output=True, text=True, check=False, timeout=280
    )
    report: dict[str, Any] = json.loads((out / "gpu-check.json").read_text())
    return done, report


@pytest.fixture
def nvml(tmp_path: Path) -> dict[str, str]:
    compiled("nvml.c", tmp_path / "libnvidia-ml.so.1")
    (tmp_path / "scenario").write_text(GPUS)
    return {"LD_LIBRARY_PATH": str(tmp_path), "FAKE_NVML": str(tmp_path / "scenario")}


def _told(folder: Path, scenario: str) -> Path:
    file = folder / "other scenario"
    file.write_text(scenario)
    return file


@no_gpu
def test_it_says_that_there_is_no_gpu(tmp_path: Path) -> None:
    done, report = checked(tmp_path)
    assert done.returncode == 3
    assert "There is no GPU to check: no NVIDIA driver" in done.stdout
    assert list(report["steps"]) == ["nvml"]


def test_every_figure_of_nvml_is_told_or_explained(tmp_path: Path, nvml: dict[str, str]) -> None:
    done, report = checked(tmp_path, "--only", "nvml", **nvml)
    step = report["steps"]["nvml"]
    assert (done.returncode, step["ok"]) == (0, True), step
    assert step["gpus"] == ["NVIDIA GB10", "NVIDIA L4"]
    assert [one["source"] for one in step["samples"]] == ["/proc/meminfo", "NVML"]


@no_gpu
@pytest.mark.slow
def test_a_step_that_cannot_start_says_why_at_once(tmp_path: Path, nvml: dict[str, str]) -> None:
    steps = ("cuda class", "process memory", "torch memory", "torch latency", "onnxruntime cuda")
    done, report = checked(tmp_path, *(word for name in steps for word in ("--only", name)), **nvml)
    assert done.returncode == 0
    assert list(report["steps"]) == list(steps)
    for name, step in report["steps"].items():
        assert step["ok"] is None, name
        assert "CUDA" in step["why"], name


def test_our_cuda_calls_are_checked_against_what_nvml_sees(tmp_path: Path, nvml: dict[str, str]) -> None:
    """The stand-in for CUDA copies well, and the one for NVML knows nothing of it."""
    compiled("cudart.c", tmp_path / "libcudart.so.13")
    done, report = checked(tmp_path, "--only", "cuda class", **nvml | {"FAKE_NVML": str(_told(tmp_path, L4))})
    step = report["steps"]["cuda class"]
    assert (done.returncode, step["copied_equal"]) == (1, True)
    assert "out of memory (cudaError 2)" in step["refusal_of_2_to_50_bytes"]
    assert step["copy_ms"] > 0
    assert step["why"] == "NVML did not see the allocation; NVML did not see it freed"


def test_a_step_that_hangs_is_stopped_and_what_it_had_found_is_kept(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Two of the steps, slower than they may be: one that is broken does not stop the next either."""
    steps = tmp_path / "benchmarks"
    steps.mkdir()
    (steps / "__init__.py").touch()
    (steps / "gpu_steps.py").write_text(
        "import json, sys, time\nname, part, out = sys.argv[1:4]\n"
        "open(part, 'w').write(json.dumps({'copied': 5}))\n"
        "time.sleep(600) if name == 'nvml' else sys.exit('broken for good')\n"
    )
    monkeypatch.setattr(gpu_check, "ROOT", tmp_path)
    monkeypatch.setitem(gpu_check.STEPS, "nvml", 5)
    assert gpu_check.main(["--only", "nvml", "--only", "doctor", "--out", str(tmp_path)]) == 1
    report = json.loads((tmp_path / "gpu-check.json").read_text())["steps"]
    assert report["nvml"] | {"seconds": 0} == {"copied": 5, "ok": False, "why": "did not end within 5 s", "seconds": 0}
    assert (report["doctor"]["copied"], report["doctor"]["why"]) == (5, "ended with status 1")
    assert report["doctor"]["log"] == ["broken for good"]


def test_the_wheels_and_what_torch_brings_are_all_that_is_needed() -> None:
    """A bare machine has torch, ONNX Runtime and onnxscript, and what those need."""
    there = {"numpy", "onnxscript", "protobuf", "ml-dtypes", "sympy", "packaging"}
    needed = set(tomllib.loads((ROOT / "pyproject.toml").read_text())["project"]["dependencies"])
    for name in gpu_check.CARRIED:
        with contextlib.suppress(metadata.PackageNotFoundError):  # one that is needed there only
            needed |= {each for each in metadata.requires(name) or () if "extra ==" not in each}
    names = {re.sub(r"[-_.]+", "-", re.split(r"[^\w.-]", each)[0]).lower() for each in needed}
    assert names - there <= set(gpu_check.CARRIED)


def test_only_newer_wheels_are_unpacked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("Some_Thing-2.0-py3-none-any.whl", "click-0.1-py3-none-any.whl", "msgspec-99.1-cp312-cp312-any.whl"):
        with zipfile.ZipFile(tmp_path / name, "w") as wheel:
            wheel.writestr(f"{name.split('-')[0].lower()}/__init__.py", "")
    assert gpu_check.unpacked(tmp_path, tmp_path / "site") == {"some-thing": "2.0", "msgspec": "99.1"}
    assert sorted(path.name for path in (tmp_path / "site").iterdir()) == ["msgspec", "some_thing"]


@no_gpu
@pytest.mark.slow
def test_the_app_is_driven_to_its_charts(tmp_path: Path, nvml: dict[str, str]) -> None:
    names = ("app under torch load", "app build and latency")
    done, report = checked(tmp_path, *(word for name in names for word in ("--only", name)), "--rehearse", **nvml)
    assert done.returncode == 0, done.stdout
    load, build = (report["steps"][name] for name in names)
    assert load["samples"] >= 8
    assert [one["name"] for one in load["during"]] == ["NVIDIA GB10", "NVIDIA L4"]
    assert "TensorRT" in build["build"]
    assert "ONNX Runtime" in build["latency"]["source"]
    shots = [*load["screenshots"], *build["screenshots"]]
    assert shots == ["gpu-memory.svg", "gpu-memory-80x24.svg", "gpu-build.svg", "gpu-latency.svg"]
    assert all((tmp_path / name).stat().st_size > 10_000 for name in shots)
    for name in load["screenshots"]:
        assert "NVIDIA GB10" in (tmp_path / name).read_text().replace("&#160;", " "), name
