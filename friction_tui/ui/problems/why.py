"""The "Why" page: one finding in full. What, where, the evidence, who says so, what to do, the engine's message."""

from __future__ import annotations

import re
from typing import ClassVar

from rich.markup import escape
from textual.binding import Binding, BindingType

from friction_tui.drawing.marks import brief
from friction_tui.kinds import explain
from friction_tui.state.derived import verification_span
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line, Span, cut, paragraph, symbol
from friction_tui.ui.look.python_lines import coloured
from friction_tui.ui.panel import Reveal
from friction_tui.ui.problems.panel import where
from friction_tui.vocabulary.finding import TIER_WORDS, Finding, Fix, Location

LABEL_WIDTH = 11
_CODE_LINE = re.compile(r"([> ])(\s+\d+)  (.*)", re.DOTALL)
"""A line of code among the evidence: `>   11      if x.sum() > 0:`."""
PLACES_SHOWN = 100
PREVIEW_LINES = 2
"""Lines of an engine's text shown before it is asked for."""


def headline(finding: Finding, width: int, *, ascii_only: bool = False) -> list[Line]:
    """`✗ Reshape head/Reshape`, and below it what is wrong; for the whole model that alone."""
    mark, role = symbol(finding.severity, finding.tier, ascii_only=ascii_only)
    op, name = where(finding)
    said = brief(finding)
    if not name:
        return paragraph(said, width, "strong", indent=((f"{mark} ", role),))
    head = cut(((f"{mark} ", role), (f"{op} " if op else "", "strong"), (name, "name")), width)
    return [Line(tuple(head)), *paragraph(said, width, "strong", indent=(("  ", "text"),))]


def page(
    finding: Finding,
    width: int,
    *,
    verbatim: bool = False,
    explained: bool = False,
    ascii_only: bool = False,
    verification: Span | None = None,
) -> list[Line]:
    """The whole page at `width` cells; `verbatim` shows the engines' texts in full, `explained` the kind's page.

    `verification` says whether the rewrites that are already in the recipe keep the results.
    """
    lines = [
        *headline(finding, width, ascii_only=ascii_only),
        Line(),
        *_section("What", finding.cause, width),
        *_places(finding, width),
        *_listed("Evidence", finding.evidence, width),
        *_said(finding, width),
        *_to_do(finding.fixes, width),
        *(_section("Rewritten", verification[0], width, verification[1]) if verification else []),
        *_words(finding, width, verbatim),
        *_section("Kind", f"{finding.kind} · {TIER_WORDS[finding.tier]}", width, "muted"),
        *_about_kind(finding.kind, width, shown=explained),
    ]
    while lines and not lines[-1].spans:
        lines.pop()
    return lines


def _label(text: str) -> tuple[Span, ...]:
    return ((f"  {text:<{LABEL_WIDTH - 2}}", "muted"),)


def _section(label: str, text: str, width: int, role: str = "text") -> list[Line]:
    return [*paragraph(text, width, role, indent=_label(label)), Line()] if text else []


def _listed(label: str, texts: tuple[str, ...], width: int) -> list[Line]:
    lines: list[Line] = []
    for at, text in enumerate(texts):
        margin = _label(label if at == 0 else "")
        lines.extend(_code(text, margin, width) or paragraph(text, width, indent=margin))
    return [*lines, Line()] if lines else []


def _code(text: str, margin: tuple[Span, ...], width: int) -> list[Line]:
    """A line of the user's code as it is written, its number before it and a mark where it is at fault."""
    numbered = _CODE_LINE.match(text)
    if numbered is None:
        return []
    mark, number, code = numbered.groups()
    fault = mark == ">"
    spans: tuple[Span, ...] = (*margin, (mark, "error"), (f"{number}  ", "strong" if fault else "gutter"))
    return [Line(tuple(cut((*spans, *next(iter(coloured(code)), [])), width)))]


def _places(finding: Finding, width: int) -> list[Line]:
    lines: list[Line] = []
    for at, location in enumerate(finding.locations[:PLACES_SHOWN]):
        spans: list[Span] = [*_label("Where" if at == 0 else ""), (location.name or str(location.kind), "name")]
        if location.source:
            source = location.source
            function = f" in {source.function}" if source.function else ""
            spans += [("  ←  ", "muted"), (f"{source.file}:{source.line}", "link"), (function, "muted")]
        lines.append(Line(tuple(cut(spans, width)), key=location if location.node or location.source else None))
        if location.source and location.source.code and at == 0:
            code = (*_label(""), ("  " + location.source.code.strip(), "code"))
            lines.append(Line(tuple(cut(code, width)), key=location if location.node or location.source else None))
    rest = len(finding.locations) - PLACES_SHOWN
    if rest > 0:
        lines.append(Line((*_label(""), (f"and {rest} more", "muted"))))
    return [*lines, Line()] if lines else []


