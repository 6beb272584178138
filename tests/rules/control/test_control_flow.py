"""Loops and branches the builder refuses, known before the build. Verdicts checked against tensorrt_rtx 1.7.1."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.rules.control.control_flow import check
from friction_tui.rules.shapes import dynamic_shapes
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import Profile, Range, Values

Judge = Callable[..., list[Finding]]


def loop(step: str, state: str = "float[a]") -> str:
    return f"""g (float[8] x) => ({state} y) {{
        [main] y = Loop (trips, on, x) <body = b (int64 i, bool ci, {state} s) => (bool co, {state} out) {{
            co = Identity (ci)
            {step}
        }}>
    }}"""


CONSTANTS = [
    numpy_helper.from_array(np.array(3, np.int64), "trips"),
    numpy_helper.from_array(np.array(True), "on"),
    *(
        numpy_helper.from_array(np.array([value], np.int64), name)
        for name, value in (("zero", 0), ("one", 1), ("far", 99))
    ),
]


@pytest.mark.parametrize(
    ("step", "shapes"),
    [
        ("[grow] out = Concat <axis = 0> (s, s)", ("[8]", "[16]")),
        ("[grow] out = Slice (s, one, far, zero)", ("[8]", "[7]")),
        ("[grow] out = Unsqueeze (s, zero)", ("[8]", "[1, 8]")),
    ],
)
def test_a_carried_tensor_that_changes_its_shape(step: str, shapes: tuple[str, str], judge: Judge) -> None:
    (finding,) = judge(check, loop(step), opset=17, tensors=CONSTANTS)
    assert (finding.kind, finding.severity, finding.names) == (
        "control/growing-state",
        Severity.ERROR,
        ("main", "grow"),
    )
    for shape in shapes:
        assert shape in finding.cause
    assert "3 iterations" in finding.fixes[1].text


def test_a_loop_inside_a_branch_is_judged_too(judge: Judge) -> None:
    inner = "r = Loop (trips, on, x) <body = b (int64 i, bool ci, float[a] s) => (bool co, float[c] out) "
    inner += "{ co = Identity (ci) out = Concat <axis = 0> (s, s) }>"
    graph = f"""g (float[8] x, bool k) => (float y) {{
        y = If (k) <
            then_branch = t () => (float m) {{ {inner} m = ReduceMax <keepdims = 0> (r) }},
            else_branch = e () => (float m) {{ m = ReduceMax <keepdims = 0> (x) }}>
    }}"""
    (finding,) = judge(check, graph, opset=17, tensors=CONSTANTS)
    assert finding.kind == "control/growing-state"
    assert finding.node_paths[0] == "0.then_branch.0"


SQUEEZED = """g (float[N,C,4] x) => (float[a,b] y) {
    s = Shape (x) d = Gather (s, one) c = Equal (d, one)
    [branch] y = If (c) <
        then_branch = t () => (float[a,b] m) { [drop] m = Squeeze (x, one) },
        else_branch = e () => (float[a,b,4] m) { m = Identity (x) }>
}"""


@pytest.mark.parametrize(
    ("sizes", "kinds"),
    [
        ((1, 1, 1), []),  # fixed: the condition is folded
        ((1, 2, 4), ["control/if-branches", "dynamic/squeeze"]),
        ((2, 3, 4), ["dynamic/squeeze"]),  # never 1, and still not folded
    ],
)
def test_branches_of_different_rank(sizes: tuple[int, int, int], kinds: list[str], judge: Judge) -> None:
    profile = Profile(ranges={"N": Range(1, 2, 4), "C": Range(*sizes)})
    found = [
        one
        for each in (check, dynamic_shapes.check)
        for one in judge(each, SQUEEZED, opset=17, tensors=CONSTANTS, profile=profile)
    ]
    assert {finding.kind for finding in found} == set(kinds)


def test_healthy_control_flow_is_quiet(judge: Judge) -> None:
    assert judge(check, loop("out = Mul (s, s)"), opset=17, tensors=CONSTANTS) == []
    branches = """g (float[4] x, bool k) => (float[4] y) {
        y = If (k) <
            then_branch = t () => (float[4] m) { m = Relu (x) },
            else_branch = e () => (float[4] m) { m = Neg (x) }>
    }"""
    assert judge(check, branches, opset=17) == []


def test_a_growing_state_is_followed_with_sizes(judge: Judge) -> None:
    (finding,) = judge(check, loop("[grow] out = Concat <axis = 0> (s, x)"), opset=17, tensors=CONSTANTS)
    assert "[8] → [16] → [24] → [32]" in finding.evidence[0]
    assert "It grows" in finding.cause


def test_a_blank_condition_that_the_body_reads(judge: Judge) -> None:
    graph = loop("out = Mul (s, s)").replace("Loop (trips, on, x)", "Loop (trips, , x)")
    (finding,) = judge(check, graph, opset=17, tensors=CONSTANTS)
    assert (finding.kind, finding.severity) == ("control/loop-condition", Severity.ERROR)
    assert "main" in finding.names


MOVING = """a = Unsqueeze (i, zero) e = Add (i, step) q = Unsqueeze (e, zero)
    w = OP m = ReduceSum <keepdims = 0> (w) out = Add (s, m)"""


@pytest.mark.parametrize(("op", "kinds"), [("Slice (x, a, q)", ["control/slice-by-iteration"]), ("Gather (x, a)", [])])
def test_a_slice_that_moves_with_the_iterations(op: str, kinds: list[str], judge: Judge) -> None:
    tensors = [*CONSTANTS, numpy_helper.from_array(np.array(1, np.int64), "step")]
    found = judge(check, loop(MOVING.replace("OP", op)), opset=17, tensors=tensors)
    assert [one.kind for one in found] == kinds


@pytest.mark.parametrize(("batch", "kinds"), [("N", ["control/nested-if"]), ("4", [])])
def test_an_if_in_a_branch_of_another_one(batch: str, kinds: list[str], judge: Judge) -> None:
    graph = f"""g (float[{batch},6] x, bool a, bool b) => (float[{batch},6] y) {{
        [outer] y = If (a) <
            then_branch = t () => (float[{batch},6] u) {{
                [inner] u = If (b) <
                    then_branch = p () => (float[{batch},6] m) {{ m = Relu (x) }},
                    else_branch = q () => (float[{batch},6] n) {{ n = Neg (x) }}> }},
            else_branch = e () => (float[{batch},6] v) {{ v = Tanh (x) }}> }}"""
    found = judge(check, graph, profile=Profile(ranges={"N": Range(1, 2, 4)}) if kinds else None)
    assert [one.kind for one in found] == kinds


def test_values_given_for_a_shape_tensor_do_not_fold_an_if(judge: Judge) -> None:
    graph = """g (float[4] x, int64[2] size) => (float y) {
        d = Gather (size, zero) c = Equal (d, one)
        [branch] y = If (c) <
            then_branch = t () => (float[1,4] m) { m = Unsqueeze (x, zero) },
            else_branch = e () => (float[4] n) { n = Relu (x) }>
        r = Reshape (x, size)
    }"""
    profile = Profile(values={"size": Values((2, 2), (2, 2), (2, 2))})
    (finding,) = judge(check, graph, opset=17, tensors=CONSTANTS, profile=profile)
    assert finding.kind == "control/if-branches"


@pytest.mark.parametrize(
    ("guessed", "severity"),
    [((), Severity.ERROR), (("C",), Severity.WARNING), (("N", "C"), Severity.WARNING), (("N",), Severity.ERROR)],
)
def test_a_condition_that_only_guessed_sizes_leave_open_is_no_error(
    guessed: tuple[str, ...], severity: Severity, judge: Judge
) -> None:
    """The condition tests C: who chose a range of it asked for both branches, who did not may have meant one size."""
    profile = Profile(ranges={"N": Range(1, 2, 4), "C": Range(1, 2, 4)}, guessed=guessed)
    (finding,) = judge(check, SQUEEZED, opset=17, tensors=CONSTANTS, profile=profile)
    assert (finding.kind, finding.severity) == ("control/if-branches", severity)
    assert ("sizes that were guessed" in finding.cause) is (severity is Severity.WARNING)
