"""A model made ready for following shapes through it again and again: everything that no input size changes."""

from __future__ import annotations

from collections import OrderedDict
from collections.abc import Mapping
from dataclasses import dataclass, field
from threading import Lock
from typing import Any
from weakref import WeakKeyDictionary, ref

import numpy as np
import onnx
from onnx import AttributeProto

from friction_tui.model.constants import constant_of, element_count, tensor_value
from friction_tui.model.graph import Graph, Node, initializers_of
from friction_tui.model.names import declared_dim, dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.inference import (
    KEPT_ELEMENTS,
    NodeInference,
    Unanswered,
    bare_copy,
    opsets_of,
    schema_of,
)
from friction_tui.model.shapes.layer_checks import LAYER_CHECKS
from friction_tui.model.shapes.shape_checks import CHECKS, Check
from friction_tui.model.shapes.shape_rules import OUTPUT_RULES, OutputRule
from friction_tui.model.shapes.shape_values import RULES
from friction_tui.model.shapes.tensors import Array, PointShapes, TensorType, type_of

ALL_CHECKS: Mapping[str, Check] = {**CHECKS, **LAYER_CHECKS}
FOLLOWED = frozenset((*RULES, "Shape", "Size"))

_KEPT_FLOATS = 64
"""Float constants up to this size keep their value: Resize scales and Range limits, not biases."""
_REMEMBERED_NODES = 200_000
"""Points are remembered up to this many nodes altogether, about 40 MB."""

PointKey = tuple[tuple[tuple[str, tuple[int, ...]], ...], tuple[tuple[str, tuple[int, ...]], ...]]


@dataclass(slots=True)
class NodeStep:
    """One node on the way: its tensors, its attributes in Python's types, and where its bodies are."""

    path: str
    op: str
    """`Reshape`; with its domain, `com.microsoft.Gelu`, when that is not the default one."""
    node: onnx.NodeProto
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, Any]
    bodies: tuple[str, ...]
    captured: tuple[str, ...]
    function: str | None
    check: Check | None
    """The rule for its sizes, None for an operator without one."""
    rule: OutputRule | None
    """Our own inference of its outputs, where onnx has none or a wrong one."""
    followed: bool
    """Whether its output values can be computed from its inputs' values."""
    canonical: int = -1
    """Number under which `NodeInference` knows this operator with these attributes; -1 until asked."""


@dataclass(slots=True)
class Block:
    """The steps of one graph, and the types and values that are the same for every input."""

    steps: list[NodeStep]
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    types: dict[str, TensorType]
    values: dict[str, Array]
    prefix: str
    """The path prefix of the graph."""


