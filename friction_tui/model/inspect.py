"""One node in full, as the inspector shows it."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import AttributeProto

from friction_tui.model.constants import constant_value, tensor_value
from friction_tui.model.graph import Node
from friction_tui.model.names import dtype_name, port
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import scope_of, source_line
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.tensors import Array
from friction_tui.vocabulary.protocol import NodeDetail, TensorDetail
from friction_tui.vocabulary.recipe import POINTS

_SHOWN = 8
"""Elements of a value or an attribute that are spelt out."""
_TEXT = 80
"""Characters of a text attribute."""

Shapes = tuple[tuple[int, ...] | None, ...]


def node_detail(model: OpenedModel, table: ShapeTable, path: str) -> NodeDetail | None:
    """What there is to know of the item at `path` (a node, or `<input` or `>output` of the main graph).

    None for a path that is not in the graph. Shapes are known for the main graph only.
    """
    node = model.index.by_path.get(path)
    if node is not None:
        return _of_node(model, table, node)
    if path[:1] in ("<", ">"):
        return _of_port(model, table, path)
    return None


def _of_node(model: OpenedModel, table: ShapeTable, node: Node) -> NodeDetail:
    proto = node.proto
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    opset = model.index.opsets.get(domain, 0)
    schema = _schema(proto.op_type, opset, domain)
    inputs = [
        _tensor(model, table, node.graph, name, _formal(schema.inputs if schema else [], location))
        for location, name in enumerate(proto.input)
        if name
    ]
    outputs = [
        _tensor(model, table, node.graph, name, _formal(schema.outputs if schema else [], location))
        for location, name in enumerate(proto.output)
        if name
    ]
    return NodeDetail(
        path=node.path,
        name=node.name,
        op=proto.op_type,
        domain=domain,
        opset=opset,
        attributes=tuple((attribute.name, attribute_text(attribute)) for attribute in proto.attribute),
        inputs=tuple(inputs),
        outputs=tuple(outputs),
        source=source_line(proto),
        scope=scope_of(node),
        doc=_first_sentence(schema.doc) if schema else "",
    )


def _of_port(model: OpenedModel, table: ShapeTable, path: str) -> NodeDetail | None:
    """A graph input or output, as if it were a node with one tensor."""
    name, is_input = path[1:], path[0] == "<"
    values = model.index.inputs if is_input else list(model.proto.graph.output)
    if all(value.name != name for value in values):
        return None
    tensor = (_tensor(model, table, "", name, ""),)
    return NodeDetail(
        path=path,
        name=name,
        op="Input" if is_input else "Output",
        domain="",
        opset=model.index.opsets.get("", 0),
        attributes=(),
        inputs=() if is_input else tensor,
        outputs=tensor if is_input else (),
    )


def _schema(op: str, opset: int, domain: str) -> onnx.defs.OpSchema | None:
    try:
        return onnx.defs.get_schema(op, opset, domain)
    except (onnx.defs.SchemaError, TypeError):  # an opset beyond 32 bits is none
        return None


def _formal(formals: Sequence[onnx.defs.OpSchema.FormalParameter], location: int) -> str:
    """The operator's own name for an input or output; the last one may stand for any number more."""
    if location < len(formals):
        return str(formals[location].name)
    variadic = formals and formals[-1].option == onnx.defs.OpSchema.FormalParameterOption.Variadic
    return str(formals[-1].name) if variadic else ""


def _tensor(model: OpenedModel, table: ShapeTable, graph: str, name: str, formal: str) -> TensorDetail:
    index = model.index
    shapes: Shapes
    stored = index.initializer_in(graph, name)
    writer = index.writer_in(graph, name)
    value = constant_value(model, name, graph=graph)
    if stored is not None:
        dims = tuple(stored.dims)
        dtype, shapes, role = dtype_name(stored.data_type), (dims, dims, dims), "initializer"
    elif writer is not None and writer.proto.op_type == "Constant" and value is not None:
        dtype, shapes, role = value.dtype.name, (value.shape,) * 3, "constant"
    else:
        dtype, shapes = _followed(table, graph, name)
        role = _role(model, graph, name, written=writer is not None)
        dtype = dtype or _declared_dtype(model, graph, name)
    text = value_text(value) if value is not None else _values_at_points(table, graph, name)
    return TensorDetail(name=name, dtype=dtype, shapes=shapes, role=role, value=text, formal=formal)


