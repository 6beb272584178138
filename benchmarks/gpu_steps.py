"""The steps of `benchmarks.gpu_check`, each run alone: `python -m benchmarks.gpu_steps STEP PART OUT [rehearse]`.

A step writes what it finds into PART as it finds it. `ok` is True when what must hold held, False when it did not, None
when there is no verdict, with the reason in `why`. What a step needs is imported by it alone.
"""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import threading
import time
import traceback
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

MIB, GIB = 2**20, 2**30
MODEL, KEY, SIZES = "healthy_cnn", "N", (1, 8, 64)
ROOT = Path(__file__).resolve().parent.parent
LOAD = """
import time, torch
held = torch.zeros(2**29, device="cuda")  # float32: 2 GiB
a = torch.randn(4096, 4096, device="cuda")
torch.cuda.synchronize()
print("ready", flush=True)
end = time.monotonic() + 60
while time.monotonic() < end:
    a = torch.tanh(a @ a)
    torch.cuda.synchronize()
"""


class CannotStart(Exception):
    """What a step needs is not here; the text says what."""


class Step:
    """What one step found so far. `out` is where screenshots go; `rehearse`: CUDA is not asked for."""

    def __init__(self, part: Path, out: Path, *, rehearse: bool) -> None:
        self.out, self.rehearse = out, rehearse
        self._part, self._told = part, dict[str, Any]()

    def tell(self, **found: Any) -> None:
        """Add to the report, at once."""
        self._told |= found
        whole = self._part.with_suffix(".new")
        whole.write_text(json.dumps(self._told))
        whole.replace(self._part)

    def device(self) -> str:
        """Where torch computes. Raises CannotStart without torch, and without CUDA but in a rehearsal."""
        try:
            import torch
        except (ImportError, OSError) as error:
            raise CannotStart(f"torch is not there: {error}") from error
        if torch.cuda.is_available():
            return "cuda"
        if self.rehearse:
            return "cpu"
        raise CannotStart(f"torch {torch.__version__} sees no CUDA device")

    def judge(self, ok: bool, why: str = "", silent: str = "") -> None:
        """The verdict, and `why` it did not hold; none where something is `silent`, nor in a rehearsal."""
        if self.rehearse:
            self.tell(ok=None, why="rehearsed, no verdict")
        elif ok and silent:
            self.tell(ok=None, why=silent)
        else:
            self.tell(ok=ok, why="" if ok else why)


def main() -> int:
    """Run one step. What it raises is told in its part."""
    name, part, out, *rest = sys.argv[1:]
    step = Step(Path(part), Path(out), rehearse=bool(rest))
    try:
        STEPS[name](step)
    except CannotStart as missing:
        step.tell(ok=None, why=str(missing))
    except ModuleNotFoundError as missing:
        step.tell(ok=False, why=f"{missing}: the wheels that --download makes were not given with --wheels")
    except Exception as error:
        step.tell(ok=False, why=f"{type(error).__name__}: {error}", where=traceback.format_exc()[-1500:])
    return 0


# ------------------------------------------------------------------------------------------------------- NVML


def nvml(step: Step) -> None:
    """Every figure of every GPU is there or has its reason; a sample costs little."""
    from friction_tui.measure.gpu_memory import NvmlMeter

    meter = NvmlMeter()
    if meter.why_not:
        step.tell(ok=None, no_gpu=True, why=meter.why_not)
        return
    samples = meter.sample([os.getpid()])
    step.tell(gpus=meter.names, samples=[_told(sample) for sample in samples])
    times = []
    for _ in range(20):
        began = time.perf_counter()
        meter.sample([os.getpid()])
        times.append((time.perf_counter() - began) * 1e3)
    step.tell(sample_ms=round(statistics.median(times), 2))
    names = {"total": "memory", "used": "memory", "other_processes": "others"}
    unexplained = [
        f"{sample.name}: {field}"
        for sample in samples
        for field in ("total", "used", "reserved", "process", "others", "utilization")
        if getattr(sample, field) is None
        and not {"gpu", names.get(field, field), "memory" if field == "reserved" else "process"} & set(sample.missing)
    ]
    step.judge(not unexplained, f"no figure and no reason: {', '.join(unexplained)}")


