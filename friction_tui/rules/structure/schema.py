"""Nodes against the ONNX operator schemas at the model's opset: attributes, inputs, outputs, and the opset itself.

TensorRT's parser looks only for the attributes and inputs it knows and passes over the rest in silence, so a wrong
attribute costs a wrong result there and a refusal everywhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator

import msgspec
import onnx
from onnx import AttributeProto, helper

from friction_tui.kinds import KINDS
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.inference import opsets_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.structure.operator_schema import Schema, history_of, schema_of
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Severity, Tier

_RENAMED = {("Pad", "value"): "constant_value", ("Dropout", "is_test"): "training_mode", ("Slice", "axes"): "axes"}
"""Attributes that became an input under another name."""


def check(context: CheckContext) -> Iterator[Finding]:
    """One error per way an operator is used against its schema; the nodes that share it are its places."""
    model = context.model
    if model.file.kind != "onnx":
        return
    grouped: dict[tuple[str, ...], tuple[Finding, list[Node]]] = {}
    for node, opset in _standard_nodes(model):
        for key, finding in _judge(node, opset):
            grouped.setdefault(key, (finding, []))[1].append(node)
    for finding, nodes in grouped.values():
        yield _with_places(model, finding, nodes)


def _with_places(model: OpenedModel, finding: Finding, nodes: list[Node]) -> Finding:

    more = f" The same holds for {len(nodes) - 1} more nodes." if len(nodes) > 1 else ""
    return msgspec.structs.replace(
        finding, cause=finding.cause + more, locations=tuple(location_of(model, node) for node in nodes)
    )


def _standard_nodes(model: OpenedModel) -> Iterator[tuple[Node, int]]:
    """Every node of a domain onnx defines, with the opset it is read by; bodies and functions included."""
    everywhere = opsets_of(model)
    of_function = {
        prefix: {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in graph.opset_import}
        for prefix, graph in model.index.graphs.items()
        if isinstance(graph, onnx.FunctionProto)
    }
    for node in model.index.nodes:
        domain = "" if node.proto.domain == "ai.onnx" else node.proto.domain
        opsets = everywhere
        if of_function and node.graph.startswith("@"):
            opsets = next((own for prefix, own in of_function.items() if node.graph.startswith(prefix)), everywhere)
        opset = opsets.get(domain) or everywhere.get(domain)
        if opset and model.index.function_of(node.proto) is None:
            yield node, opset


def _judge(node: Node, opset: int) -> Iterator[tuple[tuple[str, ...], Finding]]:
    """(what makes it the same problem elsewhere, finding without places) for each breach of one node."""
    proto = node.proto
    domain = "" if proto.domain == "ai.onnx" else proto.domain
    schema = schema_of(proto.op_type, domain, opset)
    if schema is None:
        history = history_of(proto.op_type, domain)
        if history:
            yield ("not-in-opset", proto.op_type), _not_in_opset(node, opset, history[0].since)
        return
    if schema.deprecated:
        yield ("deprecated", proto.op_type), _deprecated(node, opset, schema)
        return
    given: set[str] = set()
    unknown: list[AttributeProto] = []
    for attribute in proto.attribute:
        name = attribute.name
        if name in given:
            yield ("twice", proto.op_type, name), _attribute_twice(node, name)
        given.add(name)
        expected = schema.attributes.get(name)
        if expected is None:
            unknown.append(attribute)
        elif attribute.type not in (expected, AttributeProto.UNDEFINED):
            yield ("type", proto.op_type, name), _attribute_type(node, attribute, expected)
    inputs_by_now = [one for one in unknown if _became_input(schema, opset, one.name)]
    if inputs_by_now:
        names = ", ".join(attribute.name for attribute in inputs_by_now)
        yield ("attribute", proto.op_type, names), _now_inputs(node, opset, schema, inputs_by_now)
    for attribute in unknown:
        if attribute not in inputs_by_now:
            yield ("attribute", proto.op_type, attribute.name), _unknown_attribute(node, opset, schema, attribute)
    for name in schema.required - given:
        yield ("missing-attribute", proto.op_type, name), _missing_attribute(node, opset, name)
    told = {_RENAMED.get((proto.op_type, one.name), one.name).lower() for one in inputs_by_now}
    yield from _arity(node, opset, schema, told)


def _arity(node: Node, opset: int, schema: Schema, told: set[str]) -> Iterator[tuple[tuple[str, ...], Finding]]:
    """Too few or too many inputs and outputs. `told` are missing inputs of which a finding speaks already."""
    proto = node.proto
    count = len(proto.input)
    if count > schema.max_inputs:
        yield ("many-inputs", proto.op_type), _too_many_inputs(node, opset, schema)
        if _newer_with(schema, opset, count) is not None:
            return  # written for a newer opset: what else differs from this one's follows from that
    for position, formal in enumerate(schema.inputs):
        wanted = formal.option == "Single" or (formal.option == "Variadic" and schema.min_inputs > position)
        absent = position >= count or (formal.option == "Single" and not proto.input[position])
        if wanted and absent and formal.name.lower() not in told:
            yield ("missing-input", proto.op_type, formal.name), _missing_input(node, opset, formal.name, position)
    if len(proto.output) > schema.max_outputs:
        yield ("many-outputs", proto.op_type), _too_many_outputs(node, opset, schema)
    for position, outcome in enumerate(schema.outputs):
        if outcome.option == "Single" and (position >= len(proto.output) or not proto.output[position]):
            yield ("missing-output", proto.op_type), _missing_output(node, outcome.name)


def _finding(kind: str, title: str, cause: str, *fixes: str, evidence: tuple[str, ...] = ()) -> Finding:
    return Finding(
        kind=f"schema/{kind}",
        severity=Severity.ERROR,
        tier=Tier.MODEL,
        title=title,
        cause=cause,
        source=RULE,
        evidence=evidence,
        fixes=tuple(Fix(text) for text in fixes),
    )


def _value(attribute: AttributeProto) -> str:
    """The attribute's value, shortened."""
    if attribute.type in (AttributeProto.GRAPH, AttributeProto.TENSOR):
        return "…"
    value = helper.get_attribute_value(attribute)
    text = value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)
    return text if len(text) <= 40 else text[:39] + "…"