def _role(model: OpenedModel, graph: str, name: str, written: bool) -> str:
    if graph:
        return "tensor"  # it may come from any graph around this one
    if any(value.name == name for value in model.index.inputs):
        return "input"
    if any(value.name == name for value in model.proto.graph.output) and written:
        return "output"
    return "tensor" if written else "missing"


def _followed(table: ShapeTable, graph: str, name: str) -> tuple[str, Shapes]:
    """Its type at min, opt and max: in a body those of every iteration, in a function what its calls have in common."""
    found = [table.at(point).inside(graph).types.get(name) for point in POINTS]
    dtype = next((known.dtype for known in found if known is not None and known.dtype), "")
    return dtype, tuple(known.sizes if known is not None else None for known in found)


def _declared_dtype(model: OpenedModel, graph: str, name: str) -> str:
    body = model.index.graphs[graph]
    if isinstance(body, onnx.FunctionProto):
        return ""
    declared = (*body.input, *body.output, *body.value_info)
    return next((port(value).dtype for value in declared if value.name == name), "")


def _values_at_points(table: ShapeTable, graph: str, name: str) -> str:
    """The value of a small computed tensor: once if the same everywhere, else at min, opt and max."""
    values = [table.at(point).inside(graph).values.get(name) for point in POINTS]
    texts = [value_text(value) for value in values if value is not None]
    if len(texts) < len(POINTS):
        return ""
    return texts[0] if len(set(texts)) == 1 else " · ".join(texts)


def value_text(value: Array) -> str:
    """`[1, 256]`; of a long one the beginning and its length."""
    flat = value.ravel()
    items = [_number(item) for item in flat[:_SHOWN].tolist()]
    if value.ndim == 0:
        return items[0] if items else ""
    more = f", … {flat.size} in all" if flat.size > _SHOWN else ""
    return f"[{', '.join(items)}{more}]"


def _number(item: object) -> str:
    if isinstance(item, bytes):
        return repr(item.decode("utf-8", "replace"))
    return f"{item:.6g}" if isinstance(item, float) else str(item)


def attribute_text(attribute: AttributeProto) -> str:
    """An attribute's value, shortened; of a body what it holds, of a tensor its type, dims and beginning."""
    if attribute.ref_attr_name:
        return f"the function's {attribute.ref_attr_name}"
    kind = attribute.type
    if kind == AttributeProto.GRAPH:
        return f"graph of {len(attribute.g.node)} nodes"
    if kind == AttributeProto.GRAPHS:
        return f"{len(attribute.graphs)} graphs"
    if kind == AttributeProto.STRING:
        text = attribute.s.decode("utf-8", "replace")
        return text if len(text) <= _TEXT else f"{text[:_TEXT]}…"
    if kind == AttributeProto.TENSOR:
        value = tensor_value(attribute.t)
        shape = f"{dtype_name(attribute.t.data_type)}{list(attribute.t.dims)}"
        return shape if value is None else f"{shape} {value_text(value)}"
    if kind in (AttributeProto.INT, AttributeProto.FLOAT):
        return str(attribute.i) if kind == AttributeProto.INT else f"{attribute.f:.6g}"
    for values in (attribute.ints, attribute.floats):
        if len(values):
            return value_text(np.array(values))
    if len(attribute.strings):
        return value_text(np.array(list(attribute.strings), dtype=np.object_))
    return AttributeProto.AttributeType.Name(kind).lower() if kind > AttributeProto.STRINGS else "[]"


def _first_sentence(doc: str | None) -> str:
    text = " ".join((doc or "").split())
    return text.split(". ")[0].rstrip(".") + "." if text else ""
