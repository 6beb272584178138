"""How long one inference takes: warm-up, then timed runs one after the other, on the machine at hand."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import numpy as np

from friction_tui.engines.engine import Runs
from friction_tui.vocabulary.protocol import LatencyResult

BUDGET_S = 2.0
"""Timed runs go on for about this long when their number is not given..."""
MIN_RUNS, MAX_RUNS = 10, 2000
"""...but never fewer or more than these."""
WARMUP_RUNS, WARMUP_S = 10, 1.0
"""Runs before the clock counts: until ten are done or a second is gone, at least one."""


def time_runs(run: Callable[[], None], runs: int = 0) -> tuple[list[float], int]:
    """Milliseconds of each timed run, and the number of warm-up runs before them. One inference a call of `run`."""
    warmup = 0
    started = time.perf_counter()
    while warmup < WARMUP_RUNS and (warmup == 0 or time.perf_counter() - started < WARMUP_S):
        run()
        warmup += 1
    times: list[float] = []
    deadline = time.perf_counter() + BUDGET_S
    while len(times) < (runs or MAX_RUNS):
        if not runs and len(times) >= MIN_RUNS and time.perf_counter() > deadline:
            break
        before = time.perf_counter()
        run()
        times.append((time.perf_counter() - before) * 1e3)
    return times, warmup


def summarize(
    times_ms: Sequence[float],
    *,
    source: str,
    point: str,
    shapes: Mapping[str, tuple[int, ...]],
    warmup: int,
    load_ms: float,
    note: str = "",
) -> LatencyResult:
    """Percentiles (linear interpolation), mean and throughput of the timed runs."""
    p50, p90, p99 = (float(p) for p in np.percentile(times_ms, (50, 90, 99)))
    mean = float(np.mean(times_ms))
    return LatencyResult(
        source=source,
        point=point,
        shapes=dict(shapes),
        times_ms=tuple(times_ms),
        warmup=warmup,
        load_ms=load_ms,
        p50=p50,
        p90=p90,
        p99=p99,
        mean=mean,
        per_second=1e3 / mean if mean else 0.0,
        note=note,
    )


def with_onnxruntime(
    model: str | bytes,
    inputs: Mapping[str, np.ndarray],
    *,
    point: str,
    runs: int = 0,
    note: str = "",
    on_phase: Callable[[str], None] = lambda _: None,
) -> LatencyResult:
    """Time the model in ONNX Runtime, on CUDA where its provider loads, else on the CPU.

    Raises what ONNX Runtime raises: the model may not load, or not run at these shapes.
    """
    import onnxruntime as ort

    wanted = [p for p in ("CUDAExecutionProvider",) if p in ort.get_available_providers()]
    threads = physical_cores()
    options = ort.SessionOptions()
    options.log_severity_level = 3
    options.intra_op_num_threads = threads
    on_phase("load")
    before = time.perf_counter()
    session = ort.InferenceSession(model, options, providers=[*wanted, "CPUExecutionProvider"])
    load_ms = (time.perf_counter() - before) * 1e3
    feeds = {port.name: inputs[port.name] for port in session.get_inputs()}
    on_phase("run")
    times, warmup = time_runs(lambda: session.run(None, feeds), runs)
    return summarize(
        times,
        source=_label(ort.__version__, session.get_providers(), threads),
        point=point,
        shapes={name: tuple(array.shape) for name, array in feeds.items()},
        warmup=warmup,
        load_ms=load_ms,
        note=note,
    )


def with_plan(
    engine: Runs,
    plan: Path,
    inputs: Mapping[str, np.ndarray],
    *,
    point: str,
    profile: int = 0,
    runs: int = 0,
    on_phase: Callable[[str], None] = lambda _: None,
) -> LatencyResult:
    """Time a built plan on the GPU under one of its profiles, inputs already there: inference alone, no copies.

    Raises EngineMissing or the engine's own error with the reason when it cannot run.
    """
    on_phase("load")
    with engine.loaded(plan, inputs, profile=profile) as ready:
        on_phase("run")
        times, warmup = time_runs(ready.run, runs)
        return summarize(
            times,
            source=ready.source,
            point=point,
            shapes={name: tuple(array.shape) for name, array in inputs.items()},
            warmup=warmup,
            load_ms=ready.load_ms,
            note="inputs and outputs stay on the GPU; copies are not counted",
        )


def physical_cores() -> int:
    """The cores this process may use, hyper-threads counted once.

    ONNX Runtime takes as many by itself, except in a container that is given fewer than the machine has.
    """
    allowed = os.sched_getaffinity(0)
    siblings = (Path(f"/sys/devices/system/cpu/cpu{cpu}/topology/thread_siblings_list") for cpu in allowed)
    try:
        return len({file.read_text() for file in siblings})
    except OSError:  # not told inside some containers
        return len(allowed)


def _label(version: str, providers: Sequence[str], threads: int) -> str:
    if providers and providers[0] == "CUDAExecutionProvider":
        return f"ONNX Runtime {version} CUDA"
    return f"ONNX Runtime {version} CPU, {threads} thread{'s' if threads != 1 else ''}"
