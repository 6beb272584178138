"""What a graph declares, and whether its bodies fit their nodes."""

from __future__ import annotations

from typing import Any

from onnx import parser

from friction_tui.rules.structure.graph_declarations import check
from friction_tui.vocabulary.finding import Severity

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'


def test_no_outputs_names_what_nothing_reads(judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[2] x) => (float[2] y) { y = Relu(x) }")
    del model.graph.output[:]
    (finding,) = judge(check, model)
    assert finding.kind == "structure/no-outputs"
    assert "y" in finding.names


def test_bodies_with_the_wrong_number_of_inputs_or_outputs(judge: Any) -> None:
    body = "b (int64 i, bool c, float[2] s) => (bool d, float[2] t) { d = Identity (c) t = Neg (s) }"
    loop = HEAD + "g (float[2] x, int64 m, bool c) => (float[2] y) {{ [n] y = Loop (m, c, x) <body = {}> }}"
    assert judge(check, loop.format(body)) == []
    for broken in (body.replace(", float[2] s", "").replace("(s)", "(x)"), body.replace(", float[2] t)", ")")):
        (finding,) = judge(check, loop.format(broken))
        assert (finding.kind, finding.names) == ("structure/body-arity", ("n",))


def test_an_input_nothing_reads_is_a_note(judge: Any) -> None:
    """What only a body reads is read."""
    graph = """g (float[2] x, float[2] inner, float[2] idle, bool c) => (float[2] y) {
        y = If (c) <then_branch = t () => (float[2] a) { a = Add (x, inner) },
                    else_branch = e () => (float[2] b) { b = Relu (x) }> }"""
    (finding,) = judge(check, graph)
    assert (finding.kind, finding.severity, finding.names) == ("structure/unread-input", Severity.NOTE, ("idle",))
