"""What a TensorRT plug-in for one node must declare: tensors, types, attributes as fields, sizes of the outputs."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from onnx import AttributeProto

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.tensors import TensorType
from friction_tui.vocabulary.recipe import POINTS

TYPES = {
    "float32": "FLOAT",
    "float16": "HALF",
    "bfloat16": "BF16",
    "float8_e4m3fn": "FP8",
    "int8": "INT8",
    "uint8": "UINT8",
    "int32": "INT32",
    "int64": "INT64",
    "bool": "BOOL",
}
"""Element type to TensorRT's DataType: https://docs.nvidia.com/deeplearning/tensorrt/latest/_static/python-api/."""
STANDARD = ("", "ai.onnx")


class NoPlugin(Exception):
    """No plug-in can be declared for the node; the text says why."""


@dataclass(frozen=True, slots=True)
class Size:
    """A size of an output: that of an input's axis (`axis` = input, axis), a constant, or not known (both None)."""

    axis: tuple[int, int] | None = None
    constant: int | None = None


@dataclass(frozen=True, slots=True)
class Tensor:
    """An input or output: name in the model, TensorRT's DataType, shape over the ranges as text, an output's sizes."""

    name: str
    dtype: str
    shape: str
    sizes: tuple[Size, ...] = ()


@dataclass(frozen=True, slots=True)
class Field:
    """An attribute as a plug-in field: `kind` is INT32, FLOAT32 or CHAR, `values` the node's own, text for CHAR."""

    name: str
    kind: str
    values: tuple[int, ...] | tuple[float, ...] | str


@dataclass(frozen=True, slots=True)
class PluginFacts:
    """A plug-in: `name` is an identifier and what the parser looks up, `left_out` the attributes no field can hold."""

    name: str
    op: str
    domain: str
    node: str
    inputs: tuple[Tensor, ...]
    outputs: tuple[Tensor, ...]
    fields: tuple[Field, ...]
    left_out: tuple[str, ...]

    @property
    def renamed(self) -> bool:
        """Whether nodes of the model must take the plug-in's name: the parser reads ONNX's own operators itself."""
        return self.domain in STANDARD or self.name != self.op


def find_node(model: OpenedModel, wanted: str) -> Node:
    """The node of that name, path or first output. Raises NoPlugin."""
    for node in model.index.nodes:
        if wanted in (node.name, node.path, next(iter(node.outputs), "")):
            return node
    raise NoPlugin(f"there is no node {wanted}")


def plugin_facts(node: Node, table: ShapeTable) -> PluginFacts:
    """Everything that is known of the node. Raises NoPlugin where TensorRT has no such tensors."""
    inputs = list(node.inputs)
    while inputs and not inputs[-1]:
        inputs.pop()
    if "" in inputs:
        raise NoPlugin(f"{node.name} leaves out an input before others, which a plug-in cannot")
    kinds = {name: _kinds(table, node, name) for name in (*inputs, *filter(None, node.outputs))}
    name = re.sub(r"\W", "_", node.proto.op_type, flags=re.ASCII)
    name = f"{name}Plugin" if node.proto.domain in STANDARD or not name.isidentifier() else name
    fields = {attribute.name: _field(attribute) for attribute in node.proto.attribute}
    return PluginFacts(
        name=name if name[:1].isalpha() else f"Plugin{name}",
        op=node.proto.op_type,
        domain=node.proto.domain,
        node=node.name,
        inputs=tuple(Tensor(one, _dtype(one, kinds[one]), _shape(kinds[one])) for one in inputs),
        outputs=tuple(
            Tensor(one, _dtype(one, kinds[one]), _shape(kinds[one]), _sizes(kinds[one], [kinds[i] for i in inputs]))
            for one in node.outputs
            if one
        ),
        fields=tuple(field for field in fields.values() if field is not None),
        left_out=tuple(one for one, field in fields.items() if field is None),
    )


def _kinds(table: ShapeTable, node: Node, name: str) -> list[TensorType]:
    """Its type at min, opt and max."""
    unknown = TensorType("", None)
    return [table.at(point).inside(node.graph).types.get(name, unknown) for point in POINTS]


def _dtype(name: str, kinds: Sequence[TensorType]) -> str:
    dtype = next((kind.dtype for kind in kinds if kind.dtype), "")
    if dtype and dtype not in TYPES:
        raise NoPlugin(f"{name} is {dtype}, which no TensorRT tensor is: cast it before and after the node")
    return TYPES.get(dtype, "FLOAT")


def _shape(kinds: Sequence[TensorType]) -> str:
    """`1..8 × 256`; "?" where a size or the rank is not known."""
    rows = [kind.dims for kind in kinds]
    if any(row is None or len(row) != len(rows[0] or ()) for row in rows):
        return "rank not known"
    texts = []
    for column in zip(*(row or () for row in rows), strict=True):
        known = sorted({size for size in column if size is not None})
        texts.append("?" if None in column else str(known[0]) if len(known) == 1 else f"{known[0]}..{known[-1]}")
    return " × ".join(texts) or "scalar"


def _sizes(output: Sequence[TensorType], inputs: Sequence[Sequence[TensorType]]) -> tuple[Size, ...]:
    """Each size of an output from the inputs', as far as min, opt and max tell; one unknown where the rank is."""
    rows = [kind.dims for kind in output]
    if any(row is None or len(row) != len(rows[0] or ()) for row in rows):
        return (Size(),)
    axes: dict[tuple[int | None, ...], tuple[int, int]] = {}
    for number, kinds in enumerate(inputs):
        dims = [kind.dims for kind in kinds]
        if all(row is not None and len(row) == len(dims[0] or ()) for row in dims):
            for axis, column in enumerate(zip(*(row or () for row in dims), strict=True)):
                axes.setdefault(column, (number, axis))
    sizes = []
    for axis, column in enumerate(zip(*(row or () for row in rows), strict=True)):
        if None in column:
            sizes.append(Size())
        elif len(set(column)) > 1:
            sizes.append(Size(axis=axes.get(column)))
        else:
            same = inputs and all(kind.dims is not None and axis < len(kind.dims) for kind in inputs[0])
            alike = same and all(
                kind.dims is not None and kind.dims[axis] == size for kind, size in zip(inputs[0], column, strict=True)
            )
            sizes.append(Size(axis=(0, axis)) if alike else Size(constant=column[0]))
    return tuple(sizes)


def _field(attribute: AttributeProto) -> Field | None:
    """As the parser hands attributes over: integers as INT32, floats as FLOAT32, text as CHAR; None for any other."""
    if attribute.type in (AttributeProto.INT, AttributeProto.INTS):
        values = tuple(attribute.ints) if attribute.type == AttributeProto.INTS else (attribute.i,)
        return Field(attribute.name, "INT32", values) if all(-(2**31) <= one < 2**31 for one in values) else None
    if attribute.type in (AttributeProto.FLOAT, AttributeProto.FLOATS):
        numbers = tuple(attribute.floats) if attribute.type == AttributeProto.FLOATS else (attribute.f,)
        return Field(attribute.name, "FLOAT32", numbers)
    if attribute.type == AttributeProto.STRING:
        return Field(attribute.name, "CHAR", attribute.s.decode("utf-8", "replace"))
    return None
