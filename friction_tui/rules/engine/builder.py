"""The builder's messages as findings: each one decoded, its names turned back into nodes of the model."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.decode import Reading, decode
from friction_tui.rules.engine.foreign_node import named_nodes, region, suspects
from friction_tui.vocabulary.finding import EngineWords, Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult

_FOREIGN = re.compile(r"ForeignNode\[(?P<first>.+?)\.\.\.(?P<last>.+?)\]")
_CANNOT_RUN = re.compile(r"values are not self-consistent|violate shape constraints")
"""TensorRT builds in spite of these and only warns; the engine cannot run at that point."""
_SUSPECTS_NAMED = 5


def build_findings(context: CheckContext, result: BuildResult) -> list[Finding]:
    """The findings of a build: its messages read against the model it was given.

    A message that TensorRT prints as a warning although the engine cannot run there is an error here; one that is
    harmless is left out.
    """
    found: list[Finding] = []
    for raw in result.findings:
        texts = [words.text for words in raw.words] or [raw.cause]
        for text in dict.fromkeys(texts):
            found.extend(message_findings(context, [text], result.source, raw.severity))
    return found


def message_findings(
    context: CheckContext, texts: Iterable[str], source: str, severity: Severity = Severity.ERROR
) -> Iterator[Finding]:
    """One finding per message that means something; harmless ones and repeats are left out."""
    for text in dict.fromkeys(texts):
        reading = decode(text)
        if reading.harmless or not text.strip():
            continue
        level = Severity.ERROR if _CANNOT_RUN.search(text) else severity
        yield _finding(context, reading, text, source, level)


def _finding(context: CheckContext, reading: Reading, text: str, source: str, severity: Severity) -> Finding:
    locations, extra = _locations(context, reading, text)
    tier = Tier.SHAPES if _CANNOT_RUN.search(text) else reading.tier
    names = ", ".join(location.name for location in locations[:3] if location.name)
    return reading.kind.decoded(
        f"{reading.kind.summary}: {names}" if names else reading.kind.summary,
        severity=Severity.WARNING if tier is Tier.UNKNOWN else severity,
        tier=tier,
        cause=reading.cause + extra,
        source=source,
        locations=locations,
        fixes=reading.fixes,
        words=(EngineWords(source, text),),
    )


def _locations(context: CheckContext, reading: Reading, text: str) -> tuple[tuple[Location, ...], str]:
    """Where a message points, and what to add to its cause."""
    foreign = _FOREIGN.search(text)
    if foreign:
        inside = region(context.model, foreign["first"], foreign["last"])
        ranked = suspects(context.table, inside)[:_SUSPECTS_NAMED]
        if not ranked:
            return (Location(LocationKind.MODEL, ""),), ""
        listed = "; ".join(f"{node.proto.op_type} {node.name} ({why})" for node, why in ranked)
        return (
            tuple(location_of(context.model, node) for node, _ in ranked),
            f" The region holds {len(inside)} nodes; the most suspicious of them: {listed}.",
        )
    # Where a layer is named, the writer of the tensor it chokes on is not at fault.
    tensors = {reading.groups.get("tensor"), reading.groups.get("tensor2")}
    layers = _nodes(context, (name for name in reading.names if name not in tensors))
    nodes = layers or _nodes(context, reading.names)
    if nodes:
        return tuple(dict.fromkeys(location_of(context.model, node) for node in nodes)), ""
    inputs = {value.name for value in context.model.index.inputs}
    kinds_of = {
        **dict.fromkeys(context.model.index.initializers, LocationKind.INITIALIZER),
        **dict.fromkeys(inputs, LocationKind.INPUT),
    }
    named = tuple(Location(kinds_of.get(name, LocationKind.TENSOR), name) for name in reading.names)
    return named or (Location(LocationKind.MODEL, ""),), ""


def _nodes(context: CheckContext, names: Iterable[str]) -> list[Node]:
    return [node for name in names for node in named_nodes(context.model, name)]
