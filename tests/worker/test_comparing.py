"""The side of a comparison that needs a GPU, with an engine that stands in for one: it computes with ONNX Runtime."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import onnx
import onnx.parser
import onnxruntime
import pytest

from friction_tui.engines.base import Terms
from friction_tui.rewrites.half_trials import CannotTry
from friction_tui.vocabulary.protocol import BuildResult, EngineInfo, JobKind, JobRequest
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind
from friction_tui.worker import comparing
from friction_tui.worker.progress import Progress

ENGINE = EngineInfo(
    name="TensorRT", label="TensorRT 10.16", version="10.16", can_parse=True, can_build=True, can_run=True, decides=True
)


class OnGpu:
    """Builds by keeping the model, runs it in ONNX Runtime, and is `off` by a little."""

    def __init__(self, off: float = 0.0, *, refuses: bool = False, fails: bool = False) -> None:
        self.off, self.refuses, self.fails = off, refuses, fails
        self.model = b""

    def build(self, model: bytes, terms: Terms, plan: Path, progress: Any) -> BuildResult:
        self.model = model
        return BuildResult(ok=not self.refuses, source="stub", seconds=0.0)

    @contextmanager
    def loaded(self, plan: Path, inputs: Mapping[str, np.ndarray]) -> Iterator[Any]:
        session = onnxruntime.InferenceSession(self.model, providers=["CPUExecutionProvider"])
        names = [port.name for port in session.get_outputs()]

        def run() -> None:
            if self.fails:
                raise OSError("an illegal memory access was encountered")

        def results() -> dict[str, np.ndarray]:
            return {n: one + self.off for n, one in zip(names, session.run(names, dict(inputs)), strict=True)}

        yield SimpleNamespace(run=run, results=results)


@pytest.fixture
def request_(tmp_path: Path) -> JobRequest:
    text = '<ir_version: 8, opset_import: ["" : 17]> g (float[2,4] x) => (float[2,4] y) { a = Relu(x)  y = Exp(a) }'
    path = tmp_path / "net.onnx"
    onnx.save(onnx.parser.parse_model(text), path)
    recipe = Recipe(source=Source(str(path), SourceKind.ONNX))
    return JobRequest(
        job=1, kind=JobKind.COMPARE, recipe=recipe, model=str(path), folder=str(tmp_path), against="tensorrt"
    )


def use(monkeypatch: pytest.MonkeyPatch, engine: OnGpu) -> None:
    monkeypatch.setattr(comparing, "deciding", lambda _: ENGINE)
    monkeypatch.setattr(comparing, "builder", lambda _: engine)
    monkeypatch.setattr(comparing, "runner", lambda _: engine)


@pytest.mark.parametrize(("off", "same"), [(0.0, True), (0.5, False)])
def test_an_engine_is_built_run_and_compared(
    request_: JobRequest, monkeypatch: pytest.MonkeyPatch, off: float, same: bool
) -> None:
    use(monkeypatch, OnGpu(off))
    found = comparing.compare(request_, Progress(1, JobKind.COMPARE, lambda _: None)).compared
    assert found is not None
    assert found.same is same
    assert found.second == "TensorRT 10.16"
    assert ("keeps no inner tensors" in found.located) is not same


@pytest.mark.parametrize(
    ("engine", "said"), [(OnGpu(refuses=True), "refuses the model"), (OnGpu(fails=True), "illegal memory access")]
)
def test_an_engine_that_fails_says_so(
    request_: JobRequest, monkeypatch: pytest.MonkeyPatch, engine: OnGpu, said: str
) -> None:
    use(monkeypatch, engine)
    with pytest.raises(CannotTry, match=said):
        comparing.compare(request_, Progress(1, JobKind.COMPARE, lambda _: None))
