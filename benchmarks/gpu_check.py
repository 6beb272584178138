"""Everything that needs an NVIDIA GPU, for real, in one run without a network: `make gpu-check`.

NVML memory under load, ONNX Runtime's CUDA latency, torch's CUDA memory against NVML's, the installed TensorRT
deserialising and running what it built, and the app itself with its real memory and latency charts. Writes
`gpu-check.json` and SVG screenshots to `$OUT`, else to `benchmarks/results/`. Exit status: 0 all that could run held,
1 something did not hold, 3 there is no GPU.
"""

from __future__ import annotations

import asyncio
import json
import os
import sys
import threading
import time
import traceback
from collections.abc import Callable
from importlib import metadata
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

from benchmarks.machine import machine
from friction_tui.engines.found import deciding, found, runner
from friction_tui.engines.tensorrt.run import PlanRefused
from friction_tui.measure.gpu_memory import NvmlMeter
from friction_tui.measure.inputs import example_inputs
from friction_tui.measure.latency import with_onnxruntime, with_plan
from friction_tui.model.opened import open_model
from friction_tui.samples import sample
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.protocol import GpuSample, JobKind, LatencyResult
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source
from friction_tui.worker.headless import ask

MODEL, KEY, SIZES = "healthy_cnn", "N", Range(1, 8, 64)
PACKAGES = ("onnxruntime", "onnxruntime-gpu", "tensorrt", "tensorrt-rtx", "torch", "textual", "nvidia-ml-py")


def main() -> int:
    """Run every step; a step that fails does not stop the others."""
    meter = NvmlMeter()
    if meter.why_not:
        print(f"There is no GPU to check: {meter.why_not}.")
        return 3
    out = Path(os.environ.get("OUT") or Path(__file__).parent / "results")
    out.mkdir(parents=True, exist_ok=True)
    report: dict[str, Any] = {"machine": machine(), "gpus": list(meter.names), "packages": _versions(), "steps": {}}
    steps: tuple[tuple[str, Callable[[], dict[str, Any]]], ...] = (
        ("nvml under torch load", lambda: torch_memory(meter)),
        ("onnxruntime cuda latency", onnxruntime_cuda),
        ("tensorrt builds and runs", tensorrt_runs),
        ("the app with real charts", lambda: asyncio.run(app_charts(out))),
    )
    for name, step in steps:
        begin = time.perf_counter()
        try:
            result = step()
        except Exception as error:
            result = {"ok": False, "why": f"{type(error).__name__}: {error}", "where": traceback.format_exc()[-1500:]}
        report["steps"][name] = {**result, "seconds": round(time.perf_counter() - begin, 2)}
        said = result.get("why", "")
        print(f"{'held' if result['ok'] else 'did not hold' if result['ok'] is False else 'skipped'}: {name}  {said}")
    (out / "gpu-check.json").write_text(json.dumps(report, indent=2) + "\n")
    return int(any(step["ok"] is False for step in report["steps"].values()))


def torch_memory(meter: NvmlMeter) -> dict[str, Any]:
    """Allocate 1 GiB with torch: NVML must see at least that much more, on the device and in this process."""
    try:
        import torch
    except ImportError:
        return {"ok": None, "why": "torch is not installed"}
    if not torch.cuda.is_available():
        return {"ok": None, "why": "this torch has no CUDA"}
    torch.zeros(1, device="cuda")
    before = meter.sample([os.getpid()])[0]
    held = torch.zeros(2**28, device="cuda")  # float32: 1 GiB
    torch.cuda.synchronize()
    after = meter.sample([os.getpid()])[0]
    ours = torch.cuda.memory_allocated()
    del held
    grown = after.used - before.used
    process = None if after.process is None or before.process is None else after.process - before.process
    return {
        "ok": 2**30 <= grown < 2**30 * 1.2,
        "torch_allocated_bytes": ours,
        "nvml_device_grown_bytes": grown,
        "nvml_process_grown_bytes": process,
        "device_total_bytes": after.total,
    }


def onnxruntime_cuda() -> dict[str, Any]:
    """Time a sample on CUDA, with NVML sampled meanwhile."""
    import onnxruntime as ort

    if "CUDAExecutionProvider" not in ort.get_available_providers():
        return {"ok": None, "why": f"onnxruntime {ort.__version__} has no CUDA provider"}
    path = _sample()
    feeds = example_inputs(open_model(path).proto, {"images": (SIZES.opt, 3, 32, 32)})
    with Sampling(NvmlMeter()) as sampling:
        result = with_onnxruntime(str(path), feeds, point="opt")
    return {"ok": "CUDA" in result.source, **_latency(result), **sampling.summary()}


