"""onnx's own shape inference, in C++: over a whole graph without its weights, and over one node."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import onnx
import onnx.onnx_cpp2py_export.shape_inference as onnx_cpp
from onnx import TensorProto, numpy_helper

from friction_tui.model.constants import element_count, tensor_value
from friction_tui.model.graph import body_attributes
from friction_tui.model.opened import OpenedModel
from friction_tui.model.tensors import UNKNOWN, TensorType, tensor_type, type_proto

KEPT_ELEMENTS = 1024
"""Constants up to this size keep their value for inference: shapes, axes, indices, scales."""


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
    graph.name = source.graph.name or "main"
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
        table = {ir: opset for _, ir, opset, *_ in onnx.helper.VERSION_TABLE}
        opsets[""] = table.get(model.proto.ir_version, onnx.defs.onnx_opset_version())
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


def infer_graph(bare: onnx.ModelProto, inputs: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """Types of the main graph's tensors for `inputs`, as far as onnx infers them; {} when it gives up."""
    for value in bare.graph.input:
        if value.name in inputs:
            value.type.CopyFrom(type_proto(inputs[value.name]))
    try:
        inferred = onnx.ModelProto.FromString(onnx_cpp.infer_shapes(bare.SerializeToString(), False, False, True))
    except (onnx.shape_inference.InferenceError, RuntimeError, ValueError, IndexError, TypeError):
        return {}  # it gave up over the whole graph; node by node goes on
    types = {value.name: tensor_type(value.type) for value in inferred.graph.value_info}
    types.update((value.name, tensor_type(value.type)) for value in inferred.graph.output)
    return types


def infer_node(
    node: onnx.NodeProto,
    types: Mapping[str, TensorType],
    values: Mapping[str, np.ndarray],
    opsets: Mapping[str, int],
) -> dict[str, TensorType] | str:
    """Output types of one node, or the message with which strict inference refuses it. {} for an unknown operator."""
    try:
        schema = onnx.defs.get_schema(node.op_type, opsets.get(node.domain, 1), node.domain)
    except onnx.defs.SchemaError:
        return {}
    names = [name for name in node.input if name]
    data: dict[str, TensorProto] = {name: numpy_helper.from_array(values[name]) for name in names if name in values}
    imports = [onnx.helper.make_opsetid(domain, version) for domain, version in opsets.items()]
    try:
        outputs = onnx.shape_inference.infer_node_outputs(
            schema, node, {name: type_proto(types.get(name, UNKNOWN)) for name in names}, data, opset_imports=imports
        )
    except (onnx.shape_inference.InferenceError, onnx.checker.ValidationError, RuntimeError, ValueError) as error:
        return str(error)
    return {name: tensor_type(proto) for name, proto in outputs.items()}
