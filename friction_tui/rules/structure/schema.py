"""Nodes against the ONNX operator schemas at the model's opset: attributes, inputs, outputs, and the opset itself.

TensorRT's parser looks only for the attributes and inputs it knows and ignores the rest in silence, so a wrong
attribute costs a wrong result there and a refusal everywhere else.
"""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import dataclass

import msgspec
import onnx
from onnx import AttributeProto, helper

from friction_tui.kinds import schema as kinds
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.inference import opsets_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.structure.operator_schema import Schema, history_of, schema_of
from friction_tui.vocabulary.finding import Finding, Location, Severity

_RENAMED = {("Pad", "value"): "constant_value", ("Dropout", "is_test"): "training_mode", ("Slice", "axes"): "axes"}
"""Attributes that became an input under another name."""
_SUCCESSORS = {"Upsample": "Resize", "Scatter": "ScatterElements"}
_STAMP = "If the model was really written for opset {last} or older, stamp it "


@dataclass(frozen=True, slots=True)
class _Use:
    """A node of an operator that ONNX defines, and the opset it is read by."""

    node: Node
    opset: int
    locations: tuple[Location, ...]

    @property
    def op(self) -> str:
        return self.node.proto.op_type

    @property
    def domain(self) -> str:
        return _domain(self.node)

    @property
    def text(self) -> str:
        """How causes name the node."""
        return f"{self.op} {self.node.name}"

    @property
    def history(self) -> tuple[Schema, ...]:
        """Every version of the operator, oldest first."""
        return history_of(self.op, self.domain)

    def gone_after(self, since: int) -> int:
        """The opset of the version that followed the one of `since`."""
        return next(version.since for version in self.history if version.since > since)


def check(context: CheckContext) -> Iterator[Finding]:
    """One error per way an operator is used against its schema; its locations are all nodes that share it."""
    model = context.model
    if model.file.kind != "onnx":
        return
    grouped: dict[tuple[str, str], list[Finding]] = {}
    for use in _uses(model):
        for finding in _violations(use):
            grouped.setdefault((finding.kind, finding.title), []).append(finding)
    for first, *others in grouped.values():
        more = f" The same holds for {len(others)} more nodes." if others else ""
        locations = (location for one in (first, *others) for location in one.locations)
        yield msgspec.structs.replace(first, cause=first.cause + more, locations=tuple(locations))


def _domain(node: Node) -> str:
    return "" if node.proto.domain == "ai.onnx" else node.proto.domain


def _uses(model: OpenedModel) -> Iterator[_Use]:
    """Every node of a domain onnx defines, with the opset it is read by; bodies and functions included."""
    everywhere = opsets_of(model)
    of_function = {
        prefix: {entry.domain if entry.domain != "ai.onnx" else "": entry.version for entry in graph.opset_import}
        for prefix, graph in model.index.graphs.items()
        if isinstance(graph, onnx.FunctionProto)
    }
    for node in model.index.nodes:
        opsets = everywhere
        if of_function and node.graph.startswith("@"):
            opsets = next((own for prefix, own in of_function.items() if node.graph.startswith(prefix)), everywhere)
        opset = opsets.get(_domain(node)) or everywhere.get(_domain(node))
        if opset and model.index.function_of(node.proto) is None:
            yield _Use(node, opset, (location_of(model, node),))


def _violations(use: _Use) -> Iterator[Finding]:
    """Each violation of the schema by one node."""
    schema = schema_of(use.op, use.domain, use.opset)
    if schema is None:
        if use.history:
            yield _not_in_opset(use)
        return
    if schema.deprecated:
        yield _deprecated(use, schema)
        return
    given: set[str] = set()
    unknown: list[AttributeProto] = []
    for attribute in use.node.proto.attribute:
        name = attribute.name
        if name in given:
            yield _attribute_twice(use, name)
        given.add(name)
        expected = schema.attributes.get(name)
        if expected is None:
            unknown.append(attribute)
        elif attribute.type not in (expected, AttributeProto.UNDEFINED):
            yield _attribute_type(use, attribute, expected)
    inputs_by_now = [one for one in unknown if _became_input(use, schema, one.name)]
    if inputs_by_now:
        yield _now_inputs(use, inputs_by_now)
    for attribute in unknown:
        if attribute not in inputs_by_now:
            yield _unknown_attribute(use, schema, attribute)
    for name in schema.required - given:
        yield _missing_attribute(use, name)
    explained = {_RENAMED.get((use.op, one.name), one.name).lower() for one in inputs_by_now}
    yield from _arity(use, schema, explained)


