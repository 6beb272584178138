"""How types and nodes are spelt: numpy's dtype names, ports with their dims, names for nameless nodes."""

from __future__ import annotations

import onnx
from onnx import TensorProto

from friction_tui.vocabulary.protocol import Dim, Port

DTYPE_NAMES: dict[int, str] = {
    value: {"FLOAT": "float32", "DOUBLE": "float64"}.get(name, name.lower())
    for name, value in TensorProto.DataType.items()
    if name != "UNDEFINED"
}
"""ONNX element type to numpy's spelling; `bfloat16`, `float8e4m3fn`, `int4`... keep ONNX's own."""

DTYPE_CODES: dict[str, int] = {name: code for code, name in DTYPE_NAMES.items()}


def dtype_name(data_type: int) -> str:
    """`float32` for TensorProto.FLOAT; "" for an undefined type."""
    return DTYPE_NAMES.get(data_type, "")


def display_name(node: onnx.NodeProto) -> str:
    """The node's name, or `node_of_<first output>`, the one TensorRT's parser gives a nameless node."""
    return node.name or f"node_of_{next(iter(node.output), '')}"


def port(value: onnx.ValueInfoProto, shape_tensor: bool = False) -> Port:
    """A graph input or output as declared."""
    kind = value.type.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return Port(value.name, (kind or "unknown").removesuffix("_type"), None, shape_tensor)
    tensor = getattr(value.type, kind)
    dims = None
    if tensor.HasField("shape"):
        dims = tuple(declared_dim(dim) for dim in tensor.shape.dim)
    return Port(value.name, dtype_name(tensor.elem_type), dims, shape_tensor)


def declared_dim(dim: onnx.TensorShapeProto.Dimension) -> Dim:
    """A dimension as declared. A negative size, which old exporters wrote for `any`, counts as unknown."""
    if dim.HasField("dim_value") and dim.dim_value >= 0:
        return Dim(size=dim.dim_value)
    return Dim(symbol=dim.dim_param)
