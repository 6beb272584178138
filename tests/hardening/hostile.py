"""Small hostile models, each with what it is about."""

from __future__ import annotations

import itertools

import onnx
from onnx import TensorProto, helper


def value(name: str, dims: list[int | str] | None, kind: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    """A declared input or output."""
    return helper.make_tensor_value_info(name, kind, dims)


def model(nodes: list[onnx.NodeProto], output: str, dims: list[int | str], **more: object) -> onnx.ModelProto:
    """A model of these nodes with the one input x."""
    graph = helper.make_graph(nodes, "g", [value("x", dims)], [value(output, None)])
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("d", 1)]
    return helper.make_model(graph, opset_imports=opsets, ir_version=9, **more)


def calling(count: int, times: int) -> onnx.ModelProto:
    """`count` functions, each of which calls the next one `times` times."""
    opsets = [helper.make_opsetid("", 20), helper.make_opsetid("d", 1)]
    functions = []
    for number in range(count):
        nodes = [helper.make_node("Relu", ["x"], ["y"])]
        if number < count - 1:
            names = ["x", *(f"t{step}" for step in range(times - 1)), "y"]
            nodes = [
                helper.make_node(f"f{number + 1}", [before], [after], domain="d")
                for before, after in itertools.pairwise(names)
            ]
        functions.append(helper.make_function("d", f"f{number}", ["x"], ["y"], nodes, opsets))
    return model([helper.make_node("f0", ["x"], ["y"], domain="d")], "y", ["N", 4], functions=functions)


def crashing() -> onnx.ModelProto:
    """onnx's shape inference ends with SIGSEGV on an input that nothing defines."""
    return model([helper.make_node("RegexFullMatch", ["nowhere"], ["y"], pattern="a")], "y", ["N", 4])


def doubling(times: int) -> onnx.ModelProto:
    """A shape whose number of elements doubles with every node; onnx computes it."""
    one = helper.make_tensor("c", TensorProto.INT64, [1], [1])
    nodes, name = [helper.make_node("Constant", [], ["c"], value=one)], "c"
    for step in range(times):
        nodes.append(helper.make_node("Concat", [name, name], [f"c{step}"], axis=0))
        name = f"c{step}"
    nodes.append(helper.make_node("Expand", ["x", name], ["y"]))
    return model(nodes, "y", ["N", 1])
