"""A verdict's findings, and which of the questions that were asked have no answer."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from friction_tui.kinds import engine
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import CheckState, Findings

NO_RESULT = frozenset(kind.id for kind in (engine.BUILDER_CRASHED, engine.BUILD_TIMEOUT, engine.OUT_OF_HOST_MEMORY))
"""Kinds of finding that say that a build gave no result."""


@dataclass(frozen=True, slots=True)
class Verdict:
    """All that was found in a model, deduplicated; `unanswered` are the questions without an answer, in words."""

    findings: list[Finding]
    unanswered: tuple[str, ...] = ()

    @property
    def errors(self) -> list[Finding]:
        """The findings that are errors."""
        return [finding for finding in self.findings if finding.severity is Severity.ERROR]


def unanswered(checks: Iterable[Findings], findings: Iterable[Finding]) -> tuple[str, ...]:
    """The checks that failed to answer, and the builds that ended without a result, in words."""
    failed = (f"{one.check}: {one.note or 'no answer'}" for one in checks if one.state is CheckState.FAILED)
    return (*failed, *(finding.title for finding in findings if finding.kind in NO_RESULT))
