"""onnx's own shape inference, in C++: over a whole graph without its weights, and over one node.

It runs in a process that can be ended (`onnx_native`). What it did not answer there is not inferred, and `Unanswered`
keeps why.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto, numpy_helper

from friction_tui.model import onnx_native
from friction_tui.model.constants import element_count, tensor_value
from friction_tui.model.graph import body_attributes
from friction_tui.model.onnx_native import NativeRefused, NotAnswered
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.tensors import UNKNOWN, Array, TensorType, tensor_type, type_proto
from friction_tui.model.versions import newest_opset_of_ir

Question = tuple[int, tuple[TensorType, ...], tuple[tuple[str, tuple[int, ...], bytes] | None, ...]]
KEPT_ELEMENTS = 1024
"""Constants up to this size keep their value for inference: shapes, axes, indices, scales."""


ATTEMPTS = 2
"""Questions about one model that may stay without an answer; after them no more are asked."""
_LEFT_OUT = [False]


def leave_out_native(on: bool) -> None:
    """Whether this process infers nothing with onnx's native code, which can crash: see `Open.careful`."""
    _LEFT_OUT[:] = [on]


def native_left_out() -> bool:
    """Whether `leave_out_native` is in force."""
    return _LEFT_OUT[0]


@dataclass(slots=True)
class Unanswered:
    """What onnx did not infer of one model because its process died or took too long: `Clip: was killed by SIGSEGV`."""

    whys: list[str] = field(default_factory=list)
    attempts: int = 0

    @property
    def enough(self) -> bool:
        """Whether onnx is to be asked nothing more about this model."""
        return native_left_out() or self.attempts >= ATTEMPTS

    def add(self, what: str, why: object, attempts: int = 1) -> None:
        """Keep that onnx did not infer `what`."""
        self.attempts += attempts
        self.keep(f"{what}: onnx's shape inference {why}")

    def keep(self, why: str) -> None:
        """Keep why something is not inferred."""
        if why not in self.whys:
            self.whys.append(why)


def bare_copy(model: OpenedModel) -> onnx.ModelProto:
    """The model as inference needs it: no large weights, no metadata, no recorded shapes but the inputs'.

    A large initializer becomes an input of its type, so its dims count and its data need not be there. Recorded
    shapes are left out because exporters and editing tools leave stale ones behind.
    """
    source = model.proto
    bare = onnx.ModelProto(ir_version=max(source.ir_version, 4))
    for domain, version in opsets_of(model).items():
        bare.opset_import.add(domain=domain, version=version)
    bare.functions.extend(source.functions)
    graph = bare.graph
    graph.name = "main"
    graph.input.extend(model.index.inputs)
    graph.output.extend(onnx.ValueInfoProto(name=value.name) for value in source.graph.output)
    for tensor in source.graph.initializer:
        _add_initializer(graph, tensor)
    for sparse in source.graph.sparse_initializer:
        dims = [max(dim, 0) for dim in sparse.dims]
        _add_input(graph, sparse.values.name, sparse.values.data_type, dims)
    for node in source.graph.node:
        _add_node(graph, node)
    return bare


def opsets_of(model: OpenedModel) -> dict[str, int]:
    """The opsets the model imports. A model that lost its imports gets the newest its IR version allows."""
    opsets = dict(model.index.opsets)
    if "" not in opsets:
        opsets[""] = newest_opset_of_ir(model.proto.ir_version)
    return opsets


def _add_initializer(graph: onnx.GraphProto, tensor: onnx.TensorProto) -> None:
    if element_count(tensor) <= KEPT_ELEMENTS and tensor_value(tensor, KEPT_ELEMENTS) is not None:
        graph.initializer.append(tensor)
    else:
        _add_input(graph, tensor.name, tensor.data_type, [max(dim, 0) for dim in tensor.dims])


def _add_input(graph: onnx.GraphProto, name: str, data_type: int, dims: Sequence[int]) -> None:
    value = graph.input.add(name=name)
    value.type.tensor_type.elem_type = data_type
    value.type.tensor_type.shape.SetInParent()
    for dim in dims:
        value.type.tensor_type.shape.dim.add(dim_value=dim)


def _add_node(graph: onnx.GraphProto, node: onnx.NodeProto) -> None:
    """Add a node without metadata; a large Constant becomes an input like a large initializer."""
    if node.op_type == "Constant" and len(node.output) == 1:
        for attribute in node.attribute:
            if attribute.name == "value" and element_count(attribute.t) > KEPT_ELEMENTS:
                dims = [max(dim, 0) for dim in attribute.t.dims]
                _add_input(graph, node.output[0], attribute.t.data_type, dims)
                return
    added = graph.node.add(op_type=node.op_type, domain=node.domain, name=node.name, overload=node.overload)
    added.input.extend(node.input)
    added.output.extend(node.output)
    added.attribute.extend(node.attribute)
    for _, body in body_attributes(added):
        _strip_body(body)


