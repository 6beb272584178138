"""Deduplication: what several checks and engines found for the same reason is one finding.

A rule knows why; an engine knows that it refuses. Where both name the same node, the rule's finding stays and keeps the
engine's message. What an engine alone finds stays as it is. One reason met at many locations is one finding, also where
every check's sentence names its own location.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Iterator

import msgspec

from friction_tui.kinds import KINDS
from friction_tui.rules.structure.graph_structure import listed
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Location, LocationKind, Severity, Tier, worst

ANY = "*"
"""Stands for every kind in `Kind.moot_under` and `Kind.moot_beside`."""
FROM = 3
"""So many findings that differ only in a name are reported as one; two are read as fast as they are."""


def deduplicate(findings: Iterable[Finding]) -> list[Finding]:
    """The findings without repeats: engines' refusals joined to the rules that explain them, equal ones united."""
    every = list(findings)
    guests = [f for f in every if _vague_or_engine(f)]
    kept = _Kept({location.node for guest in guests for location in guest.locations})
    for finding in every:
        if not _vague_or_engine(finding):
            kept.add(finding)
    # A rule that knows little still knows more than an engine: it comes first, and the engine's refusal goes into it.
    # So does an engine that names its reason before one that does not.
    for finding in sorted(
        guests,
        key=lambda one: (one.source != RULE, one.source != RULE and KINDS[one.kind].vague),
    ):
        _join(finding, kept)
    return _without_repeated_sentences(_without_moot(_united(kept.findings)))


def _without_moot(findings: list[Finding]) -> list[Finding]:
    """Without what only follows from another error at the same nodes, or is of no interest beside it."""
    nodes_by_kind: dict[str, set[str]] = {}
    for one in findings:
        if one.severity is Severity.ERROR:
            for name in (one.kind, ANY):
                nodes_by_kind.setdefault(name, set()).update(one.node_paths)

    known: dict[tuple[str, ...], set[str]] = {}

    def nodes_of(kinds: tuple[str, ...]) -> set[str]:
        if kinds not in known:
            known[kinds] = {path for kind in kinds for path in nodes_by_kind.get(kind, ())}
        return known[kinds]

    def moot(one: Finding) -> bool:
        kind = KINDS[one.kind]
        if nodes_of(kind.moot_with):
            return True
        nodes = {location.node for location in one.locations if location.node and location.op != "Constant"}
        if not nodes:
            return False
        # The result of a broken node proves nothing about declarations behind it; damaged data explain what reads them.
        return nodes <= nodes_of(kind.moot_under) or bool(nodes & nodes_of(kind.moot_beside))

    return [one for one in findings if not moot(one)]


def _vague_or_engine(finding: Finding) -> bool:
    kind = KINDS[finding.kind]
    return not (finding.source == RULE or kind.knows_why) or kind.vague


class _Kept:
    """The findings that stay, and those about a node or a tensor without looking at all of them.

    `asked` are the paths of nodes that will be looked up.
    """

    def __init__(self, asked: set[str]) -> None:
        self.findings: list[Finding] = []
        self._asked = asked
        self._lengths = sorted({len(path) for path in asked if path})
        self._by_node: dict[str, dict[int, None]] = {}
        self._by_name: dict[str, dict[int, None]] = {}

    def add(self, finding: Finding) -> None:
        """Keep one more."""
        number = len(self.findings)
        self.findings.append(finding)
        for location in finding.locations:
            self._by_name.setdefault(location.name, {})[number] = None
            for path in self._around(location.node):
                self._by_node.setdefault(path, {})[number] = None

    def extend(self, number: int, locations: list[Location]) -> None:
        """Add locations, of which the same is true, to a finding that is kept."""
        host = self.findings[number]
        names = listed([location.name for location in locations])
        self.findings[number] = msgspec.structs.replace(
            host,
            cause=f"{host.cause} The engine says the same of {names}.",
            locations=tuple(dict.fromkeys((*host.locations, *locations))),
        )

    def about(self, location: Location) -> Iterable[int]:
        """Those about the node or tensor at `location`, or a node in its bodies: engines name the outer."""
        found = self._by_node.get(location.node) if location.node else self._by_name.get(location.name)
        return found or ()

    def _around(self, node: str) -> Iterator[str]:
        """The node and the nodes whose bodies it is in, as far as they are asked about."""
        if node in self._asked:
            yield node
        for length in self._lengths:
            if length >= len(node):
                break
            if node[length] == "." and node[:length] in self._asked:
                yield node[:length]


def _join(finding: Finding, kept: _Kept) -> None:
    """Give `finding` to those in `kept` with the same reason at its locations; keep what remains of it."""
    if not any(location.node or location.name for location in finding.locations):
        host = next((n for n, other in enumerate(kept.findings) if _of_the_whole(other, finding)), None)
        if host is not None:
            kept.findings[host] = _absorb(kept.findings[host], finding)
        else:
            kept.add(finding)
        return
    remaining: list[Location] = []
    absorbed: dict[int, None] = {}
    for location in finding.locations:
        hosts = [n for n in kept.about(location) if _same_reason(kept.findings[n], finding)]
        if hosts:
            absorbed[min(hosts, key=lambda n: kept.findings[n].kind != finding.kind)] = None
        else:
            remaining.append(location)
    for host in absorbed:
        kept.findings[host] = _absorb(kept.findings[host], finding)
    if remaining and len(absorbed) == 1 and _one_fault(finding):
        # The rule follows sizes up to the first node that fails; the engine says the same of those behind it.
        host = next(iter(absorbed))
        kept.extend(host, remaining)
    elif remaining:
        kept.add(msgspec.structs.replace(finding, locations=tuple(remaining)) if absorbed else finding)


