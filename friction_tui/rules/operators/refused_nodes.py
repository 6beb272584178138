"""Why TensorRT refuses a node or tensor: from its parser's refusals, or from a table where it is not installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from friction_tui.engines.base import NEEDS_GPU, Refusal
from friction_tui.kinds import control, engine, operators
from friction_tui.kinds.kind import Kind
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.profile import shape_operands
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.decode import Reading, decode
from friction_tui.rules.engine.unknown_message import attributes_text, unknown_fixes, what_is_known
from friction_tui.rules.operators.operator_origin import Origin, origin_of
from friction_tui.rules.operators.operator_tables import advice, extra_output_advice, support
from friction_tui.vocabulary.finding import RULE, Fix, Location, LocationKind, Severity, Tier

TABLE = "operator table"
"""Signs a verdict that was looked up in a table."""

_NO_IMPORTER = frozenset(
    {operators.UNKNOWN, operators.UNSUPPORTED, operators.PLUGIN_MISSING, operators.NO_IMPLEMENTATION}
)
"""What a message means that gives no reason: the tables know more."""
_SCALES = {"Resize": (2, 1), "Upsample": (1,)}
"""The input that scales, at opset 11 and at 10."""
_LARGEST = 1 << 20
"""Elements of a constant from which on it is not read."""


@dataclass(frozen=True, slots=True)
class Refused:
    """One refused node with its reason, before equal reasons are put together."""

    kind: Kind
    op: str
    cause: str
    fixes: tuple[Fix | str, ...]
    location: Location
    words: str
    severity: Severity = Severity.ERROR
    tier: Tier = Tier.PARSER
    source: str = RULE
    provisional: bool = False
    evidence: str = ""


def refused_nodes(context: CheckContext) -> Iterator[Refused]:
    """Everything the parser refuses, or the table where the parser was not asked."""
    return _from_refusals(context, context.refusals) if context.refusals is not None else from_table(context)


# -------------------------------------------------------------------------------------- what the parser said


def _from_refusals(context: CheckContext, refusals: Iterable[Refusal]) -> Iterator[Refused]:
    source = f"{context.engine} parser" if context.engine else TABLE
    seen: set[str] = set()
    for refusal in refusals:
        node = context.model.index.by_path.get(refusal.path)
        reading = decode(_text(refusal))
        seen.add(refusal.path)
        if node is None:
            yield _of_tensor(context, refusal, reading, source)
        else:
            yield _of_node(context, node, refusal, reading, source)
    if context.rtx and context.engine:
        yield from _refused_by_builder(context, seen)


def _text(refusal: Refusal) -> str:
    """What to decode: the description, with the log where that is empty."""
    vague = refusal.text.startswith("Failed to import initializer") or not refusal.text
    return "\n".join((*refusal.log, refusal.text)) if vague else refusal.text


def _of_node(context: CheckContext, node: Node, refusal: Refusal, reading: Reading, source: str) -> Refused:
    op = node.proto.op_type
    base = Refused(
        kind=operators.REFUSED,
        op=op,
        cause="",
        fixes=(),
        location=location_of(context.model, node),
        words=refusal.text,
        source=source,
        provisional=refusal.provisional,
    )
    if refusal.code == NEEDS_GPU:
        return _needs_gpu(base)
    if reading.kind in _NO_IMPORTER:
        return _without_importer(context, node, base)
    if reading.kind is operators.EXTRA_OUTPUT:
        extra = ", ".join(name for name in node.proto.output[1:] if name)
        outputs = "Indices output" if op == "MaxPool" else "outputs after the first"
        return replace(
            base,
            kind=reading.kind,
            cause=f"TensorRT computes only the first output of {op}; the {outputs} ({extra}) are not supported.",
            fixes=tuple(filter(None, (extra_output_advice(op), *reading.fixes))),
        )
    if op == "Loop" and (reading.kind is engine.SHAPE_ANALYSIS or "is a shape tensor" in refusal.text):
        return _trip_count(context, node, base)
    computed = _computed_operand(context.model, node) if reading.kind is engine.SHAPE_ANALYSIS else None
    if computed is not None:
        return _computed_sizes(node, base, *computed)
    if reading.kind is engine.OTHER:
        return replace(
            base,
            cause=f"TensorRT refuses this {op}: {_short(refusal.text)}",
            evidence=next(what_is_known(context, (node,))),
            fixes=unknown_fixes(context),
        )
    return replace(
        base,
        kind=reading.kind,
        cause=reading.cause if op in reading.cause[: len(op) + 4] else f"{op}: {reading.cause}",
        evidence=_attributes(context, node),
        fixes=reading.fixes,
    )


def _trip_count(context: CheckContext, node: Node, base: Refused) -> Refused:
    """A Loop with rows to stack, whose number is not known before it runs."""
    trips = node.proto.input[0] if node.proto.input else ""
    writer = context.model.index.writer_in(node.graph, trips)
    made_by = f", computed by {writer.proto.op_type} {writer.name} from values," if writer is not None else ""
    return replace(
        base,
        kind=control.DYNAMIC_TRIP_COUNT,
        cause=f"The trip count {trips} of Loop {node.name}{made_by} decides how many rows its scan outputs have: "
        "their shape is dynamic and data-dependent, and TensorRT must know the number of iterations from "
        "constants or input shapes.",
        fixes=(
            "Use a constant trip count (or one taken from x.shape) and stop writing results behind the last one.",
            "Unroll the loop, or collect the rows in a pre-allocated tensor of fixed size.",
        ),
    )


def _computed_sizes(node: Node, base: Refused, tensor: str, writer: Node | None) -> Refused:
    """A node that TensorRT finds no shape for, since `tensor`, which decides its sizes, is computed from values."""
    op, resizes = node.proto.op_type, node.proto.op_type in _SCALES
    made_by = f"what {writer.proto.op_type} {writer.name} computes" if writer is not None else "an input"
    what = "scales (or sizes)" if resizes else "sizes"
    cause = (
        f"{op} {node.name} takes its {what} from {tensor}, {made_by}: values that are known only when the model runs. "
        "TensorRT works shapes out before that, from constants and from the shapes of the inputs."
    )
    constant = f"Make the {what} constant (an initializer), or compute them from x.shape only, and re-export."
    export = "Export at opset 11 or later with sizes taken from the input's shape, instead of scales."
    fixes = (constant, *((export,) if resizes else ()))
    return replace(base, kind=operators.NEEDS_CONSTANT, cause=cause, fixes=fixes)


def _computed_operand(model: OpenedModel, node: Node) -> tuple[str, Node | None] | None:
    """The first input that decides the node's sizes and is not a constant, with the node that writes it."""
    scales = (node.inputs[at] for at in _SCALES.get(node.proto.op_type, ()) if at < len(node.inputs))
    for name in filter(None, (*shape_operands(node), *scales)):
        if constant_value(model, name, _LARGEST, node.graph) is None:
            return name, model.index.writer_in(node.graph, name)
    return None


