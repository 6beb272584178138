"""The real pynvml against an NVML that answers as other machines do: each answer costs only itself."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

import msgspec
import pytest

from friction_tui.measure.gpu_memory import NvmlMeter
from friction_tui.vocabulary.protocol import GpuSample
from tests.libraries.compiled import compiled

GIB = 2**30
L4 = f"""
count 1
driver 580.65.06
0.name NVIDIA L4
0.memory {24 * GIB} {GIB} {5 * GIB}
0.compute self:{2 * GIB} 4000001:{3 * GIB}
0.graphics none
0.mps none
0.utilization 63
"""
SCRIPT = """
import json, os, subprocess, sys
from pathlib import Path
import pynvml
from friction_tui.measure.gpu_memory import NvmlMeter
from msgspec import to_builtins

scenarios, file = json.loads(sys.argv[1]), Path(os.environ["FAKE_NVML"])
file.write_text(scenarios[0])
meter = NvmlMeter()
told = []
child = subprocess.Popen(["sleep", "60"])
for scenario in scenarios:
    if scenario == "shutdown":
        pynvml.nvmlShutdown()
        continue
    file.write_text(scenario.replace("child:", f"{child.pid}:"))
    told.append(to_builtins(meter.sample([os.getpid()], "build")))
child.kill()
print(json.dumps({"why_not": meter.why_not, "names": meter.names, "told": told}))
"""


@dataclass
class Told:
    why_not: str
    names: tuple[str, ...]
    told: tuple[tuple[GpuSample, ...], ...]


Ask = Callable[..., Told]


@pytest.fixture(scope="module")
def folders(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    """The stand-in as the loader finds it, of a driver of today and of one before 510."""
    made = {name: tmp_path_factory.mktemp(name) for name in ("new", "old")}
    compiled("nvml.c", made["new"] / "libnvidia-ml.so.1")
    compiled("nvml.c", made["old"] / "libnvidia-ml.so.1", "OLD_DRIVER")
    return made


@pytest.fixture
def ask(folders: dict[str, Path], tmp_path: Path) -> Ask:
    """Sample once for each scenario, in a process of its own: a library that was loaded stays loaded."""

    def asked(*scenarios: str, driver: str = "new", within: Sequence[str] = ()) -> Told:
        environment = {"LD_LIBRARY_PATH": str(folders[driver]), "FAKE_NVML": str(tmp_path / "scenario")}
        done = subprocess.run(
            [*within, sys.executable, "-c", SCRIPT, json.dumps(scenarios)],
            env=os.environ | environment,
            capture_output=True,
            text=True,
            check=False,
            timeout=60,
        )
        assert done.returncode == 0, done.stderr
        return msgspec.convert(json.loads(done.stdout), Told)

    return asked


def test_everything_is_told_by_a_usual_gpu(ask: Ask) -> None:
    found = ask(L4)
    assert (found.why_not, found.names) == ("", ("NVIDIA L4",))
    ((sample,),) = found.told
    assert (sample.total, sample.used, sample.reserved) == (24 * GIB, 5 * GIB, GIB), "reserved is told apart"
    assert (sample.process, sample.others, sample.other_processes) == (2 * GIB, 3 * GIB, 1)
    assert (sample.utilization, sample.phase, sample.missing) == (63, "build", {})


def test_shared_memory_is_the_machines_and_is_called_so(ask: Ask) -> None:
    """DGX Spark and Jetson: NVML has no memory info, and everything else goes on."""
    spark = f"count 1\n0.name NVIDIA GB10\n0.compute self:{GIB}\n0.utilization 7\n"
    ((sample,), (again,)) = ask(spark, spark).told
    machine = {line.split(":")[0]: line.split()[1] for line in Path("/proc/meminfo").read_text().splitlines()}
    assert (sample.source, sample.total) == ("/proc/meminfo", int(machine["MemTotal"]) * 1024)
    assert sample.used is not None and 0 < sample.used < int(machine["MemTotal"]) * 1024
    assert "Not Supported" in sample.missing["memory"] and "/proc/meminfo" in sample.missing["memory"]
    assert (sample.process, sample.reserved, sample.utilization) == (GIB, None, 7)
    assert again.used is not None, "and the chart goes on"


def test_memory_that_may_not_be_asked_for_is_not_taken_from_the_machine(ask: Ask) -> None:
    ((sample,),) = ask(L4.replace(f"{24 * GIB} {GIB} {5 * GIB}", "error 4")).told
    assert (sample.total, sample.used, sample.source) == (None, None, "NVML")
    assert "Insufficient Permissions" in sample.missing["memory"]
    assert sample.process == 2 * GIB


def test_each_mig_slice_has_memory_of_its_own(ask: Ask) -> None:
    """The GPU itself says N/A or lacks the permission, as in a container that was given a slice."""
    sliced = f"""
