"""What is installed here, what each engine can do, which libraries are missing."""

from __future__ import annotations

import importlib.metadata
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.cuda import Cuda, CudaFailed
from friction_tui.engines.engine import Builds, Parses
from friction_tui.engines.found import ENGINES, deciding, found
from friction_tui.engines.libraries import missing_libraries, needed_libraries
from friction_tui.engines.nvidia import cannot_run
from friction_tui.engines.onnxruntime_installed import onnxruntime_distributions
from friction_tui.engines.tensorrt import engine as tensorrt
from friction_tui.engines.tensorrt.plan import read_plan
from friction_tui.engines.tensorrt.run import loaded


def test_engines_are_found_with_their_versions(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    for again in (False, True):
        by_name = {engine.name: engine for engine in found()}
        rtx, ort = by_name["TensorRT-RTX"], by_name["ONNX Runtime"]
        assert rtx.version == importlib.metadata.version("tensorrt-rtx")
        assert rtx.can_parse
        assert rtx.can_build
        assert "SM89" in rtx.targets
        assert ort.label.startswith(f"ONNX Runtime {ort.version} ")
        assert bool(list(tmp_path.rglob("capabilities-*.json"))), again
        assert rtx.can_run == (not cannot_run())


def test_an_edition_says_on_which_gpus_it_runs(monkeypatch: pytest.MonkeyPatch) -> None:
    """The driver and its GPU are what this machine cannot have."""
    monkeypatch.setattr(tensorrt, "cannot_run", lambda: "")
    for gpu, why_not in (
        ("NVIDIA L4, SM89, driver 580.65", ""),
        ("NVIDIA H200, SM90, driver 580.65", "the GPU here is NVIDIA H200, SM90, driver 580.65"),
    ):
        monkeypatch.setattr(tensorrt, "gpus", lambda gpu=gpu: (gpu,))
        rtx = next(engine for engine in found() if engine.name == "TensorRT-RTX")
        assert rtx.can_build
        assert rtx.can_run == (not why_not)
        assert rtx.why_not.endswith(why_not)


def test_what_an_engine_can_do_is_data() -> None:
    """What reads a model and builds it says so, and has the methods for it; ONNX Runtime decides nothing."""
    rtx, ort = (next(one for one in found() if one.name == name) for name in ("TensorRT-RTX", "ONNX Runtime"))
    assert (rtx.decides, rtx.weak_types, rtx.operator_table) == (True, False, "rtx")
    assert (ort.decides, ort.targets, ort.can_build) == (False, (), False)
    assert deciding((ort, rtx)) is rtx
    assert deciding((ort,)) is None
    for engine in ENGINES:
        infos = engine.found()
        assert isinstance(engine, Parses) == any(info.can_parse for info in infos)
        assert isinstance(engine, Builds) == any(info.can_build for info in infos)


def test_finding_engines_imports_none_of_them() -> None:
    code = (
        "import sys; from friction_tui.engines.found import found; found(); "
        "print([m for m in ('tensorrt', 'tensorrt_rtx', 'onnxruntime', 'onnx', 'numpy') if m in sys.modules])"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"


def test_one_onnxruntime_only() -> None:
    assert len(onnxruntime_distributions()) == 1


def test_libraries_as_the_loader_sees_them(tmp_path: Path) -> None:
    source = tmp_path / "a.c"
    source.write_text("int a(void) { return 1; }")
    subprocess.run(["cc", "-shared", "-o", tmp_path / "libdeep.so.3", source], check=True)
    needy = tmp_path / "libneedy.so"
    subprocess.run(
        ["cc", "-shared", "-Wl,--no-as-needed", "-Wl,-rpath,$ORIGIN", "-o", needy, source, tmp_path / "libdeep.so.3"],
        check=True,
    )
    needed, run_paths = needed_libraries(needy)
    assert any(name.endswith("libdeep.so.3") for name in needed)
    assert run_paths == ("$ORIGIN",)
    assert missing_libraries(needy) == ()
    (tmp_path / "libdeep.so.3").unlink()
    assert [name.rpartition("/")[2] for name in missing_libraries(needy)] == ["libdeep.so.3"]
    assert needed_libraries(source) == ((), ())


@pytest.mark.skipif(not cannot_run(), reason="says why nothing runs on a machine without a GPU; this one has one")
def test_without_a_gpu_running_says_so(tmp_path: Path) -> None:
    with pytest.raises(EngineMissing, match="TensorRT cannot run here: no NVIDIA"):  # noqa: SIM117
        with loaded(tmp_path / "engine.plan", {"x": np.zeros((1, 3), np.float32)}):
            pass


def test_enterprise_plans_are_known_by_their_tag(tmp_path: Path) -> None:
    plan = tmp_path / "engine.plan"
    plan.write_bytes(b"ftrt" + bytes(20) + bytes([10, 16, 1, 11]) + bytes(100))
    facts = read_plan(plan)
    assert facts is not None
    assert (facts.label, facts.version, facts.targets, facts.truncated) == ("TensorRT 10.16", "10.16.1.11", (), False)


@pytest.mark.skipif(not cannot_run(), reason="says what CUDA says without a GPU; this machine has one")
def test_the_cuda_runtime_speaks_for_itself() -> None:
    with pytest.raises((EngineMissing, CudaFailed), match=r"libcudart|allocating 16 bytes on the GPU failed: CUDA"):
        Cuda().allocate(16)
