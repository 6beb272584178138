"""Work that changes nothing in the result is a note, never more."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.rules.performance import check
from friction_tui.vocabulary.finding import Severity

WEIGHTS = [
    numpy_helper.from_array(np.ones((2, 2, 1, 1), np.float32), "w"),
    numpy_helper.from_array(np.ones(2, np.float32), "s"),
]


@pytest.mark.parametrize(
    ("graph", "kind", "names"),
    [
        (
            "g (float[1,2,4,4] x) => (float[1,2,4,4] y) { [c] h = Conv (x, w) [bn] y = BatchNormalization (h, s, s, "
            "s, s) }",
            "performance/unfolded-batch-norm",
            {"c", "bn"},
        ),
        (
            "g (float[1,4,4,2] x) => (float[1,4,4,2] y) { [a] h = Transpose <perm = [0,3,1,2]> (x) [b] y = "
            "Transpose <perm = [0,2,3,1]> (h) }",
            "performance/transpose-pair",
            {"a", "b"},
        ),
        (
            "g (float[2,3,4] x) => (float[2,3,4] y) { [a] h = Transpose <perm = [2,0,1]> (x) i = Relu (h) [b] y = "
            "Transpose <perm = [1,2,0]> (i) }",
            "performance/transpose-pair",
            {"a", "b"},
        ),
    ],
)
def test_waste_is_a_note(graph: str, kind: str, names: set[str], judge: Any) -> None:
    (finding,) = judge(check, graph, tensors=WEIGHTS)
    assert (finding.kind, finding.severity) == (kind, Severity.NOTE)
    assert names <= set(finding.names)


@pytest.mark.parametrize(
    "graph",
    [
        "g (float[2,3,4] x) => (float[3,4,2] y) { h = Transpose <perm = [2,0,1]> (x) y = Transpose <perm = [2,0,1]> "
        "(h) }",
        "g (float[2,3] x) => (float[2,3] y, float[3,2] h) { h = Transpose <perm = [1,0]> (x) y = Transpose <perm = "
        "[1,0]> (h) }",
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y, float[1,2,4,4] h) { h = Conv (x, w) y = BatchNormalization (h, "
        "s, s, s, s) }",
        "g (float[1,2,4,4] x) => (float[1,2,4,4] y) { y = BatchNormalization (x, s, s, s, s) }",
    ],
)
def test_work_that_is_needed_is_not_reported(graph: str, judge: Any) -> None:
    assert judge(check, graph, tensors=WEIGHTS) == []
