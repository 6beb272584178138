"""Memory and latency: measured, planned and predicted never look alike; stale says so."""

from __future__ import annotations

import random
from dataclasses import replace

import msgspec

from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.look.charts import Axis, Chart, Series, drawn, round_steps
from friction_tui.ui.measured.latency import LatencyPanel
from friction_tui.ui.measured.memory import MemoryPanel
from friction_tui.ui.panel import Ask, Begin
from friction_tui.vocabulary.gpus import GPUS, extrapolated, fits_up_to
from friction_tui.vocabulary.protocol import (
    BuildResult,
    EngineInfo,
    Forecast,
    GpuSample,
    GpuSamples,
    Hello,
    JobKind,
    Judged,
    Largest,
    LatencyResult,
    MemoryForecast,
    WatchGpu,
)
from friction_tui.vocabulary.recipe import Range, Recipe
from friction_tui.vocabulary.units import change_text, seconds_text, size_text
from tests.ui.bench import Bench
from tests.ui.shapes.test_shapes_panel import state_of

SIZES = tuple(range(1, 65))
FORECAST = MemoryForecast(
    key="N",
    sizes=SIZES,
    activations=tuple(500_000_000 * size for size in SIZES),
    weights=400_000_000,
    others=(("H", 640), ("images[3]", 128), ("mask[0]", 1)),
    largest=(Largest(tensor="backbone/conv1_out", node="backbone/conv1", bytes=419_430_400),),
)
BUILD = BuildResult(
    ok=True,
    source="TensorRT-RTX 1.7.1",
    seconds=2.0,
    engine_bytes=1,
    activation_bytes=(3_000_000_000,),
    weights_bytes=400_000_000,
)
NO_GPU = Hello(version="0", pid=1, machine="m", engines=(), no_gpu="the driver is not loaded")


def latency(seed: int, scale: float = 1.0) -> LatencyResult:
    source = random.Random(seed)
    times = tuple(scale * (10 + source.expovariate(2)) for _ in range(200))
    ordered = sorted(times)
    return LatencyResult(
        source="ONNX Runtime 1.32.0 CPU, 2 threads",
        point="opt",
        shapes={"images": (4, 3, 512, 512)},
        times_ms=times,
        warmup=10,
        load_ms=38.2,
        p50=ordered[100],
        p90=ordered[180],
        p99=ordered[198],
        mean=sum(times) / 200,
        per_second=200_000 / sum(times),
        note="TensorRT cannot run here: no NVIDIA GPU",
    )


def recipe_of(state: AppState) -> Recipe:
    assert state.recipe is not None
    return state.recipe


def test_amounts_are_short_and_steps_are_round() -> None:
    assert [size_text(n) for n in (0, 999, 8192, 12_400_000, 24e9, None)] == [
        "0 B",
        "999 B",
        "8.19 kB",
        "12.4 MB",
        "24 GB",
        "not said",
    ]
    assert change_text(100_000_000, 110_000_000) == "+10 MB (+10 %)"
    assert change_text(447_000, 446_992) == "-8 B (under 0.1 %)"
    assert [seconds_text(s) for s in (0.144, 2.06, 200)] == ["0.14 s", "2.1 s", "3 min 20 s"]
    assert round_steps(0, 43, 4) == [0, 20, 40]
    assert round_steps(3, 3, 4) == [3]


def test_a_chart_fits_its_box_and_colours_become_roles() -> None:
    series = Series((1.0, 8.0), (10.0, 80.0), "good")
    chart = Chart(
        (series,), Axis(1, 8, ((1, "1"), (8, "8"))), Axis(0, 100, ((0, "0"), (100, "100"))), ((50, "warning"),)
    )
    for ascii_only in (False, True):
        lines = drawn(chart, 50, 10, ascii_only=ascii_only)
        assert len(lines) == 10
        assert all(sum(len(text) for text, _ in line.spans) <= 50 for line in lines)
        assert {role for line in lines for _, role in line.spans} == {"good", "warning", "muted"}
        text = "".join(part for line in lines for part, _ in line.spans)
        assert text.isascii() is ascii_only
    assert drawn(chart, 10, 10) == ()


def test_what_fits_and_what_is_extrapolated() -> None:
    usable = {gpu.name: gpu.usable for gpu in GPUS}
    assert fits_up_to(FORECAST, usable["L4"]) == 46  # 46 × 0.5 + 0.4 GB is the last under 23.4 GB
    assert fits_up_to(FORECAST, 100_000_000) is None
    assert extrapolated(FORECAST, usable["H200"]) == 280
    bent = msgspec.structs.replace(FORECAST, activations=tuple(1_000_000 * size * size for size in SIZES))
    assert extrapolated(bent, usable["H200"]) is None


