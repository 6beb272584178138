"""Several TensorRTs on one model: who refuses what. No engine's verdict is ever given as another's."""

from __future__ import annotations

from collections.abc import Iterable, Sequence, Set
from dataclasses import dataclass

import msgspec

from friction_tui.vocabulary.finding import Finding, Location, Severity, Tier, fix_first
from friction_tui.vocabulary.protocol import CheckState, Findings, OtherVerdict


@dataclass(frozen=True, slots=True)
class EngineVerdict:
    """One TensorRT's answer: the locations that its parser refuses, or in `why_not` why it was not asked.

    `python` is the interpreter of its environment, "" for the one friction_tui runs in.
    """

    label: str
    python: str = ""
    why_not: str = ""
    refused: tuple[Location, ...] = ()

    @property
    def name(self) -> str:
        """What to call it: its label, or the environment while that is not known."""
        return self.label or self.python

    def refuses(self, location: Location) -> bool | None:
        """Whether its parser refuses a location; None when it was not asked."""
        return None if self.why_not else _key(location) in {_key(one) for one in self.refused}


def own_label(parser: Findings | None) -> str:
    """What signs the parser's answer here; "" when it has given none and a table stands in."""
    done = parser is not None and parser.state is CheckState.DONE
    return parser.source.removesuffix(" parser") if parser is not None and done else ""


def engine_verdicts(own: str, parser: Iterable[Finding], others: Sequence[OtherVerdict]) -> tuple[EngineVerdict, ...]:
    """The answer of every engine, our own first. `own` signs it: `TensorRT-RTX 1.7.1`, "" when none is installed here.

    `parser` are the findings of the check of this name: in the whole verdict they are one with what rules found.
    """
    first = EngineVerdict(own, refused=_refused(parser)) if own else None
    rest = [EngineVerdict(o.label, o.python, o.why_not, _refused(o.findings)) for o in others]
    return (*([first] if first else []), *rest)


def rows(verdicts: Sequence[EngineVerdict]) -> list[tuple[Location, tuple[bool | None, ...]]]:
    """Every location that one of them refuses, with who does."""
    locations = {_key(location): location for verdict in verdicts for location in verdict.refused}
    return [(location, tuple(verdict.refuses(location) for verdict in verdicts)) for location in locations.values()]


def with_others(
    own: str, parser: Sequence[Finding], findings: Sequence[Finding], others: Sequence[OtherVerdict]
) -> list[Finding]:
    """The whole verdict, its refusals with what the other engines answer, and the findings that only others have.

    `own` and `parser` as for `engine_verdicts`.
    """
    verdicts = engine_verdicts(own, parser, others)
    known = {_key(location) for location in _refused(parser)}
    own_findings = [_with_opinions(finding, known, verdicts[1:] if own else verdicts) for finding in findings]
    new: dict[tuple[object, ...], Finding] = {}
    for other in others:
        for finding in other.findings:
            locations = tuple(location for location in finding.locations if _key(location) not in known)
            if not locations:
                continue
            key = (finding.kind, *(_key(location) for location in locations))
            if key in new:
                new[key] = msgspec.structs.replace(new[key], also=(*new[key].also, finding.source))
            else:
                evidence = (*finding.evidence, *_accepted(locations, verdicts))
                new[key] = msgspec.structs.replace(finding, locations=locations, evidence=evidence)
    return fix_first([*own_findings, *new.values()])


def _with_opinions(finding: Finding, known: Set[tuple[str, str]], others: Sequence[EngineVerdict]) -> Finding:
    """A finding with the other engines' answers for those of its locations that the parser here refuses."""
    locations = [location for location in finding.locations if _key(location) in known] if _is_refusal(finding) else []
    if not locations:
        return finding
    asked = [other for other in others if not other.why_not]
    refused = {other.name: sum(bool(other.refuses(location)) for location in locations) for other in asked}
    same = tuple(f"{label} parser" for label, count in refused.items() if count == len(locations))
    partly = tuple(
        f"{label} refuses {count} of these {len(locations)}"
        for label, count in refused.items()
        if 0 < count < len(locations)
    )
    evidence = (*finding.evidence, *_accepted(locations, asked), *partly)
    return msgspec.structs.replace(finding, also=(*finding.also, *same), evidence=evidence)


def _accepted(locations: Sequence[Location], verdicts: Sequence[EngineVerdict]) -> tuple[str, ...]:
    """Which engines take all of these locations."""
    took = [v.label for v in verdicts if not v.why_not and not any(v.refuses(location) for location in locations)]
    return (f"accepted by the parser of {', '.join(took)}",) if took else ()


def _is_refusal(finding: Finding) -> bool:
    return finding.severity is Severity.ERROR and finding.tier is Tier.PARSER


def _refused(findings: Iterable[Finding]) -> tuple[Location, ...]:
    locations = {_key(location): location for f in findings if _is_refusal(f) for location in f.locations}
    return tuple(locations.values())


def _key(location: Location) -> tuple[str, str]:
    """Nodes by path: names need not be unique."""
    return (location.kind, location.node or location.name)
