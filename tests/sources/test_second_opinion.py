"""A difference between a model and ONNX Runtime's result is blamed on what makes it (export/runtime-differs)."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from friction_tui.kinds.export import RUNTIME_DIFFERS
from friction_tui.sources.second_opinion import Cause, cause_of_difference, runtime_differs, unoptimised
from tests.sources.exporting import export_code

STALE = """
<ir_version: 9, opset_import: ["" : 18]>
g (float[n, 4] x) => (float[n, 2] y)
<float[4, 2] w = {1, 2, 3, 4, 5, 6, 7, 8}, float[2] b = {1, 1}, float[2, 4] middle, float[2, 2] product>
{
   middle = Identity(x)
   product = MatMul(middle, w)
   y = Add(product, b)
}
"""


@pytest.fixture
def model(tmp_path: Path) -> Path:
    path = tmp_path / "model.onnx"
    onnx.save(onnx.parser.parse_model(STALE), path)
    return path


def test_a_difference_of_the_runtimes_own_fusion_is_not_the_models(model: Path) -> None:
    x = np.arange(12, dtype=np.float32).reshape(3, 4)
    right = x @ np.arange(1, 9, dtype=np.float32).reshape(4, 2) + 1
    assert np.allclose(unoptimised(model, {"x": x})[0], right)

    cause = cause_of_difference(model, {"x": x}, lambda outputs: np.allclose(outputs[0], right))
    assert cause is Cause.OPTIMISER
    found = runtime_differs("On the example output y differs by 3", cause, "torch 2.13.0")
    assert found.kind == RUNTIME_DIFFERS.id == "export/runtime-differs"
    assert "every optimisation off" in found.cause
    assert "ORT_DISABLE_ALL" in found.fixes[0].text


def test_what_only_the_reference_gives_is_of_the_kernels(model: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    x = np.ones((2, 4), np.float32)
    asked: list[float] = []

    def second_time(outputs: object) -> bool:
        asked.append(1)
        return len(asked) == 2

    assert cause_of_difference(model, {"x": x}, second_time) is Cause.KERNEL


def test_a_difference_of_the_model_is_the_models(model: Path) -> None:
    x = np.ones((2, 4), np.float32)
    assert cause_of_difference(model, {"x": x}, lambda outputs: False) is Cause.MODEL


LSTM_BACKWARDS = """
import torch

class ManualBi(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fwd = torch.nn.LSTM(16, 8, batch_first=True)
        self.bwd = torch.nn.LSTM(16, 8, batch_first=True)
        self.head = torch.nn.Linear(16, 4)

    def forward(self, x, lengths):
        steps = torch.arange(x.shape[1]).unsqueeze(0)
        index = torch.where(steps < lengths.unsqueeze(1), lengths.unsqueeze(1) - 1 - steps, steps)
        flipped = torch.gather(x, 1, index.unsqueeze(-1).expand_as(x))
        a, _ = self.fwd(x)
        b, _ = self.bwd(flipped)
        b = torch.gather(b, 1, index.unsqueeze(-1).expand_as(b))
        return self.head(torch.cat([a, b], -1))

def model():
    torch.manual_seed(0)
    return ManualBi().eval(), (torch.randn(3, 10, 16), torch.tensor([10, 7, 4]))
"""


@pytest.mark.slow
def test_an_exporters_fault_is_said_to_be_its_own_and_the_legacy_exporter_offered(tmp_path: Path) -> None:
    outcome = export_code(tmp_path, LSTM_BACKWARDS, ranges={"x[1]": (2, 40)})
    parity = next(found for found in outcome.findings if found.kind == "export/parity")
    assert parity.line is not None
    assert "expand_as(b)" in parity.line.code
    assert "the exporter is at fault" in parity.cause
    assert "legacy exporter" in parity.fixes[0].text