def _last(gone: int, since: int) -> str:
    """The last opset that had something that was gone at `gone`; `since` is its last version."""
    return f"opset {gone - 1}" if gone - 1 == since else f"opset {gone - 1} (last version: opset {since})"


def _became_input(schema: Schema, opset: int, name: str) -> bool:
    """Whether an older version of the operator has `name` as an attribute and this one as an input."""
    had = any(name in v.attributes and v.since <= opset for v in history_of(schema.name, schema.domain))
    wanted = _RENAMED.get((schema.name, name), name).lower()
    return had and any(formal.name.lower() == wanted for formal in schema.inputs)


def _now_inputs(node: Node, opset: int, schema: Schema, attributes: list[AttributeProto]) -> Finding:
    op, history = node.proto.op_type, history_of(schema.name, schema.domain)
    given = " and ".join(f"{attribute.name}={_value(attribute)}" for attribute in attributes)
    names = " and ".join(_RENAMED.get((op, attribute.name), attribute.name) for attribute in attributes)
    since = [v.since for v in history if attributes[0].name in v.attributes and v.since <= opset]
    gone = next(version.since for version in history if version.since > since[-1])
    be, an, it = ("are", "", "them") if len(attributes) > 1 else ("is", "an ", "it")
    what = "inputs" if len(attributes) > 1 else "input"
    return _finding(
        "attribute-became-input",
        f"{op}: {names} {be} {an}{what} from opset {gone} on",
        f"{op} {node.name} has the attribute {given}, but the model is stamped opset {opset}, where {names} {be} "
        f"{an}{what}: ONNX has {it} as attribute only up to {_last(gone, since[-1])}. TensorRT either refuses the "
        f"node or builds it in silence and, for most operators, ignores the attribute: {op} then runs with its "
        f"default {names}. ONNX Runtime refuses the model (Unrecognized attribute: {attributes[0].name}).",
        f"Pass {names} as {an}{what} of {op} (initializers) instead of the attribute.",
        f"If the model was really written for opset {gone - 1} or older, stamp it opset {since[-1]} and let "
        f"onnx.version_converter convert it to opset {opset}.",
        evidence=(
            f"{attributes[0].name} is an attribute of {op} in the versions of opset {', '.join(map(str, since))}",
        ),
    )