def _arity(use: _Use, schema: Schema, explained: set[str]) -> Iterator[Finding]:
    """Too few or too many inputs and outputs. `explained` are missing inputs that another finding describes."""
    proto = use.node.proto
    count = len(proto.input)
    if count > schema.max_inputs:
        newer = next((one for one in use.history if one.since > use.opset and one.max_inputs >= count), None)
        yield _too_many_inputs(use, schema, newer)
        if newer:
            return  # written for a newer opset: what else differs from this one's follows from that
    for position, formal in enumerate(schema.inputs):
        wanted = formal.option == "Single" or (formal.option == "Variadic" and schema.min_inputs > position)
        absent = position >= count or (formal.option == "Single" and not proto.input[position])
        if wanted and absent and formal.name.lower() not in explained:
            yield _missing_input(use, formal.name, position)
    if len(proto.output) > schema.max_outputs:
        yield _too_many_outputs(use, schema)
    for position, outcome in enumerate(schema.outputs):
        if outcome.option == "Single" and (position >= len(proto.output) or not proto.output[position]):
            yield _missing_output(use, outcome.name)


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


def _became_input(use: _Use, schema: Schema, name: str) -> bool:
    """Whether an older version of the operator has `name` as an attribute and this one as an input."""
    had = any(name in version.attributes and version.since <= use.opset for version in use.history)
    wanted = _RENAMED.get((use.op, name), name).lower()
    return had and any(formal.name.lower() == wanted for formal in schema.inputs)


def _now_inputs(use: _Use, attributes: list[AttributeProto]) -> Finding:
    op, opset = use.op, use.opset
    given = " and ".join(f"{attribute.name}={_value(attribute)}" for attribute in attributes)
    names = " and ".join(_RENAMED.get((op, attribute.name), attribute.name) for attribute in attributes)
    since = [v.since for v in use.history if attributes[0].name in v.attributes and v.since <= opset]
    gone = use.gone_after(since[-1])
    be, an, it = ("are", "", "them") if len(attributes) > 1 else ("is", "an ", "it")
    what = "inputs" if len(attributes) > 1 else "input"
    return kinds.ATTRIBUTE_BECAME_INPUT.finding(
        op=op,
        attributes=names,
        became=f"{be} {an}{what}",
        opset=gone,
        cause=f"{use.text} has the attribute {given}, but the model is stamped opset {opset}, where {names} {be} "
        f"{an}{what}: ONNX has {it} as attribute only up to {_last(gone, since[-1])}. TensorRT either refuses the "
        f"node or builds it in silence and, for most operators, ignores the attribute: {op} then runs with its "
        f"default {names}. ONNX Runtime refuses the model (Unrecognized attribute: {attributes[0].name}).",
        locations=use.locations,
        fixes=[
            f"Pass {names} as {an}{what} of {op} (initializers) instead of the attribute.",
            _STAMP.format(last=gone - 1)
            + f"opset {since[-1]} and let onnx.version_converter convert it to opset {opset}.",
        ],
        evidence=[
            f"{attributes[0].name} is an attribute of {op} in the versions of opset {', '.join(map(str, since))}"
        ],
    )


