"""Every node TensorRT refuses, as findings: one per reason, with every node that it holds for."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import replace

from friction_tui.kinds import control, operators, types
from friction_tui.model.opened import OpenedModel
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.decode import decoded_kinds
from friction_tui.rules.operators.operator_origin import read_as_onnx
from friction_tui.rules.operators.operator_tables import support
from friction_tui.rules.operators.partitions import partition_note
from friction_tui.rules.operators.refused_nodes import Refused, from_table, refused_nodes
from friction_tui.vocabulary.finding import EngineWords, Finding, Fix, Location, Severity

_NAMES_SHOWN = 3
_OPS_SHOWN = 4
_ONE_CAUSE = frozenset({operators.SEQUENCE, operators.CLASSICAL_ML, operators.ORT_OPTIMISED})
"""Kinds whose operators all have one cause and one way out, whatever they are called."""
_TITLES = {operators.SIZE_LIMIT: "is not supported", types.MISMATCH: "gets inputs of different types"}
"""For kinds whose own title is not about refused nodes."""


def check(context: CheckContext) -> Iterator[Finding]:
    """One finding per reason, with every node it holds for; then what TensorRT would still take."""
    if context.model.file.kind != "onnx":
        return
    refused = list(refused_nodes(context))
    idle = _unneeded(context.model) if refused else frozenset()
    yield from _grouped(_removable(one) if one.location.node.partition(".")[0] in idle else one for one in refused)
    yield from read_as_onnx(context)
    note = partition_note(
        context, {r.location.node for r in refused if r.severity is Severity.ERROR and r.location.node}
    )
    if note is not None:
        yield note


def from_the_table(context: CheckContext) -> list[Finding]:
    """What no TensorRT has an importer for according to the table: shown until the parser itself has answered."""
    refused = support().refused
    return list(_grouped(one for one in from_table(context) if one.location.op in refused))


def _unneeded(model: OpenedModel) -> frozenset[str]:
    """Paths of the main graph's nodes that no graph output is computed from. Nothing, in a graph without outputs."""
    return frozenset(node.path for node in model.index.main) - model.index.needed


def _removable(refused: Refused) -> Refused:
    """The same of a node that does nothing for the result: it need not be replaced."""
    fix = "Remove it: no output of the model needs it (onnxslim, or simplifying, drops such nodes)."
    return replace(refused, cause=f"{refused.cause} No output is computed from it.", fixes=(fix, *refused.fixes))


def _grouped(refused: Iterable[Refused]) -> Iterator[Finding]:
    """One finding per reason; a node named twice for the same reason counts once.

    Nodes behind others that are refused for the same reason are in the same finding, which then is not provisional.
    """
    groups: dict[object, list[Refused]] = {}
    for one in refused:
        same = one.op if one.kind not in _ONE_CAUSE else ""
        groups.setdefault((one.kind, same, one.cause if same else "", one.source), []).append(one)
    for members in groups.values():
        yield _finding(members)


def _finding(members: list[Refused]) -> Finding:
    first = members[0]
    locations = tuple(dict.fromkeys(member.location for member in members))
    ops = list(dict.fromkeys(member.location.op for member in members if member.location.op))
    names = [location.name for location in locations if location.name]
    more = f" and {len(names) - _NAMES_SHOWN} more" if len(names) > _NAMES_SHOWN else ""
    shown = ", ".join(names[:_NAMES_SHOWN]) + more
    what = ", ".join(ops[:_OPS_SHOWN])
    if len(ops) > _OPS_SHOWN:
        what += f" and {len(ops) - _OPS_SHOWN} more operators"
    cause = first.cause if len(ops) < 2 else f"{what}: {first.cause}"
    nodes = f"{len(locations)} × " * (len(locations) > 1) + (what or shown or "The model")
    return first.kind.decoded(
        _title(first, nodes),
        severity=first.severity,
        tier=first.tier,
        cause=f"{cause} ({shown})" if shown and not any(name in cause for name in names) else cause,
        source=first.source,
        locations=locations,
        evidence=dict.fromkeys(
            text
            for number, m in enumerate(members)
            for text in (m.evidence if number < _NAMES_SHOWN else "", _nameless(m.location))
            if text
        ),
        fixes=_united_fixes(members),
        words=dict.fromkeys(EngineWords(m.source, m.words) for m in members if m.words),
        provisional=all(member.provisional for member in members),
    )


def _title(refused: Refused, nodes: str) -> str:
    """The kind's own title where it is one about refused nodes."""
    if refused.kind.fields == {"nodes"}:
        return refused.kind.title.format(nodes=nodes)
    return f"{nodes} {_TITLES.get(refused.kind, 'is refused')}"


def _nameless(location: Location) -> str:
    """How to find a node that has no name."""
    if not location.name.startswith("node_of_"):
        return ""
    index = location.node.rpartition(".")[2]
    return (
        f"the node has no name: it is number {index} of its graph, and writes {location.name.removeprefix('node_of_')}"
    )


def _united_fixes(members: list[Refused]) -> Iterator[Fix | str]:
    """The fixes of the reason; one the tool can apply goes for all places at once."""
    applied = [fix for member in members for fix in member.fixes if isinstance(fix, Fix)]
    for fix in members[0].fixes:
        if isinstance(fix, Fix) and fix.rewrite:
            nodes = (node for one in applied if one.rewrite == fix.rewrite for node in one.nodes)
            yield Fix(fix.text, rewrite=fix.rewrite, nodes=tuple(dict.fromkeys(nodes)))
        else:
            yield fix


CHECK = Check(
    "parser",
    "operators TensorRT's parser takes",
    check,
    tuple(
        dict.fromkeys(
            (
                operators.UNSUPPORTED,
                operators.DATA_DEPENDENT,
                operators.SEQUENCE,
                operators.STRINGS,
                operators.BITWISE,
                operators.FOURIER,
                operators.INTEGER_QUANTIZED,
                operators.SAMPLING,
                operators.LOSS,
                operators.NEEDS_PLUGIN,
                operators.PLUGIN,
                operators.MISSPELT,
                operators.UNKNOWN,
                operators.ATEN,
                operators.TENSORFLOW,
                operators.ORT_OPTIMISED,
                operators.CLASSICAL_ML,
                operators.TRAINING_DOMAIN,
                operators.DOMAIN_IGNORED,
                operators.EXTRA_OUTPUT,
                operators.NEEDS_CONSTANT,
                operators.NEEDS_GPU,
                operators.REFUSED,
                operators.PARTITIONS,
                control.DYNAMIC_TRIP_COUNT,
                *decoded_kinds(),
            )
        )
    ),
)