def _unknown_attribute(node: Node, opset: int, schema: Schema, attribute: AttributeProto) -> Finding:
    """An attribute the schema does not have: an input by now, newer than the opset, long gone, or never there."""
    op, name = node.proto.op_type, attribute.name
    given = f"{op} {node.name} has the attribute {name}={_value(attribute)}"
    history = history_of(op, schema.domain)
    with_it = [version.since for version in history if name in version.attributes]
    evidence = (f"{name} is an attribute of {op} in the versions of opset {', '.join(map(str, with_it)) or '(none)'}",)
    older = [since for since in with_it if since <= opset]
    if older:
        gone = next(version.since for version in history if version.since > older[-1])
        last = _last(gone, older[-1])
        return _finding(
            "attribute-removed",
            f"{op}: {name} no longer exists from opset {gone} on",
            f"{given}, an attribute ONNX removed in opset {gone}; the model is stamped opset {opset}. It was valid up "
            f"to {last}. TensorRT ignores it in silence; ONNX Runtime refuses the model (Unrecognized attribute: "
            f"{name}).",
            f"Remove the attribute {name} if its value is the default or has no meaning any more.",
            f"If the model was really written for opset {gone - 1} or older, stamp it so (opset {older[-1]}) and "
            "convert it with onnx.version_converter.",
            evidence=evidence,
        )
    if with_it:
        return _finding(
            "attribute-too-new",
            f"{op}: {name} exists only from opset {with_it[0]} on",
            f"{given}, an attribute that {op} has only from opset {with_it[0]} on, but the model is stamped opset "
            f"{opset}. TensorRT may or may not read it; ONNX Runtime refuses the model (Unrecognized attribute: "
            f"{name}).",
            f"Convert the model to opset {with_it[0]} or newer, where the attribute {name} is valid.",
            f"Remove the attribute {name} if its value is the default.",
            evidence=evidence,
        )
    near = difflib.get_close_matches(name, schema.attributes, n=1, cutoff=0.6)
    meant = f" The name is probably misspelt: {op} has {near[0]}." if near else ""
    known = ", ".join(sorted(schema.attributes)) or "no attributes at all"
    return _finding(
        "unknown-attribute",
        f"{op} has no attribute {name}",
        f"{given}, an unknown attribute: ONNX's {op} at opset {opset} has {known}.{meant} TensorRT ignores it in "
        f"silence, so its value counts for nothing; ONNX Runtime refuses the model (Unrecognized attribute: {name}).",
        f"Rename the attribute to {near[0]}." if near else f"Remove the attribute {name}.",
        f"If {op} is meant to be an operator of its own, with an attribute of its own, give the node its own domain.",
    )


def _attribute_type(node: Node, attribute: AttributeProto, expected: int) -> Finding:
    op, name = node.proto.op_type, attribute.name
    have, want = (AttributeProto.AttributeType.Name(kind) for kind in (attribute.type, expected))
    return _finding(
        "attribute-type",
        f"{op}: {name} is of the wrong type",
        f"{op} {node.name} gives the attribute {name}={_value(attribute)} as {have}; ONNX wants {want}. TensorRT "
        f"reads the empty {want} field in silence; ONNX Runtime refuses the model (Mismatched attribute type).",
        f"Write the attribute {name} as {want}, for example with onnx.helper.make_attribute and a value of that type.",
    )


def _attribute_twice(node: Node, name: str) -> Finding:
    op = node.proto.op_type
    return _finding(
        "attribute-twice",
        f"{op}: {name} is given twice",
        f"{op} {node.name} has the attribute {name} more than once, a duplicate; engines disagree on which one counts.",
        f"Remove the duplicate attribute {name}.",
    )


def _missing_attribute(node: Node, opset: int, name: str) -> Finding:
    op = node.proto.op_type
    return _finding(
        "missing-attribute",
        f"{op} lacks its attribute {name}",
        f"{op} {node.name} lacks the attribute {name}, which ONNX requires at opset {opset}: the attribute is "
        "missing, and there is no default.",
        f"Add the attribute {name}.",
        "Re-export the model; if it was written for another opset, stamp it with that opset and convert it.",
    )


def _not_in_opset(node: Node, opset: int, since: int) -> Finding:
    op = node.proto.op_type
    return _finding(
        "not-in-opset",
        f"{op} does not exist at opset {opset}",
        f"{op} {node.name} is used in a model stamped opset {opset}, but ONNX has {op} only from opset {since} on: "
        "not an ONNX operator at this opset. Engines that happen to know it take it, by rules nobody promises; the "
        f"checker says `No Op registered for {op} with domain_version of {opset}`.",
        f"Convert the model to opset {since} or newer (onnx.version_converter), or re-export it with "
        f"opset_version={since}.",
        f"If the model was really written for opset {since} or newer, correct its opset import.",
    )