def _unknown_attribute(use: _Use, schema: Schema, attribute: AttributeProto) -> Finding:
    """An attribute the schema does not have: newer than the opset, removed before it, or never there."""
    op, opset, name = use.op, use.opset, attribute.name
    given = f"{use.text} has the attribute {name}={_value(attribute)}"
    with_it = [version.since for version in use.history if name in version.attributes]
    evidence = [f"{name} is an attribute of {op} in the versions of opset {', '.join(map(str, with_it)) or '(none)'}"]
    older = [since for since in with_it if since <= opset]
    if older:
        gone = use.gone_after(older[-1])
        return kinds.ATTRIBUTE_REMOVED.finding(
            op=op,
            attribute=name,
            opset=gone,
            cause=f"{given}, an attribute ONNX removed in opset {gone}; the model is stamped opset {opset}. It was "
            f"valid up to {_last(gone, older[-1])}. TensorRT ignores it in silence; ONNX Runtime refuses the model "
            f"(Unrecognized attribute: {name}).",
            locations=use.locations,
            fixes=[
                f"Remove the attribute {name} if its value is the default or has no meaning any more.",
                _STAMP.format(last=gone - 1) + f"so (opset {older[-1]}) and convert it with onnx.version_converter.",
            ],
            evidence=evidence,
        )
    if with_it:
        return kinds.ATTRIBUTE_TOO_NEW.finding(
            op=op,
            attribute=name,
            opset=with_it[0],
            cause=f"{given}, an attribute that {op} has only from opset {with_it[0]} on, but the model is stamped "
            f"opset {opset}. TensorRT may or may not read it; ONNX Runtime refuses the model (Unrecognized attribute: "
            f"{name}).",
            locations=use.locations,
            fixes=[
                f"Convert the model to opset {with_it[0]} or newer, where the attribute {name} is valid.",
                f"Remove the attribute {name} if its value is the default.",
            ],
            evidence=evidence,
        )
    near = difflib.get_close_matches(name, schema.attributes, n=1, cutoff=0.6)
    meant = f" The name is probably misspelt: {op} has {near[0]}." if near else ""
    known = ", ".join(sorted(schema.attributes)) or "no attributes at all"
    return kinds.UNKNOWN_ATTRIBUTE.finding(
        op=op,
        attribute=name,
        cause=f"{given}, an unknown attribute: ONNX's {op} at opset {opset} has {known}.{meant} TensorRT ignores it in "
        f"silence, so its value counts for nothing; ONNX Runtime refuses the model (Unrecognized attribute: {name}).",
        locations=use.locations,
        fixes=[
            f"Rename the attribute to {near[0]}." if near else f"Remove the attribute {name}.",
            f"If {op} is meant to be an operator of its own, with an attribute of its own, give the node its own "
            "domain.",
        ],
    )


def _attribute_type(use: _Use, attribute: AttributeProto, expected: int) -> Finding:
    name = attribute.name
    have, want = (AttributeProto.AttributeType.Name(kind) for kind in (attribute.type, expected))
    return kinds.ATTRIBUTE_TYPE.finding(
        op=use.op,
        attribute=name,
        cause=f"{use.text} gives the attribute {name}={_value(attribute)} as {have}; ONNX wants {want}. TensorRT "
        f"reads the empty {want} field in silence; ONNX Runtime refuses the model (Mismatched attribute type).",
        locations=use.locations,
        fixes=[
            f"Write the attribute {name} as {want}, for example with onnx.helper.make_attribute and a value of that "
            "type."
        ],
    )


def _attribute_twice(use: _Use, name: str) -> Finding:
    return kinds.ATTRIBUTE_TWICE.finding(
        op=use.op,
        attribute=name,
        cause=f"{use.text} has the attribute {name} more than once, a duplicate; engines disagree on which one counts.",
        locations=use.locations,
        fixes=[f"Remove the duplicate attribute {name}."],
    )


def _missing_attribute(use: _Use, name: str) -> Finding:
    return kinds.MISSING_ATTRIBUTE.finding(
        op=use.op,
        attribute=name,
        cause=f"{use.text} lacks the attribute {name}, which ONNX requires at opset {use.opset}: the attribute is "
        "missing, and there is no default.",
        locations=use.locations,
        fixes=[
            f"Add the attribute {name}.",
            "Re-export the model; if it was written for another opset, stamp it with that opset and convert it.",
        ],
    )


def _not_in_opset(use: _Use) -> Finding:
    op, opset, since = use.op, use.opset, use.history[0].since
    return kinds.NOT_IN_OPSET.finding(
        op=op,
        opset=opset,
        cause=f"{use.text} is used in a model stamped opset {opset}, but ONNX has {op} only from opset {since} on: "
        "not an ONNX operator at this opset. Engines that happen to know it take it, by rules nobody promises; the "
        f"checker says `No Op registered for {op} with domain_version of {opset}`.",
        locations=use.locations,
        fixes=[
            f"Convert the model to opset {since} or newer (onnx.version_converter), or re-export it with "
            f"opset_version={since}.",
            f"If the model was really written for opset {since} or newer, correct its opset import.",
        ],
    )