count 1
0.name NVIDIA H200
0.mig 1
0.memory error 4
0.compute error 4
0.0.name NVIDIA H200 MIG 1g.18gb
0.0.memory {18 * GIB} 0 {2 * GIB}
0.0.compute self:{GIB}
0.3.name NVIDIA H200 MIG 2g.35gb
0.3.memory error 3
0.3.compute none
"""
    found = ask(sliced)
    assert found.names == ("NVIDIA H200",)
    ((first, second),) = found.told
    assert (first.device, first.part, first.name) == (0, "MIG 0", "NVIDIA H200 MIG 1g.18gb")
    assert (first.used, first.total, first.process) == (2 * GIB, 18 * GIB, GIB)
    assert "Not Supported" in first.missing["utilization"]
    assert (second.part, second.used, second.source) == ("MIG 3", None, "NVML"), "a slice shares no memory"
    assert "Not Supported" in second.missing["memory"]


def test_mig_without_a_slice_here_says_so(ask: Ask) -> None:
    ((sample,),) = ask("count 1\n0.name NVIDIA H200\n0.mig 1\n0.memory error 4\n").told
    assert (sample.used, sample.missing) == (None, {"gpu": "MIG is on and no slice is visible here"})


def test_a_driver_without_memory_info_2_counts_what_is_reserved_as_used(ask: Ask) -> None:
    ((sample,),) = ask(L4, driver="old").told
    assert (sample.total, sample.used, sample.reserved) == (24 * GIB, 6 * GIB, None)
    assert "counts it as used" in sample.missing["reserved"]
    assert sample.process is None and "driver" in sample.missing["process"]


def test_host_process_ids_in_a_container_are_no_zero(ask: Ask) -> None:
    within = ("unshare", "--user", "--map-root-user", "--pid", "--fork", "--mount-proc")
    if subprocess.run([*within, "true"], capture_output=True, check=False).returncode:
        pytest.skip("this machine makes no process namespaces (unshare)")
    ((sample,), (hidden,)) = ask(L4.replace("self", "4000002"), L4.replace(f"self:{2 * GIB} ", ""), within=within).told
    assert (sample.process, sample.others, sample.other_processes) == (None, None, None), "any of them may be ours"
    assert "lists 2 processes" in sample.missing["process"] and "--pid=host" in sample.missing["process"]
    assert "lists 1 process," in hidden.missing["process"]
    assert sample.used == 5 * GIB


def test_a_process_that_nvml_does_not_list_has_no_figure(ask: Ask) -> None:
    ((sample,),) = ask(L4.replace(f"self:{2 * GIB} ", "")).told
    assert sample.process is None
    assert "list" in sample.missing["process"]


def test_processes_without_a_figure_are_counted_and_named(ask: Ask) -> None:
    ((ours,), (some,), (listed,)) = ask(
        L4.replace(f"self:{2 * GIB}", "self:na"),
        L4.replace(f"self:{2 * GIB}", f"self:{2 * GIB} 4000002:na"),
        L4.replace("0.graphics none", f"0.graphics self:{2 * GIB} 4000003:{GIB}"),
    ).told
    assert ours.process is None
    assert "N/A" in ours.missing["process"]
    assert (some.process, some.others, some.other_processes) == (2 * GIB, 3 * GIB, 2)
    assert "1 of 2 processes" in some.missing["others"]
    assert (listed.process, listed.others, listed.other_processes) == (2 * GIB, 4 * GIB, 2), "counted once"


def test_what_a_process_has_started_counts_as_its_own(ask: Ask) -> None:
    ((sample,),) = ask(L4.replace("0.compute", f"0.compute child:{GIB}")).told
    assert (sample.process, sample.others, sample.other_processes) == (3 * GIB, 3 * GIB, 1)


def test_a_gpu_that_falls_off_the_bus_leaves_the_others_and_comes_back(ask: Ask) -> None:
    two = L4.replace("count 1", "count 2") + L4.replace("\n0.", "\n1.").replace("count 1\n", "")
    lost = two.replace(f"1.memory {24 * GIB} {GIB} {5 * GIB}", "1.memory error 15")
    before, during, after = ask(two, lost, two).told
    assert [sample.used for sample in before] == [5 * GIB, 5 * GIB]
    assert [sample.used for sample in during] == [5 * GIB, None]
    assert "fallen off the bus" in during[1].missing["gpu"] and "GPU is lost" in during[1].missing["gpu"]
    assert (during[1].device, during[1].name) == (1, "NVIDIA L4")
    assert [sample.used for sample in after] == [5 * GIB, 5 * GIB]


def test_a_gpu_that_was_lost_before_does_not_hide_the_other(ask: Ask) -> None:
    found = ask(L4.replace("count 1", "count 2\n1.handle error 15"))
    assert (found.why_not, found.names) == ("", ("NVIDIA L4", "GPU 1"))
    ((first, second),) = found.told
    assert first.used == 5 * GIB
    assert "GPU is lost" in second.missing["gpu"]


def test_nvml_is_opened_again_after_it_was_closed(ask: Ask) -> None:
    before, after, unloaded, back = ask(L4, "shutdown", L4, "shutdown", L4 + "init error 9\n", L4).told
    assert before[0].used == after[0].used == back[0].used == 5 * GIB
    assert "kernel module is not loaded" in unloaded[0].missing["gpu"]
    assert unloaded[0].name == "NVIDIA L4"
    _, none, again = ask(L4, "shutdown", L4.replace("count 1", "count 0"), L4).told
    assert "reports no GPU" in none[0].missing["gpu"]
    assert again[0].used == 5 * GIB


@pytest.mark.parametrize(
    ("scenario", "why"),
    [
        ("init error 18", "different versions"),
        ("init error 9", "kernel module is not loaded"),
        ("init error 4", "may not ask"),
        ("count error 1", "NVML was closed"),
        ("count error 999", "NVML: Unknown Error"),
        ("count 0", "reports no GPU"),
    ],
)
def test_a_driver_that_does_not_answer_is_named(ask: Ask, scenario: str, why: str) -> None:
    found = ask(scenario if scenario.startswith("init") else f"init ok\n{scenario}")
    assert why in found.why_not
    assert found.told == ((),)


def test_a_name_that_is_no_text_is_a_number(ask: Ask) -> None:
    found = ask(L4.replace("0.name NVIDIA L4\n", ""))
    assert found.names == ("GPU 0",)
    assert found.told[0][0].used == 5 * GIB


def test_this_machine_has_a_gpu_or_says_why_not() -> None:
    meter = NvmlMeter()
    assert bool(meter.why_not) == (meter.sample(()) == ())