async def test_memory_without_a_gpu_says_so_and_signs_its_figures() -> None:
    app = Bench(MemoryPanel(id="memory"))
    base = state_of()
    judged = Judged(revision=1, findings=[], seconds=0.1)
    async with app.run_test(size=(80, 60)) as pilot:
        app.show(replace(base, hello=NO_GPU, judged=judged))
        await pilot.pause()
        assert [m.request for m in app.heard if isinstance(m, Ask)] == [Forecast(key="")]
        assert "predicted and planned figures only: the driver is not loaded" in app.text()
        engine = EngineInfo(
            name="t",
            label="TensorRT-RTX 1.7.1",
            version="1",
            can_parse=True,
            can_build=True,
            can_run=False,
            targets=("SM89",),
        )
        app.show(
            replace(
                base,
                hello=Hello(version="0", pid=1, machine="m", engines=(engine,)),
                judged=judged,
                forecast=FORECAST,
                forecast_revision=1,
                jobs=(Job(1, JobKind.BUILD, recipe_of(base), running=False, build=BUILD),),
            )
        )
        await pilot.pause()
        shown = app.text()
        assert "build #1 planned  3 GB activations at max  400 MB weights" in shown
        assert "⠒ predicted" in shown and "● planned by TensorRT" in shown
        assert "predicted at H = 640, images[3] = 128, mask[0] = 1; 600 MB left for CUDA" in shown
        assert "fits at N = 8, as planned, on every GPU known here" in shown  # 3 GB beside 0.4 GB of weights
        await pilot.press("g", *("backspace",) * 3, *"20 GB", "enter")
        await pilot.pause()
        assert "20 GB            fits at N = 8, as planned" in app.text()
        app.show(replace(base, hello=NO_GPU, judged=judged, forecast=FORECAST, forecast_revision=1))
        await pilot.pause()
        assert "20 GB            fits up to N = 38" in app.text()
        assert "L4 (24 GB)       fits up to N = 46" in app.text()
        assert "419 MB" in app.text() and "backbone/conv1_out" in app.text()
        assert "targets of TensorRT-RTX 1.7.1" in shown


async def test_memory_with_a_gpu_watches_it_and_marks_a_forecast_of_an_elder_recipe() -> None:
    app = Bench(MemoryPanel(id="memory"))
    hello = Hello(version="0", pid=1, machine="m", engines=(), gpus=("NVIDIA L4",))
    samples = tuple(
        GpuSamples(
            (GpuSample(float(t), 0, "NVIDIA L4", 24_000_000_000, 1_000_000_000 * t, 500_000_000 * t, phase="build"),)
        )
        for t in range(1, 9)
    )
    async with app.run_test(size=(120, 30)) as pilot:
        app.show(replace(state_of(), hello=hello, forecast=FORECAST, forecast_revision=0, gpu=samples))
        await pilot.pause()
        assert [m.request for m in app.heard if isinstance(m, Ask)] == [WatchGpu(interval=1.0)]
        shown = app.text()
        assert "NVIDIA L4  used 8 GB of 24 GB" in shown
        assert "stale" in shown


async def test_a_gpu_that_tells_little_keeps_its_chart_and_says_why() -> None:
    """Shared memory, a MIG slice that tells nothing of load, and one that is lost halfway."""
    hello = Hello(version="0", pid=1, machine="m", engines=(), gpus=("NVIDIA GB10", "NVIDIA H200"))
    reason = "not supported by this GPU or its driver (NVML: Not Supported)"
    gone = {"gpu": "the GPU has fallen off the bus or cannot be reached (NVML: GPU is lost)"}

    def at(t: float) -> GpuSamples:
        shared = GpuSample(
            t,
            0,
            "NVIDIA GB10",
            128_000_000_000,
            30_000_000_000,
            None,
            source="/proc/meminfo",
            others=2_000_000_000,
            other_processes=2,
            missing={"memory": reason, "utilization": reason, "process": "it is not listed"},
        )
        slice_ = GpuSample(
            t,
            1,
            "NVIDIA H200 MIG 1g.18gb",
            18_000_000_000,
            2_000_000_000,
            1_000_000_000,
            utilization=None,
            part="MIG 3",
            reserved=90_000_000,
            missing={"utilization": reason},
        )
        if t > 5:
            slice_ = GpuSample(t, 1, "NVIDIA H200", None, None, None, missing=gone)
        return GpuSamples((shared, slice_))

    shown = await _drawn(hello, *(at(t) for t in (1.0, 2.0, 3.0)))
    assert "GPU 0 NVIDIA GB10 used 30 GB of 128 GB, shared with the CPU" in shown
    assert "2 other processes 2 GB" in shown
    assert "measured, NVML and /proc/meminfo" in shown
    assert f"memory, busy: {reason}" in shown and "this process: it is not listed" in shown
    assert "GPU 1 MIG 3 NVIDIA H200 MIG 1g.18gb used 2 GB of 18 GB reserved 90 MB this process 1 GB" in shown
    shown = await _drawn(hello, *(at(float(t)) for t in range(1, 9)))
    assert "used 30 GB of 128 GB, shared with the CPU" in shown, "the other GPU goes on"
    assert "! not listed by NVML any more since 4.0 s" in shown
    assert "! no figures: the GPU has fallen off the bus" in shown


