"""What a kind of finding is: one object with its id, its page, its relations, and models that show it.

Rules make findings through their kind, so that no finding can be of a kind that is not declared.
"""

from __future__ import annotations

import string
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from functools import cached_property

from friction_tui.kinds.examples import But, Example
from friction_tui.vocabulary.finding import RULE, EngineWords, Finding, Fix, Location, Severity, Tier


@dataclass(frozen=True, kw_only=True, eq=False)
class Kind:
    """One kind of finding.

    `id` is stable: baselines, SARIF results and `[[allow]]` match by it; it never gets another meaning. `summary` is
    the heading of its page. `title` is the pattern of a finding's title, the summary unless it is given: `finding`
    fills each `{field}`.
    `severities` and `tiers` are all that a rule may give its findings, the usual one first; what an engine's message
    decodes to may have others (`decoded`). The page is `cause`, `evidence`, `example` and `fix`, in Markdown. `shows`
    is an input that makes the finding appear, `quiet` one close to it that must not (`But`: what is different in it).

    Relations, which decide what is reported once:
    `reads_sizes`: whether the finding depends on the ranges of the profile.
    `vague`: it says that a node fails and not why; a kind that knows why stands for it.
    `gives_reason`: False for a kind that speaks of a node and is never why this TensorRT refuses it.
    `matters`: names of matters; two kinds that share one describe the same thing when they meet at one location.
    `explains`: ids of kinds about the model as a whole that this one explains, wherever it is.
    `explains_model`: whether, at the model or an output, it explains any refusal of the model as a whole.
    `knows_why`: whether its findings give a reason although an engine or exporter signs them.
    `moot_under`, `moot_beside`: ids of kinds whose errors at all, or at any, of its nodes make it uninteresting; `*` is
    every kind. `moot_with`: the same, wherever these errors are.
    `rewrites`: names of the rewrites that can mend it, the best first (see `friction_tui.rewrites`).
    """

    id: str
    summary: str
    title: str = ""
    severities: tuple[Severity, ...] = (Severity.ERROR,)
    tiers: tuple[Tier, ...]
    cause: str
    evidence: str
    example: str
    fix: str
    shows: Example
    quiet: Example | But
    reads_sizes: bool = False
    vague: bool = False
    gives_reason: bool = True
    matters: frozenset[str] = frozenset()
    explains: tuple[str, ...] = ()
    explains_model: bool = False
    knows_why: bool = False
    moot_under: tuple[str, ...] = ()
    moot_beside: tuple[str, ...] = ()
    moot_with: tuple[str, ...] = ()
    rewrites: tuple[str, ...] = ()
    since: str = "0.1.0"

    def __post_init__(self) -> None:
        object.__setattr__(self, "title", self.title or self.summary)
        if isinstance(self.quiet, But):
            object.__setattr__(self, "quiet", self.quiet.of(self.shows))

    @property
    def family(self) -> str:
        """The part of the id before the slash."""
        return self.id.partition("/")[0]

    @cached_property
    def fields(self) -> frozenset[str]:
        """The names that `title` needs."""
        return frozenset(name for _, name, _, _ in string.Formatter().parse(self.title) if name)

    @property
    def page(self) -> str:
        """The page as Markdown, without its heading."""
        parts = (("Cause", self.cause), ("Evidence", self.evidence), ("Example", self.example), ("Fix", self.fix))
        return "\n\n".join(f"**{name}.** {text.strip()}" for name, text in parts)

    def finding(
        self,
        *,
        cause: str,
        locations: Iterable[Location],
        fixes: Iterable[Fix | str],
        severity: Severity | None = None,
        tier: Tier | None = None,
        source: str = RULE,
        evidence: Iterable[str] = (),
        words: Iterable[EngineWords] = (),
        also: Sequence[str] = (),
        provisional: bool = False,
        **title: object,
    ) -> Finding:
        """A finding of this kind. `title` fills the pattern of the title; a plain text among `fixes` is advice.

        Raises ValueError for a severity or tier that is not declared, KeyError for a missing field of the title.
        """
        severity, tier = severity or self.severities[0], tier or self.tiers[0]
        if severity not in self.severities or tier not in self.tiers:
            raise ValueError(f"{self.id} is not declared as {severity.name} in tier {tier.name}")
        return self.decoded(
            self.title.format(**title),
            severity=severity,
            tier=tier,
            cause=cause,
            locations=locations,
            fixes=fixes,
            source=source,
            evidence=evidence,
            words=words,
            also=also,
            provisional=provisional,
        )

    def decoded(
        self,
        title: str,
        *,
        severity: Severity,
        tier: Tier,
        cause: str,
        locations: Iterable[Location],
        fixes: Iterable[Fix | str],
        source: str,
        evidence: Iterable[str] = (),
        words: Iterable[EngineWords] = (),
        also: Sequence[str] = (),
        provisional: bool = False,
    ) -> Finding:
        """A finding that an engine's message decodes to: the engine decides how severe it is and at which tier."""
        return Finding(
            kind=self.id,
            severity=severity,
            tier=tier,
            title=title,
            cause=cause,
            source=source,
            locations=tuple(locations),
            evidence=tuple(evidence),
            fixes=tuple(Fix(fix) if isinstance(fix, str) else fix for fix in fixes),
            words=tuple(words),
            also=tuple(also),
            provisional=provisional,
        )
