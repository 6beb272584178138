"""Deduplication: what several checks and engines found for the same reason is one finding.

A rule knows why; an engine knows that it refuses. Where both speak of the same node, the rule's finding stays and
keeps the engine's words. What an engine alone says stays as it is.
"""

from __future__ import annotations

from collections.abc import Iterable

import msgspec

from friction_tui.kinds import KINDS
from friction_tui.rules.alike import united_alike
from friction_tui.vocabulary.finding import RULE, Finding, Location, LocationKind, Severity, Tier, worst

ANY = "*"
"""Stands for every kind in `Kind.moot_under` and `Kind.moot_beside`."""


def merge(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without repeats: engines' refusals joined to the rules that explain them, equal ones united."""
    every = list(findings)
    kept = [f for f in every if not _vague_or_engine(f)]
    # A rule that knows little still knows more than an engine: it comes first, and the engine's word goes into it.
    # So does an engine that names its reason before one that does not.
    for finding in sorted(
        filter(_vague_or_engine, every),
        key=lambda one: (one.source != RULE, one.source != RULE and KINDS[one.kind].vague),
    ):
        _join(finding, kept)
    return united_alike(_without_moot(_united(kept)))


def _without_moot(findings: list[Finding]) -> list[Finding]:
    """Without what only follows from another error at the same nodes, or is of no interest beside it."""
    nodes_by_kind: dict[str, set[str]] = {}
    for one in findings:
        if one.severity is Severity.ERROR:
            for name in (one.kind, ANY):
                nodes_by_kind.setdefault(name, set()).update(one.node_paths)

    def nodes_of(kinds: tuple[str, ...]) -> set[str]:
        return {path for kind in kinds for path in nodes_by_kind.get(kind, ())}

    def moot(one: Finding) -> bool:
        kind = KINDS[one.kind]
        if nodes_of(kind.moot_with):
            return True
        nodes = {location.node for location in one.locations if location.node and location.op != "Constant"}
        if not nodes:
            return False
        # What a broken node makes says nothing of a declaration behind it; damaged data explain whatever reads them.
        return nodes <= nodes_of(kind.moot_under) or bool(nodes & nodes_of(kind.moot_beside))

    return [one for one in findings if not moot(one)]


def _vague_or_engine(finding: Finding) -> bool:
    kind = KINDS[finding.kind]
    return not (finding.source == RULE or kind.knows_why) or kind.vague


def _join(finding: Finding, kept: list[Finding]) -> None:
    """Give `finding` to those in `kept` that say the same of its places; keep what remains of it."""
    if not any(location.node or location.name for location in finding.locations):
        hosts = [number for number, other in enumerate(kept) if _of_the_whole(other, finding)]
        if hosts:
            kept[hosts[0]] = _absorb(kept[hosts[0]], finding)
        else:
            kept.append(finding)
        return
    remaining: list[Location] = []
    absorbed: dict[int, None] = {}
    for location in finding.locations:
        hosts = [n for n, other in enumerate(kept) if _covers(other, location) and _same_reason(other, finding)]
        if hosts:
            absorbed[min(hosts, key=lambda n: kept[n].kind != finding.kind)] = None
        else:
            remaining.append(location)
    for host in absorbed:
        kept[host] = _absorb(kept[host], finding)
    if remaining:
        kept.append(msgspec.structs.replace(finding, locations=tuple(remaining)) if absorbed else finding)


def _of_the_whole(reasoned: Finding, other: Finding) -> bool:
    """Whether a refusal of the model as a whole is explained by what a rule found."""
    if reasoned.kind == other.kind or other.kind in KINDS[reasoned.kind].explains:
        return True
    at_the_border = any(location.kind in (LocationKind.MODEL, LocationKind.OUTPUT) for location in reasoned.locations)
    known = at_the_border and reasoned.severity is Severity.ERROR and KINDS[reasoned.kind].explains_model
    return known and (KINDS[other.kind].vague or _same_reason(reasoned, other))


def _covers(finding: Finding, location: Location) -> bool:
    """Whether `finding` speaks of the node or tensor at `place`, or of a node in its bodies: engines name the outer."""
    if not location.node:
        return any(mine.name == location.name for mine in finding.locations)
    return any(mine.node == location.node or mine.node.startswith(f"{location.node}.") for mine in finding.locations)


def _same_reason(reasoned: Finding, other: Finding) -> bool:
    if reasoned.kind == other.kind:
        return True
    mine, theirs = KINDS[reasoned.kind], KINDS[other.kind]
    if not mine.gives_reason:
        return False
    if theirs.vague:
        # Wrong values and the quirks of older releases are never why this TensorRT refuses a node.
        says_why = reasoned.tier is not Tier.HAZARD
        return says_why and (reasoned.severity is Severity.ERROR or other.source != RULE)
    return bool(mine.matters & theirs.matters)


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
            locations=tuple(dict.fromkeys((*first.locations, *finding.locations))),
            provisional=first.provisional and finding.provisional,
        )
    return list(by_text.values())