def _without_importer(context: CheckContext, node: Node, base: Refused) -> Refused:
    """A node whose operator is not taken at all."""
    op = node.proto.op_type
    origin = origin_of(context.model, node)
    if origin is not None:
        return _foreign(node, base, origin)
    known = advice(op)
    why = f": {known.why}" if known.why else ""
    fixes: tuple[Fix | str, ...] = known.instead
    if op == "NonZero" and _selects(context, node):
        fixes = (Fix(known.instead[0], rewrite="nonzero-mask", nodes=(node.path,)), *fixes[1:])
    if op == "NonZero" and _counts_up(context, node):
        why += ". This one counts up: it is torch.arange, as exporters write it below opset 11"
        fixes = ("Re-export at opset 11 or newer (17, say), where torch.arange is a Range.", *fixes)
    return replace(
        base,
        kind=known.kind,
        cause=f"{op} is not supported{why}. {_who_takes_it(context, op)}",
        fixes=fixes,
    )


def _foreign(node: Node, base: Refused, origin: Origin) -> Refused:
    op = node.proto.op_type
    cause = origin.what if origin.what.startswith(op) else f"{op} is not an ONNX operator: {origin.what}"
    # All of ONNX Runtime's operators have one cause, whatever they are called.
    shared = origin.kind is operators.ORT_OPTIMISED
    return replace(
        base, kind=origin.kind, op="" if shared else op, cause=origin.what if shared else cause, fixes=origin.fixes
    )


def _who_takes_it(context: CheckContext, op: str) -> str:
    """Which TensorRT has an importer for an ONNX operator."""
    table, edition = support(), context.engine or "TensorRT"
    since = table.since.get(op, "")
    if op in table.rtx_refuses:
        taken = f"the enterprise edition takes it{f' since TensorRT {since}' if since else ''}"
        return f"{edition} has no implementation of it; {taken}." if context.rtx else f"RTX refuses it; {taken}."
    if since and op not in table.taken:
        return f"{edition} has no importer for it; TensorRT {since} and later take it."
    if op in table.taken and context.engine:
        return f"{edition} has no importer for it here, although {table.enterprise} documents one."
    return f"No TensorRT has an importer for it (up to {table.enterprise} and {table.rtx})."


