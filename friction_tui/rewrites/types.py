"""Element types that do not fit: mixed inputs, types an operator does not take, false declarations, float64."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import AttributeProto, TensorProto, helper, numpy_helper

from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.carried import REFUSED
from friction_tui.rewrites.editing import copy_of
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite, replaced
from friction_tui.rewrites.graph_parts import forget_shapes, graphs_of, remove_unused
from friction_tui.rewrites.quantized import spread
from friction_tui.rules.structure.operator_schema import Formal, schema_of
from friction_tui.rules.types.element_types import element_types

_FLOAT, _HALF, _BFLOAT, _DOUBLE = TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE
_INTEGERS = (
    TensorProto.BOOL,
    TensorProto.UINT8,
    TensorProto.INT8,
    TensorProto.UINT16,
    TensorProto.INT16,
    TensorProto.UINT32,
    TensorProto.INT32,
    TensorProto.UINT64,
    TensorProto.INT64,
)
_TYPE_ATTRIBUTES = frozenset({"to", "dtype", "output_dtype", "output_datatype", "stash_type"})
"""Attributes that name an element type."""
_NEVER_TAKEN = REFUSED | {
    TensorProto.STRING,
    TensorProto.COMPLEX64,
    TensorProto.COMPLEX128,
    TensorProto.FLOAT8E5M2,
    TensorProto.FLOAT8E4M3FNUZ,
    TensorProto.FLOAT8E5M2FNUZ,
}
"""Types that TensorRT refuses even where nothing reads them."""
_RUNS_NOWHERE = "the original runs nowhere"


# ---------------------------------------------------------------------------------------------------- a whole model


def retyped(model: OpenedModel, table: Mapping[int, int]) -> onnx.ModelProto:
    """A copy of the model in which every tensor of a type in `table` has the other type.

    Inputs, outputs, weights, constants, Casts and other attributes that name a type, in bodies and local functions.
    Raises CannotRewrite where there is none, or the values of a weight cannot be read.
    """
    proto = copy_of(model)
    reader = GraphEditor(proto, model.path.parent)
    changed = 0
    for graph in graphs_of(proto.graph):
        for value in (*graph.input, *graph.output):
            tensor = value.type.tensor_type
            if tensor.elem_type in table:
                tensor.elem_type = table[tensor.elem_type]
                changed += 1
        for stored in graph.initializer:
            if stored.data_type in table:
                values = reader.require_constant(stored.name, stored.name)
                stored.CopyFrom(_stored(values, table[stored.data_type], stored.name))
                changed += 1
    nodes = [node for graph in graphs_of(proto.graph) for node in graph.node]
    nodes += [node for function in proto.functions for node in function.node]
    for node in nodes:
        for attribute in node.attribute:
            if attribute.type == AttributeProto.INT and attribute.name in _TYPE_ATTRIBUTES and attribute.i in table:
                attribute.i = table[attribute.i]
                changed += 1
            elif attribute.type == AttributeProto.TENSOR and attribute.t.data_type in table:
                kind = table[attribute.t.data_type]
                attribute.t.CopyFrom(_stored(numpy_helper.to_array(attribute.t), kind, attribute.t.name))
                changed += 1
    if not changed:
        raise CannotRewrite("nothing has that element type")
    forget_shapes(proto)
    return proto


def _stored(values: np.ndarray[Any, Any], kind: int, name: str) -> TensorProto:
    return numpy_helper.from_array(values.astype(helper.tensor_dtype_to_np_dtype(kind)), name)


def _in_float32(kind: int) -> Callable[[OpenedModel, Sequence[str]], onnx.ModelProto]:
    def run(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
        del paths  # a chain of one type changes together
        return retyped(model, {kind: _FLOAT})

    return run


def without_unread(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The model without stored tensors and nodes that nothing reads: TensorRT refuses a type even there."""
    del paths
    proto = copy_of(model)
    remove_unused(proto)
    kept = {tensor.name for tensor in proto.graph.initializer} | {node.output[0] for node in proto.graph.node}
    types = element_types(model).get("", {})
    gone = [tensor.name for tensor in model.proto.graph.initializer if tensor.name not in kept]
    gone += [node.output[0] for node in model.proto.graph.node if node.output and node.output[0] not in kept]
    if not any(types.get(name) in _NEVER_TAKEN for name in gone):
        raise CannotRewrite("every tensor of such a type is read by something")
    return proto


