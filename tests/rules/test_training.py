"""Training mode by opset, random operators, and inference models that give no finding."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.rules.training import check
from friction_tui.vocabulary.finding import Severity

TRUE = [numpy_helper.from_array(np.array(True), "t"), numpy_helper.from_array(np.array(0.5, np.float32), "r")]
FALSE = [numpy_helper.from_array(np.array(False), "t"), numpy_helper.from_array(np.array(0.5, np.float32), "r")]
NORM = (
    "g (float[1,2,4] x, float[2] s) => (float[1,2,4] y) {{ [bn] y{more} = BatchNormalization {attr} (x, s, s, s, s) }}"
)


@pytest.mark.parametrize(
    ("opset", "graph", "kind"),
    [
        (21, "g (float[4] x) => (float[4] y) { [d] y = Dropout (x, r, t) }", "training/dropout"),
        (6, "g (float[4] x) => (float[4] y) { [d] y = Dropout <is_test = 0> (x) }", "training/dropout"),
        (21, NORM.format(more=", m, v", attr="<training_mode = 1>"), "training/batch-norm"),
        (14, NORM.format(more=", m, v", attr="<training_mode = 1>"), "training/batch-norm"),
        (9, NORM.format(more=", m, v, a, b", attr=""), "training/batch-norm"),
        (6, NORM.format(more="", attr="<is_test = 0>"), "training/batch-norm"),
    ],
)
def test_training_mode_is_an_error_that_says_eval(opset: int, graph: str, kind: str, judge: Any, said: Any) -> None:
    (finding,) = judge(check, graph, opset=opset, tensors=TRUE)
    assert (finding.kind, finding.severity) == (kind, Severity.ERROR)
    assert "eval()" in said([finding])
    assert "eval-mode" in {fix.rewrite for fix in finding.fixes}
    assert set(finding.names) & {"d", "bn"}


@pytest.mark.parametrize(
    ("opset", "graph"),
    [
        (21, "g (float[4] x) => (float[4] y) { y = Dropout (x, r, t) }"),
        (21, "g (float[4] x) => (float[4] y) { y = Dropout (x) }"),
        (10, "g (float[4] x) => (float[4] y, float[4] m) { y, m = Dropout (x) }"),
        (21, NORM.format(more="", attr="")),
        (9, NORM.format(more="", attr="")),
        (6, NORM.format(more="", attr="<is_test = 1>")),
    ],
)
def test_inference_mode_gives_no_finding(opset: int, graph: str, judge: Any) -> None:
    assert judge(check, graph, opset=opset, tensors=FALSE) == []


def test_a_switch_that_is_an_input(judge: Any) -> None:
    (finding,) = judge(check, "g (float[4] x, bool t) => (float[4] y) { y = Dropout (x, , t) }")
    assert (finding.kind, finding.severity) == ("training/dropout-switch", Severity.WARNING)


@pytest.mark.parametrize("op", ["RandomNormalLike", "RandomUniformLike", "Bernoulli"])
def test_random_operators_are_a_hazard(op: str, judge: Any, said: Any) -> None:
    (finding,) = judge(check, f"g (float[4] x) => (float[4] y) {{ [noise] n = {op} (x) y = Add (x, n) }}")
    assert (finding.kind, finding.severity) == ("training/random", Severity.WARNING)
    assert finding.names == ("noise",)
    assert "input" in said([finding])