async def test_a_gpu_that_is_lost_while_charted_keeps_what_was_measured() -> None:
    hello = Hello(version="0", pid=1, machine="m", engines=(), gpus=("NVIDIA L4",))
    told = [GpuSamples((GpuSample(float(t), 0, "NVIDIA L4", 24_000_000_000, 8_000_000_000, None),)) for t in range(3)]
    lost = GpuSamples((GpuSample(3.0, 0, "NVIDIA L4", None, None, None, missing={"gpu": "GPU is lost"}),))
    shown = await _drawn(hello, *told, lost)
    assert "! no figures since 2.0 s: GPU is lost" in shown
    assert "5 GB" in shown, "the axis of the chart"
    shown = await _drawn(hello, lost)
    assert "! no figures: GPU is lost" in shown and " s " not in shown


async def test_no_line_is_drawn_over_the_time_in_which_nothing_was_told() -> None:
    hello = Hello(version="0", pid=1, machine="m", engines=(), gpus=("NVIDIA L4",))

    def sent(t: int, used: int | None) -> GpuSamples:
        missing = {} if used is not None else {"gpu": "GPU is lost"}
        return GpuSamples((GpuSample(float(t), 0, "NVIDIA L4", 24_000_000_000, used, None, missing=missing),))

    whole = await _drawn(hello, *(sent(t, 8_000_000_000) for t in range(12)))
    gap = await _drawn(hello, *(sent(t, None if 3 <= t <= 8 else 8_000_000_000) for t in range(12)))
    dots = [sum("\u2800" < letter <= "\u28ff" for letter in shown) for shown in (whole, gap)]
    assert 0 < dots[1] < 0.6 * dots[0], dots
    assert "no figures" not in gap


async def _drawn(hello: Hello, *gpu: GpuSamples) -> str:
    """The words that the panel shows of these samples."""
    app = Bench(MemoryPanel(id="memory"))
    async with app.run_test(size=(80, 60)) as pilot:
        app.show(replace(state_of(), hello=hello, gpu=gpu))
        await pilot.pause()
        return " ".join(app.text().replace("│", " ").split())


async def test_latency_names_who_measured_and_compares_only_like_with_like() -> None:
    app = Bench(LatencyPanel(id="latency"))
    base = state_of()
    wider = recipe_of(base).with_range("N", Range(1, 8, 8))
    jobs = (
        Job(1, JobKind.MEASURE, recipe_of(base), running=False, latency=latency(1)),
        Job(2, JobKind.MEASURE, wider, running=False, latency=latency(2, 1.5)),
        Job(3, JobKind.MEASURE, recipe_of(base), running=False, latency=latency(3)),
    )
    async with app.run_test(size=(120, 40)) as pilot:
        app.show(replace(base, hello=NO_GPU))
        await pilot.pause()
        assert "nothing measured yet" in app.text() and "TensorRT cannot be timed: the driver" in app.text()
        app.show(replace(base, hello=NO_GPU, jobs=jobs))
        await pilot.pause()
        shown = app.text()
        assert "measured by ONNX Runtime 1.32.0 CPU, 2 threads · opt · 200 runs" in shown
        assert "images 4×3×512×512 · 10 to warm up" in shown
        assert "TensorRT cannot run here: no NVIDIA GPU" in shown
        assert "within noise" in shown and "slower" in shown
        assert "Mann-Whitney" in shown
        await pilot.press("down")
        await pilot.pause()
        assert "stale: changed since: N opt 8 → 4" in app.text()
        await pilot.press("right", "s")
        await pilot.pause()
        (begun,) = [m for m in app.heard if isinstance(m, Begin)]
        assert (begun.kind, begun.point) == (JobKind.MEASURE, "max")