def _needs_gpu(base: Refused) -> Refused:
    return replace(
        base,
        kind=operators.NEEDS_GPU,
        cause=f"{base.op} cannot be judged without a GPU: TensorRT implements it as a plugin that is only registered "
        "when a GPU is present.",
        fixes=("Check again on a machine with an NVIDIA GPU.",),
        severity=Severity.NOTE,
        tier=Tier.UNKNOWN,
    )


def _of_tensor(context: CheckContext, refusal: Refusal, reading: Reading, source: str) -> Refused:
    """A refusal that belongs to an input, an initializer or the whole model."""
    kind = {"input": LocationKind.INPUT, "initializer": LocationKind.INITIALIZER}.get(refusal.stage, LocationKind.MODEL)
    name = refusal.tensor or next(iter(reading.names), "") or refusal.name
    about = f"{kind.value} {name}: " if name and kind is not LocationKind.MODEL else ""
    return Refused(
        kind=operators.REFUSED if reading.kind is engine.OTHER else reading.kind,
        op=refusal.op,
        cause=f"{about}{reading.cause}",
        fixes=reading.fixes or unknown_fixes(context),
        location=Location(kind, name if kind is not LocationKind.MODEL else ""),
        words="\n".join(dict.fromkeys((refusal.text, *refusal.log))),
        source=source,
        provisional=refusal.provisional,
    )


def _refused_by_builder(context: CheckContext, seen: set[str]) -> Iterator[Refused]:
    """Operators TensorRT-RTX parses and then cannot build: only the table knows before a build."""
    for node in context.model.index.nodes:
        op = node.proto.op_type
        if op in support().rtx_refuses and node.path not in seen and node.proto.domain in ("", "ai.onnx"):
            found = _without_importer(
                context, node, Refused(operators.REFUSED, op, "", (), location_of(context.model, node), "")
            )
            yield replace(found, tier=Tier.BUILDER, source=f"{TABLE} ({support().rtx})")


# ----------------------------------------------------------------------------------- without any TensorRT


def from_table(context: CheckContext) -> Iterator[Refused]:
    """What the operator table refuses, signed as looked up."""
    table = support()
    source = f"{TABLE} ({table.enterprise}, {table.rtx})"
    taken = table.taken - table.rtx_refuses
    for node in context.model.index.nodes:
        op, domain = node.proto.op_type, node.proto.domain
        if op in taken or context.model.index.function_of(node.proto):
            continue
        base = Refused(operators.REFUSED, op, "", (), location_of(context.model, node), "", source=source)
        found = _without_importer(context, node, base)
        only_rtx = op in table.rtx_refuses and domain in ("", "ai.onnx")
        yield replace(found, severity=Severity.WARNING) if only_rtx and not context.engine else found


# ------------------------------------------------------------------------------------------------ evidence


def _counts_up(context: CheckContext, node: Node) -> bool:
    """Whether NonZero is taken of a tensor of ones made to be counted."""
    source = context.model.index.writer_in(node.graph, next(iter(node.inputs), ""))
    old = context.model.index.opsets.get("", 11) < 11
    return old and source is not None and source.proto.op_type == "ConstantOfShape"


def _selects(context: CheckContext, node: Node) -> bool:
    """Whether NonZero is part of x[mask] that is then summed or averaged, which a multiplication does as well."""
    consumers = context.model.index.consumers
    for wanted in (("Transpose",), ("GatherND",), ("ReduceSum", "ReduceMean")):
        readers = consumers.get(node.proto.output[0], ()) if not node.graph and node.proto.output else ()
        if len(readers) != 1 or readers[0].proto.op_type not in wanted:
            return False
        node = readers[0]
    return True


def _attributes(context: CheckContext, node: Node) -> str:
    """The node's attributes and constant inputs, as evidence for a refusal about one of them."""
    parts = [attributes_text(node)] if node.proto.attribute else []
    for name in node.proto.input:
        value = constant_value(context.model, name, 4, node.graph) if name else None
        if value is not None:
            parts.append(f"{name}={value.tolist()}")
    return ", ".join(filter(None, parts))


def _short(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= 300 else first[:297] + "…"