def _one_fault(guest: Finding) -> bool:
    """Whether an engine gives one specific reason, in one text, for nodes of one operator."""
    kind = KINDS[guest.kind]
    texts = {words.text for words in guest.words}
    return kind.vague and not kind.knows_why and len(texts) == 1 and len({one.op for one in guest.locations}) == 1


def _of_the_whole(reasoned: Finding, other: Finding) -> bool:
    """Whether a refusal of the model as a whole is explained by what a rule found."""
    if reasoned.kind == other.kind or other.kind in KINDS[reasoned.kind].explains:
        return True
    of_the_model = any(location.kind in (LocationKind.MODEL, LocationKind.OUTPUT) for location in reasoned.locations)
    known = of_the_model and reasoned.severity is Severity.ERROR and KINDS[reasoned.kind].explains_model
    return known and (KINDS[other.kind].vague or _same_reason(reasoned, other))


def _same_reason(reasoned: Finding, other: Finding) -> bool:
    if reasoned.kind == other.kind:
        return True
    mine, theirs = KINDS[reasoned.kind], KINDS[other.kind]
    if not mine.gives_reason:
        return False
    if _refused_by_builder(other) and reasoned.severity is Severity.ERROR and reasoned.tier is not Tier.HAZARD:
        return True  # a node that is known to fail fails in the builder for that reason, in whatever words it says so
    if theirs.vague:
        # Wrong values and the quirks of older releases are never why this TensorRT refuses a node.
        says_why = reasoned.tier is not Tier.HAZARD
        return says_why and (reasoned.severity is Severity.ERROR or other.source != RULE)
    return bool(mine.matters & theirs.matters)


def _refused_by_builder(finding: Finding) -> bool:
    """Whether it is a message of the builder; what a table says of a builder has no message."""
    return finding.tier is Tier.BUILDER and finding.source != RULE and bool(finding.words)


def _absorb(host: Finding, guest: Finding) -> Finding:
    """`host`, with the source and the message of `guest` beside its own."""
    sources = (guest.source, *guest.also)
    same_check = host.source == guest.source and host.kind == guest.kind
    return msgspec.structs.replace(
        host,
        severity=worst((host, guest)) or host.severity,
        tier=guest.tier if host.tier is Tier.HAZARD and guest.severity is Severity.ERROR else host.tier,
        also=tuple(dict.fromkeys((*host.also, *(source for source in sources if source != host.source)))),
        words=tuple(dict.fromkeys((*host.words, *guest.words))),
        evidence=tuple(dict.fromkeys((*host.evidence, *guest.evidence))) if same_check else host.evidence,
    )


def _united(findings: list[Finding]) -> list[Finding]:
    """Findings with the same title and cause, as one with all locations."""
    by_text: dict[tuple[str, str, str, str], list[Finding]] = {}
    for finding in findings:
        by_text.setdefault((finding.kind, finding.title, finding.cause, finding.source), []).append(finding)
    return [group[0] if len(group) == 1 else _all_of(group) for group in by_text.values()]


def _all_of(group: list[Finding]) -> Finding:
    """Findings with the same title and cause as one."""
    one = group[0]
    for other in group[1:]:
        one = _absorb(one, other)
    return msgspec.structs.replace(
        one,
        locations=tuple(dict.fromkeys(location for finding in group for location in finding.locations)),
        provisional=all(finding.provisional for finding in group),
    )


def _without_repeated_sentences(findings: Iterable[Finding]) -> list[Finding]:
    """The findings; those that are the same sentence about different names are one with all the locations."""
    groups: dict[object, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(_sentence(finding), []).append(finding)
    return [one for group in groups.values() for one in ([_one(group)] if len(group) >= FROM else group)]


def _sentence(finding: Finding) -> object:
    """The text of a finding with the names of its locations left out; its identity, where it names none."""
    if not finding.names:
        return id(finding)

    def nameless(text: str) -> str:
        return pattern.sub("…", text)

    texts = (finding.title, finding.cause, *(fix.text for fix in finding.fixes))
    named = [name for name in finding.names if any(name in text for text in texts)]
    if not named:
        return _parts(finding, str)
    longest_first = sorted(named, key=len, reverse=True)
    pattern = re.compile(rf"(?<!\w)(?:{'|'.join(map(re.escape, longest_first))})(?!\w)")
    return _parts(finding, nameless)


def _parts(finding: Finding, nameless: Callable[[str], str]) -> object:
    """What two findings have in common that say the same; `nameless` takes the names out of a text."""
    return (
        finding.kind,
        finding.severity,
        finding.tier,
        finding.source,
        finding.provisional,
        nameless(finding.title),
        nameless(finding.cause),
        tuple((location.kind, location.op) for location in finding.locations),
        tuple((nameless(f.text), f.rewrite, str(f.ranges), f.relations, f.opset) for f in finding.fixes),
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
        also=tuple(dict.fromkeys(source for one in group for source in one.also)),
    )


def _everywhere(fixes: tuple[Fix, ...]) -> Fix:
    """One fix for every location."""
    return msgspec.structs.replace(fixes[0], nodes=tuple(dict.fromkeys(node for fix in fixes for node in fix.nodes)))
