"""Findings as a report to read in a terminal or a log. No control character of a model's names gets there."""

from __future__ import annotations

import shutil
import textwrap
from collections.abc import Callable, Iterable, Iterator, Sequence

from friction_tui.drawing.width import visible, visible_lines
from friction_tui.report.matrix import matrix
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity
from friction_tui.vocabulary.protocol import BuildResult
from friction_tui.vocabulary.units import size_text

SYMBOL = {Severity.ERROR: "✗", Severity.WARNING: "!", Severity.NOTE: "·"}
WORD = {Severity.ERROR: "error", Severity.WARNING: "warning", Severity.NOTE: "note"}
COLOUR = {Severity.ERROR: "red", Severity.WARNING: "yellow", Severity.NOTE: "cyan"}
PLACES_SHOWN = 4

Paint = Callable[[str, str], str]


def plain(text: str, _style: str) -> str:
    """No colour."""
    return visible(text)


def ansi(text: str, style: str) -> str:
    """Colour by ANSI escape."""
    codes = {"red": "31;1", "yellow": "33;1", "cyan": "36", "dim": "2", "bold": "1", "green": "32;1"}
    return f"\x1b[{codes[style]}m{visible(text)}\x1b[0m"


def report(verdicts: Sequence[ModelVerdict], *, paint: Paint = plain, width: int = 0) -> str:
    """All models' findings, and a summary line when there is more than one model."""
    width = width or min(shutil.get_terminal_size((100, 24)).columns, 110)
    blocks = ["\n".join(_model(verdict, paint, width)) for verdict in verdicts]
    if len(verdicts) > 1:
        bad = sum(verdict.errors > 0 for verdict in verdicts)
        failed = sum(bool(verdict.failure) for verdict in verdicts)
        tail = f", {failed} could not be judged" if failed else ""
        blocks.append(f"{len(verdicts)} models: {bad} with errors{tail}")
    return "\n\n".join(blocks) + "\n"


def _model(verdict: ModelVerdict, paint: Paint, width: int) -> Iterator[str]:
    about = " · ".join(part for part in verdict.about if part)
    yield f"{paint(verdict.path, 'bold')}  {paint(about, 'dim')}".rstrip()
    if verdict.failure:
        yield f"{paint('could not be judged', 'red')}: {visible_lines(verdict.failure)}"
        if not verdict.findings:
            return
    for finding in verdict.findings:
        yield ""
        yield from describe(finding, paint, width)
    yield ""
    yield summary(verdict, paint)
    if verdict.guessed:
        yield paint(f"sizes nobody chose, guessed: {', '.join(verdict.guessed)}  (choose with --shapes)", "dim")
    if verdict.engines:
        yield ""
        yield from (f"    {visible(line)}" for line in matrix(verdict.engines))
    if verdict.build is not None and verdict.build.ok and not verdict.clean:
        yield paint(built(verdict.build), "dim")
    for line in verdict.unchecked:
        yield paint(f"not checked: {line}", "dim")


def summary(verdict: ModelVerdict, paint: Paint = plain) -> str:
    """One line: how many of what, and how long it took."""
    notes = f", {_count(verdict.notes, 'note')}" if verdict.notes else ""
    took = paint(f" · checked in {verdict.seconds:.2f} s", "dim")
    if verdict.clean and verdict.build is not None and verdict.build.ok:
        return f"{paint('✓ no friction found', 'green')}{notes} · {built(verdict.build)}{took}"
    if verdict.clean and verdict.unanswered:
        why = visible("; ".join(verdict.unanswered))
        return f"{paint('? no friction found, but not all that was asked has an answer', 'yellow')}: {why}{notes}{took}"
    if verdict.clean and verdict.kernels:
        return f"{paint('✓ no friction found', 'green')}{notes} · {visible(verdict.builder)}{took}"
    if verdict.clean and verdict.asked_builder:
        layers = paint("✓ shapes and layers, ? kernels: no friction found", "green")
        known = visible(verdict.builder.removeprefix("shapes and layers: taken; "))
        return f"{layers}{notes} · {known} (--build compiles all){took}"
    if verdict.clean:
        why = f": {visible(verdict.builder)}" if verdict.builder else ""
        return f"{paint('? no friction found, but the builder has not answered', 'yellow')}{why}{notes}{took}"
    return f"{_count(verdict.errors, 'error')}, {_count(verdict.warnings, 'warning')}{notes}{took}"


def built(result: BuildResult) -> str:
    """What a build that succeeded made: `built by TensorRT-RTX 1.7.1 builder in 0.9 s: engine 1.2 MiB, …`."""
    planned = max(result.activation_bytes, default=None)
    sizes = [f"engine {size_text(result.engine_bytes)}"]
    sizes += [f"{size_text(planned)} activation memory planned"] if planned is not None else []
    return f"built by {visible(result.source)} in {result.seconds:.1f} s: {', '.join(sizes)}"


def describe(finding: Finding, paint: Paint = plain, width: int = 100) -> Iterator[str]:
    """One finding in full."""
    mark = f"{SYMBOL[finding.severity]} {WORD[finding.severity]}"
    yield f"{paint(mark, COLOUR[finding.severity])}  {paint(finding.title, 'bold')}  {paint(finding.kind, 'dim')}"
    yield from _field("why", [finding.cause], width)
    yield from _field("evidence", finding.evidence, width)
    yield from _field("where", _places(finding.locations), width)
    yield from _field("says", [" · ".join((finding.source, *finding.also))], width)
    numbered = [f"{i} {fix.text}" for i, fix in enumerate(finding.fixes, 1)]
    yield from _field("fix", numbered, width)
    yield from _field("engine", [f"{w.source}: {' '.join(w.text.split())}" for w in finding.words[:2]], width)


def _places(locations: Sequence[Location]) -> list[str]:
    shown = [where(location) for location in locations[:PLACES_SHOWN] if location.kind is not LocationKind.MODEL]
    if len(locations) > PLACES_SHOWN:
        shown.append(f"and {len(locations) - PLACES_SHOWN} more")
    return shown


def where(location: Location) -> str:
    """A place in words, with the line of the user's code when it is known."""
    name = f"{location.op} {location.name}" if location.op else f"{location.kind} {location.name}"
    if location.source is None:
        return name
    code = f"  {location.source.code}" if location.source.code else ""
    return f"{name}  ←  {location.source.file}:{location.source.line}{code}"


def _field(label: str, texts: Iterable[str], width: int) -> Iterator[str]:
    head = f"    {label:<9}"
    for text in texts:
        if not text:
            continue
        lines = textwrap.wrap(text, max(width - len(head), 40), break_long_words=False, break_on_hyphens=False)
        for line in lines or [""]:
            yield head + visible(line)
            head = " " * len(head)


def _count(number: int, noun: str) -> str:
    return f"{number} {noun}{'' if number == 1 else 's'}"
