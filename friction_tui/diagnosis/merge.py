"""Many voices, one list: what several checks and engines found for the same reason is said once.

A rule knows why; an engine knows that it refuses. Where both speak of the same node, the rule's finding stays and
keeps the engine's words. What an engine alone says stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from friction_tui.diagnosis.alike import united_alike
from friction_tui.diagnosis.case import RULE
from friction_tui.finding import Finding, Place, PlaceKind, Severity, Tier, worst

VAGUE = frozenset(
    {
        "engine/other",
        "engine/initializer",
        "engine/shape-analysis",
        "dynamic/cannot-work",
        "dynamic/breaks",
        "operators/refused",
        "operators/tensorflow",
    }
)
"""Kinds that say that a node fails and not why, or not where it comes from; any that knows stands for them."""

NO_REASON = (
    *("older/", "operators/partitions", "structure/false-shape", "structure/same-node-names"),
    *("structure/input-is-output", "structure/unread-input"),
)
"""Kinds that speak of a node and are never why this TensorRT refuses it."""

SAME_MATTER = (
    frozenset({"types", "operators/dtype", "operators/strings", "operators/attribute"}),
    frozenset({"training", "operators/extra-output"}),
    frozenset({"quantization", "operators/dtype"}),
    frozenset({"structure", "schema", "versions", "operators/unknown", "operators/attribute"}),
    frozenset({"dynamic", "control", "profile", "structure"}),
    frozenset({"external", "file", "weights"}),
    frozenset({"structure/no-type", "types/unsupported-input"}),
)
"""Kinds or families that describe one matter from two sides, when they meet at the same place."""


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without repeats: engines' refusals joined to the rules that explain them, equal ones united."""
    every = list(findings)
    kept = [f for f in every if not _vague_or_engine(f)]
    # A rule that knows little still knows more than an engine: it comes first, and the engine's word goes into it.
    # So does an engine that names its reason before one that does not.
    for finding in sorted(
        filter(_vague_or_engine, every), key=lambda one: (one.source != RULE, one.source != RULE and one.kind in VAGUE)
    ):
        _join(finding, kept)
    return united_alike(_without_moot(_united(kept)))


def _without_moot(findings: list[Finding]) -> list[Finding]:
    """Without what only follows from another error at the same nodes, or is of no interest beside it."""
    errors = [one for one in findings if one.severity is Severity.ERROR]

    def nodes_of(*kinds: str) -> set[str]:
        return {path for one in errors if one.kind.startswith(kinds) for path in one.node_paths}

    wrong, damaged, quantized = nodes_of(""), nodes_of("weights/size-mismatch"), nodes_of("operators/integer-quantized")

    baked, mixed = nodes_of("dynamic/baked-reshape"), nodes_of("types/mismatch")
    endless = bool(nodes_of("structure/recursive-function"))

    def moot(one: Finding) -> bool:
        if one.kind == "engine/parser-crashed":
            return endless
        nodes = {place.node for place in one.places if place.node and place.op != "Constant"}
        if not nodes:
            return False
        if one.kind == "training/random" or one.kind.startswith("older/"):
            return nodes <= wrong
        if one.kind == "types/not-allowed":
            return nodes <= mixed  # one Cast mends both
        if one.kind == "dynamic/folded-batch":
            return nodes <= baked
        if one.kind == "structure/false-shape":
            return bool(nodes & wrong)  # what a broken node makes says nothing of the declaration
        if one.kind in ("types/quantized-constant", "types/uint8-inside"):
            return nodes <= quantized
        # Dims or a type that do not fit the data are damaged: whatever their reader makes of them follows from that.
        return one.kind.startswith(("types/", "dynamic/")) and nodes <= damaged

    return [one for one in findings if not moot(one)]


def _vague_or_engine(finding: Finding) -> bool:
    # What an export says of a node names the user's layer and line: a reason, although no rule of ours gave it.
    reasoned = finding.source == RULE or finding.kind.startswith("export/")
    return not reasoned or finding.kind in VAGUE


