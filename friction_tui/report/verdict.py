"""What every report is made from: one model and what was found in it."""

from __future__ import annotations

from dataclasses import dataclass

from friction_tui.verdicts.side_by_side import EngineVerdict
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import BuildResult


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """One model's findings, sorted by what to fix first.

    `about` describes the model and who judged it; `failure` says why there is no verdict, or only a part of it,
    "" when there is a whole one; `guessed` are the dimension ranges nobody chose, in words; `unchecked` what could not
    be looked at, and why.
    `engines` are the TensorRTs that were asked when there were several, the one of this environment first. `builder` is
    what the builder was asked and said of it, or why it was not asked, and `asked_builder` whether it has answered.
    `unanswered` tells that it was asked something and gave no answer. `build` is what a build that was asked for gave.
    """

    path: str
    findings: tuple[Finding, ...] = ()
    seconds: float = 0.0
    about: tuple[str, ...] = ()
    failure: str = ""
    guessed: tuple[str, ...] = ()
    unchecked: tuple[str, ...] = ()
    engines: tuple[EngineVerdict, ...] = ()
    builder: str = ""
    asked_builder: bool = False
    unanswered: bool = False
    build: BuildResult | None = None

    @property
    def clean(self) -> bool:
        """Whether nothing was found."""
        return not self.errors and not self.warnings

    def _count(self, severity: Severity) -> int:
        return sum(finding.severity is severity for finding in self.findings)

    @property
    def errors(self) -> int:
        """Number of errors."""
        return self._count(Severity.ERROR)

    @property
    def warnings(self) -> int:
        """Number of warnings."""
        return self._count(Severity.WARNING)

    @property
    def notes(self) -> int:
        """Number of notes."""
        return self._count(Severity.NOTE)
