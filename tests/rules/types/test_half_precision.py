"""float16 hazards inside the graph: reported when it computes in float16, and only then."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.kinds import precision
from friction_tui.kinds.kind import Kind
from friction_tui.rules.types.half_precision import check
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.recipe import Precision

CONSTANTS = {"two": 2.0, "eps": 1e-12, "mask": -3.4e38, "safe": 1e-5}
HAZARDS = [
    (precision.SUM_OF_SQUARES, "g ({t}[2,8] x) => ({t}[2,1] y) {{ s = Pow (x, two) [n] y = ReduceMean (s, axes) }}"),
    (precision.SUM_OF_SQUARES, "g ({t}[2,8] x) => ({t}[2,1] y) {{ s = Mul (x, x) [n] y = ReduceSum (s, axes) }}"),
    (precision.SUM_OF_SQUARES, "g ({t}[2,8] x) => ({t}[2,1] y) {{ [n] y = ReduceL2 (x, axes) }}"),
    (precision.EPSILON_UNDERFLOW, "g ({t}[2,8] x) => ({t}[2,8] y) {{ [n] v = Add (x, eps) y = Sqrt (v) }}"),
    (precision.EXPONENTIAL, "g ({t}[2,8] x) => ({t}[2,8] y) {{ [n] y = Exp (x) }}"),
    (precision.CONSTANT_OVERFLOW, "g ({t}[2,8] x) => ({t}[2,8] y) {{ [n] y = Mul (x, mask) }}"),
]


def constants(dtype: Any) -> list[Any]:
    with np.errstate(over="ignore", under="ignore"):
        scalars = [numpy_helper.from_array(np.array(value, dtype), name) for name, value in CONSTANTS.items()]
    return [*scalars, numpy_helper.from_array(np.array([1]), "axes")]


@pytest.mark.parametrize(("kind", "graph"), HAZARDS)
def test_a_hazard_when_fp16_is_asked_for_and_nothing_otherwise(kind: Kind, graph: str, judge: Any, said: Any) -> None:
    text = graph.format(t="float")
    (quiet,) = judge(check, text, tensors=constants(np.float32))
    assert (quiet.kind, quiet.severity) == ("precision/if-converted", Severity.NOTE)
    (finding,) = judge(check, text, tensors=constants(np.float32), precision=Precision.FP16)
    assert finding.kind == kind.id
    assert finding.names[0] == "n"
    assert all(word in said([finding]) for word in ("fp16", "fp32", "bf16"))


def test_an_epsilon_that_the_conversion_made_0(judge: Any, said: Any) -> None:
    """What is added before a root is an epsilon; a bound of 0, and a sum that is divided, are not."""
    zero = numpy_helper.from_array(np.array(0, np.float16), "zero")
    text = "g (float16[2,8] x) => (float16[2,8] y) {{ [n] e = {} (x, zero) {} }}"
    (finding,) = judge(check, text.format("Add", "s = Sqrt (e) y = Div (x, s)"), tensors=[zero])
    assert (finding.kind, finding.names) == ("precision/epsilon-underflow", ("n",))
    assert "eps" in said([finding])
    assert judge(check, text.format("Max", "y = Div (x, e)"), tensors=[zero]) == []
    assert judge(check, text.format("Add", "y = Div (e, x)"), tensors=[zero]) == []


def test_a_float16_model_needs_no_request_for_fp16(judge: Any) -> None:
    text = HAZARDS[0][1].format(t="float16")
    assert [one.kind for one in judge(check, text, tensors=constants(np.float16))] == ["precision/sum-of-squares"]


@pytest.mark.parametrize(
    "graph",
    [
        "g (float[2,8] x) => (float[2,8] y) { v = Add (x, safe) y = Sqrt (v) }",
        "g (float[2,8] x, float[2,1] m) => (float[2,8] y) { d = Sub (x, m) y = Exp (d) }",
        "g (float[2,8] x) => (float[2,1] y) { y = ReduceMean (x, axes) }",
    ],
)
def test_guarded_forms_give_no_finding(graph: str, judge: Any) -> None:
    assert judge(check, graph, tensors=constants(np.float32), precision=Precision.FP16) == []
