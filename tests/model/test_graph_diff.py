"""What two versions of a model differ in."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import helper, numpy_helper, parser

from friction_tui.model.graph_diff import matched, model_diff, unmoved
from friction_tui.report.difference import lines
from friction_tui.vocabulary.protocol.differences import Change


def model(body: str, opset: int = 17, **weights: np.ndarray) -> onnx.ModelProto:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{body}')
    proto.graph.initializer.extend(numpy_helper.from_array(value, name) for name, value in weights.items())
    return proto


def test_a_model_does_not_differ_from_itself() -> None:
    one = model("g (float[N,4] x) => (float[N,4] y) { a = Relu(x) y = Add(a, w) }", w=np.ones(4, np.float32))
    assert model_diff(one, one).empty
    assert list(lines(model_diff(one, one))) == ["nothing differs"]


def test_a_tensor_stored_otherwise_is_the_same_and_another_value_is_not() -> None:
    one = model("g (float[4] x) => (float[4] y) { y = Add(x, w) }", w=np.arange(4, dtype=np.float32))
    other = model("g (float[4] x) => (float[4] y) { y = Add(x, w) }")
    other.graph.initializer.append(helper.make_tensor("w", onnx.TensorProto.FLOAT, [4], [0.0, 1.0, 2.0, 3.0]))
    assert model_diff(one, other).empty
    other.graph.initializer[0].float_data[1] = 9.0
    found = model_diff(one, other)
    assert [change.name for change in found.graphs[0].initializers] == ["w"]
    assert "+ initializer w float32[4] [0, 9, 2, 3]" in list(lines(found))


def test_an_operator_that_writes_the_same_tensor_is_another_node() -> None:
    before = model("g (float[N,4] x) => (float[N,4] y) { y = Relu(x) }")
    after = model("g (float[N,4] x) => (float[N,4] y) { zero = Sub(x, x) y = Max(x, zero) }")
    graph = model_diff(before, after).graphs[0]
    assert [node.op for node in graph.removed] == ["Relu"]
    assert [(node.op, node.inputs, node.outputs) for node in graph.added] == [
        ("Sub", ("x", "x"), ("zero",)),
        ("Max", ("x", "zero"), ("y",)),
    ]
    assert not graph.changed


def test_changed_inputs_attributes_opsets_and_ports_are_told() -> None:
    before = model("g (float[N,4] x) => (float[N,4] y) { a = Relu(x) y = Softmax<axis=1>(a) }")
    after = model("g (float[M,4] x) => (float[M,4] y) { a = Relu(x) y = Softmax<axis=-1>(x) }", opset=18)
    found = model_diff(before, after)
    assert found.opsets == (Change("ai.onnx", "17", "18"),)
    (changed,) = found.graphs[0].changed
    assert (changed.before.inputs, changed.after.inputs) == (("a",), ("x",))
    assert changed.attributes == (Change("axis", "1", "-1"),)
    assert found.graphs[0].inputs == (Change("x", "float32[N, 4]", "float32[M, 4]"),)
    text = list(lines(found))
    assert "- opset ai.onnx 17" in text
    assert "  + attribute axis -1" in text
    assert "@@ main graph: nodes 0 removed, 0 added, 1 changed @@" in text


def test_renamed_tensors_are_followed_through_the_structure() -> None:
    before = model("g (float[4] x) => (float[4] y) { a = Relu(x) b = Exp(a) y = Neg(b) }")
    after = model("g (float[4] x) => (float[4] y) { p = Relu(x) q = Exp(p) y = Neg(q) }")
    graph = model_diff(before, after).graphs[0]
    assert not graph.removed
    assert not graph.added
    assert [change.after.outputs for change in graph.changed] == [("p",), ("q",), ("y",)]


def test_nodes_alike_are_matched_by_name_only_where_one_is_left() -> None:
    before = [helper.make_node("Relu", ["x"], ["a"], name="one"), helper.make_node("Relu", ["x"], ["b"], name="two")]
    after = [helper.make_node("Relu", ["x"], ["c"], name="two"), helper.make_node("Relu", ["x"], ["d"], name="three")]
    assert matched(before, after) == [(0, 1), (1, 0)]


def test_sorting_moves_as_few_nodes_as_possible() -> None:
    before = model("g (float[4] x) => (float[4] y) { y = Neg(c) a = Relu(x) b = Exp(a) c = Abs(b) }")
    after = model("g (float[4] x) => (float[4] y) { a = Relu(x) b = Exp(a) c = Abs(b) y = Neg(c) }")
    pairs = matched(before.graph.node, after.graph.node)
    assert unmoved(pairs) == {1, 2, 3}
    assert model_diff(before, after).graphs[0].moved == 1


def test_a_difference_in_a_body_is_told_of_the_body() -> None:
    text = """g (bool c, float[4] x) => (float[4] y) {
        y = If(c) <then_branch = t () => (float[4] p) { p = %s(x) }, else_branch = e () => (float[4] q) { q = Neg(x) }>
    }"""
    found = model_diff(model(text % "Relu"), model(text % "Exp"))
    assert [graph.graph for graph in found.graphs] == ["0.then_branch"]
    assert [node.path for node in found.graphs[0].added] == ["0.then_branch.0"]


def test_functions_added_and_removed() -> None:
    before = model("g (float[4] x) => (float[4] y) { y = Relu(x) }")
    after = onnx.ModelProto()
    after.CopyFrom(before)
    node = helper.make_node("Neg", ["a"], ["b"])
    after.functions.append(helper.make_function("local", "F", ["a"], ["b"], [node], [helper.make_opsetid("", 17)]))
    assert model_diff(before, after).functions == (Change("@local:F", "", "1 node"),)
    assert model_diff(after, before).functions == (Change("@local:F", "1 node", ""),)


def test_names_cannot_control_the_terminal() -> None:
    before = model("g (float[4] x) => (float[4] y) { y = Relu(x) }")
    before.graph.node[0].name = "a\x1b[2J"
    after = model("g (float[4] x) => (float[4] y) { y = Exp(x) }")
    assert all(character.isprintable() for line in lines(model_diff(before, after)) for character in line)
