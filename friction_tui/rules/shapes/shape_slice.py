"""The part of a model that decides the shapes of a few nodes, so that asking about them often stays cheap."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from friction_tui.model.constants import element_count
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.inference import KEPT_ELEMENTS

_WORTH_CUTTING = 500
"""Nodes below which a model is asked as a whole."""


@dataclass(frozen=True, slots=True)
class Slice:
    """A model cut down to some nodes and all before them. `paths` maps their paths here to those in the whole model."""

    model: OpenedModel
    paths: dict[str, str]


def slice_before(model: OpenedModel, nodes: Iterable[Node]) -> Slice:
    """What `nodes` depend on, they included. Tensors keep their names, weights their types but not their values."""
    index = model.index
    if len(index.nodes) < _WORTH_CUTTING:
        return Slice(model, {})
    kept: set[int] = set()
    names: set[str] = set()
    pending = [index.by_path[node.path.partition(".")[0]] for node in nodes if not node.path.startswith("@")]
    while pending:
        node = pending.pop()
        if node.index in kept:
            continue
        kept.add(node.index)
        for name in index.reads(node):
            names.add(name)
            if name in index.producer:
                pending.append(index.producer[name])
    order = sorted(kept)
    proto = onnx.ModelProto(ir_version=model.proto.ir_version)
    proto.opset_import.extend(model.proto.opset_import)
    proto.functions.extend(model.proto.functions)
    proto.graph.name = model.proto.graph.name
    proto.graph.input.extend(model.proto.graph.input)
    proto.graph.node.extend(model.proto.graph.node[number] for number in order)
    for name in names & index.initializers.keys():
        _add_initializer(proto.graph, index.initializers[name])
    return Slice(from_proto(proto, model.path), {str(new): str(old) for new, old in enumerate(order)})


def _add_initializer(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    if element_count(tensor) <= KEPT_ELEMENTS:
        graph.initializer.append(tensor)
        return
    # Only its type and dims matter; a value kept elsewhere is one that nobody reads.
    graph.initializer.add(
        name=tensor.name, dims=tensor.dims, data_type=tensor.data_type, data_location=TensorProto.EXTERNAL
    )
