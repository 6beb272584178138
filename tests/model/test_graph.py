"""The index over nodes and tensors, for graphs in any state."""

from __future__ import annotations

from pathlib import Path

import onnx
from onnx import TensorProto, helper, parser

from friction_tui.model.constants import constant_value
from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import OpenedModel, from_proto

PATH = Path("model.onnx")


def parsed(text: str) -> OpenedModel:
    return from_proto(parser.parse_model(text), PATH)


BRANCHES = """<ir_version: 8, opset_import: ["" : 17]>
main (float[N,4] x, bool c) => (float[N,4] y) <float[4] w = {1, 2, 3, 4}>
{
    a = Relu(x)
    y = If (c) <
        then_branch = then_g () => (float[N,4] t) { t = Add(a, w) },
        else_branch = else_g () => (float[N,4] e) { k = Neg(a)  e = Neg(k) }
    >
}"""

FUNCTION = """<ir_version: 8, opset_import: ["" : 17, "own" : 1]>
main (float[2] x) => (float[2] y) { h = own.twice(x)  y = own.twice(h) }
<domain: "own", opset_import: ["" : 17]> twice (a) => (b) { b = Add(a, a) }"""


def test_paths_reach_into_bodies_and_functions() -> None:
    index = parsed(BRANCHES).index
    assert [node.path for node in index.nodes] == ["0", "1", "1.then_branch.0", "1.else_branch.0", "1.else_branch.1"]
    assert index.by_path["1.else_branch.1"].proto.op_type == "Neg"
    assert index.bodies_of("1") == ["1.then_branch", "1.else_branch"]
    assert index.owner_of("1.then_branch") == "1"
    assert index.captured["1"] == ("a", "w")
    assert [node.path for node in index.consumers["a"]] == ["1"]
    assert index.by_path["1"].name == "node_of_y"

    functions = parsed(FUNCTION).index
    assert [node.path for node in functions.nodes] == ["0", "1", "@own:twice.0"]
    assert functions.function_of(functions.main[0].proto) == "@own:twice"
    assert functions.opsets == {"": 17, "own": 1}


def test_unsorted_and_cyclic_graphs_are_ordered_as_far_as_they_go() -> None:
    unsorted = parsed(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Neg(b)  b = Neg(a)  a = Neg(x) }'
    ).index
    assert unsorted.order == ["2", "1", "0"]
    assert unsorted.cycle == ()

    cyclic = parsed(
        """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y)
        { a = Neg(x)  b = Add(a, d)  c = Neg(b)  d = Neg(c)  y = Neg(d) }"""
    ).index
    assert cyclic.order[0] == "0"
    assert sorted(cyclic.order) == ["0", "1", "2", "3", "4"]
    assert set(cyclic.cycle) == {"node_of_b", "node_of_c", "node_of_d"}


def test_of_two_writers_the_first_counts() -> None:
    index = parsed(
        '<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y) { y = Neg(x)  y = Abs(x) }'
    ).index
    assert index.producer["y"].path == "0"


def test_constants_are_found_through_identities_and_out_of_bodies() -> None:
    model = parsed(
        """<ir_version: 8, opset_import: ["" : 17]>
        g (float[2] x, bool c) => (float[2] y) <int64[1] two = {2}>
        {
            a = Constant <value_ints = [7, 8]> ()
            b = Identity(a)
            s = Shape(x)
            y = If (c) <then_branch = t () => (float[2] t) { t = Expand(x, two) },
                        else_branch = e () => (float[2] e) { e = Neg(x) }>
        }"""
    )
    value = constant_value(model, "b")
    assert value is not None and value.tolist() == [7, 8]
    inside = constant_value(model, "two", graph="3.then_branch")
    assert inside is not None and inside.tolist() == [2]
    assert constant_value(model, "s") is None
    assert constant_value(model, "nowhere") is None


def test_a_constant_of_the_wrong_length_is_none() -> None:
    model = onnx.ModelProto(ir_version=8)
    model.graph.initializer.add(name="bad", data_type=TensorProto.FLOAT, dims=[64, 64], raw_data=bytes(100))
    model.graph.initializer.add(name="typed", data_type=TensorProto.FLOAT, dims=[3], float_data=[1.0])
    model.graph.initializer.add(name="no_type", dims=[1])
    opened = from_proto(model, PATH)
    assert [constant_value(opened, name) for name in ("bad", "typed", "no_type")] == [None, None, None]


def test_drawn_items_of_bodies() -> None:
    data = graph_data(parsed(BRANCHES))
    assert data.ops[: data.main] == ["Input", "Input", "Relu", "If", "Output"]
    main_if = data.paths.index("1")
    # The If reads its condition and what its branches take from outside; the initializer is no item.
    assert sorted(data.paths[i] for i in data.inputs[main_if]) == ["0", "<c"]
    then, other = (data.bodies[number] for number in data.owners[main_if])
    assert (then.label, other.label) == ("then_branch", "else_branch")
    assert data.paths[then.first : then.last] == ["1.then_branch.^a", "1.then_branch.0", "1.then_branch.>t"]
    assert data.ops[then.first] == "<outer>"
    for body in data.bodies:
        for item in range(body.first, body.last):
            assert all(body.first <= source < body.last for source in data.inputs[item])


def test_drawn_items_of_functions_and_constants() -> None:
    data = graph_data(parsed(FUNCTION))
    assert [body.label for body in data.bodies] == ["@own:twice"]
    assert {path: data.owners.get(item) for item, path in enumerate(data.paths)}["0"] == [0]

    constants = graph_data(
        parsed(
            """<ir_version: 8, opset_import: ["" : 17]> g (float[2] x) => (float[2] y)
            { k = Constant <value_float = 2.0> ()  unread = Constant <value_float = 3.0> ()  y = Mul(x, k) }"""
        )
    )
    assert [op for op in constants.ops if op == "Constant"] == ["Constant"]
    assert "1" in constants.paths and "0" not in constants.paths


def test_scopes_come_from_metadata_first_and_from_names_otherwise() -> None:
    nodes = [
        helper.make_node("Neg", ["x"], ["a"], name="/model/layers.0/attn/Neg"),
        helper.make_node("Neg", ["a"], ["b"], name="head/fc"),
        helper.make_node("Neg", ["b"], ["c"], name="Neg_3"),
        helper.make_node("Neg", ["c"], ["d"], name="node_neg"),
        helper.make_node("Neg", ["d"], ["y"], name="node_sym_size"),
    ]
    nodes[3].metadata_props.add(
        key="pkg.torch.onnx.name_scopes", value="['', 'model', 'model.layers.0', 'model.layers.0.mlp', 'neg']"
    )
    nodes[4].metadata_props.add(
        key="pkg.torch.onnx.name_scopes", value="['_empty_nn_module_stack_from_metadata_hook', 'sym_size']"
    )
    value = helper.make_tensor_value_info
    graph = helper.make_graph(nodes, "g", [value("x", TensorProto.FLOAT, [1])], [value("y", TensorProto.FLOAT, [1])])
    data = graph_data(from_proto(helper.make_model(graph), PATH))
    scopes = [data.scope_table[data.scopes[data.paths.index(str(number))]] for number in range(5)]
    assert scopes == [("model", "layers.0", "attn"), ("head",), (), ("model", "layers.0", "mlp"), ()]
