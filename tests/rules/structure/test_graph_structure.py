"""What ONNX asks of a graph, broken once each, and a sound graph beside it."""

from __future__ import annotations

from typing import Any

import pytest
from onnx import TensorProto, helper, parser

from friction_tui.rules.structure.graph_structure import check
from friction_tui.vocabulary.finding import Severity

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
IF = (
    "If (c) <then_branch = t () => (float[2] {then}) {{ {body} }}, else_branch = e () => (float[2] v) {{ v = Abs(x) }}>"
)

BROKEN = {
    "structure/cycle": (
        "g (float[2] x) => (float[2] y) { [a] p = Add(x, r) [b] q = Relu(p) [c] r = Neg(q) [d] y = Abs(r) }",
        {"a", "b", "c"},
    ),
    "structure/unsorted": ("g (float[2] x) => (float[2] y) { [late] y = Neg(z) [early] z = Relu(x) }", {"late"}),
    "structure/two-writers": (
        "g (float[2] x) => (float[2] y) { [a] z = Relu(x) [b] z = Sigmoid(x) y = Neg(z) }",
        {"z", "a", "b"},
    ),
    "structure/undefined-input": ("g (float[2] x) => (float[2] y) { [a] y = Add(x, ghost) }", {"a", "ghost"}),
    "structure/shadowed-name": (
        "g (float[2] x, bool c) => (float[2] y) { z = Relu(x) y = "
        + IF.format(then="z", body="[inner] z = Neg(x)")
        + " }",
        {"z", "inner"},
    ),
}


@pytest.mark.parametrize("kind", BROKEN)
def test_each_violation_names_the_nodes_and_is_an_error_unless_every_engine_repairs_it(kind: str, judge: Any) -> None:
    text, names = BROKEN[kind]
    findings = judge(check, HEAD + text)
    (finding,) = [one for one in findings if one.kind == kind]
    assert finding.severity is (Severity.WARNING if kind == "structure/unsorted" else Severity.ERROR)
    assert names <= set(finding.names)


@pytest.mark.parametrize(
    "text",
    [
        "g (float[2] x) => (float[2] y) { z = Relu(x) y = Add(z, x) }",
        "g (float[2] x, bool c) => (float[2] y) { y = " + IF.format(then="w", body="w = Neg(x)") + " }",
        "g (float[2] x) => (float[2] y, float[2] y) { y = Relu(x) }",
        "g (float[2] x) => (float[2] x) { }",
    ],
)
def test_nothing_is_found_in_a_sound_graph(text: str, judge: Any) -> None:
    assert judge(check, HEAD + text) == []


def test_a_cycle_is_described_in_the_direction_data_flows(judge: Any) -> None:
    (finding,) = judge(check, HEAD + BROKEN["structure/cycle"][0])
    path = finding.evidence[0]
    assert any(
        way in path for way in ("a (Add) → b (Relu) → c (Neg)", "b (Relu) → c (Neg) → a (Add)", "c (Neg) → a (Add)")
    )


def test_a_violation_inside_a_body_is_found_there(judge: Any) -> None:
    text = "g (float[2] x, bool c) => (float[2] y) { y = " + IF.format(then="w", body="[in] w = Neg(nowhere)") + " }"
    (finding,) = judge(check, HEAD + text)
    assert finding.kind == "structure/undefined-input"
    assert {"in", "nowhere"} <= set(finding.names)
    assert finding.node_paths == ("0.then_branch.0",)


@pytest.mark.parametrize("what", ["input", "initializer"])
def test_a_node_that_writes_an_input_or_initializer(what: str, judge: Any) -> None:
    text = "g (float[2] x) => (float[2] y) { w = Relu(x) y = Neg(w) }"
    model = parser.parse_model(HEAD + text)
    if what == "input":
        model.graph.input.append(helper.make_tensor_value_info("w", TensorProto.FLOAT, [2]))
    else:
        model.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [2], [1, 2]))
    (finding,) = judge(check, model)
    assert finding.kind == "structure/two-writers"
    assert what in finding.cause


def test_duplicate_declarations(judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[2] x, float[2] x) => (float[2] y) { y = Relu(x) }")
    assert [finding.kind for finding in judge(check, model)] == ["structure/two-writers"]


def test_functions_that_call_each_other(judge: Any) -> None:
    model = parser.parse_model(
        '<ir_version: 10, opset_import: ["" : 21, "f" : 1]>\n'
        "g (float[2] x) => (float[2] y) { y = f.one(x) }\n"
        '<domain: "f", opset_import: ["" : 21, "f" : 1]> one (a) => (b) { b = f.two(a) }\n'
        '<domain: "f", opset_import: ["" : 21, "f" : 1]> two (a) => (b) { b = f.one(a) }'
    )
    (finding,) = judge(check, model)
    assert finding.kind == "structure/recursive-function"
    assert {"f:one", "f:two"} <= set(finding.names)


def test_ten_thousand_nodes_in_a_chain(judge: Any) -> None:
    nodes = [helper.make_node("Relu", [f"t{i}"], [f"t{i + 1}"], name=f"n{i}") for i in range(10_000)]
    ports = [helper.make_tensor_value_info(name, TensorProto.FLOAT, [2]) for name in ("t0", "t10000")]
    nodes.reverse()  # as unsorted as can be
    model = helper.make_model(
        helper.make_graph(nodes, "g", ports[:1], ports[1:]), opset_imports=[helper.make_opsetid("", 21)]
    )
    (finding,) = judge(check, model)
    assert finding.kind == "structure/unsorted"
    assert len(finding.locations) == 9_999
