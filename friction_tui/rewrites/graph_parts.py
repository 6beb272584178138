"""Parts of a graph, and edits of a whole one: bodies, unused parts, local functions, without loading the weights."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence

import onnx
from onnx import TensorProto

from friction_tui.model import onnx_native
from friction_tui.model.file.external import element_bits
from friction_tui.model.graph import body_attributes
from friction_tui.model.light_copy import light_copy
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite

_SMALL = 1024
"""Bytes up to which a tensor keeps its values while a library rewrites the graph around it."""


def graphs_of(graph: onnx.GraphProto) -> Iterator[onnx.GraphProto]:
    """The graph and every body in it."""
    pending = [graph]
    while pending:
        current = pending.pop()
        yield current
        for node in current.node:
            pending.extend(body for _, body in body_attributes(node))


def graph_at(proto: onnx.ModelProto, prefix: str) -> onnx.GraphProto:
    """The graph at a path prefix such as `12.then_branch`, "" for the main graph."""
    graph, parts = proto.graph, prefix.split(".") if prefix else []
    for index, name in zip(parts[::2], parts[1::2], strict=True):
        graph = dict(body_attributes(graph.node[int(index)]))[name]
    return graph


def forget_shapes(proto: onnx.ModelProto) -> None:
    """Drop recorded shapes of inner tensors, which an edit may have made wrong."""
    for graph in graphs_of(proto.graph):
        del graph.value_info[:]


def remove_unused(proto: onnx.ModelProto) -> None:
    """Drop nodes of the main graph that nothing reads, then initializers that nothing reads."""
    graph = proto.graph
    while True:
        read = _read_names(graph)
        dead = [i for i, node in enumerate(graph.node) if not any(name in read for name in node.output if name)]
        if not dead:
            break
        for i in reversed(dead):
            del graph.node[i]
    for i in reversed(range(len(graph.initializer))):
        if graph.initializer[i].name not in read:
            del graph.initializer[i]


def _read_names(graph: onnx.GraphProto) -> set[str]:
    return {name for each in graphs_of(graph) for node in each.node for name in node.input} | {
        value.name for each in graphs_of(graph) for value in each.output
    }


def inline_functions(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Every local function put in place of its calls. Raises CannotRewrite where the model has none."""
    del paths
    if not model.proto.functions:
        raise CannotRewrite("the model has no local functions")
    return without_weights(model, onnx_native.inline_local_functions, "inlining")


def without_weights(
    model: OpenedModel, edit: Callable[[onnx.ModelProto], onnx.ModelProto], what: str
) -> onnx.ModelProto:
    """A copy of the model edited by a library that is not shown the large weights, which are put back afterwards.

    Raises CannotRewrite, naming `what`, for whatever the library raises.
    """
    kept: dict[str, TensorProto] = {}

    def reference(tensor: TensorProto) -> TensorProto:
        external = tensor.data_location == TensorProto.EXTERNAL
        size = element_bits(tensor.data_type) * _elements(tensor) // 8
        if not tensor.name or (not external and size <= _SMALL):
            return tensor
        kept[tensor.name] = tensor
        outside = TensorProto(name=tensor.name, data_type=tensor.data_type, dims=tensor.dims)
        outside.data_location = TensorProto.EXTERNAL
        outside.external_data.add(key="location", value="kept")
        return outside

    light = light_copy(model.proto, reference)
    try:
        edited = edit(light)
    except CannotRewrite:
        raise
    except Exception as error:
        # Libraries raise errors of every type for graphs they do not expect; the model is left as it was.
        first = (str(error).strip() or type(error).__name__).splitlines()[0]
        raise CannotRewrite(f"{what} does not take the model: {first}") from None
    for graph in graphs_of(edited.graph):
        for tensor in graph.initializer:
            if tensor.name in kept and tensor.data_location == TensorProto.EXTERNAL:
                tensor.CopyFrom(kept[tensor.name])
    forget_shapes(edited)
    remove_unused(edited)
    return edited


def _elements(tensor: TensorProto) -> int:
    count = 1
    for size in tensor.dims:
        count *= size
    return count
