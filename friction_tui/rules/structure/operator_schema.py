"""The ONNX operator schemas, read once into plain Python.

`onnx.defs` answers through a C++ binding that makes new objects on every access, too slow to ask per node. All
questions here are cached, so that ten thousand nodes cost as much as their distinct operators.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cache

import onnx
from onnx import AttributeProto, defs

_TYPE_PREFIX = "tensor("


@dataclass(frozen=True, slots=True)
class Formal:
    """A formal input or output. `variable` is its type variable (`T`), or the type itself when it has none.

    `types` are the ONNX element types it takes, empty when it takes something else than tensors. `option`
    is `Single`, `Optional` or `Variadic`; `homogeneous` says that all tensors of a variadic one share a type.
    """

    name: str
    option: str
    variable: str
    types: frozenset[int]
    homogeneous: bool


@dataclass(frozen=True, slots=True)
class Schema:
    """An operator at one opset. `attributes` maps a name to its `AttributeProto` type."""

    name: str
    domain: str
    since: int
    deprecated: bool
    attributes: dict[str, int]
    required: frozenset[str]
    inputs: tuple[Formal, ...]
    outputs: tuple[Formal, ...]
    min_inputs: int
    max_inputs: int
    max_outputs: int

    def input_at(self, position: int) -> Formal | None:
        """The formal input at `position`; a variadic last one stands for all that follow."""
        return _formal_at(self.inputs, position)

    def output_at(self, position: int) -> Formal | None:
        """The formal output at `position`."""
        return _formal_at(self.outputs, position)


def _formal_at(formals: tuple[Formal, ...], position: int) -> Formal | None:
    if position < len(formals):
        return formals[position]
    return formals[-1] if formals and formals[-1].option == "Variadic" else None


@cache
def schema_of(op: str, domain: str, opset: int) -> Schema | None:
    """The operator as it is in `opset` of `domain`; None when it is not in it."""
    try:
        return _read(defs.get_schema(op, opset, domain))
    except (defs.SchemaError, TypeError):  # an opset beyond 32 bits is none
        return None


@cache
def history_of(op: str, domain: str) -> tuple[Schema, ...]:
    """Every version of an operator onnx knows, oldest first; () when it never existed."""
    return tuple(sorted((_read(schema) for schema in _every().get((domain, op), ())), key=lambda found: found.since))


@cache
def _every() -> dict[tuple[str, str], list[defs.OpSchema]]:
    found: dict[tuple[str, str], list[defs.OpSchema]] = {}
    for schema in defs.get_all_schemas_with_history():
        found.setdefault((schema.domain, schema.name), []).append(schema)
    return found


@cache
def known_domains() -> frozenset[str]:
    """The operator domains onnx defines (`""` is ai.onnx)."""
    return frozenset(domain for domain, _ in _every())


@cache
def newest_opset(domain: str) -> int:
    """The newest opset of `domain` this onnx package knows; 0 for a domain it does not know."""
    if domain == "":
        return int(defs.onnx_opset_version())
    return max(
        (schema.since_version for (owner, _), rows in _every().items() if owner == domain for schema in rows), default=0
    )


@cache
def operator_names(domain: str) -> tuple[str, ...]:
    """Every operator onnx ever had in `domain`."""
    return tuple(sorted(name for owner, name in _every() if owner == domain))


def _read(schema: defs.OpSchema) -> Schema:
    constraints = {c.type_param_str: frozenset(c.allowed_type_strs) for c in schema.type_constraints}

    def formal(parameter: defs.OpSchema.FormalParameter) -> Formal:
        variable = parameter.type_str
        allowed = constraints.get(variable, frozenset((variable,)))
        option = str(parameter.option).rpartition(".")[2]
        tensors_only = all(text.startswith(_TYPE_PREFIX) for text in allowed)
        types = frozenset(_element_type(text) for text in allowed) if tensors_only else frozenset[int]()
        return Formal(parameter.name, option, variable, types, bool(parameter.is_homogeneous))

    attributes = {name: _attribute_type(attribute.type) for name, attribute in schema.attributes.items()}
    return Schema(
        name=schema.name,
        domain=schema.domain,
        since=schema.since_version,
        deprecated=schema.deprecated,
        attributes=attributes,
        required=frozenset(name for name, attribute in schema.attributes.items() if attribute.required),
        inputs=tuple(formal(parameter) for parameter in schema.inputs),
        outputs=tuple(formal(parameter) for parameter in schema.outputs),
        min_inputs=schema.min_input,
        max_inputs=schema.max_input,
        max_outputs=schema.max_output,
    )


def _attribute_type(kind: defs.OpSchema.AttrType) -> int:
    return int(AttributeProto.AttributeType.Value(str(kind).rpartition(".")[2]))


def _element_type(text: str) -> int:
    """`tensor(float)` as its ONNX element type."""
    name = text[len(_TYPE_PREFIX) : -1].upper()
    return int(onnx.TensorProto.DataType.Value(name))