def cuda_class(step: Step) -> None:
    """Allocation, copies and events of `friction_tui.engines.cuda`; NVML must see what was allocated."""
    import numpy as np

    from friction_tui.engines.base import EngineMissing
    from friction_tui.engines.cuda import Cuda, CudaFailed
    from friction_tui.measure.gpu_memory import NvmlMeter

    try:
        cuda = Cuda()
    except EngineMissing as missing:
        raise CannotStart(str(missing)) from missing
    step.tell(library=cuda._lib._name)
    try:
        stream = cuda.create_stream()
    except CudaFailed as error:
        raise CannotStart(str(error)) from error
    meter, size = NvmlMeter(), 256 * MIB
    sent, back = np.arange(size // 4, dtype=np.uint32), np.zeros(size // 4, np.uint32)
    before = _used(meter)
    pointer, start, end = cuda.allocate(size), cuda.create_event(), cuda.create_event()
    cuda.to_device(pointer, sent.ctypes.data, size, stream)
    cuda.record(start, stream)
    cuda.to_device(pointer, sent.ctypes.data, size, stream)
    cuda.record(end, stream)
    cuda.to_host(back.ctypes.data, pointer, size, stream)
    cuda.synchronize(stream)
    elapsed, during = cuda.elapsed_ms(start, end), _used(meter)
    same = bool((sent == back).all())
    step.tell(copied_equal=same, copy_ms=elapsed, copy_gb_per_second=round(size / max(elapsed, 1e-9) / 1e6, 2))
    try:
        cuda.free(cuda.allocate(2**50))
        refusal = ""
    except CudaFailed as error:
        refusal = str(error)
    for event in (start, end):
        cuda.destroy_event(event)
    cuda.free(pointer)
    after = _used(meter)
    cuda.destroy_stream(stream)
    grown = None if during is None or before is None else during - before
    freed = None if during is None or after is None else during - after
    step.tell(refusal_of_2_to_50_bytes=refusal, nvml_grown_bytes=grown, nvml_freed_bytes=freed)
    wrong = [
        *(["what came back differs"] if not same else []),
        *(["the events say that copying took no time"] if elapsed <= 0 else []),
        *(["2^50 bytes were not refused in words"] if "memory" not in refusal else []),
        *(["NVML did not see the allocation"] if grown is not None and grown < size else []),
        *(["NVML did not see it freed"] if freed is not None and freed < size else []),
    ]
    silent = "NVML does not tell the memory in use, so its side is open" if None in {grown, freed} else ""
    step.judge(not wrong, "; ".join(wrong), silent)


def process_memory(step: Step) -> None:
    """A gibibyte in torch: NVML must see at least that much more, on the device and in this process."""
    import torch

    from friction_tui.measure.gpu_memory import NvmlMeter

    device, meter = step.device(), NvmlMeter()
    torch.zeros(1, device=device)
    before = meter.sample([os.getpid()])
    held = torch.zeros(2**28, device=device)  # float32
    _wait(device)
    after = meter.sample([os.getpid()])
    del held
    index = torch.cuda.current_device() if device == "cuda" else 0
    step.tell(before=[_told(one) for one in before], after=[_told(one) for one in after], torch_device=index)
    grown, ours = _grown(before, after, "used"), _grown(before, after, "process")
    step.tell(device_grown_bytes=grown, process_grown_bytes=ours)

    def seen(figures: list[int]) -> bool:
        return any(GIB <= one < 1.2 * GIB for one in figures)

    wrong = [
        *(["the device did not grow by the gibibyte"] if not seen(grown) else []),
        *(["this process did not grow by the gibibyte"] if ours and not seen(ours) else []),
    ]
    silent = "" if ours else "; ".join(one.missing.get("process", "") for one in after) or "NVML gives no sample"
    step.judge(not wrong, "; ".join(wrong), silent)


def doctor(step: Step) -> None:
    """The doctor names the driver and every GPU that NVML names."""
    from friction_tui.measure.gpu_memory import NvmlMeter

    done = subprocess.run(
        [sys.executable, "-m", "friction_tui", "doctor", "--json"], capture_output=True, text=True, check=False
    )
    stack = json.loads(done.stdout)
    rows = {row["name"]: row for row in stack["items"]}
    step.tell(status=done.returncode, rows=stack["items"], findings=stack["findings"])
    named = {sample.name for sample in NvmlMeter().sample([])}
    wrong = [
        *(["no version of the driver"] if not rows["driver"].get("version") else []),
        *(f"{name} is not there" for name in sorted(named - set(rows))),
    ]
    step.judge(not wrong, "; ".join(wrong))


# ---------------------------------------------------------------------------------------------------- the app


def app_under_load(step: Step) -> None:
    """The app with its live chart while another process of torch holds 2 GiB and computes."""
    asyncio.run(_app_under_load(step))


async def _app_under_load(step: Step) -> None:
    from friction_tui.ui.app import FrictionApp

    why = ""
    try:
        why = "" if step.device() == "cuda" else "rehearsed, no verdict"
    except CannotStart as missing:
        why = f"no load: {missing}"
    app = FrictionApp(_recipe())
    async with app.run_test(size=(160, 45)) as pilot:
        state = await until(pilot, app, lambda s: s.hello is not None and s.judged is not None, "a verdict")
        await pilot.press("5")
        if not state.hello.gpus:
            raise CannotStart(state.hello.no_gpu)
        state = await until(pilot, app, lambda s: len(s.gpu) > 2, "NVML's samples came")
        before = state.gpu[-1].samples
        step.tell(before=[_told(one) for one in before])
        load = None if why else subprocess.Popen([sys.executable, "-c", LOAD], stdout=subprocess.PIPE, text=True)
        shots: list[str] = []
        try:
            if load is not None and load.stdout is not None:
                await asyncio.to_thread(load.stdout.readline)
            begun = len(app.live.state.gpu)
            state = await until(pilot, app, lambda s: len(s.gpu) >= begun + 8, "eight samples under load")
            during = state.gpu[-1].samples
            step.tell(during=[_told(one) for one in during], samples=len(state.gpu), screenshots=shots)
            shots.append(await _photograph(app, pilot, step.out, "gpu-memory.svg", "z"))  # zoomed: beside the forecast
            await pilot.resize_terminal(80, 24)
            shots.append(await _photograph(app, pilot, step.out, "gpu-memory-80x24.svg", "home", "pagedown"))
            step.tell(screenshots=shots)
        finally:
            if load is not None:
                load.kill()
                load.wait()
    if why:
        step.tell(ok=None, why=why)
        return
    grown = _grown(before, during, "used")
    others = [one.other_processes for one in during]
    step.tell(device_grown_bytes=grown)
    wrong = [
        *(["the chart did not grow by the 2 GiB"] if not any(one >= 2 * GIB for one in grown) else []),
        *(["the load is not among the other processes"] if not any(others) and not _hidden(during) else []),
        *(["the chart shows no load"] if not any((one.utilization or 0) > 50 for one in during) else []),
    ]
    step.judge(not wrong, "; ".join(wrong))


def app_build_and_latency(step: Step) -> None:
    """The app builds where an engine can, measures, and shows both; what cannot be done is said at once."""
    asyncio.run(app_charts(step))


async def app_charts(step: Step) -> None:
    """Drive the app headless: build where that can start, measure, and photograph the panels."""
    from friction_tui.ui.app import FrictionApp

    app = FrictionApp(_recipe())
    async with app.run_test(size=(160, 45)) as pilot:
        state = await until(pilot, app, lambda s: s.judged is not None, "a verdict")
        builders = [engine for engine in state.hello.engines if engine.can_build]
        told = [f"{engine.label}: {engine.why_not}" for engine in state.hello.engines if engine.why_not]
        why = "; ".join(told) or "TensorRT is not installed"
        if builders:
            await pilot.press("b")
            state = await until(pilot, app, lambda s: s.jobs and not s.jobs[-1].running, "the build is over")
            build = state.jobs[-1].build
            step.tell(build=build.source if build else "", build_error=state.jobs[-1].error)
        else:
            step.tell(build="", build_error=f"no engine here builds: {why}")
        before = len(state.jobs)
        await pilot.press("m")
        await pilot.pause(0.5)
        if len(app.live.state.jobs) == before:
            raise CannotStart(f"no engine here measures: {why}")
        state = await until(pilot, app, lambda s: not s.jobs[-1].running, "the measurement is over")
        latency, error = state.jobs[-1].latency, state.jobs[-1].error
        step.tell(latency=_latency(latency) if latency else {}, latency_error=error, gpu_samples=len(state.gpu))
        shots = []
        for digit, name in (("4", "build"), ("6", "latency")):
            await pilot.press(digit)
            shots.append(await _photograph(app, pilot, step.out, f"gpu-{name}.svg"))
        step.tell(screenshots=shots)
    step.judge(latency is not None, error or "no latency")


async def until(pilot: Any, app: Any, holds: Callable[[Any], Any], what: str, seconds: float = 60) -> Any:
    """The state in which something holds. Raises RuntimeError at once when the worker is lost or the model refused."""
    deadline = time.monotonic() + seconds
    while not holds(state := app.live.state):
        if state.worker_lost or state.refused is not None:
            refused = state.refused
            raise RuntimeError(f"{refused.what}: {refused.why}" if refused else "the worker died")
        if time.monotonic() > deadline:
            raise TimeoutError(f"{what}: not within {seconds:.0f} s")
        await pilot.pause(0.05)
    await pilot.pause()
    return app.live.state


async def _photograph(app: Any, pilot: Any, out: Path, name: str, *keys: str) -> str:
    await pilot.press(*keys)
    await asyncio.sleep(1.5)
    await pilot.pause()
    app.save_screenshot(name, path=str(out))
    return name


# -------------------------------------------------------------------------------------------------------- torch


def torch_memory(step: Step) -> None:
    """Torch's peak for a CNN, a U-Net and a BERT, beside NVML's figure for the process and our forecast.

    The forecast is of TensorRT, which fuses what torch keeps apart, so the two are reported and not compared; NVML
    must show what torch has reserved, and CUDA's own (context, kernels) of less than 1.5 GiB besides.
    """
    import torch

    from friction_tui.measure.gpu_memory import NvmlMeter

    device, meter = step.device(), NvmlMeter()
    rows: dict[str, Any] = {}
    wrong, silent = [], []
    for name, model, inputs in _models(device):
        row: dict[str, Any] = {"forecast": _forecast(model, inputs)}
        wrong += [f"{name}: no forecast"] if "error" in row["forecast"] else []
        rows[name] = row
        step.tell(models=rows)
        module, given = model.to(device), [one.to(device) for one in inputs]
        if device == "cuda":
            torch.cuda.empty_cache()
            torch.cuda.reset_peak_memory_stats()
        with torch.inference_mode(), Sampling(meter) as sampling:
            for _ in range(20):
                module(*given)
            _wait(device)
        row |= sampling.summary()
        if device == "cuda":
            peak, reserved = torch.cuda.max_memory_allocated(), torch.cuda.max_memory_reserved()
            row |= {"torch_peak_bytes": peak, "torch_reserved_bytes": reserved}
            row["forecast_of_torch_peak"] = round(row["forecast"].get("bytes", 0) / peak, 3)
            seen = row["process_peak_bytes"]
            if seen is None:
                silent.append(f"{name}: {row['missing'].get('process', 'no sample')}")
            elif not reserved <= seen < reserved + 1.5 * GIB:
                wrong.append(f"{name}: torch reserved {reserved}, NVML says {seen}")
        step.tell(models=rows)
        module.to("cpu")
    step.judge(not wrong, "; ".join(wrong), silent="; ".join(silent))


def torch_latency(step: Step) -> None:
    """Eager and compiled: the time between CUDA events beside that of our own timer, which waits for each run.

    Both are of the same runs' kind, one after the other; ours has the wait for the end in it, 0.1 ms at most.
    """
    import torch

    from friction_tui.measure.latency import time_runs

    device = step.device()
    rows: dict[str, Any] = {}
    wrong = []
    for name, model, inputs in _models(device):
        module, given = model.to(device), [one.to(device) for one in inputs]
        for mode in ("eager", "compiled"):
            row = rows.setdefault(f"{name} {mode}", {})
            run = module if mode == "eager" else torch.compile(module)

            def once(run: Any = run, given: Any = given) -> None:
                run(*given)
                _wait(device)

            with torch.inference_mode():
                began = time.perf_counter()
                try:
                    once()
                except Exception as error:
                    row["error"] = f"{type(error).__name__}: {error}"[:500]
                    wrong.append(f"{name} {mode}: {row['error'][:100]}")
                    step.tell(models=rows)
                    continue
                row["first_run_s"] = round(time.perf_counter() - began, 2)
                times = time_runs(once)[0]
                row["timer_p50_ms"] = round(statistics.median(times), 4)
                if device == "cuda":
                    row["events_p50_ms"] = round(statistics.median(_event_times(run, given, len(times))), 4)
                    gap = row["timer_p50_ms"] - row["events_p50_ms"]
                    if not -0.02 * row["events_p50_ms"] <= gap <= 0.1 + 0.05 * row["events_p50_ms"]:
                        wrong.append(f"{name} {mode}: timer {row['timer_p50_ms']}, events {row['events_p50_ms']} ms")
            step.tell(models=rows)
        module.to("cpu")
    step.judge(not wrong, "; ".join(wrong))


def _event_times(run: Any, given: Any, count: int) -> list[float]:
    import torch

    event: Any = torch.cuda.Event
    times = []
    for _ in range(count):
        start, end = (event(enable_timing=True) for _ in range(2))
        start.record()
        run(*given)
        end.record()
        end.synchronize()
        times.append(float(start.elapsed_time(end)))
    return times


def _models(device: str) -> Any:
    """(Name, module, inputs) of sizes that fill a GPU; small ones on a CPU."""
    import torch

    from benchmarks.torch_models import VOCABULARY, bert, resnet, unet

    torch.manual_seed(20)
    batch, side, tokens = (64, 224, 128) if device == "cuda" else (2, 64, 16)
    yield "CNN", resnet()[0], (torch.randn(batch, 3, side, side),)
    yield "U-Net", unet()[0], (torch.randn(max(batch // 4, 1), 3, side, side),)
    words = torch.randint(0, VOCABULARY, (batch, tokens))
    yield "BERT", bert()[0], (words, torch.ones_like(words))


def _forecast(model: Any, inputs: Any) -> dict[str, Any]:
    """What `friction-tui memory` predicts for the model at these very sizes, in bytes."""
    import torch

    with TemporaryDirectory() as folder:
        path = Path(folder) / "model.onnx"
        torch.onnx.export(model, tuple(inputs), path, dynamo=True, verbose=False)
        asked = [sys.executable, "-m", "friction_tui", "memory", str(path), "--format", "json"]
        done = subprocess.run(asked, capture_output=True, text=True, check=False, cwd=ROOT)
    if done.returncode:
        return {"error": (done.stderr or done.stdout).strip()[-500:]}
    told = json.loads(done.stdout)
    return {"bytes": told["bytes"], "weights": told["weights"], "activations": told["activations"]}


def _wait(device: str) -> None:
    if device == "cuda":
        import torch

        torch.cuda.synchronize()


# ------------------------------------------------------------------------------------------------------ engines


def onnxruntime_cuda(step: Step) -> None:
    """Time a sample on CUDA, with NVML sampled meanwhile."""
    import onnxruntime as ort

    from friction_tui.measure.gpu_memory import NvmlMeter
    from friction_tui.measure.inputs import example_inputs
    from friction_tui.measure.latency import with_onnxruntime
    from friction_tui.model.opened import open_model

    if "CUDAExecutionProvider" not in ort.get_available_providers() and not step.rehearse:
        raise CannotStart(f"onnxruntime {ort.__version__} has no CUDA provider")
    path = _sample()
    feeds = example_inputs(open_model(path).proto, {"images": (SIZES[1], 3, 32, 32)})
    with Sampling(NvmlMeter()) as sampling:
        result = with_onnxruntime(str(path), feeds, point="opt")
    step.tell(**_latency(result), **sampling.summary())
    step.judge("CUDA" in result.source, f"it ran as {result.source}")


def tensorrt(step: Step) -> None:
    """Build the sample through the worker, then deserialise and time the plan here.

    An edition that does not offer this GPU may refuse the plan: what it says then is reported, and is no failure.
    """
    from friction_tui.engines.found import deciding, found, runner
    from friction_tui.engines.tensorrt.run import PlanRefused
    from friction_tui.measure.gpu_memory import NvmlMeter
    from friction_tui.measure.inputs import example_inputs
    from friction_tui.measure.latency import with_plan
    from friction_tui.model.opened import open_model
    from friction_tui.verdicts.answer import Answer
    from friction_tui.vocabulary.protocol import JobKind
    from friction_tui.worker.headless import ask

    engine = deciding(found())
    if engine is None:
        raise CannotStart("TensorRT is not installed")
    if not engine.can_build:
        raise CannotStart(f"{engine.label}: {engine.why_not}")
    with TemporaryDirectory() as folder:
        plan = Path(folder) / "sample.plan"

        def keep(answer: Answer) -> None:
            if answer.build and answer.build.ok:
                plan.write_bytes(Path(answer.build.engine_path).read_bytes())

        answer = asyncio.run(ask(_recipe(), jobs=(JobKind.BUILD,), on_finished=keep))
        build = answer.build
        if build is None or not plan.exists():
            step.tell(ok=False, why=answer.failure or answer.job_error or "no engine came out")
            return
        step.tell(
            built_by=build.source,
            engine_bytes=build.engine_bytes,
            planned_activation_bytes=list(build.activation_bytes),
        )
        if not engine.can_run:
            raise CannotStart(f"built, not run. {engine.label}: {engine.why_not}")
        feeds = example_inputs(open_model(_sample()).proto, {"images": (SIZES[1], 3, 32, 32)})
        with Sampling(NvmlMeter()) as sampling:
            try:
                result = with_plan(runner(engine), plan, feeds, point="opt")
            except PlanRefused as refused:
                step.tell(ok=False, why=f"{engine.label} refused its own plan: {refused}")
                return
        step.tell(**_latency(result), **sampling.summary())
        step.judge(True)


# -------------------------------------------------------------------------------------------------------- parts


class Sampling:
    """NVML asked every 20 ms while something else works."""

    def __init__(self, meter: Any) -> None:
        self._meter, self._over = meter, threading.Event()
        self._samples: list[Any] = []
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> Sampling:
        self._thread.start()
        return self

    def __exit__(self, *_: object) -> None:
        self._over.set()
        self._thread.join()

    def _run(self) -> None:
        while True:
            self._samples.extend(self._meter.sample([os.getpid()]))
            if self._over.wait(0.02):
                return

    def summary(self) -> dict[str, Any]:
        """Peak and least memory in use on the GPU that this process uses, else the first, and how busy it got."""
        ours = [one for one in self._samples if one.process is not None]
        gpu = max(ours, key=lambda one: one.process).device if ours else 0
        samples = [one for one in self._samples if one.device == gpu]
        used = [one.used for one in samples if one.used is not None]
        return {
            "nvml_samples": len(samples),
            "device_used_peak_bytes": max(used, default=None),
            "device_used_least_bytes": min(used, default=None),
            "process_peak_bytes": max((one.process for one in ours), default=None),
            "utilization_peak_percent": max((one.utilization or 0 for one in samples), default=None),
            "missing": samples[-1].missing if samples else {},
        }


def _used(meter: Any) -> int | None:
    samples = meter.sample([])
    used: int | None = samples[0].used if samples else None
    return used


def _grown(before: Any, after: Any, field: str) -> list[int]:
    """By how many bytes a figure grew, of each GPU that tells it both times."""
    pairs = [(getattr(a, field), getattr(b, field)) for a, b in zip(before, after, strict=False)]
    return [b - a for a, b in pairs if a is not None and b is not None]


def _hidden(samples: Any) -> bool:
    """Whether NVML does not show here whose memory it is."""
    return any("process" in one.missing and one.other_processes is None for one in samples)


def _told(sample: Any) -> dict[str, Any]:
    import msgspec

    told: dict[str, Any] = msgspec.to_builtins(sample)
    return told


def _latency(result: Any) -> dict[str, Any]:
    return {
        "source": result.source,
        "runs": len(result.times_ms),
        "p50_ms": result.p50,
        "p90_ms": result.p90,
        "p99_ms": result.p99,
        "load_ms": result.load_ms,
    }


def _sample() -> Path:
    from friction_tui.samples import sample

    path = sample(MODEL)
    if path is None:
        raise FileNotFoundError(f"the sample model {MODEL} is missing")
    return path


def _recipe() -> Any:
    from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source

    return Recipe(source=Source(str(_sample())), profile=Profile(ranges={KEY: Range(*SIZES)}))


STEPS: dict[str, Callable[[Step], None]] = {
    "nvml": nvml,
    "cuda class": cuda_class,
    "process memory": process_memory,
    "doctor": doctor,
    "app under torch load": app_under_load,
    "torch memory": torch_memory,
    "torch latency": torch_latency,
    "onnxruntime cuda": onnxruntime_cuda,
    "tensorrt": tensorrt,
    "app build and latency": app_build_and_latency,
}

if __name__ == "__main__":
    sys.exit(main())
