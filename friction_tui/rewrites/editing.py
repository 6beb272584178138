"""Small edits of a graph that several rewrites share. They change the proto they are given: a copy."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
import onnx
from onnx import helper, numpy_helper

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite


def copy_of(model: OpenedModel) -> onnx.ModelProto:
    """A model to edit; the opened one stays as it is."""
    proto = onnx.ModelProto()
    proto.CopyFrom(model.proto)
    return proto


def chosen(model: OpenedModel, paths: Iterable[str], *ops: str) -> list[Node]:
    """The main graph's nodes at `paths`, which must be one of `ops`. Raises CannotRewrite naming what is not."""
    nodes: list[Node] = []
    for path in paths:
        node = model.index.by_path.get(path)
        if node is None or node.graph:
            raise CannotRewrite(f"node {path} is not in the main graph any more")
        if ops and node.proto.op_type not in ops:
            raise CannotRewrite(f"{node.name} is {node.proto.op_type}, not {' or '.join(ops)}")
        nodes.append(node)
    if not nodes:
        raise CannotRewrite("no node was named")
    return nodes


def fresh_name(proto: onnx.ModelProto, wish: str) -> str:
    """A tensor name nobody uses yet."""
    used = {name for node in proto.graph.node for name in (*node.input, *node.output)}
    used |= {tensor.name for tensor in proto.graph.initializer} | {value.name for value in proto.graph.input}
    name, number = wish, 1
    while name in used:
        number += 1
        name = f"{wish}_{number}"
    return name


def add_constant(proto: onnx.ModelProto, wish: str, value: np.ndarray) -> str:
    """Add an initializer; returns its name."""
    name = fresh_name(proto, wish)
    proto.graph.initializer.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
    return name


def replace_tensor(graph: onnx.GraphProto, old: str, new: str) -> None:
    """Let everything that reads `old`, bodies included, read `new`; graph outputs keep their names."""
    pending = [graph]
    while pending:
        current = pending.pop()
        for node in current.node:
            for i, name in enumerate(node.input):
                if name == old:
                    node.input[i] = new
            pending.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
            pending.extend(body for attribute in node.attribute for body in attribute.graphs)


def bypass(proto: onnx.ModelProto, index: int) -> None:
    """Take out a node that hands its first input through; a graph output it wrote is written by an Identity."""
    node = proto.graph.node[index]
    source, result = node.input[0], node.output[0]
    if any(output.name == result for output in proto.graph.output):
        identity = helper.make_node("Identity", [source], [result], name=node.name)
        proto.graph.node[index].CopyFrom(identity)
        return
    del proto.graph.node[index]
    replace_tensor(proto.graph, result, source)


def forget_shapes(proto: onnx.ModelProto) -> None:
    """Drop recorded shapes that an edit may have made wrong, the main graph's outputs included (their rank stays)."""
    del proto.graph.value_info[:]
    for output in proto.graph.output:
        for i, dim in enumerate(output.type.tensor_type.shape.dim):
            if dim.HasField("dim_value"):
                dim.dim_param = f"{output.name}_{i}"