def _strip_body(graph: onnx.GraphProto) -> None:
    """Drop the recorded shapes of a body and the bodies in it. Weights in bodies are small, they stay."""
    pending = [graph]
    while pending:
        graph = pending.pop()
        del graph.value_info[:]
        for node in graph.node:
            del node.metadata_props[:]
            pending.extend(body for _, body in body_attributes(node))


def infer_graph(
    bare: onnx.ModelProto, inputs: Mapping[str, TensorType], unanswered: Unanswered
) -> dict[str, TensorType]:
    """Types of the main graph's tensors for `inputs`, as far as onnx infers them; {} when it gives up."""
    if unanswered.enough:
        return {}
    for value in bare.graph.input:
        if value.name in inputs:
            value.type.CopyFrom(type_proto(inputs[value.name]))
    try:
        inferred = onnx_native.infer_shapes(bare, data_prop=True)
    except NativeRefused:
        return {}  # it gave up over the whole graph; node by node goes on
    except NotAnswered as error:
        unanswered.add("the whole graph", error, ATTEMPTS)  # one of its nodes may do the same
        return {}
    types: dict[str, TensorType] = {}
    distinct: dict[bytes, TensorType] = {}  # most tensors of a model share a few types
    for value in (*inferred.graph.value_info, *inferred.graph.output):
        key = value.type.SerializeToString()
        if key not in distinct:
            distinct[key] = tensor_type(value.type)
        types[value.name] = distinct[key]
    return types


def schema_of(node: onnx.NodeProto, opsets: Mapping[str, int]) -> onnx.defs.OpSchema | None:
    """The operator's definition at the model's opset; None for an operator onnx does not know there."""
    domain = "" if node.domain == "ai.onnx" else node.domain
    try:
        return onnx.defs.get_schema(node.op_type, opsets.get(domain, 1), domain)
    except (onnx.defs.SchemaError, TypeError):  # an opset beyond 32 bits is none
        return None


class NodeInference:
    """onnx's strict inference over single nodes.

    Equal questions (operator, attributes, types, constants) are asked of the C++ code once, so a hundred equal
    layers cost one.
    """

    def __init__(self, opsets: Mapping[str, int], unanswered: Unanswered) -> None:
        self._opsets = dict(opsets)
        self._unanswered = unanswered
        self._numbers: dict[bytes, int] = {}
        self._canonical: list[tuple[onnx.NodeProto, onnx.defs.OpSchema | None]] = []
        self._answers: dict[Question, tuple[TensorType, ...] | str] = {}

    def number_of(self, node: onnx.NodeProto) -> int:
        """The number of this operator with these attributes and this pattern of blank inputs and outputs."""
        plain = onnx.NodeProto(op_type=node.op_type, domain=node.domain, overload=node.overload)
        plain.input.extend(f"i{position}" if name else "" for position, name in enumerate(node.input))
        plain.output.extend(f"o{position}" if name else "" for position, name in enumerate(node.output))
        plain.attribute.extend(node.attribute)
        key = plain.SerializeToString(deterministic=True)
        if key not in self._numbers:
            self._numbers[key] = len(self._canonical)
            self._canonical.append((plain, schema_of(node, self._opsets)))
        return self._numbers[key]

    def ask(
        self, number: int, types: Sequence[TensorType], values: Sequence[Array | None]
    ) -> tuple[TensorType, ...] | str:
        """Types of all outputs, UNKNOWN where not inferred; or the reason why the sizes cannot work.

        `types` and `values` are those of the inputs; a blank input has any type and no value. Inputs of wrong
        element types are not this question's concern: they give unknown outputs.
        """
        constants = tuple(
            None if value is None else (value.dtype.str, value.shape, value.tobytes()) for value in values
        )
        question = (number, tuple(types), constants)
        if question not in self._answers:
            self._answers[question] = self._infer(number, types, values)
        return self._answers[question]

    def _infer(
        self, number: int, types: Sequence[TensorType], values: Sequence[Array | None]
    ) -> tuple[TensorType, ...] | str:
        node, schema = self._canonical[number]
        nothing = (UNKNOWN,) * len(node.output)
        if schema is None or self._unanswered.enough:
            return nothing
        named = {name: type_proto(given) for name, given in zip(node.input, types, strict=True) if name}
        data: dict[str, TensorProto] = {
            name: numpy_helper.from_array(value)
            for name, value in zip(node.input, values, strict=True)
            if name and value is not None
        }
        try:
            outputs = onnx_native.infer_node(
                (schema.name, schema.domain, schema.since_version),
                node.SerializeToString(),
                {name: given.SerializeToString() for name, given in named.items()},
                {name: given.SerializeToString() for name, given in data.items()},
                self._opsets,
            )
        except NativeRefused as error:
            text = str(error)
            return text.replace("[ShapeInferenceError] ", "") if "[ShapeInferenceError]" in text else nothing
        except NotAnswered as error:
            self._unanswered.add(node.op_type, error)
            return nothing
        found = {name: tensor_type(onnx.TypeProto.FromString(given)) for name, given in outputs.items()}
        return tuple(found.get(name, UNKNOWN) for name in node.output)