def _join(finding: Finding, kept: list[Finding]) -> None:
    """Give `finding` to those in `kept` that say the same of its places; keep what remains of it."""
    if not any(place.node or place.name for place in finding.places):
        hosts = [number for number, other in enumerate(kept) if _of_the_whole(other, finding)]
        if hosts:
            kept[hosts[0]] = _absorb(kept[hosts[0]], finding)
        else:
            kept.append(finding)
        return
    remaining: list[Place] = []
    absorbed: dict[int, None] = {}
    for place in finding.places:
        hosts = [n for n, other in enumerate(kept) if _covers(other, place) and _same_reason(other, finding)]
        if hosts:
            absorbed[min(hosts, key=lambda n: kept[n].kind != finding.kind)] = None
        else:
            remaining.append(place)
    for host in absorbed:
        kept[host] = _absorb(kept[host], finding)
    if remaining:
        kept.append(msgspec.structs.replace(finding, places=tuple(remaining)) if absorbed else finding)


def _of_the_whole(reasoned: Finding, other: Finding) -> bool:
    """Whether a refusal of the model as a whole is explained by what a rule found at its border."""
    at_the_border = any(place.kind in (PlaceKind.MODEL, PlaceKind.OUTPUT) for place in reasoned.places)
    known = at_the_border and reasoned.severity is Severity.ERROR and reasoned.kind.startswith("structure/")
    damaged = other.kind == "engine/initializer" and reasoned.kind == "weights/size-mismatch"
    return damaged or reasoned.kind == other.kind or (known and (other.kind in VAGUE or _same_reason(reasoned, other)))


def _covers(finding: Finding, place: Place) -> bool:
    """Whether `finding` speaks of the node or tensor at `place`, or of a node in its bodies: engines name the outer."""
    if not place.node:
        return any(mine.name == place.name for mine in finding.places)
    return any(mine.node == place.node or mine.node.startswith(f"{place.node}.") for mine in finding.places)


def _same_reason(reasoned: Finding, other: Finding) -> bool:
    if reasoned.kind == other.kind:
        return True
    if reasoned.kind.startswith(NO_REASON):
        return False
    if other.kind in VAGUE:
        # Wrong values and the quirks of older releases are never why this TensorRT refuses a node.
        says_why = reasoned.tier is not Tier.HAZARD
        return says_why and (reasoned.severity is Severity.ERROR or other.source != RULE)
    mine, theirs = _matters(reasoned.kind), _matters(other.kind)
    return any(mine & matter and theirs & matter for matter in SAME_MATTER)


def _matters(kind: str) -> frozenset[str]:
    return frozenset({kind, kind.partition("/")[0]})


def _absorb(host: Finding, guest: Finding) -> Finding:
    """`host`, with the verdict and the words of `guest` beside its own."""
    voices = (guest.source, *guest.also)
    said_elsewhere = host.source == guest.source and host.kind == guest.kind
    return msgspec.structs.replace(
        host,
        severity=worst((host, guest)) or host.severity,
        tier=guest.tier if host.tier is Tier.HAZARD and guest.severity is Severity.ERROR else host.tier,
        also=tuple(dict.fromkeys((*host.also, *(voice for voice in voices if voice != host.source)))),
        words=tuple(dict.fromkeys((*host.words, *guest.words))),
        evidence=tuple(dict.fromkeys((*host.evidence, *guest.evidence))) if said_elsewhere else host.evidence,
    )


def _united(findings: list[Finding]) -> list[Finding]:
    """Findings that say the same in the same words, as one with all places."""
    by_text: dict[tuple[str, str, str, str], Finding] = {}
    for finding in findings:
        key = (finding.kind, finding.title, finding.cause, finding.source)
        first = by_text.get(key)
        if first is None:
            by_text[key] = finding
            continue
        by_text[key] = msgspec.structs.replace(
            _absorb(first, finding),
            places=tuple(dict.fromkeys((*first.places, *finding.places))),
            provisional=first.provisional and finding.provisional,
        )
    return list(by_text.values())
