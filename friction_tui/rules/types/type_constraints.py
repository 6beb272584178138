"""Element types that do not fit an operator, or each other: a lost Cast, an index that is not an integer."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import onnx
from onnx import TensorProto

from friction_tui.kinds.types import FALSE_DECLARATION, MISMATCH, NOT_ALLOWED
from friction_tui.model.graph import Node
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.inference import opsets_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.structure.operator_schema import Formal, Schema, schema_of
from friction_tui.rules.types.element_types import element_types, type_in
from friction_tui.vocabulary.finding import Finding, Location, LocationKind
from friction_tui.vocabulary.recipe import Precision

_FLOATS = (TensorProto.FLOAT, TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.DOUBLE)


@dataclass(frozen=True, slots=True)
class _Clash:
    """Two inputs of one type variable with different types."""

    node: Node
    first: str
    first_type: int
    second: str
    second_type: int
    formals: tuple[str, str]


@dataclass(frozen=True, slots=True)
class _Use:
    """A tensor given to a node as the input it calls `formal`."""

    node: Node
    tensor: str
    formal: str


def type_text(data_type: int) -> str:
    """A type under all the names people search for: `float64 (double)`."""
    name = dtype_name(data_type)
    other = {"float64": "double", "float32": "float", "float16": "half"}.get(name)
    return f"{name} ({other})" if other else name or "an undefined type"


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for inputs of one type variable that differ, types an operator does not take, and false declarations."""
    model = context.model
    if model.file.kind != "onnx":
        return
    opsets, asked_for_bfloat16 = opsets_of(model), context.recipe.precision is Precision.BF16
    clashes: dict[tuple[str, int, int], list[_Clash]] = {}
    refused: dict[tuple[str, frozenset[int], int], list[_Use]] = {}
    for node in model.index.nodes:
        proto = node.proto
        domain = "" if proto.domain == "ai.onnx" else proto.domain
        if node.graph.startswith("@") or model.index.function_of(proto) is not None or domain not in opsets:
            continue
        schema = schema_of(proto.op_type, domain, opsets[domain])
        if schema is None:
            continue
        clash, wrong = _inputs_against(schema, model, node)
        if clash:
            clashes.setdefault((proto.op_type, clash.first_type, clash.second_type), []).append(clash)
        for formal, name, found in wrong:
            if asked_for_bfloat16 and found == TensorProto.BFLOAT16 and TensorProto.FLOAT16 in formal.types:
                continue  # TensorRT takes bfloat16 where it takes float16; ONNX allows it at newer opsets only
            refused.setdefault((proto.op_type, formal.types, found), []).append(_Use(node, name, formal.name))
    for same in clashes.values():
        yield _mismatch(model, same)
    for (_, types, data_type), uses in refused.items():
        yield _not_taken(model, types, data_type, uses)
    yield from _declarations(model)
    yield from _branches(model)


def _inputs_against(
    schema: Schema, model: OpenedModel, node: Node
) -> tuple[_Clash | None, list[tuple[Formal, str, int]]]:
    """The first clash among the inputs of a node, and every input whose type the schema does not take."""
    bound: dict[str, tuple[str, int, str]] = {}
    clash: _Clash | None = None
    wrong: list[tuple[Formal, str, int]] = []
    here = element_types(model)[node.graph]
    for position, name in enumerate(node.proto.input):
        formal = schema.input_at(position)
        if not name or formal is None or not formal.types:
            continue
        found = here.get(name) or (type_in(model, node.graph, name) if node.graph else 0)
        if not found:
            continue
        if formal.homogeneous:
            before = bound.setdefault(formal.variable, (name, found, formal.name))
            if before[1] != found and clash is None:
                clash = _Clash(node, before[0], before[1], name, found, (before[2], formal.name))
                continue
        if found not in formal.types:
            wrong.append((formal, name, found))
    return clash, wrong


def _mismatch(model: OpenedModel, clashes: list[_Clash]) -> Finding:
    one = clashes[0]
    op = one.node.proto.op_type
    target, source, tensor = one.first_type, one.second_type, one.second
    if source in _FLOATS and target not in _FLOATS:
        target, source, tensor = source, target, one.first
    more = f" {len(clashes) - 1} more {op} nodes do the same." if len(clashes) > 1 else ""
    return MISMATCH.finding(
        what=op,
        first=dtype_name(one.first_type),
        second=dtype_name(one.second_type),
        cause=f"{op} {one.node.name} gets different data types: {one.first} is {type_text(one.first_type)}, "
        f"{one.second} is {type_text(one.second_type)}. ONNX wants one dtype for both and converts nothing by itself; "
        f"a Cast is missing or was lost.{more}",
        locations=(location_of(model, clash.node) for clash in clashes),
        evidence=(
            f"{c.node.name}: {c.formals[0]}={c.first} {dtype_name(c.first_type)}, {c.formals[1]}={c.second} "
            f"{dtype_name(c.second_type)}"
            for c in clashes[:8]
        ),
        fixes=(
            f"Insert a Cast of {tensor} from {dtype_name(source)} to {dtype_name(target)} before {one.node.name}.",
            "Give the constant or input the right dtype where the model is made, and re-export.",
        ),
    )


