"""Markdown, for a pull request comment or an issue."""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence

from friction_tui.drawing.width import visible, visible_lines
from friction_tui.report.text import SYMBOL, WORD, summary, where
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.finding import Finding


def report(verdicts: Sequence[ModelVerdict]) -> str:
    """A section per model, a list item per finding, the engine's own words folded away."""
    return "\n".join(line for verdict in verdicts for line in _model(verdict)) + "\n"


def _model(verdict: ModelVerdict) -> Iterator[str]:
    yield f"## {_code(verdict.path)}"
    yield ""
    if verdict.failure:
        yield f"**Could not be judged:** {_text(verdict.failure)}"
        yield ""
        if not verdict.findings:
            return
    if verdict.unanswered:
        yield f"**No answer:** {_text('; '.join(verdict.unanswered))}"
        yield ""
    yield f"{summary(verdict)}. {_text(' · '.join(part for part in verdict.about if part))}"
    yield ""
    for finding in verdict.findings:
        yield from _finding(finding)
    if verdict.guessed:
        yield f"Sizes nobody chose, guessed: {_text(', '.join(verdict.guessed))}"
        yield ""


def _finding(finding: Finding) -> Iterator[str]:
    yield f"### {SYMBOL[finding.severity]} {WORD[finding.severity]}: {_text(visible(finding.title))}"
    yield ""
    yield _text(finding.cause)
    yield ""
    for location in finding.locations[:8]:
        yield f"- {_code(where(location))}"
    if len(finding.locations) > 8:
        yield f"- and {len(finding.locations) - 8} more"
    yield ""
    for i, fix in enumerate(finding.fixes, 1):
        yield f"{i}. {_text(fix.text)}"
    yield ""
    yield f"*{_text(finding.source)}* · `{finding.kind}`"
    yield ""
    if finding.words:
        yield "<details><summary>the engine's own words</summary>"
        yield ""
        for words in finding.words:
            yield "```"
            yield visible_lines(f"{words.source}: {words.text}").replace("```", "'''")
            yield "```"
        yield ""
        yield "</details>"
        yield ""


def _code(text: str) -> str:
    """A code span: its fence is longer than any run of backticks inside."""
    text = visible(text)
    if "`" not in text:
        return f"`{text}`"
    fence = "`" * (1 + max(len(run) for run in re.findall("`+", text)))
    return f"{fence} {text} {fence}"


def _text(text: str) -> str:
    text = visible_lines(text)
    for mark in "\\`*_<>|":
        text = text.replace(mark, "\\" + mark)
    return text
