"""What a part of a model is to the builder, whatever its names are; and which nodes only compiling decides about.

Of two nodes of one form the builder says the same, so that one is asked. A form is operators, attributes, types,
sizes at min, opt and max, and the values that decide anything: those of integers and of the few floats that are read
as numbers rather than as weights.
"""

from __future__ import annotations

import hashlib
import json
from collections.abc import Callable, Iterator

import onnx
from onnx import AttributeProto, TensorProto

from friction_tui.engines.tensorrt.assemble import serialized
from friction_tui.engines.tensorrt.parts import Part, Parts
from friction_tui.model.graph import Node

READ_AS_NUMBERS = frozenset(
    {"Resize", "Upsample", "QuantizeLinear", "DequantizeLinear", "Range", "Pad", "Clip", "OneHot"}
)
"""Operators of which float inputs are numbers that decide; of all others they are weights, which decide nothing."""
FEW = 8
"""Elements up to which the values of any float tensor belong to the form."""
AT_RISK = frozenset(
    {
        "Attention",
        "Einsum",
        "GRU",
        "GridSample",
        "GroupQueryAttention",
        "If",
        "LSTM",
        "Loop",
        "MultiHeadAttention",
        "NonMaxSuppression",
        "OneHot",
        "RNN",
        "Scan",
        "TopK",
    }
)
"""Operators that shape analysis takes and that kernels were seen to refuse, or compiling to crash on."""
_QUANTIZING = frozenset({"QuantizeLinear", "DequantizeLinear"})
_FLOAT8 = frozenset(
    {TensorProto.FLOAT8E4M3FN, TensorProto.FLOAT8E5M2, TensorProto.FLOAT4E2M1, TensorProto.INT4, TensorProto.UINT4}
)
MATRIX_PRODUCTS = frozenset({"Einsum", "GRU", "Gemm", "LSTM", "MatMul", "RNN"})
"""What Turing (SM75) has no float32 kernel for in TensorRT-RTX 1.7."""
_NO_FLOAT32_PRODUCTS = frozenset({"SM75"})
_HOPS = 2
"""How far before a cubic Resize an If is looked for: their combination is refused where each alone is taken."""


def key_of(part: Part) -> str:
    """A digest of the form of a part."""
    names: dict[str, str] = {}

    def named(name: str) -> str:
        return names.setdefault(name, f"t{len(names)}") if name else ""

    graph = part.proto.graph
    nodes = [_canonical(node, named) for node in graph.node]
    read_as_numbers = {name for node in graph.node if node.op_type in READ_AS_NUMBERS for name in node.input}
    stored = sorted(
        (names.get(tensor.name, tensor.name), *_of_tensor(tensor, decides=tensor.name in read_as_numbers))
        for tensor in graph.initializer
    )
    given = sorted((names.get(value.name, value.name), serialized(_unnamed(value.type))) for value in graph.input)
    sizes = sorted((names.get(name, name), points) for name, points in part.profile.shapes.items())
    values = sorted((names.get(name, name), points) for name, points in part.profile.values.items())
    opsets = sorted((entry.domain, entry.version) for entry in part.proto.opset_import)
    digest = hashlib.sha256(
        repr((nodes, stored, given, opsets, [serialized(f) for f in part.proto.functions])).encode()
    )
    digest.update(json.dumps([sizes, values, [names.get(value.name) for value in graph.output]]).encode())
    return digest.hexdigest()[:40]


def at_risk(parts: Parts, node: Node, target: str = "") -> bool:
    """Whether only compiling for `target` says that TensorRT has a kernel for the node."""
    op = node.proto.op_type
    index = parts.model.index
    if op in AT_RISK:
        return True
    if op in ("Resize", "Upsample"):
        return any(attribute.name == "mode" and attribute.s == b"cubic" for attribute in node.proto.attribute)
    if op in _QUANTIZING:
        return any(parts.element_type(name) in _FLOAT8 for name in (*node.inputs, *node.outputs) if name)
    if target in _NO_FLOAT32_PRODUCTS and op in MATRIX_PRODUCTS:
        return any(parts.element_type(name) == TensorProto.FLOAT for name in node.inputs[:1])
    function = index.function_of(node.proto)
    if function is None:
        return False
    inside = [one.proto.op_type for one in index.nodes_in[function]]
    return any(one in AT_RISK or (target in _NO_FLOAT32_PRODUCTS and one in MATRIX_PRODUCTS) for one in inside)