def _said(finding: Finding, width: int) -> list[Line]:
    lines = paragraph(finding.source, width, indent=_label("Who says"))
    for other in finding.also:
        lines.extend(paragraph(f"and {other}", width, indent=_label("")))
    if finding.provisional:
        note = "provisional: it lies behind a node that was already refused, and may go away with it"
        lines.extend(paragraph(note, width, "note", indent=_label("")))
    return [*lines, Line()]


def _to_do(fixes: tuple[Fix, ...], width: int) -> list[Line]:
    lines: list[Line] = []
    for at, fix in enumerate(fixes):
        margin: tuple[Span, ...] = (*_label("Do" if at == 0 else ""), (f"{at + 1}  ", "muted"))
        if fix.applicable:
            margin = (*margin, ("x  ", "key"))
        lines.extend(paragraph(fix.text, width, indent=margin))
    if not fixes:
        lines = paragraph("no fix is known; searching for the engine's message may help", width, indent=_label("Do"))
    return [*lines, Line()]


def _words(finding: Finding, width: int, verbatim: bool) -> list[Line]:
    lines: list[Line] = []
    for at, words in enumerate(finding.words):
        lines.append(Line((*_label("Engine" if at == 0 else ""), (words.source, "muted"))))
        text = paragraph(words.text, width, "code", indent=_label(""))
        if verbatim or len(text) <= PREVIEW_LINES:
            lines.extend(text)
        else:
            lines.extend(text[:PREVIEW_LINES])
            lines.append(Line((*_label(""), ("v", "key"), (f"  all {len(text)} lines", "muted"))))
    return [*lines, Line()] if lines else []


def _about_kind(kind: str, width: int, *, shown: bool) -> list[Line]:
    text = explain(kind)
    if text is None:
        return []
    if not shown:
        return [Line((*_label(""), ("a", "key"), ("  everything about this kind of problem", "muted")))]
    _, _, body = text.partition(f"`{kind}`")
    return paragraph(body.strip(), width, indent=_label(""))


class Why(LinesPanel):
    """Explains the chosen finding. Enter on a location goes there."""

    NAME = "Why"
    READS = frozenset({"problem", "ascii", "verification", "history", "revision"})
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding(
            "v", "verbatim", "Engine's message", show=False, id="why.verbatim", tooltip="Engine's own text in full"
        ),
        Binding(
            "a", "explain", "This kind", show=False, id="why.kind", tooltip="Everything about this kind of problem"
        ),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._verbatim = False
        self._explained = False

    def title(self) -> str:
        """`Why ─ dynamic/baked-reshape`."""
        return escape(f"{self.NAME} ─ {self.state.problem.kind}") if self.state.problem else self.NAME

    def lines(self, width: int) -> list[Line]:
        """The page of the chosen finding."""
        finding = self._finding()
        if finding is None:
            return self._gone(width)
        return page(
            finding,
            width,
            verbatim=self._verbatim,
            explained=self._explained,
            ascii_only=self.state.ascii,
            verification=verification_span(self.state),
        )

    def _finding(self) -> Finding | None:
        return self.state.problem

    def _gone(self, width: int) -> list[Line]:
        """What is left to say once the problem is solved: whether the results are still the same."""
        verification = verification_span(self.state)
        lines = paragraph("This problem is gone. Escape goes back.", width, "good")
        if verification is not None:
            lines += [Line(), *_section("Rewritten", verification[0], width, verification[1])]
            lines += [Line((("u", "key"), ("  undoes the last edit", "muted")))]
        return lines

    def action_verbatim(self) -> None:
        """Show the engine's text in full, or its first lines."""
        self._verbatim = not self._verbatim
        self._show("Engine")

    def action_explain(self) -> None:
        """Show what is known of this kind of problem, or hide it."""
        self._explained = not self._explained
        self._show("Kind")

    def _show(self, section: str) -> None:
        """Make the page again, and scroll to a section: what a key opened is not left below the edge."""
        self.rebuild()
        starts = (at for at, line in enumerate(self._lines) if line.spans and line.spans[0][0].strip() == section)
        at = next(starts, None)
        opened = {"Engine": self._verbatim, "Kind": self._explained}[section]
        if at is not None and opened:
            self.scroll_to(y=at, animate=False, force=True)

    def on_lines_panel_chosen(self) -> None:
        """Go to the location in the graph."""
        if isinstance(self.cursor_key, Location) and self.cursor_key.node:
            self.post_message(Reveal(self.cursor_key.node))


class WhyBeside(Why):
    """The page beside the list: while no problem is chosen it explains the first one."""

    READS = Why.READS | {"findings"}

    def title(self) -> str:
        """As on the page."""
        finding = self._finding()
        return escape(f"{self.NAME} ─ {finding.kind}") if finding is not None else self.NAME

    def _finding(self) -> Finding | None:
        return self.state.problem or next(iter(self.state.findings), None)
