"""The problem list: every finding, grouped, filtered, what to fix first at the top."""

from __future__ import annotations

from collections.abc import Iterable
from typing import ClassVar

from rich.cells import cell_len
from rich.markup import escape
from textual.binding import Binding, BindingType

from friction_tui.drawing.marks import brief
from friction_tui.state.app_state import AppState
from friction_tui.state.derived import Identity, identity
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line, Span, paragraph, symbol, width_of
from friction_tui.ui.look.roles import PEOPLE
from friction_tui.ui.panel import Choose, Reveal, differs
from friction_tui.ui.problems.coverage import coverage
from friction_tui.vocabulary.finding import TIER_WORDS, Finding, Location, Severity, Tier
from friction_tui.vocabulary.protocol import CheckState

GROUPINGS = ("tier", "kind", "source", "none")
PLACES_SHOWN = 200
"""Places listed under one unfolded finding; the rest is counted."""


def matches(finding: Finding, words: Iterable[str]) -> bool:
    """Whether every word is found in the finding. `tier:`, `kind:`, `by:`, `op:` look in one field only."""
    fields = {
        "tier": f"{finding.tier} {TIER_WORDS[finding.tier]} {finding.severity}",
        "kind": finding.kind,
        "by": " ".join((finding.source, *finding.also)),
        "op": " ".join(location.op for location in finding.locations),
        "at": " ".join(finding.names),
        "text": f"{finding.title} {finding.cause}",
    }
    for word in words:
        name, colon, value = word.partition(":")
        haystack = fields[name] if colon and name in fields else " ".join(fields.values())
        needle = value if colon and name in fields else word
        if needle.lower() not in haystack.lower():
            return False
    return True


def group_of(finding: Finding, grouping: str) -> str:
    """The heading a finding stands under."""
    if grouping == "tier":
        return TIER_WORDS[finding.tier]
    return {"kind": finding.kind, "source": finding.source}.get(grouping, "")


def grouped(findings: Iterable[Finding], grouping: str) -> dict[str, list[Finding]]:
    """Findings under their headings, both in the order in which they come."""
    groups: dict[str, list[Finding]] = {}
    for finding in findings:
        groups.setdefault(group_of(finding, grouping), []).append(finding)
    return groups


def by_place(findings: Iterable[Finding]) -> list[list[Finding]]:
    """Findings about the very same nodes together, in the order in which the first of each come."""
    rows: dict[object, list[Finding]] = {}
    for finding in findings:
        rows.setdefault(finding.node_paths or id(finding), []).append(finding)
    return list(rows.values())


def where(finding: Finding) -> tuple[str, str]:
    """The operator and name of a finding's first location, as a heading shows them."""
    if not finding.locations:
        return "", ""
    first: Location = finding.locations[0]
    return first.op or str(first.kind), first.name


def written_at(finding: Finding) -> str:
    """The Python line of a finding as `model.py:88`; empty where none is known or its name says it already."""
    line = finding.line
    text = f"{line.file.rsplit('/', 1)[-1]}:{line.line}" if line else ""
    return "" if text in where(finding)[1] else text


def counts(state: AppState) -> list[Span]:
    """`✗ 2  ! 1  ? 1`, what there is none of left out."""
    unsure = sum(f.tier in (Tier.UNCHECKED, Tier.UNKNOWN) for f in state.findings)
    sure = [f for f in state.findings if f.tier not in (Tier.UNCHECKED, Tier.UNKNOWN)]
    errors = sum(f.severity is Severity.ERROR for f in sure)
    warnings = sum(f.severity is Severity.WARNING for f in sure)
    cross = symbol(Severity.ERROR, ascii_only=state.ascii)[0]
    spans = [(f"{cross} {errors}", "error")] if errors else []
    spans += [(f"! {warnings}", "warning")] if warnings else []
    spans += [(f"? {unsure}", "note")] if unsure else []
    return [part for span in spans for part in (("  ", "text"), span)][1:]


