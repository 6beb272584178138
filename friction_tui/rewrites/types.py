"""Element types TensorRT does not take, cast at the border of the graph."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.editing import chosen, copy_of, forget_shapes

NARROWER: dict[int, int] = {
    TensorProto.DOUBLE: TensorProto.FLOAT,
    TensorProto.INT16: TensorProto.INT32,
    TensorProto.UINT16: TensorProto.INT32,
    TensorProto.UINT32: TensorProto.INT64,
    TensorProto.UINT64: TensorProto.INT64,
    TensorProto.UINT8: TensorProto.INT32,
}
"""An element type TensorRT does not compute with, and the one that takes its place."""


def cast_input(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Compute in float32 (int32, int64) where the model says float64 (uint8, int16, …): inputs, weights, casts.

    The whole chain of that type changes, not only the border: a Cast to float64 in between would bring it back.
    `paths` is not needed; the types decide.
    """
    del paths
    proto = copy_of(model)
    changed = 0
    for value in (*proto.graph.input, *proto.graph.output, *proto.graph.value_info):
        changed += _retype(value)
    changed += _retype_tensors(proto)
    for node in proto.graph.node:
        for attribute in node.attribute:
            if node.op_type == "Cast" and attribute.name == "to" and attribute.i == TensorProto.DOUBLE:
                attribute.i = TensorProto.FLOAT
                changed += 1
            if attribute.name == "value" and attribute.t.data_type == TensorProto.DOUBLE:
                attribute.t.CopyFrom(_narrowed(attribute.t))
                changed += 1
    if not changed:
        raise CannotRewrite("no input or weight has such a type any more")
    forget_shapes(proto)
    return proto


def cast_initializer(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Store the weights of such a type in the type TensorRT computes with."""
    del paths
    proto = copy_of(model)
    if not _retype_tensors(proto):
        raise CannotRewrite("no weight has such a type any more")
    return proto


def cast_between(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Cast the later inputs of a node to the type of its first: Add(float32, int64) adds in float32.

    For Where the first branch decides.
    """
    proto = copy_of(model)
    added: list[tuple[int, onnx.NodeProto]] = []
    for node in chosen(model, paths):
        first = 1 if node.proto.op_type == "Where" else 0
        like = node.proto.input[first]
        for i in range(first + 1, len(node.proto.input)):
            cast = f"{node.proto.output[0]}_as_type_{i}"
            maker = helper.make_node("CastLike", [node.proto.input[i], like], [cast], name=f"{node.name}/CastLike_{i}")
            proto.graph.node[node.index].input[i] = cast
            added.append((node.index, maker))
    for index, maker in sorted(added, key=lambda entry: -entry[0]):
        proto.graph.node.insert(index, maker)
    return proto


def _retype(value: onnx.ValueInfoProto) -> bool:
    tensor = value.type.tensor_type
    if tensor.elem_type not in NARROWER:
        return False
    tensor.elem_type = NARROWER[tensor.elem_type]
    return True


def _retype_tensors(proto: onnx.ModelProto) -> int:
    changed = 0
    for tensor in proto.graph.initializer:
        quantized = tensor.data_type == TensorProto.UINT8  # packed or zero points: their bits have a meaning
        if tensor.data_type in NARROWER and not quantized:
            tensor.CopyFrom(_narrowed(tensor))
            changed += 1
    return changed


def _narrowed(tensor: onnx.TensorProto) -> onnx.TensorProto:
    if tensor.data_location == TensorProto.EXTERNAL:
        raise CannotRewrite(f"the values of {tensor.name} lie in an external file; cast them in the exporting code")
    dtype = helper.tensor_dtype_to_np_dtype(NARROWER[tensor.data_type])
    return numpy_helper.from_array(np.asarray(numpy_helper.to_array(tensor)).astype(dtype), tensor.name)


CAST_INPUT = Rewriter("cast-input", "compute in a type TensorRT takes", cast_input, Exactness.CHANGES)
CAST_INITIALIZER = Rewriter("cast-initializer", "store weights in a type TensorRT takes", cast_initializer)
CAST_BETWEEN = Rewriter("cast-between", "cast the inputs to one type", cast_between, Exactness.CHANGES)
REWRITES = (CAST_INPUT, CAST_INITIALIZER, CAST_BETWEEN)