def _deprecated(node: Node, opset: int, schema: Schema) -> Finding:
    op = node.proto.op_type
    history = history_of(op, schema.domain)
    if history[0].since == schema.since:
        return _withdrawn(node, schema)
    successor = {"Upsample": "Resize", "Scatter": "ScatterElements"}.get(op, "its successor")
    return _finding(
        "deprecated",
        f"{op} is gone from opset {schema.since} on",
        f"{op} {node.name} is deprecated from opset {schema.since} on and must not be used in a model stamped opset "
        f"{opset}. TensorRT still takes it; ONNX Runtime refuses the model.",
        f"Replace {op} by {successor}.",
        f"If the model was really written for opset {schema.since - 1} or older, stamp it so and convert it with "
        "onnx.version_converter.",
    )


def _withdrawn(node: Node, schema: Schema) -> Finding:
    """An operator that ONNX deprecated in the very version that brought it, as GroupNormalization of opset 18."""
    op = node.proto.op_type
    newer = next((v.since for v in history_of(op, schema.domain) if v.since > schema.since), None)
    found = _finding(
        "deprecated",
        f"{op} of opset {schema.since} was withdrawn",
        f"{op} {node.name} is of opset {schema.since}, which ONNX deprecated afterwards"
        + (f" and defined anew in opset {newer}" if newer else "")
        + ". TensorRT and ONNX Runtime still take it; `onnx.checker` refuses the model.",
        *((f"Re-export at opset {newer} or newer.",) if newer else ()),
        "Nothing needs to be done if no other tool complains.",
    )
    return msgspec.structs.replace(found, severity=Severity.NOTE)


def _newer_with(schema: Schema, opset: int, inputs: int) -> Schema | None:
    """The first later version of an operator that takes so many inputs."""
    later = (version for version in history_of(schema.name, schema.domain) if version.since > opset)
    return next((version for version in later if version.max_inputs >= inputs), None)


def _too_many_inputs(node: Node, opset: int, schema: Schema) -> Finding:
    op, count = node.proto.op_type, len(node.proto.input)
    newer = _newer_with(schema, opset, count)
    extra = node.proto.input[schema.max_inputs]
    told, fixes = "", [f"Remove the extra input {extra}."]
    if newer:
        name = getattr(newer.input_at(schema.max_inputs), "name", "it")
        told = f" From opset {newer.since} on it takes {name} there: the opset in the model is probably too low."
        fixes = [f"Stamp the model opset {newer.since} if it was written for it."]
        if name in schema.attributes:
            fixes.insert(0, f"At opset {opset} give {name} as an attribute instead of an input.")
    return _finding(
        "too-many-inputs",
        f"{op} has too many inputs",
        f"{op} {node.name} has {count} inputs, at opset {opset} it takes at most {schema.max_inputs}: {extra} is one "
        f"too many.{told} TensorRT may ignore it in silence; ONNX Runtime refuses the model.",
        *fixes,
    )


def _missing_input(node: Node, opset: int, name: str, position: int) -> Finding:
    op = node.proto.op_type
    domain = "" if node.proto.domain == "ai.onnx" else node.proto.domain
    before = [v.since for v in history_of(op, domain) if v.since <= opset and name in v.attributes]
    told = f" Up to opset {before[-1]} it was an attribute." if before else ""
    return _finding(
        "missing-input",
        f"{op} lacks its input {name}",
        f"{op} {node.name} lacks input {position}, {name}, which ONNX requires at opset {opset}: it is missing.{told}",
        f"Give {name} as an input of {op}.",
        "Re-export the model; if it was written for an older opset, stamp it with that one and convert it.",
    )


def _too_many_outputs(node: Node, opset: int, schema: Schema) -> Finding:
    op, count = node.proto.op_type, len(node.proto.output)
    return _finding(
        "too-many-outputs",
        f"{op} has too many outputs",
        f"{op} {node.name} has {count} outputs, at opset {opset} it gives at most {schema.max_outputs}: too many "
        f"outputs, {', '.join(node.proto.output[schema.max_outputs :])} can get no value.",
        "Remove the extra outputs and whatever reads them.",
        "If the model was written for another opset, stamp it with that one and convert it.",
    )


def _missing_output(node: Node, name: str) -> Finding:
    op = node.proto.op_type
    return _finding(
        "missing-output",
        f"{op} lacks its output {name}",
        f"{op} {node.name} has no name for its output {name}: an empty output name is only allowed for optional "
        "outputs.",
        f"Name the output {name}, or remove the node {node.name} if nothing reads it.",
    )


CHECK = Check("schema", "what ONNX asks of each operator", check, tuple(KINDS.values()))
