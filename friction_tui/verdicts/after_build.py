"""The findings of a build joined to those known before: a builder that repeats a refusal is one more source of it."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import msgspec

from friction_tui.vocabulary.finding import Finding, Severity, Tier, fix_first
from friction_tui.vocabulary.protocol import BuildResult

_BEFORE_BUILDING = frozenset({Tier.MODEL, Tier.PARSER})


def findings_of_build(build: BuildResult | None, read: Sequence[Finding]) -> tuple[Finding, ...]:
    """The findings of a build: its messages as they were `read` against the model, else as they were printed."""
    return tuple(read) or (build.findings if build is not None else ())


def with_build(findings: Iterable[Finding], build: BuildResult | None, read: Sequence[Finding]) -> list[Finding]:
    """`findings` and those of a build, sorted by what to fix first; one that repeats another is joined to it."""
    known = list(findings)
    new = []
    for built in findings_of_build(build, read):
        host = repeated(built, known, build)
        if host is None:
            new.append(built)
        else:
            known[known.index(host)] = _joined(host, built)
    return fix_first([*known, *new])


def repeated(built: Finding, findings: Sequence[Finding], build: BuildResult | None) -> Finding | None:
    """Which of `findings` a build's finding repeats; None for a new one.

    A build that got no further than parsing met what the parser refused before. After that, a finding at a location
    that was known to fail is the same failure, and so is the one failure of its kind where it names no node. What is
    no error is repeated by what says the same of the same place.
    """
    named = {location.node or location.name for location in built.locations} - {""}
    if built.severity is not Severity.ERROR:
        texts = {words.text for words in built.words}
        return next((one for one in findings if _says_the_same(one, built, named, texts)), None)
    errors = [finding for finding in findings if finding.severity is Severity.ERROR and finding.tier is not Tier.HAZARD]
    verbatim = next((one for one in errors if set(built.words) & set(one.words)), None)
    there = next(
        (one for one in errors if named & {location.node or location.name for location in one.locations}), None
    )
    same_kind = _same_kind(built, errors)
    refusal = _refusal(built, errors) if build is not None and _only_parsed(build) else None
    return verbatim or there or same_kind or refusal


def _says_the_same(one: Finding, built: Finding, named: set[str], texts: set[str]) -> bool:
    there = {location.node or location.name for location in one.locations} - {""}
    both_open = one.tier is Tier.UNKNOWN and built.tier is Tier.UNKNOWN
    return there >= named and (both_open or bool(texts & {words.text for words in one.words}))


def _same_kind(built: Finding, errors: list[Finding]) -> Finding | None:
    """The only known error of the same kind, for a message that names tensors and no node."""
    same = [one for one in errors if one.kind == built.kind]
    return same[0] if len(same) == 1 and not any(location.node for location in built.locations) else None


def _refusal(built: Finding, errors: list[Finding]) -> Finding | None:
    """The refusal with the same message, else the first."""
    refusals = fix_first(finding for finding in errors if finding.tier in _BEFORE_BUILDING)
    texts = {words.text for words in built.words}
    same = (one for one in refusals if texts & {words.text for words in one.words})
    return next(same, next(iter(refusals), None))


def _only_parsed(build: BuildResult) -> bool:
    return not build.ok and all(phase.name == "parse" for phase in build.phases)


def _joined(host: Finding, built: Finding) -> Finding:
    sources = (*host.also, built.source, *built.also)
    return msgspec.structs.replace(
        host,
        also=tuple(source for source in dict.fromkeys(sources) if source != host.source),
        words=tuple(dict.fromkeys((*host.words, *built.words))),
    )