def without_unread_inputs(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The model without inputs of a refused type that nothing reads."""
    del paths
    proto = copy_of(model)
    remove_unused(proto)
    read = {name for graph in graphs_of(proto.graph) for node in graph.node for name in node.input}
    read |= {value.name for value in proto.graph.output}
    kept = [
        value
        for value in proto.graph.input
        if value.name in read or value.type.tensor_type.elem_type not in _NEVER_TAKEN
    ]
    if len(kept) == len(proto.graph.input):
        raise CannotRewrite("every input of such a type is read")
    del proto.graph.input[:]
    proto.graph.input.extend(kept)
    return proto


def truly_declared(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Outputs cast from the type their nodes make to the one that is declared; recorded types dropped."""
    del paths
    proto = copy_of(model)
    graph = GraphEditor(proto, model.path.parent)
    types = element_types(model).get("", {})
    wrong = {
        value.name: value.type.tensor_type.elem_type
        for value in proto.graph.output
        if types.get(value.name) and value.type.tensor_type.elem_type not in (0, types[value.name])
    }
    recorded = [value for value in proto.graph.value_info if types.get(value.name, 0)]
    if not wrong and not any(value.type.tensor_type.elem_type != types[value.name] for value in recorded):
        raise CannotRewrite("every declared type is that of its node")
    real = {name: graph.fresh(f"{name}_{dtype_name(types[name])}") for name in wrong}
    for node in [node for body in graphs_of(proto.graph) for node in body.node]:
        for names in (node.input, node.output):
            names[:] = [real.get(name, name) for name in names]
    for name, kind in wrong.items():
        cast = helper.make_node("Cast", [real[name]], [name], name=graph.fresh(f"{name}/Cast"), to=kind)
        proto.graph.node.append(cast)
    forget_shapes(proto)
    return proto


# --------------------------------------------------------------------------------------------------------- one node


def widest(kinds: Sequence[int]) -> int:
    """The element type that holds the numbers of all: a float where one is, float32 for float16 with bfloat16."""
    floats = {kind for kind in kinds if kind in (_FLOAT, _HALF, _BFLOAT, _DOUBLE)}
    if floats:
        if _DOUBLE in floats:
            return _DOUBLE
        return floats.pop() if len(floats) == 1 else _FLOAT
    integers = [kind for kind in kinds if kind in _INTEGERS]
    if len(integers) != len(kinds):
        raise CannotRewrite(f"{' and '.join(sorted({dtype_name(kind) for kind in kinds}))} have no common type")
    return max(integers, key=_INTEGERS.index)


def _formals(node: onnx.NodeProto, graph: GraphEditor) -> Iterator[tuple[int, Formal, int]]:
    """Position, formal input and element type of each input whose type is known."""
    schema = schema_of(node.op_type, "", graph.opset) if node.domain in ("", "ai.onnx") else None
    if schema is None:
        raise CannotRewrite(f"{node.op_type} is not an ONNX operator of opset {graph.opset}")
    for position, name in enumerate(node.input):
        formal = schema.input_at(position)
        if name and formal is not None and formal.types:
            yield position, formal, graph.dtype(name)


def _with_types(
    node: onnx.NodeProto, graph: GraphEditor, wanted: Mapping[int, int], outputs: Mapping[int, int]
) -> None:
    """The same node with inputs cast to `wanted`, and outputs cast to `outputs`, by position."""
    inputs = list(node.input)
    for position, kind in wanted.items():
        name = inputs[position]
        if graph.dtype(name) != kind:
            value = graph.constant(name)
            dtype = helper.tensor_dtype_to_np_dtype(kind)
            inputs[position] = graph.cast(name, kind) if value is None else graph.const(value.astype(dtype), dtype)
    names = [graph.fresh(f"{name}_cast") if i in outputs else name for i, name in enumerate(node.output)]
    attributes = {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}
    graph.op(node.op_type, inputs, names, domain=node.domain, **attributes)
    for position, kind in outputs.items():
        graph.cast(names[position], kind, node.output[position])


def _declared(graph: GraphEditor, name: str) -> int:
    """The element type a graph output is declared with, 0 for another tensor."""
    return next((v.type.tensor_type.elem_type for v in graph.proto.graph.output if v.name == name), 0)


@node_rewrite(
    "cast-to-widest",
    "cast the inputs to the widest of their types",
    exactness=Exactness.CHANGES,
    changes=f"{_RUNS_NOWHERE}; its inputs meet in the widest of their types",
)
def cast_to_widest(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Inputs of one type variable in one type; an output that is declared otherwise is cast to its declaration."""
    if node.op_type == "If":
        _branches_alike(node, graph)
        return
    groups: dict[str, dict[int, int]] = {}
    for position, formal, kind in _formals(node, graph):
        if formal.homogeneous:
            groups.setdefault(formal.variable, {})[position] = kind
    mixed = {variable: list(kinds.values()) for variable, kinds in groups.items() if len(set(kinds.values())) > 1}
    chosen = {variable: widest(kinds) for variable, kinds in mixed.items()}
    if not chosen:
        raise CannotRewrite("its inputs have one type")
    schema = schema_of(node.op_type, "", graph.opset)
    wanted = {position: chosen[variable] for variable in chosen for position in groups[variable]}
    outputs = {}
    for position, name in enumerate(node.output):
        result = schema.output_at(position) if schema else None
        declared = _declared(graph, name)
        if result is not None and result.variable in chosen and declared not in (0, chosen[result.variable]):
            outputs[position] = declared
    _with_types(node, graph, wanted, outputs)


def _branches_alike(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """An If whose branches return different types: the narrower one is cast at its end."""
    bodies = {}
    for attribute in node.attribute:
        body = onnx.GraphProto()
        body.CopyFrom(attribute.g)
        bodies[attribute.name] = body
    changed = False
    for position in range(len(node.output)):
        returned = [body.output[position] for body in bodies.values()]
        kinds = [graph.dtype(value.name) for value in returned]
        if len(set(kinds)) == 1:
            continue
        common = widest(kinds)
        for body, kind in zip(bodies.values(), kinds, strict=True):
            if kind != common:
                value, changed = body.output[position], True
                cast = graph.fresh(f"{value.name}_cast")
                name = graph.fresh(f"{node.name}/{body.name}/Cast")
                body.node.append(helper.make_node("Cast", [value.name], [cast], name=name, to=common))
                value.name, value.type.tensor_type.elem_type = cast, common
    if not changed:
        raise CannotRewrite("its branches return the same types")
    graph.op("If", list(node.input), list(node.output), **bodies)


@node_rewrite(
    "cast-to-allowed",
    "cast the inputs to a type the operator takes, and its outputs back",
    exactness=Exactness.CHANGES,
    changes=f"{_RUNS_NOWHERE}; its inputs are converted to a type that the operator takes",
)
def cast_to_allowed(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Indices become int64, numbers float32; outputs of the same type variable come back in the old type."""
    inputs = list(_formals(node, graph))
    chosen: dict[str, tuple[int, int]] = {}
    for _, formal, kind in inputs:
        if kind not in formal.types:
            usual = (TensorProto.INT64, TensorProto.INT32) if not {_FLOAT} & formal.types else (_FLOAT,)
            to = next((wish for wish in (*usual, TensorProto.BOOL) if wish in formal.types), 0)
            if not to:
                raise CannotRewrite(f"{node.op_type} takes none of float32, int64, int32 and bool there")
            chosen[formal.variable] = (kind, to)
    if not chosen:
        raise CannotRewrite("it takes the types of its inputs")
    schema = schema_of(node.op_type, "", graph.opset)
    wanted = {position: chosen[formal.variable][1] for position, formal, _ in inputs if formal.variable in chosen}
    outputs = {}
    for position, name in enumerate(node.output):
        result = schema.output_at(position) if schema else None
        if name and result is not None and result.variable in chosen:
            outputs[position] = _declared(graph, name) or chosen[result.variable][0]
    _with_types(node, graph, wanted, outputs)


@node_rewrite(
    "cast-by-quantizing",
    "quantize with scale 1 instead of casting",
    ("", "Cast"),
    ("", "CastLike"),
)
def cast_by_quantizing(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A Cast to or from float8 (E4M3) as QuantizeLinear or DequantizeLinear of scale 1, which TensorRT takes.

    Both round to the nearest, ties to even, and saturate: https://onnx.ai/onnx/technical/float8.html
    """
    fp8, source = TensorProto.FLOAT8E4M3FN, graph.dtype(node.input[0])
    like = node.op_type == "CastLike"
    target = graph.dtype(node.input[1]) if like else int(graph.attribute(node, "to", 0))
    if graph.opset < 19:
        raise NeedsOpset(19, "float8")
    zero = graph.add_initializer(helper.make_tensor(graph.fresh("zero_point"), fp8, (), [0.0]))
    floats = (_FLOAT, _HALF, _BFLOAT)
    if target == fp8 and source in floats and graph.attribute(node, "saturate", 1):
        one = graph.const(1, helper.tensor_dtype_to_np_dtype(source), name="scale")
        graph.op("QuantizeLinear", [node.input[0], one, zero], node.output[0])
    elif source == fp8 and target in floats:
        one = graph.const(1, helper.tensor_dtype_to_np_dtype(target), name="scale")
        graph.op("DequantizeLinear", [node.input[0], one, zero], node.output[0])
    else:
        raise CannotRewrite("only a Cast between a float type and float8 E4M3 is a quantization of scale 1")


_CODE_NAMES = "FLOAT8E4M3FN FLOAT8E4M3FNUZ FLOAT8E5M2 FLOAT8E5M2FNUZ FLOAT8E8M0 FLOAT4E2M1 INT4 UINT4 INT2 UINT2"
_CODES = frozenset(getattr(TensorProto, name, 0) for name in _CODE_NAMES.split()) - {0}  # some came with onnx 1.19
"""Types of few bits, which TensorRT does not cast."""


def decode_codes(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """A constant of float8, float4, int4 or int2 that is cast or dequantized → the result. Exact.

    Also an int8 that is one number. Costs the space of the wider type. A dequantization that TensorRT takes stays: it
    is not refused.
    """
    kind = graph.dtype(node.input[0])
    single = kind == TensorProto.INT8 and graph.dims(node.input[0]) == []  # the builder refuses an int8 scalar
    if kind not in _CODES and not single:
        raise CannotRewrite("it does not read a float8, float4, int4 or int2")
    stored = graph.require_constant(node.input[0], "what it reads").astype(np.float32)
    if node.op_type == "Cast":
        target = int(graph.attribute(node, "to", 0))
    elif node.op_type == "CastLike":
        target = graph.dtype(node.input[1])
    else:
        target = int(graph.attribute(node, "output_dtype", 0)) or graph.dtype(node.input[1])
        scale = graph.require_constant(node.input[1], "the scale").astype(np.float32)
        zero = graph.constant(graph.input(node, 2)) if graph.input(node, 2) else np.zeros((), np.float32)
        if zero is None:
            raise CannotRewrite("its zero point is computed at run time")
        axis, block = int(graph.attribute(node, "axis", 1)), int(graph.attribute(node, "block_size", 0))
        stored = (stored - spread(zero.astype(np.float32), stored, axis, block)) * spread(scale, stored, axis, block)
    if target not in (_FLOAT, _HALF, _BFLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL):
        raise CannotRewrite("its result is of a type that TensorRT does not compute with")
    dtype = helper.tensor_dtype_to_np_dtype(target)
    graph.op("Identity", [graph.const(stored.astype(dtype), dtype, name=f"{node.input[0]}_decoded")], node.output[0])


def _decoded(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """The codes go where nothing reads them: TensorRT refuses them among the initializers."""
    proto = replaced(model, paths, decode_codes)
    remove_unused(proto)
    return proto


decode_constant = Rewriter(
    "decode-constant",
    "store the numbers that the codes stand for",
    _decoded,
    ops=(("", "Cast"), ("", "CastLike"), ("", "DequantizeLinear")),
    node=decode_codes,
)
FLOAT64 = Rewriter(
    "float64-in-float32",
    "store and compute in float32 what is float64",
    _in_float32(_DOUBLE),
    Exactness.CHANGES,
    changes="inputs, outputs and results that are float64 become float32, as TensorRT computes them anyway",
)
BFLOAT16 = Rewriter(
    "bfloat16-in-float32",
    "store and compute in float32 what is bfloat16",
    _in_float32(_BFLOAT),
    Exactness.CHANGES,
    changes="inputs, outputs and results that are bfloat16 become float32, with fewer rounding errors",
)
UNREAD = Rewriter("remove-unread", "remove stored tensors that nothing reads", without_unread)
UNREAD_INPUTS = Rewriter(
    "remove-unread-inputs",
    "remove inputs that nothing reads",
    without_unread_inputs,
    Exactness.CHANGES,
    changes="inputs of a type that TensorRT refuses, which nothing reads, are gone",
)
DECLARED = Rewriter("cast-to-declared", "cast the output to the type it is declared with", truly_declared)
REWRITES = (
    UNREAD,
    UNREAD_INPUTS,
    FLOAT64,
    BFLOAT16,
    DECLARED,
    cast_to_widest,
    cast_to_allowed,
    cast_by_quantizing,
    decode_constant,
)
