"""Latency measured by the real ONNX Runtime: what is counted, what is said about it."""

import time

import numpy as np
import onnx
import onnxruntime
import pytest

from friction_tui.measure import latency
from friction_tui.measure.inputs import example_inputs
from friction_tui.measure.latency import physical_cores, summarize, time_runs, with_onnxruntime

TEXT = """
<ir_version: 8, opset_import: ["" : 17]>
tower (float[N, 64] x, int64[N] lengths, bool[N] keep) => (float[N, 64] y, int64[N] n, bool[N] k) {
    y = Softmax(x)
    n = Identity(lengths)
    k = Not(keep)
}
"""


@pytest.fixture
def model() -> onnx.ModelProto:
    return onnx.parser.parse_model(TEXT)


def test_warm_up_is_not_counted_and_the_number_of_runs_is_kept() -> None:
    calls: list[float] = []

    def slow_at_first() -> None:
        calls.append(0.02 if len(calls) < latency.WARMUP_RUNS else 0.001)
        time.sleep(calls[-1])

    times, warmup = time_runs(slow_at_first, runs=20)
    assert (len(times), warmup, len(calls)) == (20, latency.WARMUP_RUNS, 20 + latency.WARMUP_RUNS)
    assert np.median(times) < 15, "milliseconds of the runs after the warm-up"


def test_without_a_number_it_runs_for_its_budget(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(latency, "BUDGET_S", 0.05)
    times, _ = time_runs(lambda: time.sleep(0.002))
    assert latency.MIN_RUNS <= len(times) <= 30


def test_percentiles_and_throughput_are_of_the_runs_given() -> None:
    result = summarize(list(range(1, 102)), source="s", point="opt", shapes={}, warmup=3, load_ms=1.0)
    assert (result.p50, result.p90, result.p99, result.mean) == (51, 91, 100, 51)
    assert result.per_second == pytest.approx(1000 / 51)


def test_onnx_runtime_is_named_with_the_threads_it_was_given(model: onnx.ModelProto) -> None:
    inputs = example_inputs(model, {"x": (4, 64), "lengths": (4,), "keep": (4,)})
    phases: list[str] = []
    result = with_onnxruntime(model.SerializeToString(), inputs, point="opt", runs=15, on_phase=phases.append)
    cores = physical_cores()
    assert result.source == f"ONNX Runtime {onnxruntime.__version__} CPU, {cores} thread{'s' if cores > 1 else ''}"
    assert result.shapes == {"x": (4, 64), "lengths": (4,), "keep": (4,)}
    assert len(result.times_ms) == 15
    assert min(result.times_ms) > 0
    assert phases == ["load", "run"]


def test_a_shape_it_cannot_run_is_told_by_onnx_runtime(model: onnx.ModelProto) -> None:
    inputs = example_inputs(model, {"x": (4, 63), "lengths": (4,), "keep": (4,)})
    with pytest.raises(Exception, match="invalid dimensions"):
        with_onnxruntime(model.SerializeToString(), inputs, point="opt", runs=1)


def test_inputs_are_harmless_and_the_same_every_time(model: onnx.ModelProto) -> None:
    sizes = {"x": (2, 64), "lengths": (2,), "keep": (2,)}
    first, again = example_inputs(model, sizes), example_inputs(model, sizes)
    assert all(np.array_equal(first[name], again[name]) for name in sizes)
    assert first["lengths"].tolist() == [1, 1], "a length of 0 empties a sequence"
    assert first["keep"].all()
    assert example_inputs(model, sizes, {"lengths": (5, 7)})["lengths"].tolist() == [5, 7]
    with pytest.raises(KeyError, match="keep"):
        example_inputs(model, {"x": (2, 64), "lengths": (2,)})