def _not_taken(model: OpenedModel, types: frozenset[int], data_type: int, uses: list[_Use]) -> Finding:
    node, tensor = uses[0].node, uses[0].tensor
    op = node.proto.op_type
    formals = " and ".join(dict.fromkeys(use.formal for use in uses if use.node is node))
    nodes = list(dict.fromkeys(location_of(model, use.node) for use in uses))
    taken = sorted(dtype_name(kind) for kind in types)
    usual = next((name for name in ("float32", "int64", "bool") if name in taken), taken[0])
    listed = ", ".join(taken[:6]) + ("…" if len(taken) > 6 else "")
    more = f" {len(nodes) - 1} more nodes do the same." if len(nodes) > 1 else ""
    return NOT_ALLOWED.finding(
        op=op,
        dtype=dtype_name(data_type),
        input=formals,
        cause=f"{op} {node.name} gets {tensor} of data type {type_text(data_type)} as its input {formals}, a type "
        f"that ONNX does not support there: it takes {listed}.{more}",
        locations=nodes,
        evidence=(f"{use.node.name}: {use.formal}={use.tensor} is {dtype_name(data_type)}" for use in uses[:8]),
        fixes=(
            f"Insert a Cast of {tensor} to {usual} before {node.name}.",
            "Convert the model to a newer opset if that one takes the type, or change the dtype where it is made.",
        ),
    )


def _declarations(model: OpenedModel) -> Iterator[Finding]:
    """Outputs and recorded tensors whose declared type is not the one the nodes give."""
    types = element_types(model)[""]
    graph = model.proto.graph
    outputs = {value.name for value in graph.output}
    for value in (*graph.output, *graph.value_info):
        declared, found = value.type.tensor_type.elem_type, types.get(value.name, 0)
        writer = model.index.producer.get(value.name)
        if not declared or not found or declared == found or writer is None:
            continue
        what = "output" if value.name in outputs else "tensor"
        yield FALSE_DECLARATION.finding(
            what=what.capitalize(),
            tensor=value.name,
            cause=f"The {what} {value.name} is declared as {type_text(declared)}, but {writer.proto.op_type} "
            f"{writer.name} makes {type_text(found)}: the dtype does not match. ONNX Runtime refuses the model (Type "
            f"Error); TensorRT goes by the {'declaration' if what == 'output' else 'node'} in silence.",
            locations=(
                Location(LocationKind.OUTPUT if what == "output" else LocationKind.TENSOR, value.name),
                location_of(model, writer),
            ),
            fixes=(
                f"Declare {value.name} as {dtype_name(found)}, or insert a Cast to {dtype_name(declared)} behind "
                f"{writer.name}.",
            ),
        )


def _branches(model: OpenedModel) -> Iterator[Finding]:
    """If branches that return different types."""
    types = element_types(model)
    for node in model.index.nodes:
        if node.proto.op_type != "If":
            continue
        returned: list[tuple[str, list[int]]] = []
        for prefix in model.index.bodies_of(node.path):
            graph = model.index.graphs[prefix]
            assert isinstance(graph, onnx.GraphProto)
            found = [types.get(prefix, {}).get(value.name, 0) for value in graph.output]
            returned.append((prefix.rpartition(".")[2], found))
        if len(returned) != 2:
            continue
        for position, pair in enumerate(zip(returned[0][1], returned[1][1], strict=False)):
            if all(pair) and pair[0] != pair[1]:
                yield MISMATCH.finding(
                    what=f"If {node.name}",
                    first=dtype_name(pair[0]),
                    second=dtype_name(pair[1]),
                    cause=f"If {node.name} returns {type_text(pair[0])} from {returned[0][0]} and {type_text(pair[1])} "
                    f"from {returned[1][0]} as output {position}: both branches must give the same data type (dtype).",
                    locations=(location_of(model, node),),
                    fixes=("Insert a Cast at the end of one branch so that both return the same dtype.",),
                )


CHECK = Check("types", "element types that do not fit together", check, (MISMATCH, NOT_ALLOWED, FALSE_DECLARATION))
