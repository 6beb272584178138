"""Measuring a plan that was opened: in the TensorRT that wrote it, on inputs of its own, or with the reason why not."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.engine import Runs
from friction_tui.engines.nvidia import cannot_run
from friction_tui.measure.latency import summarize
from friction_tui.model import opened
from friction_tui.model.file.plan_tensors import PlanTensor
from friction_tui.vocabulary.protocol import JobKind, JobRequest, LatencyResult
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source, SourceKind
from friction_tui.worker import work
from friction_tui.worker.progress import Progress

TENSORS = (
    PlanTensor("image", "float16", (None, 3, 8, 8), True),
    PlanTensor("ids", "int64", (4,), True),
    PlanTensor("out", "float32", (None, 4), False),
)


@pytest.fixture
def request_(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> JobRequest:
    plan = tmp_path / "x.plan"
    plan.write_bytes(b"vtrt" + bytes(100))
    monkeypatch.setattr(opened, "read_tensors", lambda _: TENSORS)
    recipe = Recipe(source=Source(str(plan), SourceKind.ENGINE), profile=Profile(ranges={"image[0]": Range(1, 2, 4)}))
    return JobRequest(
        job=1, kind=JobKind.MEASURE, recipe=recipe, model=str(plan), folder=str(tmp_path), engine=str(plan)
    )


def _progress(request: JobRequest) -> Progress:
    return Progress(request.job, request.kind, lambda _: None)


def test_it_is_fed_what_its_own_inputs_ask_for(request_: JobRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    fed: dict[str, np.ndarray] = {}

    def device(engine: Runs, plan: Path, inputs: Mapping[str, np.ndarray], *, point: str, **_: Any) -> LatencyResult:
        fed.update(inputs)
        shapes = {name: array.shape for name, array in inputs.items()}
        return summarize([1.0], source="a device", point=point, shapes=shapes, warmup=1, load_ms=1.0)

    monkeypatch.setattr(work, "with_plan", device)
    progress = _progress(request_)
    ended = work.measure(request_, progress)
    progress.close()
    assert ended.latency is not None
    assert ended.latency.source == "a device"
    assert {name: (array.shape, array.dtype.name) for name, array in fed.items()} == {
        "image": ((2, 3, 8, 8), "float16"),
        "ids": ((4,), "int64"),
    }


@pytest.mark.skipif(not cannot_run(), reason="a GPU is here")
def test_without_a_gpu_the_reason_is_given_and_nothing_else_is_timed(request_: JobRequest) -> None:
    progress = _progress(request_)
    with pytest.raises(EngineMissing, match="cannot run here: no NVIDIA"):
        work.measure(request_, progress)
    progress.close()
