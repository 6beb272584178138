"""Values that are known without running anything: initializers, Constant nodes, and Identity copies of these."""

from __future__ import annotations

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, numpy_helper

from friction_tui.model.file.external import element_bits
from friction_tui.model.opened import OpenedModel

Array = npt.NDArray[np.generic]


def constant_value(model: OpenedModel, tensor: str, max_elements: int = 4096, graph: str = "") -> Array | None:
    """The value of a tensor of the graph at path prefix `graph` (the main graph by default).

    None when it is computed at run time, larger than `max_elements`, kept in an external file, or stored with a
    wrong length. Looks through Identity and out of bodies into the surrounding graphs.
    """
    index = model.index
    for _ in range(64):  # an Identity chain longer than this, or one with a cycle, is not a constant
        found = index.initializer_in(graph, tensor)
        if found is not None:
            return tensor_value(found, max_elements)
        writer = index.writer_in(graph, tensor)
        if writer is None:
            owner = index.owner_of(graph)
            if not owner:
                return None
            graph = index.by_path[owner].graph
            continue
        if writer.proto.op_type == "Constant":
            return constant_of(writer.proto, max_elements)
        if writer.proto.op_type != "Identity" or not writer.proto.input:
            return None
        tensor = writer.proto.input[0]
    return None


def constant_of(node: onnx.NodeProto, max_elements: int = 4096) -> Array | None:
    """The value of a Constant node; None for a sparse, large or broken one."""
    for attribute in node.attribute:
        if attribute.ref_attr_name:
            return None  # the caller of the local function it stands in decides
        if attribute.name == "value":
            return tensor_value(attribute.t, max_elements)
        if attribute.name in ("value_int", "value_ints"):
            value: Array = np.array(attribute.i if attribute.name == "value_int" else attribute.ints, np.int64)
        elif attribute.name in ("value_float", "value_floats"):
            value = np.array(attribute.f if attribute.name == "value_float" else attribute.floats, np.float32)
        elif attribute.name in ("value_string", "value_strings"):
            value = np.array(attribute.s if attribute.name == "value_string" else attribute.strings, np.object_)
        else:
            continue
        return value if value.size <= max_elements else None
    return None


def tensor_value(tensor: onnx.TensorProto, max_elements: int = 4096) -> Array | None:
    """The value stored in a TensorProto; None if large, external, or not as long as its dims say."""
    count = element_count(tensor)
    if count > max_elements or tensor.data_location == TensorProto.EXTERNAL or any(dim < 0 for dim in tensor.dims):
        return None
    bits = element_bits(tensor.data_type)
    if tensor.HasField("raw_data") and bits and len(tensor.raw_data) != (count * bits + 7) // 8:
        return None
    try:
        return np.asarray(numpy_helper.to_array(tensor))
    except (ValueError, TypeError, KeyError, AttributeError, RuntimeError):
        return None  # undefined type, or a typed field of the wrong length


def element_count(tensor: onnx.TensorProto) -> int:
    """Elements its dims call for; 1 for a scalar."""
    count = 1
    for dim in tensor.dims:
        count *= max(dim, 0)
    return count
