"""What every report is made from: one model and what was found in it."""

from __future__ import annotations

import hashlib
import os
from dataclasses import dataclass
from pathlib import Path, PurePath
from typing import Any

import msgspec

from friction_tui.verdicts.side_by_side import EngineVerdict
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.protocol import BuildResult
from friction_tui.vocabulary.recipe import Profile

NAME, TITLE, TEXT = 500, 300, 4000
"""Characters of a name, a title and any other text that a report shows. A model's names can be megabytes long."""

ANY = 20_000
"""Characters of any text in a report for programs, the pages about a kind included."""


def shortened(finding: Finding) -> Finding:
    """The finding with texts of a length that can be read: the middle of a longer one is left out."""
    return msgspec.structs.replace(
        finding,
        title=_short(finding.title, TITLE),
        cause=_short(finding.cause, TEXT),
        locations=tuple(
            one
            if len(one.name) <= NAME and len(one.node) <= NAME and len(one.op) <= NAME
            else msgspec.structs.replace(
                one, name=_short(one.name, NAME), node=_short(one.node, NAME), op=_short(one.op, NAME)
            )
            for one in finding.locations
        ),
        evidence=tuple(_short(text, TEXT) for text in finding.evidence),
        fixes=tuple(msgspec.structs.replace(fix, text=_short(fix.text, TEXT)) for fix in finding.fixes),
        words=tuple(msgspec.structs.replace(said, text=_short(said.text, TEXT)) for said in finding.words),
    )


def bounded(document: Any) -> Any:
    """A document of lists and dictionaries with no text, and no key, that is longer than `ANY` characters."""
    match document:
        case str():
            return _short(document, ANY)
        case dict():
            return {bounded(key): bounded(value) for key, value in document.items()}
        case list() | tuple():
            return [bounded(value) for value in document]
    return document


def bounded_line(line: str) -> str:
    """A line of text whose middle is left out where it is longer than `TEXT` characters."""
    return _short(line, TEXT)


def _short(text: str, most: int) -> str:
    if len(text) <= most:
        return text
    return f"{text[: most * 3 // 4]}…{text[-(most // 4) :]}"


@dataclass(frozen=True, slots=True)
class Judged:
    """The terms of a verdict: the recipe it holds for, `opset` None where it is not known, and the engines asked.

    `profiles` are the sizes at min, opt and max by symbol or `input[axis]`, () where there is deliberately no profile.
    `target` is "" for every one that the engine builds for by default. `builder` are options of the builder, as
    `--builder` takes them.
    """

    opset: int | None
    target: str
    precision: str
    profiles: tuple[Profile, ...]
    engines: tuple[str, ...]
    builder: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class ModelVerdict:
    """One model's findings, sorted by what to fix first.

    `about` describes the model and who judged it; `failure` says why there is no verdict, or only a part of it,
    "" when there is a whole one; `guessed` are the dimension ranges nobody chose, in words; `unchecked` what could not
    be looked at, and why.
    `engines` are the TensorRTs that were asked when there were several, the one of this environment first. `builder` is
    what the builder was asked and said of it, or why it was not asked, and `asked_builder` whether it has answered.
    `kernels` tells that all kernels were compiled, by it or by a build. `unanswered` says which questions that were
    asked have no answer. `build` is what a build that was asked for gave.
    `judged` is what the verdict holds for, and who was asked.
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
    kernels: bool = False
    unanswered: tuple[str, ...] = ()
    build: BuildResult | None = None
    judged: Judged | None = None

    @property
    def open_question(self) -> str:
        """Why this is not a whole verdict, "" when it is one."""
        return self.failure or "; ".join(self.unanswered)

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


def fingerprint(path: str, finding: Finding) -> str:
    """What makes a finding the same one tomorrow: model, kind and the names at fault, not the wording.

    The model is its path below the current folder, so that a checkout may lie anywhere; two of one name stay two.
    """
    here = PurePath(os.path.normpath(Path.cwd() / path))
    model = here.relative_to(Path.cwd()) if here.is_relative_to(Path.cwd()) else here
    key = "\0".join((model.as_posix(), finding.kind, *sorted(finding.names)))
    return hashlib.sha256(key.encode()).hexdigest()[:32]