class Problems(LinesPanel):
    """Findings. Enter explains one, Space shows its locations, Enter on one goes there."""

    NAME = "Problems"
    CURSOR_AT_REST = True
    LISTED = frozenset({"findings", "judged", "revision", "checks", "ascii", "change", "refused", "looking", "present"})
    """What the list is made of."""
    READS = LISTED | {"jobs", "hello", "verification", "history"}
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("space", "unfold", "Locations", show=False, id="problems.unfold", tooltip="Show every location"),
        Binding(
            "g",
            "group",
            "Group",
            show=False,
            id="problems.group",
            tooltip="Group by tier, kind or source, or not at all",
        ),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.grouping = GROUPINGS[0]
        self.filter = ""
        self._unfolded: set[Identity] = set()

    def title(self) -> str:
        """`Problems ─ 4`, with what is filtered out and whether it is stale."""
        total = len(self.state.findings)
        shown = len(self.shown())
        parts = [self.NAME, f"{shown} of {total}" if shown != total else f"{total}"]
        if self.filter:
            parts.append(f"filter: {self.filter}")
        if self.state.stale:
            parts.append("stale, rechecking")
        return escape(" ─ ".join(parts))

    def state_changed(self, before: AppState) -> None:
        """A list of problems does not change with what builds and runs; what is said without any does."""
        if not self.state.findings or differs(before, self.state, self.LISTED):
            self.rebuild()

    def shown(self) -> list[Finding]:
        """The findings that pass the filter."""
        words = self.filter.split()
        return [f for f in self.state.findings if matches(f, words)] if words else list(self.state.findings)

    def set_filter(self, text: str) -> None:
        """Show only findings with every word of `text`."""
        self.filter = text
        self.border_title = self.title()
        self.rebuild()

    def listed(self) -> list[Finding]:
        """What is shown, in the order of the list."""
        groups = grouped(self.shown(), self.grouping).values()
        return [finding for findings in groups for row in by_place(findings) for finding in row]

    def lines(self, width: int) -> list[Line]:
        """Headings; where it is and the reasons, one after the other; the places of unfolded ones."""
        lines: list[Line] = []
        for heading, findings in grouped(self.shown(), self.grouping).items():
            if heading:
                lines.append(self._heading(heading, len(findings), width))
            for first, *others in by_place(findings):
                lines.extend(self._entry(first, width))
                for other in others:
                    lines.extend(self._reason(other, width))
        return lines or self._empty(width)

    def _heading(self, text: str, count: int, width: int) -> Line:
        rule = "-" if self.state.ascii else "─"
        room = max(width - cell_len(text) - len(str(count)) - 2, 0)
        return Line(((f"{text} ", "muted"), (rule * room, "gutter")), ((str(count), "muted"),))

    def _entry(self, finding: Finding, width: int) -> list[Line]:
        mark, role = symbol(finding.severity, finding.tier, ascii_only=self.state.ascii)
        if self.state.stale:
            role = "stale"
        op, name = where(finding)
        more = len(finding.locations) - 1
        count = f"{'×' if not self.state.ascii else 'x'}{more + 1} " if more > 0 else ""
        fix = next((f for f in finding.fixes if f.applicable), None)
        tail = self._people(finding)
        tail += [(count, "muted")] if count else []
        tail += [("x", "key"), (" fix", "muted")] if fix else []
        python = written_at(finding)
        source: tuple[Span, ...] = ((f"  {python}", "link"),) if python else ()
        title = brief(finding)
        if name:
            head = Line(((f"{mark} ", role), (f"{op}  ", "strong"), (name, "name"), *source), tuple(tail), key=finding)
            lines = [head, *self._said(finding, title, width, (("  ", "text"),))]
        else:  # about the whole model: the title is all there is to say
            first, *rest = paragraph(
                title, width - width_of(tail) - 1, "strong", indent=((f"{mark} ", role),), key=finding
            )
            lines = [Line((*first.spans, *source), tuple(tail), key=finding), *rest]
        if identity(finding) in self._unfolded:
            lines.extend(self._places(finding))
        return lines

    def _people(self, finding: Finding) -> list[Span]:
        """Who else of a shared session is at one of its nodes."""
        others = self.state.others_at
        here = [viewer for path in others if path in finding.node_paths for viewer in others[path]]
        return [(f"{viewer.name} ", PEOPLE[viewer.colour % len(PEOPLE)]) for viewer in here]

    def _reason(self, finding: Finding, width: int) -> list[Line]:
        """One more thing about the nodes of the entry above."""
        mark, role = symbol(finding.severity, finding.tier, ascii_only=self.state.ascii)
        margin: tuple[Span, ...] = (("  ", "text"), (f"{mark} ", "stale" if self.state.stale else role))
        return self._said(finding, brief(finding), width, margin)

    def _said(self, finding: Finding, text: str, width: int, margin: tuple[Span, ...]) -> list[Line]:
        """Two lines of it at most; the Why page has all."""
        body = paragraph(text, width, "muted", indent=margin, key=finding)
        lines = body[:2]
        if len(body) > 2:
            lines[-1] = Line((*body[1].spans, (" …", "muted")), key=finding)
        return lines

    def _places(self, finding: Finding) -> list[Line]:
        lines = []
        for location in finding.locations[:PLACES_SHOWN]:
            source = f"{location.source.file.rsplit('/', 1)[-1]}:{location.source.line}" if location.source else ""
            spans = (("    ", "text"), (f"{location.op} " if location.op else "", "text"), (location.name, "name"))
            lines.append(Line(spans, ((source, "link"),) if source else (), key=(finding, location)))
        if len(finding.locations) > PLACES_SHOWN:
            lines.append(Line(((f"    and {len(finding.locations) - PLACES_SHOWN} more", "muted"),)))
        return lines

    def _empty(self, width: int) -> list[Line]:
        state = self.state
        if state.findings:
            return paragraph(f"Nothing matches “{self.filter}”. Escape shows all again.", width, "muted")
        if state.refused is not None:
            return paragraph("nothing was checked", width, "muted")
        if state.judged is None:
            running = [name for name, answer in state.checks.items() if answer.state is CheckState.RUNNING]
            return paragraph(f"checking {', '.join(running)} …" if running else "checking …", width, "muted")
        return coverage(state, width)

    def _finding(self) -> tuple[Finding | None, Location | None]:
        key = self.cursor_key
        if isinstance(key, tuple):
            return key
        return (key, None) if isinstance(key, Finding) else (None, None)

    def on_lines_panel_moved(self) -> None:
        """The finding under the cursor is the one that `x` fixes, and the graph shows where it is."""
        finding, location = self._finding()
        if finding is None:
            return
        self.post_message(Choose(finding))
        path = location.node if location else next(iter(finding.node_paths), "")
        if path:
            self.post_message(Reveal(path))

    def select(self, finding: Finding) -> None:
        """Put the cursor on a finding, without saying so."""
        if self._finding()[0] != finding:
            self.rebuild(keep=finding)
            self._go(self._cursor)

    def open_entry(self) -> None:
        """Enter: explain the finding, or go to the location."""
        finding, location = self._finding()
        if location is not None and location.node:
            self.post_message(Reveal(location.node))
        elif finding is not None:
            self.post_message(Choose(finding, explain=True))

    def action_unfold(self) -> None:
        """Show or hide every location of the finding."""
        finding, _ = self._finding()
        if finding is not None:
            self._unfolded ^= {identity(finding)}
            self.rebuild(keep=finding)

    def action_group(self) -> None:
        """Group by the next thing."""
        self.grouping = GROUPINGS[(GROUPINGS.index(self.grouping) + 1) % len(GROUPINGS)]
        self.rebuild()
