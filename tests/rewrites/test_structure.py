"""Repairs of what breaks the specification: the result passes ONNX's checker and gives what the original meant."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from friction_tui.kinds import KINDS
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.session.at_once import judged
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source
from tests.rewrites.mended import Answer, Shapes, built, model_of, ran


def model(
    nodes: list[onnx.NodeProto],
    *,
    inputs: tuple[str, ...] = ("x",),
    outputs: tuple[str, ...] = ("y",),
    opset: int = 17,
    shape: tuple[int | str, ...] = ("n", 4),
    weights: dict[str, np.ndarray] | None = None,
    edit: Callable[[onnx.ModelProto], None] = lambda _: None,
) -> OpenedModel:
    graph = helper.make_graph(
        nodes,
        "g",
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, shape) for name in inputs],
        [helper.make_tensor_value_info(name, TensorProto.FLOAT, None) for name in outputs],
        [numpy_helper.from_array(value, name) for name, value in (weights or {}).items()],
    )
    proto = helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=9)
    edit(proto)
    return from_proto(proto, Path("model.onnx"))


def repaired(opened: OpenedModel, name: str) -> onnx.ModelProto:
    proto = REWRITES[name].run(opened, ())
    onnx.checker.check_model(onnx.shape_inference.infer_shapes(proto), full_check=True)
    return proto


X = np.arange(8, dtype=np.float32).reshape(2, 4) - 3


def test_nodes_are_sorted_in_the_main_graph_and_in_bodies() -> None:
    unsorted = model([helper.make_node("Neg", ["a"], ["y"], "second"), helper.make_node("Relu", ["x"], ["a"], "first")])
    proto = repaired(unsorted, "sort-nodes")
    assert [node.name for node in proto.graph.node] == ["first", "second"]
    assert np.array_equal(ran(proto, {"x": X})[0], -np.maximum(X, 0))
    with pytest.raises(CannotRewrite, match="nothing to repair"):
        REWRITES["sort-nodes"].run(from_proto(proto, Path("m.onnx")), ())


def test_a_cycle_has_no_order() -> None:
    cycle = model([helper.make_node("Add", ["x", "b"], ["a"]), helper.make_node("Relu", ["a"], ["b"])], outputs=("b",))
    with pytest.raises(CannotRewrite, match="cycle"):
        REWRITES["sort-nodes"].run(cycle, ())


def test_the_first_of_two_initializers_stays() -> None:
    def twice(proto: onnx.ModelProto) -> None:
        proto.graph.initializer.append(numpy_helper.from_array(np.array(5, np.float32), "c"))

    opened = model([helper.make_node("Mul", ["x", "c"], ["y"])], weights={"c": np.array(2, np.float32)}, edit=twice)
    proto = repaired(opened, "keep-first-initializer")
    assert np.array_equal(ran(proto, {"x": X})[0], X * 2)


def test_a_second_writer_gets_a_name_and_its_readers_follow() -> None:
    nodes = [
        helper.make_node("Relu", ["x"], ["t"], "first"),
        helper.make_node("Neg", ["t"], ["a"], "reads_first"),
        helper.make_node("Abs", ["x"], ["t"], "again"),
        helper.make_node("Add", ["a", "t"], ["y"], "reads_second"),
    ]
    proto = repaired(model(nodes), "rename-second-writer")
    assert np.array_equal(ran(proto, {"x": X})[0], -np.maximum(X, 0) + np.abs(X))
    assert built(proto, {"x": [[1, 4], [2, 4], [4, 4]]}).verdict == "ok"


def test_an_output_that_is_written_twice_keeps_its_name_for_the_last_writer() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["y"]), helper.make_node("Neg", ["y"], ["y"])]
    proto = repaired(model(nodes), "rename-second-writer")
    assert proto.graph.output[0].name == "y"
    assert np.array_equal(ran(proto, {"x": X})[0], -np.maximum(X, 0))


def test_a_shadowed_name_in_a_branch_is_renamed() -> None:
    opened = model_of(
        """g (float[n,4] x, bool c) => (float[n,4] y) {
            a = Relu (x)
            y = If (c) <then_branch = t () => (float[n,4] a) { a = Neg (x) },
                        else_branch = e () => (float[n,4] b) { b = Abs (a) }> }"""
    )
    proto = repaired(opened, "rename-shadowed")
    for taken, expected in ((True, -X), (False, np.maximum(X, 0))):
        assert np.array_equal(ran(proto, {"x": X, "c": np.array(taken)})[0], expected)


def test_long_names_are_cut_and_the_border_stays() -> None:
    long = "layer/" * 1000
    opened = model([helper.make_node("Relu", ["x"], [long], long), helper.make_node("Neg", [long], ["y"])])
    proto = repaired(opened, "shorten-names")
    assert max(len(name) for node in proto.graph.node for name in (node.name, *node.output)) <= 1024
    assert built(proto).verdict == "ok"


def test_node_names_become_unique() -> None:
    opened = model([helper.make_node("Relu", ["x"], ["a"], "same"), helper.make_node("Neg", ["a"], ["y"], "same")])
    names = [node.name for node in repaired(opened, "name-nodes").graph.node]
    assert len(set(names)) == 2
    assert names[0] == "same"


@pytest.mark.parametrize("imports", [[], [("", 13), ("", 17)], [("ai.onnx", 17), ("", 12)]])
def test_opset_imports_are_completed(imports: list[tuple[str, int]]) -> None:
    def broken(proto: onnx.ModelProto) -> None:
        del proto.opset_import[:]
        proto.opset_import.extend(helper.make_opsetid(*entry) for entry in imports)
        proto.ir_version = 0

    opened = model([helper.make_node("Relu", ["x"], ["y"])], edit=broken)
    proto = repaired(opened, "complete-versions")
    assert [entry.domain for entry in proto.opset_import] == [""]
    assert np.array_equal(ran(proto, {"x": X})[0], np.maximum(X, 0))


def test_an_operator_newer_than_the_opset_raises_it() -> None:
    nodes = [
        helper.make_node("Gelu", ["x"], ["a"], approximate="tanh"),
        helper.make_node("ReduceMax", ["a"], ["y"], axes=[1]),
    ]
    proto = repaired(model(nodes, opset=17), "raise-opset")
    assert proto.opset_import[0].version == 20
    assert len(proto.graph.node[-1].input) == 2  # the reduction was converted to the form of that opset
    assert built(proto, {"x": [[1, 4], [2, 4], [4, 4]]}).verdict == "ok"


@pytest.mark.parametrize(
    ("node", "opset", "weights"),
    [
        (helper.make_node("Unsqueeze", ["x"], ["y"], axes=[0]), 13, {}),
        (helper.make_node("ReduceMean", ["x"], ["y"], axes=[1], keepdims=0), 18, {}),
        (helper.make_node("Clip", ["x"], ["y"], min=-1.0, max=1.0), 13, {}),
        (helper.make_node("Slice", ["x"], ["y"], starts=[1], ends=[3], axes=[1]), 13, {}),
        (helper.make_node("Pad", ["x"], ["y"], pads=[0, 1, 0, 1], value=0.5), 13, {}),
        (helper.make_node("Unsqueeze", ["x", "i"], ["y"]), 11, {"i": np.array([0])}),
        (helper.make_node("ReduceSum", ["x", "i"], ["y"]), 12, {"i": np.array([1])}),
    ],
)
def test_axes_take_the_form_of_the_opset(node: onnx.NodeProto, opset: int, weights: dict[str, np.ndarray]) -> None:
    proto = repaired(model([node], opset=opset, weights=weights), "move-attributes")
    assert built(proto, {"x": [[1, 4], [2, 4], [4, 4]]}).verdict == "ok"
    assert ran(proto, {"x": X})[0].size


def test_an_axis_that_is_computed_cannot_become_an_attribute() -> None:
    opened = model([helper.make_node("ReduceMean", ["x", "i"], ["y"])], inputs=("x", "i"), opset=17)
    with pytest.raises(CannotRewrite, match="computed"):
        REWRITES["move-attributes"].run(opened, ())


def test_unknown_attributes_go_and_known_ones_stay() -> None:
    node = helper.make_node("Softmax", ["x"], ["y"], axis=0, beta=2.0)
    proto = repaired(model([node]), "drop-attributes")
    assert [attribute.name for attribute in proto.graph.node[0].attribute] == ["axis"]


def test_optional_inputs_that_do_not_exist_are_left_out() -> None:
    node = helper.make_node("Clip", ["x", "low", "nowhere"], ["y"])
    proto = repaired(model([node], weights={"low": np.array(0, np.float32)}), "drop-dangling-inputs")
    assert list(proto.graph.node[0].input) == ["x", "low"]


def test_sparse_weights_are_written_out() -> None:
    def sparse(proto: onnx.ModelProto) -> None:
        values = numpy_helper.from_array(np.array([2, 3], np.float32), "w")
        indices = numpy_helper.from_array(np.array([[0, 1], [3, 0]], np.int64), "i")
        proto.graph.sparse_initializer.append(helper.make_sparse_tensor(values, indices, [4, 2]))

    opened = model([helper.make_node("MatMul", ["x", "w"], ["y"])], edit=sparse)
    proto = repaired(opened, "dense-initializers")
    dense = np.zeros((4, 2), np.float32)
    dense[0, 1], dense[3, 0] = 2, 3
    assert np.array_equal(ran(proto, {"x": X})[0], X @ dense)
    assert built(proto, {"x": [[1, 4], [2, 4], [4, 4]]}).verdict == "ok"


def test_false_declarations_are_replaced_by_what_is_computed() -> None:
    def false(proto: onnx.ModelProto) -> None:
        proto.graph.output[0].CopyFrom(helper.make_tensor_value_info("y", TensorProto.FLOAT, (7, 7)))
        proto.graph.value_info.append(helper.make_tensor_value_info("a", TensorProto.FLOAT, (1, 2, 3)))

    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["y"])]
    proto = repaired(model(nodes, edit=false), "drop-false-shapes")
    assert [dim.dim_param or dim.dim_value for dim in proto.graph.output[0].type.tensor_type.shape.dim] == ["n", 4]


def test_an_input_that_is_an_output_is_separated() -> None:
    opened = model([helper.make_node("Relu", ["x"], ["y"])], outputs=("y", "x"))
    proto = repaired(opened, "separate-output")
    assert [value.name for value in proto.graph.output] == ["y", "x_output"]
    assert np.array_equal(ran(proto, {"x": X})[1], X)


def test_a_graph_without_outputs_gives_what_nothing_reads() -> None:
    nodes = [helper.make_node("Relu", ["x"], ["a"]), helper.make_node("Neg", ["a"], ["b"])]
    proto = repaired(model(nodes, outputs=()), "declare-outputs")
    assert [value.name for value in proto.graph.output] == ["b"]
    assert np.array_equal(ran(proto, {"x": X})[0], -np.maximum(X, 0))


@pytest.mark.parametrize("name", ["?", "size"])
def test_sizes_that_share_a_placeholder_get_names_of_their_own(name: str) -> None:
    model = model_of("g (float[a,3,b,c] x, float[m,4] z) => (float[a,3,b,c] y, float[m,4] w) { y = Abs(x) w = Neg(z) }")
    for value in (model.proto.graph.input[0], model.proto.graph.output[0]):
        for axis in (0, 2, 3):
            value.type.tensor_type.shape.dim[axis].dim_param = name
    shapes: Shapes = {"x": [(1, 3, 48, 192), (2, 3, 48, 192), (6, 3, 48, 320)], "z": [(1, 4), (2, 4), (2, 4)]}
    assert built(model.proto, shapes).verdict != "ok"
    after = REWRITES["separate-symbols"].run(from_proto(model.proto, model.path), [])
    assert built(after, shapes) == Answer("ok", "")
    assert [dim.dim_param for dim in after.graph.input[0].type.tensor_type.shape.dim] == ["x_0", "", "x_2", "x_3"]
    assert after.graph.input[1].type.tensor_type.shape.dim[0].dim_param == "m"
    recipe = Recipe(source=Source("m"), profile=Profile({"x[0]": Range(1, 2, 6), "x[2]": Range(48, 48, 48)}))
    (found,) = (one for one in judged(from_proto(model.proto, model.path), recipe).errors)
    assert (found.kind, KINDS[found.kind].rewrites) == ("profile/same-symbol", ("separate-symbols",))


def test_a_name_that_two_inputs_share_is_kept() -> None:
    model = model_of("g (float[n,4] x, float[n,4] z) => (float[n,4] y) { y = Add(x, z) }")
    with pytest.raises(CannotRewrite):
        REWRITES["separate-symbols"].run(model, [])
