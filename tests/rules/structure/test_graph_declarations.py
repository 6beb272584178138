"""What a graph declares, and whether its bodies fit their nodes."""

from __future__ import annotations

from typing import Any

from onnx import TensorProto, helper, parser

from friction_tui.rules.structure.graph_declarations import check
from friction_tui.vocabulary.finding import Severity

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'


def test_an_output_that_nothing_computes(judge: Any) -> None:
    (finding,) = judge(check, HEAD + "g (float[2] x) => (float[2] y) { z = Relu (x) }")
    assert (finding.kind, finding.names) == ("structure/undefined-output", ("y",))


def test_nothing_is_found_in_a_sound_graph(judge: Any) -> None:
    assert judge(check, HEAD + "g (float[2] x) => (float[2] y) { y = Relu (x) }") == []


def test_no_outputs_names_what_nothing_reads(judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[2] x) => (float[2] y) { y = Relu(x) }")
    del model.graph.output[:]
    (finding,) = judge(check, model)
    assert finding.kind == "structure/no-outputs"
    assert "y" in finding.names


def test_an_input_without_a_type(judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[2] x) => (float[2] y) { y = Relu(x) }")
    model.graph.input[0].ClearField("type")
    assert [finding.kind for finding in judge(check, model)] == ["structure/no-type"]


def test_a_sparse_initializer(judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[4] x) => (float[4] y) { y = Add(x, w) }")
    values = helper.make_tensor("w", TensorProto.FLOAT, [1], [3.0])
    model.graph.sparse_initializer.append(
        helper.make_sparse_tensor(values, helper.make_tensor("", TensorProto.INT64, [1], [2]), [4])
    )
    assert [finding.kind for finding in judge(check, model)] == ["structure/sparse-initializer"]


def test_bodies_with_the_wrong_number_of_inputs_or_outputs(judge: Any) -> None:
    body = "b (int64 i, bool c, float[2] s) => (bool d, float[2] t) { d = Identity (c) t = Neg (s) }"
    loop = HEAD + "g (float[2] x, int64 m, bool c) => (float[2] y) {{ [n] y = Loop (m, c, x) <body = {}> }}"
    assert judge(check, loop.format(body)) == []
    for broken in (body.replace(", float[2] s", "").replace("(s)", "(x)"), body.replace(", float[2] t)", ")")):
        (finding,) = judge(check, loop.format(broken))
        assert (finding.kind, finding.names) == ("structure/body-arity", ("n",))


def test_shared_node_names_are_a_warning_for_onnx_runtime_refuses_them(judge: Any) -> None:
    (finding,) = judge(check, HEAD + "g (float[2] x) => (float[2] y) { [a] z = Relu (x) [a] y = Neg (z) }")
    assert (finding.kind, finding.severity) == ("structure/same-node-names", Severity.WARNING)


def test_an_input_without_a_shape_and_an_initializer_without_a_name(judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[2] x) => (float[2] y) { y = Relu (x) }")
    model.graph.input[0].type.tensor_type.ClearField("shape")
    model.graph.initializer.append(helper.make_tensor("", TensorProto.FLOAT, [1], [1.0]))
    found = {finding.kind: finding.severity for finding in judge(check, model)}
    assert found == {"structure/no-shape": Severity.ERROR, "structure/nameless-initializer": Severity.WARNING}


def test_an_input_nothing_reads_is_a_note(judge: Any) -> None:
    """What only a body reads is read."""
    graph = """g (float[2] x, float[2] inner, float[2] idle, bool c) => (float[2] y) {
        y = If (c) <then_branch = t () => (float[2] a) { a = Add (x, inner) },
                    else_branch = e () => (float[2] b) { b = Relu (x) }> }"""
    (finding,) = judge(check, graph)
    assert (finding.kind, finding.severity, finding.names) == ("structure/unread-input", Severity.NOTE, ("idle",))


def test_an_output_listed_twice_is_one_output_for_tensorrt(judge: Any) -> None:
    (finding,) = judge(check, HEAD + "g (float[2] x) => (float[2] y, float[2] y) { y = Relu (x) }")
    assert (finding.kind, finding.severity, finding.names) == ("structure/output-twice", Severity.WARNING, ("y",))
