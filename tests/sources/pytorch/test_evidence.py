"""What an export proves about itself: steps, the program beside the nodes, differences, decisions of the capture."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest

from friction_tui.sources.pytorch.outputs import spread
from friction_tui.vocabulary.protocol.evidence import DECADES, ExportEvidence
from tests.sources.exporting import export_code

NET = """
import torch

class Net(torch.nn.Module):
    def __init__(self):
        super().__init__()
        self.fc = torch.nn.Linear(8, 4)

    def forward(self, x):
        y = self.fc(x)
        return y.relu()

def model():
    return Net().eval(), (torch.randn(3, 8),)
"""
LOOP = """
import torch

class Net(torch.nn.Module):
    def forward(self, x):
        total = x.sum()
        for row in range(3):
            part = x[row]
            if part.sum() > total:
                total = total + 1
        return total

def model():
    return Net().eval(), (torch.randn(3, 8),)
"""


def states(evidence: ExportEvidence | None) -> list[str]:
    assert evidence is not None
    return [step.state.value for step in evidence.steps]


@pytest.mark.slow
def test_a_whole_export_shows_its_program_beside_the_nodes_and_how_equal_the_outputs_are(tmp_path: Path) -> None:
    outcome = export_code(tmp_path, NET, ranges={"x[0]": (2, 9)})
    evidence = outcome.evidence
    assert evidence is not None
    assert states(evidence) == ["done"] * 6
    model = onnx.load(str(outcome.onnx_path))
    relu = next(line for line in evidence.program if "aten.relu" in line.text)
    assert relu.nodes == tuple(node.name for node in model.graph.node if node.op_type == "Relu")
    assert relu.line is not None and relu.line.code == "return y.relu()"
    assert relu.shape.endswith("×4 float32")
    assert evidence.operators == len(evidence.program)
    places = {one.where for one in evidence.differences}
    assert len(places) == 3 and "on the example input" in places
    example = next(one for one in evidence.differences if one.where == "on the example input")
    assert sum(example.counts) == 12 and example.relative <= example.accepted


@pytest.mark.slow
def test_a_failed_capture_says_how_often_the_branch_was_met_and_with_which_shapes(tmp_path: Path) -> None:
    outcome = export_code(tmp_path, LOOP)
    evidence = outcome.evidence
    assert evidence is not None
    assert states(evidence) == ["failed", *["not done"] * 5]
    assert "data-dependent" in evidence.steps[0].said
    decision = next(one for one in evidence.decisions if one.line and one.line.code == "if part.sum() > total:")
    assert decision.times == 3 and decision.taken in {"True", "False"}
    assert dict(decision.variables) == {"part": "8", "total": "scalar"}


@pytest.mark.slow
def test_a_model_that_computes_something_else_fails_where_results_are_compared(tmp_path: Path) -> None:
    asks = NET.replace("return y.relu()", "return y.relu() + (1 if torch.compiler.is_exporting() else 0)")
    evidence = export_code(tmp_path, asks).evidence
    assert evidence is not None
    assert states(evidence) == [*["done"] * 5, "failed"]
    worst = evidence.differences[0]
    assert worst.absolute == pytest.approx(1.0, rel=1e-3) and worst.got - worst.expected == pytest.approx(1.0, rel=1e-3)


def test_differences_fall_into_decades_of_the_largest_value() -> None:
    want = np.array([[4.0, 2.0, 1.0, 0.0]])
    have = np.array([[4.0, 2.0 + 4e-7 * 1.5, 1.0 + 4e-3 * 2, 9.0]])
    found = spread("y", "here", want, have)
    assert found is not None
    filled = {name: count for name, count in zip(DECADES, found.counts, strict=True) if count}
    assert filled == {"equal": 1, "1e-7": 1, "1e-3": 1, "≥1": 1}
    assert (found.index, found.absolute, found.relative) == ((0, 3), 9.0, 9.0 / 4.0)
    assert spread("y", "here", want, have[0]) is None
