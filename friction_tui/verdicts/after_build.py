"""What a build says against what was known before it: a builder that repeats a refusal is one more source of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from friction_tui.vocabulary.finding import Finding, Severity, Tier, fix_first
from friction_tui.vocabulary.protocol import BuildResult

_BEFORE_BUILDING = frozenset({Tier.MODEL, Tier.PARSER})


def said_by(build: BuildResult | None, read: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings of a build: its messages as they were `read` against the model, else as they were printed."""
    return tuple(read) or (build.findings if build is not None else ())


def with_build(findings: Iterable[Finding], build: BuildResult | None, read: Sequence[Finding]) -> list[Finding]:
    """`findings` and those of a build, what fix first; one that repeats another is joined to it with its words."""
    known = list(findings)
    news = []
    for said in said_by(build, read):
        host = repeated(said, known, build)
        if host is None:
            news.append(said)
        else:
            known[known.index(host)] = _joined(host, said)
    return fix_first([*known, *news])


def repeated(said: Finding, findings: Sequence[Finding], build: BuildResult | None) -> Finding | None:
    """Which of `findings` a build's message repeats; None for news.

    A build that got no further than parsing met what the parser refused before. After that, what it says of a place
    that was known to fail is the same failure, and so is the one failure of its kind where it names no node.
    """
    if said.severity is not Severity.ERROR:
        return None
    errors = [finding for finding in findings if finding.severity is Severity.ERROR and finding.tier is not Tier.HAZARD]
    verbatim = next((one for one in errors if set(said.words) & set(one.words)), None)
    named = {location.node or location.name for location in said.locations} - {""}
    there = next(
        (one for one in errors if named & {location.node or location.name for location in one.locations}), None
    )
    alike = _alike(said, errors)
    return verbatim or there or alike or (_refusal(said, errors) if build is not None and _only_parsed(build) else None)


def _alike(said: Finding, errors: list[Finding]) -> Finding | None:
    """The only known error of the same kind, for a message that names tensors but no node that could tell."""
    alike = [one for one in errors if one.kind == said.kind]
    return alike[0] if len(alike) == 1 and not any(location.node for location in said.locations) else None


def _refusal(said: Finding, errors: list[Finding]) -> Finding | None:
    """The refusal in the same words, else the first."""
    refusals = fix_first(finding for finding in errors if finding.tier in _BEFORE_BUILDING)
    texts = {words.text for words in said.words}
    same = (one for one in refusals if texts & {words.text for words in one.words})
    return next(same, next(iter(refusals), None))


def _only_parsed(build: BuildResult) -> bool:
    return not build.ok and all(phase.name == "parse" for phase in build.phases)


def _joined(host: Finding, said: Finding) -> Finding:
    sources = (*host.also, said.source, *said.also)
    return msgspec.structs.replace(
        host,
        also=tuple(source for source in dict.fromkeys(sources) if source != host.source),
        words=tuple(dict.fromkeys((*host.words, *said.words))),
    )
