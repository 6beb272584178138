"""Element types of every tensor, from the operator schemas alone: no shapes, no engine, linear in the nodes.

Only what is certain is kept: types of inputs and stored tensors, and what schemas derive from them. Recorded
value_info is not trusted, since editing tools leave it behind stale.
"""

from __future__ import annotations

from weakref import WeakKeyDictionary

import onnx
from onnx import AttributeProto, TensorProto

from friction_tui.model.graph import Node, initializers_of
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.inference import opsets_of
from friction_tui.rules.structure.operator_schema import schema_of

_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "output_datatype"})
"""Attributes that name the element type of the first output."""
_DEFAULT_TYPES = {
    "ConstantOfShape": TensorProto.FLOAT,
    "RandomNormal": TensorProto.FLOAT,
    "RandomUniform": TensorProto.FLOAT,
    "Multinomial": TensorProto.INT32,
    "BlackmanWindow": TensorProto.FLOAT,
    "HannWindow": TensorProto.FLOAT,
    "HammingWindow": TensorProto.FLOAT,
    "MelWeightMatrix": TensorProto.FLOAT,
    "QuantizeLinear": TensorProto.UINT8,
}
"""First output's type when no attribute and no input names it (ONNX operator docs)."""
_FROM_INPUT = {"CastLike": 1, "QuantizeLinear": 2, "DequantizeLinear": 1, "EyeLike": 0, "Bernoulli": 0, "Identity": 0}
"""First output has the type of this input, where the schema leaves it open, or names more than tensors."""

_remembered: WeakKeyDictionary[OpenedModel, dict[str, dict[str, int]]] = WeakKeyDictionary()


def element_types(model: OpenedModel) -> dict[str, dict[str, int]]:
    """Per graph prefix: tensor name to ONNX element type. Tensors of unknown type are absent.

    A body's dict has its own tensors only; `type_in` also looks outwards.
    """
    if model not in _remembered:
        _remembered[model] = _infer(model)
    return _remembered[model]


def type_in(model: OpenedModel, prefix: str, tensor: str) -> int:
    """The element type of a tensor as seen in the graph at `prefix`; 0 when it is not known."""
    types = element_types(model)
    while True:
        found = types.get(prefix, {}).get(tensor, 0)
        if found or not prefix:
            return found
        owner = model.index.owner_of(prefix)
        if not owner:
            return 0
        prefix = model.index.by_path[owner].graph


def _infer(model: OpenedModel) -> dict[str, dict[str, int]]:
    types: dict[str, dict[str, int]] = {}
    opsets = opsets_of(model)
    for prefix in model.index.graphs:
        if "." not in prefix.rpartition(":")[2] or not prefix:
            _infer_graph(model, prefix, types, opsets, {})
    return types


def _infer_graph(
    model: OpenedModel, prefix: str, types: dict[str, dict[str, int]], opsets: dict[str, int], outer: dict[str, int]
) -> dict[str, int]:
    """Types of one graph, and of the bodies in it. `outer` is what it sees of its surroundings."""
    graph = model.index.graphs[prefix]
    own = types.setdefault(prefix, {})
    if isinstance(graph, onnx.GraphProto):
        for value in graph.input:
            if value.type.tensor_type.elem_type:
                own[value.name] = value.type.tensor_type.elem_type
        for name, tensor in initializers_of(graph).items():
            own[name] = tensor.data_type
    seen = {**outer, **own} if outer else own
    nodes = model.index.nodes_in[prefix]
    for number in model.index.sorted_in(prefix):
        node = nodes[number]
        bodies = model.index.bodies_of(node.path)
        outputs = _of_bodies(model, node, bodies, types, opsets, seen) if bodies else _of_node(node.proto, seen, opsets)
        for name, found in zip(node.proto.output, outputs, strict=False):
            if name and found:
                own[name] = found
                if seen is not own:
                    seen[name] = found
    return seen


def _of_bodies(
    model: OpenedModel,
    node: Node,
    bodies: list[str],
    types: dict[str, dict[str, int]],
    opsets: dict[str, int],
    seen: dict[str, int],
) -> list[int]:
    """Output types of an If, Loop or Scan: what its bodies return."""
    outputs: list[int] = []
    for prefix in bodies:
        graph = model.index.graphs[prefix]
        assert isinstance(graph, onnx.GraphProto)
        inner = dict(seen)
        given = [seen.get(name, 0) for name in node.proto.input]
        if node.proto.op_type == "Loop":
            given = [TensorProto.INT64, TensorProto.BOOL, *given[2:]]
        if node.proto.op_type in ("Loop", "Scan"):
            inner.update({v.name: found for v, found in zip(graph.input, given, strict=False) if found})
        after = _infer_graph(model, prefix, types, opsets, inner)
        found = [after.get(value.name, 0) for value in graph.output]
        returned = found[1:] if node.proto.op_type == "Loop" else found
        outputs = outputs or returned
    return outputs


def _of_node(node: onnx.NodeProto, seen: dict[str, int], opsets: dict[str, int]) -> list[int]:
    """Output types of a node without bodies; 0 for what is not known."""
    op = node.op_type
    domain = "" if node.domain == "ai.onnx" else node.domain
    schema = schema_of(op, domain, opsets.get(domain, 0)) if domain in opsets else None
    if schema is None:
        return []
    first = 0
    if op in ("Constant", "ConstantOfShape") or schema.attributes.keys() & _TYPE_ATTRIBUTES:
        first = _named_type(node)
    if not first and op in _FROM_INPUT and len(node.input) > _FROM_INPUT[op]:
        first = seen.get(node.input[_FROM_INPUT[op]], 0)
    bound: dict[str, int] = {}
    for position, name in enumerate(node.input):
        formal = schema.input_at(position)
        if name and formal and formal.homogeneous and formal.types:
            found = seen.get(name, 0)
            if found and bound.setdefault(formal.variable, found) != found:
                bound[formal.variable] = 0  # the inputs disagree, so the type of the output is not known
    outputs = []
    for position in range(len(node.output)):
        outcome = schema.output_at(position)
        found = 0
        if outcome is not None and outcome.types:
            found = bound.get(outcome.variable, 0)
            if not found and len(outcome.types) == 1:
                (found,) = outcome.types
        if position == 0:
            found = first or found or _DEFAULT_TYPES.get(op, 0)
        outputs.append(found)
    return outputs


def _named_type(node: onnx.NodeProto) -> int:
    """The element type an attribute names: `to`, `dtype`, or that of a constant's value."""
    for attribute in node.attribute:
        if attribute.name in _TYPE_ATTRIBUTES and attribute.type == AttributeProto.INT:
            return int(attribute.i)
        if attribute.name == "value":
            return int(attribute.t.data_type)
        if attribute.name in ("value_int", "value_ints"):
            return TensorProto.INT64
        if attribute.name in ("value_float", "value_floats"):
            return TensorProto.FLOAT
        if attribute.name in ("value_string", "value_strings"):
            return TensorProto.STRING
    return 0