def tensorrt_runs() -> dict[str, Any]:
    """Build the sample through the worker, then deserialise and time the plan here.

    An edition that does not offer this GPU may refuse the plan: what it says then is reported, and is no failure.
    """
    tensorrt = deciding(found())
    if tensorrt is None:
        return {"ok": None, "why": "TensorRT is not installed"}
    with TemporaryDirectory() as folder:
        plan = Path(folder) / "sample.plan"

        def keep(answer: Answer) -> None:
            if answer.build and answer.build.ok:
                plan.write_bytes(Path(answer.build.engine_path).read_bytes())

        answer = asyncio.run(ask(_recipe(), jobs=(JobKind.BUILD,), on_finished=keep))
        build = answer.build
        if build is None or not plan.exists():
            return {
                "ok": False,
                "why": answer.failure or answer.job_error or "no engine came out",
            }
        feeds = example_inputs(open_model(_sample()).proto, {"images": (SIZES.opt, 3, 32, 32)})
        with Sampling(NvmlMeter()) as sampling:
            try:
                result = with_plan(runner(tensorrt), plan, feeds, point="opt")
            except PlanRefused as refused:
                if tensorrt.can_run:
                    raise
                return {"ok": None, "why": f"{tensorrt.label}: {tensorrt.why_not}", "said": str(refused)}
        return {
            "ok": True,
            "built_by": build.source,
            "engine_bytes": build.engine_bytes,
            "planned_activation_bytes": list(build.activation_bytes),
            **_latency(result),
            **sampling.summary(),
        }


async def app_charts(out: Path) -> dict[str, Any]:
    """Drive the app headless: build, measure, and photograph the memory and latency panels."""
    from friction_tui.ui.app import FrictionApp

    app = FrictionApp(_recipe())
    async with app.run_test(size=(160, 45)) as pilot:
        state = await _until(pilot, app, lambda s: s.judged is not None)
        await pilot.press("b")
        state = await _until(pilot, app, lambda s: bool(s.jobs) and not s.jobs[-1].running)
        await pilot.press("m")
        state = await _until(pilot, app, lambda s: len(s.jobs) > 1 and not s.jobs[-1].running)
        shots = []
        for digit, name in (("5", "memory"), ("6", "latency")):
            await pilot.press(digit)
            await asyncio.sleep(2)
            await pilot.pause()
            shots.append(app.save_screenshot(f"gpu-{name}.svg", path=str(out)))
        latency = state.jobs[-1].latency
        return {
            "ok": bool(state.gpu) and latency is not None,
            "gpu_samples": len(state.gpu),
            "latency_source": latency.source if latency else state.jobs[-1].error,
            "screenshots": [Path(shot).name for shot in shots],
        }


class Sampling:
    """NVML asked every 50 ms while something else works."""

    def __init__(self, meter: NvmlMeter) -> None:
        self._meter, self._over = meter, threading.Event()
        self._samples: list[GpuSample] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while not self._over.wait(0.05):
            self._samples.extend(self._meter.sample([os.getpid()])[:1])

    def summary(self) -> dict[str, Any]:
        """Peak and least memory in use on the first GPU, and how busy it got."""
        used = [s.used for s in self._samples]
        return {
            "nvml_samples": len(used),
            "device_used_peak_bytes": max(used, default=None),
            "device_used_least_bytes": min(used, default=None),
            "utilization_peak_percent": max((s.utilization or 0 for s in self._samples), default=None),
        }


async def _until(pilot: Any, app: Any, holds: Callable[[Any], bool], seconds: float = 120) -> Any:
    deadline = time.monotonic() + seconds
    while not holds(app.live.state):
        if time.monotonic() > deadline:
            raise TimeoutError("the app did not get there")
        await pilot.pause(0.05)
    await pilot.pause()
    return app.live.state


def _sample() -> Path:
    path = sample(MODEL)
    if path is None:
        raise FileNotFoundError(f"the sample model {MODEL} is missing")
    return path


def _recipe() -> Recipe:
    return Recipe(source=Source(str(_sample())), profile=Profile(ranges={KEY: SIZES}))


def _latency(result: LatencyResult) -> dict[str, Any]:
    return {
        "source": result.source,
        "runs": len(result.times_ms),
        "p50_ms": result.p50,
        "p90_ms": result.p90,
        "p99_ms": result.p99,
        "per_second": result.per_second,
        "load_ms": result.load_ms,
    }


def _versions() -> dict[str, str]:
    found = {}
    for name in PACKAGES:
        try:
            found[name] = metadata.version(name)
        except metadata.PackageNotFoundError:
            continue
    return found


if __name__ == "__main__":
    sys.exit(main())
