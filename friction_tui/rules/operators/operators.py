"""Every node TensorRT refuses, and why: from its parser's refusals, or from a table where no TensorRT is installed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, replace

from friction_tui.engines.base import NEEDS_GPU, Refusal
from friction_tui.kinds import KINDS
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.decode import UNREAD, Reading, decode
from friction_tui.rules.operators.computed_sizes import from_values
from friction_tui.rules.operators.ignored_domains import read_as_onnx
from friction_tui.rules.operators.operator_origin import Origin, origin_of
from friction_tui.rules.operators.operator_tables import advice, extra_output_advice, support
from friction_tui.rules.operators.partitions import partition_note
from friction_tui.rules.operators.unneeded import unneeded
from friction_tui.vocabulary.finding import RULE, EngineWords, Finding, Fix, Location, LocationKind, Severity, Tier

TABLE = "operator table"
"""Signs a verdict that was looked up, not asked for."""

_NO_IMPORTER = frozenset(
    {"operators/unknown", "operators/unsupported", "operators/plugin-missing", "operators/no-implementation"}
)
_NAMES_SHOWN = 3
_ONE_CAUSE = frozenset({"operators/sequence", "operators/classical-ml", "operators/ort-optimised"})
"""Kinds whose operators all have one cause and one way out, whatever they are called."""


@dataclass(frozen=True, slots=True)
class _Refused:
    """One refused node with its reason, before equal reasons are put together."""

    kind: str
    op: str
    cause: str
    fixes: tuple[Fix, ...]
    location: Location
    words: str
    severity: Severity = Severity.ERROR
    tier: Tier = Tier.PARSER
    source: str = RULE
    provisional: bool = False
    evidence: str = ""


def check(context: CheckContext) -> Iterator[Finding]:
    """One finding per reason, with every node it holds for; then what TensorRT would still take."""
    if context.model.file.kind != "onnx":
        return
    refused = list(_from_refusals(context, context.refusals) if context.refusals is not None else _from_table(context))
    idle = unneeded(context.model) if refused else frozenset()
    yield from _grouped([_removable(one) if one.location.node.partition(".")[0] in idle else one for one in refused])
    yield from read_as_onnx(context)
    note = partition_note(
        context, {r.location.node for r in refused if r.severity is Severity.ERROR and r.location.node}
    )
    if note is not None:
        yield note


# -------------------------------------------------------------------------------------- what the parser said


def _from_refusals(context: CheckContext, refusals: Iterable[Refusal]) -> Iterator[_Refused]:
    source = f"{context.engine} parser" if context.engine else TABLE
    seen: set[str] = set()
    for refusal in refusals:
        node = context.model.index.by_path.get(refusal.path)
        reading = decode(_text(refusal))
        seen.add(refusal.path)
        if node is None:
            yield _of_tensor(refusal, reading, source)
        else:
            yield _of_node(context, node, refusal, reading, source)
    if context.rtx and context.engine:
        yield from _refused_by_builder(context, seen)


def _text(refusal: Refusal) -> str:
    """What to decode: the description, and the log where that says nothing."""
    vague = refusal.text.startswith("Failed to import initializer") or not refusal.text
    return "\n".join((*refusal.log, refusal.text)) if vague else refusal.text


def _of_node(context: CheckContext, node: Node, refusal: Refusal, reading: Reading, source: str) -> _Refused:
    op = node.proto.op_type
    base = _Refused(
        kind="operators/refused",
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
    fixes = tuple(Fix(text) for text in reading.fixes)
    if reading.kind == "operators/extra-output":
        extra = ", ".join(name for name in node.proto.output[1:] if name)
        outputs = "Indices output" if op == "MaxPool" else "outputs after the first"
        return replace(
            base,
            kind=reading.kind,
            cause=f"TensorRT computes only the first output of {op}; the {outputs} ({extra}) are not supported.",
            fixes=(Fix(extra_output_advice(op)), *fixes),
        )
    if op == "Loop" and (reading.kind == "engine/shape-analysis" or "is a shape tensor" in refusal.text):
        return _trip_count(context, node, base)
    computed = from_values(context.model, node) if reading.kind == "engine/shape-analysis" else None
    if computed is not None:
        return replace(base, kind="operators/needs-constant", cause=computed[0], fixes=computed[1])
    if reading.kind == UNREAD:
        return replace(
            base,
            cause=f"TensorRT refuses this {op}: {_short(refusal.text)}",
            fixes=(Fix(f"Replace {op}, or change what the message names."),),
        )
    return replace(
        base,
        kind=reading.kind,
        cause=reading.cause if op in reading.cause[: len(op) + 4] else f"{op}: {reading.cause}",
        evidence=_attributes(context, node),
        fixes=fixes,
    )


def _removable(refused: _Refused) -> _Refused:
    """The same of a node that does nothing for the result: it need not be replaced."""
    fix = Fix("Remove it: no output of the model needs it (onnxslim, or simplifying, drops such nodes).")
    return replace(refused, cause=f"{refused.cause} No output is computed from it.", fixes=(fix, *refused.fixes))


def _trip_count(context: CheckContext, node: Node, base: _Refused) -> _Refused:
    """A Loop with rows to stack, whose number is not known before it runs."""
    trips = node.proto.input[0] if node.proto.input else ""
    writer = context.model.index.writer_in(node.graph, trips)
    made_by = f", computed by {writer.proto.op_type} {writer.name} from values," if writer is not None else ""
    return replace(
        base,
        kind="control/dynamic-trip-count",
        cause=f"The trip count {trips} of Loop {node.name}{made_by} decides how many rows its scan outputs have: "
        "their shape is dynamic and data-dependent, and TensorRT must know the number of iterations from "
        "constants or input shapes.",
        fixes=(
            Fix("Use a constant trip count (or one taken from x.shape) and stop writing results behind the last one."),
            Fix("Unroll the loop, or collect the rows in a pre-allocated tensor of fixed size."),
        ),
    )


def _without_importer(context: CheckContext, node: Node, base: _Refused) -> _Refused:
    """A node whose operator is not taken at all."""
    op = node.proto.op_type
    origin = origin_of(context.model, node)
    if origin is not None:
        return _foreign(node, base, origin)
    known = advice(op)
    why = f": {known.why}" if known.why else ""
    fixes = tuple(Fix(text) for text in known.instead)
    if op == "NonZero" and _selects(context, node):
        fixes = (Fix(fixes[0].text, rewrite="nonzero-mask", nodes=(node.path,)), *fixes[1:])
    if op == "NonZero" and _counts_up(context, node):
        why += ". This one counts up: it is torch.arange, as exporters write it below opset 11"
        fixes = (Fix("Re-export at opset 11 or newer (17, say), where torch.arange is a Range."), *fixes)
    return replace(
        base,
        kind=f"operators/{known.group}",
        cause=f"{op} is not supported{why}. {_who_takes_it(context, op)}",
        fixes=fixes,
    )


def _foreign(node: Node, base: _Refused, origin: Origin) -> _Refused:
    op = node.proto.op_type
    cause = origin.what if origin.what.startswith(op) else f"{op} is not an ONNX operator: {origin.what}"
    # All of ONNX Runtime's operators have one cause, whatever they are called.
    shared = origin.kind == "operators/ort-optimised"
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


def _needs_gpu(base: _Refused) -> _Refused:
    return replace(
        base,
        kind="operators/needs-gpu",
        cause=f"{base.op} cannot be judged without a GPU: TensorRT implements it as a plugin that is only registered "
        "when a GPU is present.",
        fixes=(Fix("Check again on a machine with an NVIDIA GPU."),),
        severity=Severity.NOTE,
        tier=Tier.UNKNOWN,
    )


def _of_tensor(refusal: Refusal, reading: Reading, source: str) -> _Refused:
    """A refusal that belongs to an input, an initializer or the whole model."""
    kind = {"input": LocationKind.INPUT, "initializer": LocationKind.INITIALIZER}.get(refusal.stage, LocationKind.MODEL)
    name = refusal.tensor or next(iter(reading.names), "") or refusal.name
    about = f"{kind.value} {name}: " if name and kind is not LocationKind.MODEL else ""
    return _Refused(
        kind=reading.kind if reading.known else "operators/refused",
        op=refusal.op,
        cause=f"{about}{reading.cause}",
        fixes=tuple(Fix(text) for text in reading.fixes),
        location=Location(kind, name if kind is not LocationKind.MODEL else ""),
        words="\n".join(dict.fromkeys((refusal.text, *refusal.log))),
        source=source,
        provisional=refusal.provisional,
    )


def _refused_by_builder(context: CheckContext, seen: set[str]) -> Iterator[_Refused]:
    """Operators TensorRT-RTX parses and then cannot build: only the table knows before a build."""
    for node in context.model.index.nodes:
        op = node.proto.op_type
        if op in support().rtx_refuses and node.path not in seen and node.proto.domain in ("", "ai.onnx"):
            found = _without_importer(context, node, _Refused("", op, "", (), location_of(context.model, node), ""))
            yield replace(found, tier=Tier.BUILDER, source=f"{TABLE} ({support().rtx})")


# ----------------------------------------------------------------------------------- without any TensorRT


def foreseen(context: CheckContext) -> list[Finding]:
    """What no TensorRT has an importer for according to the table: shown until the parser itself has answered."""
    refused = support().refused
    return list(_grouped([one for one in _from_table(context) if one.location.op in refused]))


def _from_table(context: CheckContext) -> Iterator[_Refused]:
    """What the operator table refuses, signed as looked up."""
    table = support()
    source = f"{TABLE} ({table.enterprise}, {table.rtx})"
    taken = table.taken - table.rtx_refuses
    for node in context.model.index.nodes:
        op, domain = node.proto.op_type, node.proto.domain
        if op in taken or context.model.index.function_of(node.proto):
            continue
        base = _Refused("", op, "", (), location_of(context.model, node), "", source=source)
        found = _without_importer(context, node, base)
        only_rtx = op in table.rtx_refuses and domain in ("", "ai.onnx")
        yield replace(found, severity=Severity.WARNING) if only_rtx and not context.engine else found


# ------------------------------------------------------------------------------------------------ together


def _grouped(refused: list[_Refused]) -> Iterator[Finding]:
    """One finding per reason; a node named twice for the same reason counts once."""
    groups: dict[tuple[str, str, str, str, bool], list[_Refused]] = {}
    for one in refused:
        same = one.op if one.kind not in _ONE_CAUSE else ""
        groups.setdefault((one.kind, same, one.cause if same else "", one.source, one.provisional), []).append(one)
    for members in groups.values():
        yield _finding(members)


def _finding(members: list[_Refused]) -> Finding:
    first = members[0]
    locations = tuple(dict.fromkeys(member.location for member in members))
    ops = list(dict.fromkeys(member.location.op for member in members if member.location.op))
    names = [location.name for location in locations if location.name]
    shown = ", ".join(names[:_NAMES_SHOWN]) + (
        f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    )
    what = ", ".join(ops[:4]) + (f" and {len(ops) - 4} more operators" if len(ops) > 4 else "")
    cause = first.cause if len(ops) < 2 else f"{what}: {first.cause}"
    return Finding(
        kind=first.kind,
        severity=first.severity,
        tier=first.tier,
        title=_title(first, what, len(locations), shown),
        cause=f"{cause} ({shown})" if shown and not any(name in cause for name in names) else cause,
        source=first.source,
        locations=locations,
        evidence=tuple(dict.fromkeys(text for m in members for text in (m.evidence, _nameless(m.location)) if text)),
        fixes=_united_fixes(members),
        words=tuple(dict.fromkeys(EngineWords(m.source, m.words) for m in members if m.words)),
        provisional=first.provisional,
    )


def _nameless(location: Location) -> str:
    """How to find a node that has no name."""
    if not location.name.startswith("node_of_"):
        return ""
    index = location.node.rpartition(".")[2]
    return (
        f"the node has no name: it is number {index} of its graph, and writes {location.name.removeprefix('node_of_')}"
    )


_TITLES = {
    "operators/extra-output": "has an output that is not supported",
    "operators/attribute": "has an attribute that is not supported",
    "operators/dtype": "is not supported for this element type",
    "operators/needs-constant": "wants a constant",
    "operators/needs-gpu": "cannot be judged without a GPU",
    "operators/data-dependent": "is data-dependent and not supported",
    "operators/misspelt": "is no operator: misspelt?",
    "operators/aten": "is PyTorch's, not ONNX",
    "operators/tensorflow": "is TensorFlow's, not ONNX",
    "operators/ort-optimised": "saved by ONNX Runtime: contrib operators",
    "operators/plugin": "needs a plugin",
    "operators/refused": "is refused",
    "types/mismatch": "gets inputs of different types",
}


def _title(first: _Refused, what: str, count: int, shown: str) -> str:
    said = _TITLES.get(first.kind, "is not supported" if first.kind.startswith("operators/") else "is refused")
    times = f"{count} × " if count > 1 else ""
    return f"{times}{what or shown or 'The model'} {said}"


def _united_fixes(members: list[_Refused]) -> tuple[Fix, ...]:
    """The fixes of the reason; one the tool can apply goes for all places at once."""
    fixes: list[Fix] = []
    for fix in members[0].fixes:
        if fix.rewrite and len(members) > 1:
            nodes = [node for member in members for f in member.fixes if f.rewrite == fix.rewrite for node in f.nodes]
            fix = Fix(fix.text, rewrite=fix.rewrite, nodes=tuple(dict.fromkeys(nodes)))  # noqa: PLW2901
        fixes.append(fix)
    return tuple(fixes)


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
    parts = []
    for attribute in node.proto.attribute:
        if attribute.ints:
            parts.append(f"{attribute.name}={list(attribute.ints)}")
        elif attribute.s:
            parts.append(f"{attribute.name}={attribute.s.decode(errors='replace')}")
        elif attribute.type in (attribute.INT, attribute.FLOAT):
            parts.append(
                f"{attribute.name}={attribute.i if attribute.type == attribute.INT else round(attribute.f, 6)}"
            )
    for name in node.proto.input:
        value = constant_value(context.model, name, 4, node.graph) if name else None
        if value is not None:
            parts.append(f"{name}={value.tolist()}")
    return ", ".join(parts)


def _short(text: str) -> str:
    first = " ".join(text.split())
    return first if len(first) <= 300 else first[:297] + "…"


CHECK = Check("parser", "operators TensorRT's parser takes", check, tuple(KINDS.values()))
