"""The body of an If, Loop, Scan or SequenceMap put among the nodes around it."""

from __future__ import annotations

from collections.abc import Mapping

import onnx

from friction_tui.model.graph import body_attributes
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.graph_editor import GraphEditor
from friction_tui.rewrites.known_values import KnownValues


def body_of(node: onnx.NodeProto, name: str) -> onnx.GraphProto:
    """A body by the name of its attribute. Raises CannotRewrite where the node has none."""
    for attribute, graph in body_attributes(node):
        if attribute == name:
            return graph
    raise CannotRewrite(f"{node.name or node.op_type} has no {name}")


def body_constants(graph: GraphEditor, body: onnx.GraphProto) -> dict[str, str]:
    """Copies of the body's initializers among the model's; gives their names there by their names in the body."""
    if body.sparse_initializer:
        raise CannotRewrite("a body holds sparse initializers; make these dense first")
    moved = {}
    for tensor in body.initializer:
        copied = graph.proto.graph.initializer.add()
        copied.CopyFrom(tensor)
        copied.name = moved[tensor.name] = graph.fresh(tensor.name)
    return moved


def put_in(
    graph: GraphEditor,
    body: onnx.GraphProto,
    bound: Mapping[str, str],
    scope: str,
    values: KnownValues | None = None,
) -> list[str]:
    """Add the body's nodes, named below `scope`; gives the names of the body's outputs.

    `bound`: what the body's inputs and initializers are called outside. A tensor that `values` knows becomes a
    constant. Names of the surrounding graph stay as they are.
    """
    names = dict(bound)
    for inner in body.node:
        if values is not None and len(inner.output) == 1 and not body_attributes(inner):
            value = values.of(inner.output[0])
            if value is not None:
                names[inner.output[0]] = graph.const(value, value.dtype, name=f"{scope}/{inner.output[0]}")
                continue
        copied = onnx.NodeProto()
        copied.CopyFrom(inner)
        copied.name = graph.fresh(f"{scope}/{inner.name or inner.op_type}")
        rename(copied, names)
        for i, name in enumerate(inner.output):
            if name:
                names[name] = copied.output[i] = graph.fresh(f"{scope}/{name}")
        graph.put(copied)
    return [names.get(value.name, value.name) for value in body.output]


def rename(node: onnx.NodeProto, names: Mapping[str, str]) -> None:
    """Let a node, its bodies included, read tensors by their new names. What a body calls the same stays its own."""
    for i, name in enumerate(node.input):
        node.input[i] = names.get(name, name)
    for _, body in body_attributes(node):
        own = {value.name for value in body.input} | {tensor.name for tensor in body.initializer}
        own |= {name for inner in body.node for name in inner.output}
        outer = {old: new for old, new in names.items() if old not in own}
        for inner in body.node:
            rename(inner, outer)
        for value in body.output:
            value.name = outer.get(value.name, value.name)
