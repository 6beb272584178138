"""One reason met in many places is one finding, also where every check's sentence names its own place."""

from __future__ import annotations

import re
from collections.abc import Iterable

import msgspec

from friction_tui.rules.structure.graph_structure import listed
from friction_tui.vocabulary.finding import Finding, Fix

FROM = 3
"""So many that differ in nothing but a name are told as one; two are read as fast as they are."""


def united_alike(findings: Iterable[Finding]) -> list[Finding]:
    """The findings; those that are the same sentence about different names are one with all the places."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_sentence(finding), []).append(finding)
    return [one for group in groups.values() for one in ([_one(group)] if len(group) >= FROM else group)]


def _sentence(finding: Finding) -> object:
    """What a finding says with the names of its places left out; itself, where it names none."""
    if not finding.names:
        return id(finding)

    def nameless(text: str) -> str:
        return pattern.sub("…", text)

    longest_first = sorted(finding.names, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return (
        finding.kind,
        finding.severity,
        finding.tier,
        finding.source,
        finding.provisional,
        nameless(finding.title),
        nameless(finding.cause),
        tuple((location.kind, location.op) for location in finding.locations),
        tuple((nameless(fix.text), fix.rewrite, str(fix.ranges), fix.opset) for fix in finding.fixes),
    )


def _one(group: list[Finding]) -> Finding:
    first, others = group[0], group[1:]
    names = dict.fromkeys(one.names[0] for one in others if one.names)
    return msgspec.structs.replace(
        first,
        title=f"{first.title}, and {len(others)} more likewise",
        cause=f"{first.cause} It is the same with {listed(names)}.",
        locations=tuple(dict.fromkeys(location for one in group for location in one.locations)),
        evidence=tuple(dict.fromkeys(text for one in group for text in one.evidence)),
        fixes=tuple(_everywhere(fixes) for fixes in zip(*(one.fixes for one in group), strict=True)),
        words=tuple(dict.fromkeys(words for one in group for words in one.words)),
        also=tuple(dict.fromkeys(voice for one in group for voice in one.also)),
    )


def _everywhere(fixes: tuple[Fix, ...]) -> Fix:
    """One fix for every place."""
    return msgspec.structs.replace(fixes[0], nodes=tuple(dict.fromkeys(node for fix in fixes for node in fix.nodes)))
