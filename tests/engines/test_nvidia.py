"""What the engines and the doctor are told of the driver, by a stand-in for its libraries."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest

from tests.libraries.compiled import compiled

SCRIPT = """
import json
from friction_tui.engines.nvidia import cannot_run, gpus
from friction_tui.stack import doctor

facts = doctor._facts({})
print(json.dumps({
    "gpus": gpus(), "cannot_run": cannot_run(), "no_driver": facts.no_driver,
    "rows": {item.name: [item.version, item.detail] for item in doctor._items(facts, {}) if item.group == "GPU"},
    "found": [finding.kind for finding in doctor.judge(facts)],
}))
"""


@pytest.fixture
def driver(tmp_path: Path) -> Path:
    """A folder with the two libraries of a driver; CUDA's is only looked for."""
    compiled("nvml.c", tmp_path / "libnvidia-ml.so.1")
    compiled("cudart.c", tmp_path / "libcuda.so.1")
    return tmp_path


def told(driver: Path, scenario: str) -> dict[str, Any]:
    (driver / "scenario").write_text(scenario)
    environment = {"LD_LIBRARY_PATH": str(driver), "FAKE_NVML": str(driver / "scenario")}
    done = subprocess.run(
        [sys.executable, "-c", SCRIPT],
        env=os.environ | environment,
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    answer: dict[str, Any] = json.loads(done.stdout)
    return answer


def test_a_gpu_with_shared_memory_and_one_that_is_lost_leave_the_driver_known(driver: Path) -> None:
    found = told(
        driver,
        "driver 580.65.06\ncuda 13000\ncount 3\n0.name NVIDIA GB10\n0.capability 12.1\n"
        "1.handle error 15\n2.name NVIDIA L4\n2.capability 8.9\n2.memory 24000000000 0 0\n",
    )
    assert found["gpus"] == ["NVIDIA GB10, SM121, driver 580.65.06", "NVIDIA L4, SM89, driver 580.65.06"]
    assert (found["cannot_run"], found["no_driver"]) == ("", "")
    assert found["rows"]["driver"] == ["580.65.06", "CUDA 13.0"]
    assert found["rows"]["NVIDIA L4"] == ["SM89", "24 GB"]
    assert found["rows"]["NVIDIA GB10"][0] == "SM121"
    assert found["rows"]["NVIDIA GB10"][1].startswith("memory: not supported")
    assert "GPU is lost" in found["rows"]["GPU 1"][1]
    assert "stack/no-driver" not in found["found"]


def test_mig_slices_are_rows_of_their_own(driver: Path) -> None:
    found = told(
        driver,
        "driver 580.65.06\ncuda 13000\ncount 1\n0.name NVIDIA H200\n0.capability 9.0\n0.mig 1\n0.memory error 4\n"
        "0.1.name NVIDIA H200 MIG 1g.18gb\n0.1.capability 9.0\n0.1.memory 18000000000 0 0\n",
    )
    assert found["rows"]["NVIDIA H200 MIG 1g.18gb"] == ["SM90", "18 GB"]
    assert found["gpus"] == ["NVIDIA H200, SM90, driver 580.65.06"]


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("init error 18", "different versions"),
        ("init error 9", "kernel module is not loaded"),
        ("driver 580.65.06\ncount 0", "shows no GPU"),
        ("driver 580.65.06\ncount 1\n0.handle error 15", "GPU is lost"),
    ],
)
def test_a_driver_that_answers_nothing_is_named(driver: Path, scenario: str, why: str) -> None:
    found = told(driver, scenario)
    assert found["gpus"] == []
    assert why in found["cannot_run"]
    if "init" in scenario:
        assert why in found["no_driver"] and "stack/no-driver" in found["found"]