@dataclass(slots=True)
class Prepared:
    """What is kept with a model as long as it is referenced. `points` are the latest results, oldest first."""

    of: ref[OpenedModel]
    opsets: dict[str, int]
    bare: onnx.ModelProto
    nodes: NodeInference
    recorded: dict[str, onnx.ValueInfoProto]
    """What the model says of outputs of main graph nodes whose operator is not known here."""
    unanswered: Unanswered
    blocks: dict[tuple[str, bytes], Block] = field(default_factory=dict)
    points: OrderedDict[PointKey, PointShapes] = field(default_factory=OrderedDict)
    lock: Lock = field(default_factory=Lock)
    """Held while a point is followed: `bare` is filled in anew for each."""

    @property
    def model(self) -> OpenedModel:
        """The model. The caller who asks about its shapes keeps it alive."""
        model = self.of()
        assert model is not None
        return model

    def block(self, prefix: str, call: onnx.NodeProto | None = None) -> Block:
        """The steps of the graph at `prefix`. `call` is the node that calls it when it is a function."""
        given = {attribute.name: attribute for attribute in call.attribute} if call is not None else {}
        key = (prefix, b"".join(given[name].SerializeToString() for name in sorted(given)))
        if key not in self.blocks:
            self.blocks[key] = _block(self.model, prefix, given)
        return self.blocks[key]

    def remember(self, key: PointKey, point: PointShapes) -> None:
        """Keep a result; let the oldest go when there are too many."""
        self.points[key] = point
        while len(self.points) > max(4, _REMEMBERED_NODES // (len(self.model.index.nodes) + 1)):
            self.points.popitem(last=False)


_PREPARED: WeakKeyDictionary[OpenedModel, Prepared] = WeakKeyDictionary()
_PREPARING = Lock()


def prepared(model: OpenedModel) -> Prepared:
    """The model made ready, once for as long as it lives."""
    with _PREPARING:
        if model not in _PREPARED:
            opsets = opsets_of(model)
            recorded = _recorded(model, opsets)
            unanswered = Unanswered()
            nodes = NodeInference(opsets, unanswered)
            _PREPARED[model] = Prepared(ref(model), opsets, bare_copy(model), nodes, recorded, unanswered)
        return _PREPARED[model]


def not_inferred(model: OpenedModel) -> tuple[str, ...]:
    """What of the model's shapes was given up so far, and why; () for nothing."""
    ready = _PREPARED.get(model)
    return tuple(ready.unanswered.whys) if ready is not None else ()


def _recorded(model: OpenedModel, opsets: Mapping[str, int]) -> dict[str, onnx.ValueInfoProto]:
    graph = model.proto.graph
    if not graph.value_info and not graph.output:
        return {}
    known: dict[tuple[str, str], bool] = {}
    outputs: set[str] = set()
    for node in model.index.main:
        operator = (node.proto.domain, node.proto.op_type)
        if operator not in known:
            exists = schema_of(node.proto, opsets) is not None
            known[operator] = exists or model.index.function_of(node.proto) is not None
        if not known[operator]:
            outputs.update(name for name in node.outputs if name)
    if not outputs:
        return {}
    return {value.name: value for value in (*graph.value_info, *graph.output) if value.name in outputs}


def _block(model: OpenedModel, prefix: str, given: dict[str, AttributeProto]) -> Block:
    index = model.index
    graph = index.graphs[prefix]
    nodes = index.nodes_in[prefix]
    types, values = _stored(graph)
    steps = []
    for number in index.sorted_in(prefix):
        node = nodes[number]
        if node.proto.op_type == "Constant" and not node.proto.input:
            _add_constant(_with_arguments(node.proto, given), types, values)
        else:
            steps.append(_step(model, node, given))
    names = [value if isinstance(value, str) else value.name for value in graph.input]
    outputs = tuple(value if isinstance(value, str) else value.name for value in graph.output)
    return Block(steps, tuple(names), outputs, types, values, prefix)


def _step(model: OpenedModel, node: Node, given: dict[str, AttributeProto]) -> NodeStep:
    proto = _with_arguments(node.proto, given)
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    op = f"{domain}.{proto.op_type}" if domain else proto.op_type
    attributes = {attribute.name: plain(attribute) for attribute in proto.attribute} if proto.attribute else {}
    if proto.op_type == "Split":
        attributes["#outputs"] = len(proto.output)  # the rules see inputs only, and Split's result depends on this
    return NodeStep(
        path=node.path,
        op=op,
        node=proto,
        inputs=node.inputs,
        outputs=node.outputs,
        attributes=attributes,
        bodies=tuple(model.index.bodies_of(node.path)),
        captured=model.index.captured.get(node.path, ()),
        function=model.index.function_of(proto),
        check=ALL_CHECKS.get(op),
        rule=OUTPUT_RULES.get(op),
        followed=op in FOLLOWED,
    )


def _with_arguments(proto: onnx.NodeProto, given: dict[str, AttributeProto]) -> onnx.NodeProto:
    """The node; one of a function with the attributes it takes from the call filled in."""
    if not any(attribute.ref_attr_name for attribute in proto.attribute):
        return proto
    filled = onnx.NodeProto()
    filled.CopyFrom(proto)
    del filled.attribute[:]
    for attribute in proto.attribute:
        argument = given.get(attribute.ref_attr_name) if attribute.ref_attr_name else attribute
        if argument is not None:
            added = filled.attribute.add()
            added.CopyFrom(argument)
            added.name = attribute.name
    return filled


def plain(attribute: AttributeProto) -> Any:
    """An attribute's value in Python's types; None for graphs, types and tensors that are large."""
    kind = attribute.type
    if kind == AttributeProto.INT:
        return attribute.i
    if kind == AttributeProto.INTS:
        return list(attribute.ints)
    if kind == AttributeProto.STRING:
        return attribute.s.decode("utf-8", "replace")
    if kind == AttributeProto.FLOAT:
        return attribute.f
    if kind == AttributeProto.FLOATS:
        return list(attribute.floats)
    if kind == AttributeProto.STRINGS:
        return [text.decode("utf-8", "replace") for text in attribute.strings]
    if kind == AttributeProto.TENSOR:
        return tensor_value(attribute.t, KEPT_ELEMENTS)
    return None


def _stored(graph: Graph) -> tuple[dict[str, TensorType], dict[str, Array]]:
    """Types of a graph's initializers, and the values of the small ones."""
    types: dict[str, TensorType] = {}
    values: dict[str, Array] = {}
    for name, tensor in initializers_of(graph).items():
        types[name] = TensorType(dtype_name(tensor.data_type), tuple(max(dim, 0) for dim in tensor.dims))
        if element_count(tensor) <= KEPT_ELEMENTS:
            _keep(values, name, tensor_value(tensor, KEPT_ELEMENTS))
    if isinstance(graph, onnx.GraphProto):
        for sparse in graph.sparse_initializer:
            values.pop(sparse.values.name, None)  # its values are not the tensor
            dtype = dtype_name(sparse.values.data_type)
            types[sparse.values.name] = TensorType(dtype, tuple(max(dim, 0) for dim in sparse.dims))
    return types, values


def _add_constant(node: onnx.NodeProto, types: dict[str, TensorType], values: dict[str, Array]) -> None:
    if not node.output:
        return
    name = node.output[0]
    for attribute in node.attribute:
        if attribute.name == "value":
            dims = tuple(max(dim, 0) for dim in attribute.t.dims)
            types.setdefault(name, TensorType(dtype_name(attribute.t.data_type), dims))
            if element_count(attribute.t) <= KEPT_ELEMENTS:
                _keep(values, name, tensor_value(attribute.t, KEPT_ELEMENTS))
        elif attribute.name == "sparse_value":
            sparse = attribute.sparse_tensor
            types[name] = TensorType(dtype_name(sparse.values.data_type), tuple(max(dim, 0) for dim in sparse.dims))
        else:
            value = constant_of(node, KEPT_ELEMENTS)
            if value is not None:
                types[name] = type_of(value)
                _keep(values, name, value)


def _keep(values: dict[str, Array], name: str, value: Array | None) -> None:
    if value is not None and (value.dtype.kind in "iub" or (value.size <= _KEPT_FLOATS and value.dtype != np.object_)):
        values[name] = value


def declared_type(value: onnx.ValueInfoProto) -> TensorType:
    """A graph input's or output's declared type; a symbolic dimension is an unknown one."""
    tensor = value.type.tensor_type
    if value.type.WhichOneof("value") != "tensor_type":
        return TensorType("", None)
    if not tensor.HasField("shape"):
        return TensorType(dtype_name(tensor.elem_type), None)
    return TensorType(dtype_name(tensor.elem_type), tuple(declared_dim(dim).size for dim in tensor.shape.dim))