def to_ask(parts: Parts, node: Node) -> list[Node]:
    """The nodes to ask about for a node at risk: itself, and for a cubic Resize the If that it enlarges."""
    if node.proto.op_type not in ("Resize", "Upsample"):
        return [node]
    found, edge = [node], [node]
    for _ in range(_HOPS):
        edge = [writer for one in edge for name in one.inputs[:1] if (writer := parts.writer(name)) is not None]
        found += edge
        if any(one.proto.op_type == "If" for one in edge):
            return found
    return [node]


def forms_at_risk(parts: Parts, target: str = "") -> Iterator[tuple[str, Part, list[Node]]]:
    """Every distinct form at risk: its key, a part to ask about, and the nodes that have it."""
    found: dict[str, tuple[Part, list[Node]]] = {}
    for node in parts.order:
        if not at_risk(parts, node, target):
            continue
        part = parts.part(to_ask(parts, node))
        if part is None:
            continue
        found.setdefault(key_of(part), (part, []))[1].append(node)
    for key, (part, nodes) in found.items():
        yield key, part, nodes


def _canonical(node: onnx.NodeProto, named: Callable[[str], str]) -> tuple[object, ...]:
    inputs, outputs = tuple(map(named, node.input)), tuple(map(named, node.output))
    attributes = tuple(
        _of_attribute(attribute, named) for attribute in sorted(node.attribute, key=lambda one: one.name)
    )
    return node.domain if node.domain != "ai.onnx" else "", node.op_type, inputs, outputs, attributes


def _of_attribute(attribute: AttributeProto, named: Callable[[str], str]) -> tuple[object, ...]:
    if attribute.type == AttributeProto.GRAPH:
        graph = attribute.g
        return (
            attribute.name,
            tuple((named(value.name), serialized(_unnamed(value.type))) for value in graph.input),
            tuple((named(tensor.name), *_of_tensor(tensor, decides=False)) for tensor in graph.initializer),
            tuple(_canonical(node, named) for node in graph.node),
            tuple(named(value.name) for value in graph.output),
        )
    if attribute.type == AttributeProto.TENSOR:
        return attribute.name, _of_tensor(attribute.t, decides=False)
    plain = AttributeProto()
    plain.CopyFrom(attribute)
    plain.ClearField("doc_string")
    return attribute.name, plain.SerializeToString(deterministic=True)


def _of_tensor(tensor: TensorProto, *, decides: bool) -> tuple[object, ...]:
    elements = 1
    for dim in tensor.dims:
        elements *= dim
    about = (tensor.data_type, tuple(tensor.dims))
    external = tensor.data_location == TensorProto.EXTERNAL
    if external or (_is_float(tensor.data_type) and not decides and elements > FEW):
        return about
    plain = TensorProto()
    plain.CopyFrom(tensor)
    plain.ClearField("name")
    plain.ClearField("doc_string")
    return *about, hashlib.sha256(plain.SerializeToString(deterministic=True)).digest()


def _is_float(code: int) -> bool:
    return code in (TensorProto.FLOAT, TensorProto.DOUBLE, TensorProto.FLOAT16, TensorProto.BFLOAT16)


def _unnamed(given: onnx.TypeProto) -> onnx.TypeProto:
    """A type without the names of its dimensions; that one is free is part of it."""
    plain = onnx.TypeProto()
    plain.CopyFrom(given)
    for dim in plain.tensor_type.shape.dim:
        if dim.HasField("dim_param"):
            dim.dim_param = "?"
    return plain