def _deprecated(use: _Use, schema: Schema) -> Finding:
    op, since = use.op, schema.since
    if use.history[0].since == since:  # deprecated in the very version that brought it: GroupNormalization of opset 18
        newer = next((version.since for version in use.history if version.since > since), None)
        return kinds.DEPRECATED.finding(
            op=op,
            opset=since,
            cause=f"{use.text} is of opset {since}, which ONNX deprecated afterwards"
            + (f" and defined anew in opset {newer}" if newer else "")
            + ". TensorRT and ONNX Runtime still take it; `onnx.checker` refuses the model.",
            locations=use.locations,
            fixes=[
                *([f"Re-export at opset {newer} or newer."] if newer else []),
                "Nothing needs to be done if no other tool complains.",
            ],
            severity=Severity.NOTE,
        )
    return kinds.DEPRECATED.finding(
        op=op,
        opset=since,
        cause=f"{use.text} is deprecated from opset {since} on and must not be used in a model stamped opset "
        f"{use.opset}. TensorRT still takes it; ONNX Runtime refuses the model.",
        locations=use.locations,
        fixes=[
            f"Replace {op} by {_SUCCESSORS.get(op, 'its successor')}.",
            _STAMP.format(last=since - 1) + "so and convert it with onnx.version_converter.",
        ],
    )


def _too_many_inputs(use: _Use, schema: Schema, newer: Schema | None) -> Finding:
    """`newer` is the first later version that takes so many inputs."""
    op, count = use.op, len(use.node.proto.input)
    extra = use.node.proto.input[schema.max_inputs]
    reason, fixes = "", [f"Remove the extra input {extra}."]
    if newer:
        name = getattr(newer.input_at(schema.max_inputs), "name", "it")
        reason = f" From opset {newer.since} on it takes {name} there: the opset in the model is probably too low."
        fixes = [f"Stamp the model opset {newer.since} if it was written for it."]
        if name in schema.attributes:
            fixes.insert(0, f"At opset {use.opset} give {name} as an attribute instead of an input.")
    return kinds.TOO_MANY_INPUTS.finding(
        op=op,
        cause=f"{use.text} has {count} inputs, at opset {use.opset} it takes at most {schema.max_inputs}: {extra} is "
        f"one too many.{reason} TensorRT may ignore it in silence; ONNX Runtime refuses the model.",
        locations=use.locations,
        fixes=fixes,
    )


def _missing_input(use: _Use, name: str, position: int) -> Finding:
    before = [version.since for version in use.history if version.since <= use.opset and name in version.attributes]
    was = f" Up to opset {before[-1]} it was an attribute." if before else ""
    return kinds.MISSING_INPUT.finding(
        op=use.op,
        input=name,
        cause=f"{use.text} lacks input {position}, {name}, which ONNX requires at opset {use.opset}: it is missing."
        f"{was}",
        locations=use.locations,
        fixes=[
            f"Give {name} as an input of {use.op}.",
            "Re-export the model; if it was written for an older opset, stamp it with that one and convert it.",
        ],
    )


def _too_many_outputs(use: _Use, schema: Schema) -> Finding:
    outputs = use.node.proto.output
    return kinds.TOO_MANY_OUTPUTS.finding(
        op=use.op,
        cause=f"{use.text} has {len(outputs)} outputs, at opset {use.opset} it gives at most {schema.max_outputs}: too "
        f"many outputs, {', '.join(outputs[schema.max_outputs :])} can get no value.",
        locations=use.locations,
        fixes=[
            "Remove the extra outputs and whatever reads them.",
            "If the model was written for another opset, stamp it with that one and convert it.",
        ],
    )


def _missing_output(use: _Use, name: str) -> Finding:
    return kinds.MISSING_OUTPUT.finding(
        op=use.op,
        output=name,
        cause=f"{use.text} has no name for its output {name}: an empty output name is only allowed for optional "
        "outputs.",
        locations=use.locations,
        fixes=[f"Name the output {name}, or remove the node {use.node.name} if nothing reads it."],
    )


CHECK = Check(
    "schema",
    "what ONNX asks of each operator",
    check,
    (
        kinds.ATTRIBUTE_BECAME_INPUT,
        kinds.ATTRIBUTE_REMOVED,
        kinds.ATTRIBUTE_TOO_NEW,
        kinds.UNKNOWN_ATTRIBUTE,
        kinds.ATTRIBUTE_TYPE,
        kinds.ATTRIBUTE_TWICE,
        kinds.MISSING_ATTRIBUTE,
        kinds.MISSING_INPUT,
        kinds.TOO_MANY_INPUTS,
        kinds.TOO_MANY_OUTPUTS,
        kinds.MISSING_OUTPUT,
        kinds.NOT_IN_OPSET,
        kinds.DEPRECATED,
    ),
)
