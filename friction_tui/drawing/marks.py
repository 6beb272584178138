"""Marks: which items have a problem, and how many lie inside a fold."""

from __future__ import annotations

import enum
from bisect import bisect_left
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from itertools import accumulate

from friction_tui.vocabulary.finding import Finding, LocationKind, Severity, Tier


class ProblemMark(enum.IntEnum):
    """What is wrong with an item, most severe last. Shown as `?`, `!` and `✗`."""

    UNKNOWN = 1
    """Not checked, or not known without a GPU."""
    WARNING = 2
    ERROR = 3


_OF_SEVERITY = {Severity.ERROR: ProblemMark.ERROR, Severity.WARNING: ProblemMark.WARNING}
_PORT = {LocationKind.INPUT: "<", LocationKind.OUTPUT: ">"}


def as_mark(judgement: Severity | ProblemMark) -> ProblemMark | None:
    """The mark of a severity; None for a note, which is nothing to stop at."""
    return judgement if isinstance(judgement, ProblemMark) else _OF_SEVERITY.get(judgement)


def marks_of(findings: Iterable[Finding]) -> dict[str, ProblemMark]:
    """The most severe mark per item path (nodes, graph inputs and outputs), ready for `Outline.set_marks`."""
    marks: dict[str, ProblemMark] = {}
    for finding in findings:
        open_question = finding.tier in (Tier.UNKNOWN, Tier.UNCHECKED)
        mark = ProblemMark.UNKNOWN if open_question else as_mark(finding.severity)
        if mark is None:
            continue
        ports = (_PORT[location.kind] + location.name for location in finding.locations if location.kind in _PORT)
        for path in (*finding.node_paths, *ports):
            marks[path] = max(mark, marks.get(path, mark))
    return marks


def brief(finding: Finding) -> str:
    """The title for where the operator, its name and how many there are stand already: `works only at N = 1`."""
    for location in finding.locations[:1]:
        counted = f"{len(finding.locations)} × {location.op} "
        for said in (f"{location.op} {location.name} ", f"{location.op} ", f"{location.name} ", counted):
            if said.strip() and finding.title.startswith(said):
                return finding.title[len(said) :]
    return finding.title


def notes_of(findings: Iterable[Finding]) -> dict[str, str]:
    """In a few words what the mark of each item is about: the most severe finding's title, the first of equals."""
    notes: dict[str, str] = {}
    worst: dict[str, ProblemMark] = {}
    for finding in findings:
        said = brief(finding)
        for path, mark in marks_of([finding]).items():
            if path not in worst or mark > worst[path]:
                worst[path], notes[path] = mark, said
    return notes


@dataclass(frozen=True, slots=True)
class Tally:
    """How many marked items of each kind."""

    errors: int = 0
    warnings: int = 0
    unknown: int = 0

    def __bool__(self) -> bool:
        return bool(self.errors or self.warnings or self.unknown)

    @property
    def worst(self) -> ProblemMark | None:
        """The most severe mark counted."""
        if self.errors:
            return ProblemMark.ERROR
        if self.warnings:
            return ProblemMark.WARNING
        return ProblemMark.UNKNOWN if self.unknown else None


@dataclass(slots=True)
class _Counter:
    """Weights at sorted positions, summed over an interval by two bisections."""

    positions: list[int] = field(default_factory=list)
    sums: list[int] = field(default_factory=lambda: [0])

    @classmethod
    def of(cls, weights: Mapping[int, int]) -> _Counter:
        positions = sorted(weights)
        return cls(positions, [0, *accumulate(weights[position] for position in positions)])

    def between(self, first: int, last: int) -> int:
        return self.sums[bisect_left(self.positions, last)] - self.sums[bisect_left(self.positions, first)]


@dataclass(slots=True)
class MarkCounts:
    """How many marked items each interval of positions holds. A position counts what its bodies hold, too."""

    errors: _Counter = field(default_factory=_Counter)
    warnings: _Counter = field(default_factory=_Counter)
    unknown: _Counter = field(default_factory=_Counter)

    @classmethod
    def of(cls, weights: Mapping[ProblemMark, Mapping[int, int]]) -> MarkCounts:
        """From the number of marked items at each position."""
        empty: dict[int, int] = {}
        return cls(
            *(
                _Counter.of(weights.get(mark, empty))
                for mark in (ProblemMark.ERROR, ProblemMark.WARNING, ProblemMark.UNKNOWN)
            )
        )

    def of_mark(self, mark: ProblemMark, first: int, last: int) -> int:
        """How many items of one mark lie at positions `first` <= p < `last`."""
        counter = {ProblemMark.ERROR: self.errors, ProblemMark.WARNING: self.warnings}.get(mark, self.unknown)
        return counter.between(first, last)

    def between(self, first: int, last: int) -> Tally:
        """The marked items at positions `first` <= p < `last`."""
        return Tally(
            self.errors.between(first, last), self.warnings.between(first, last), self.unknown.between(first, last)
        )
