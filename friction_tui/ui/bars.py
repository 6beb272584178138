"""The one-line widgets: status line, panel bar, message line, key line."""

from __future__ import annotations

from collections.abc import Sequence
from functools import partial
from typing import ClassVar

from textual.events import Click
from textual.strip import Strip
from textual.widget import Widget

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.actions.registry import BY_ID, Action, available
from friction_tui.ui.graph.inspector import one_line
from friction_tui.ui.layout import PANELS
from friction_tui.ui.look.lines import Line, Span, fitted, strip_of, width_of
from friction_tui.ui.look.roles import role_style
from friction_tui.ui.panel import differs
from friction_tui.ui.problems.panel import counts
from friction_tui.ui.status import status
from friction_tui.vocabulary.protocol import JobKind

PALETTE_HINT: tuple[Span, ...] = (("^p", "key"), (" commands", "muted"))
ENDING = {
    JobKind.MEASURE: "stop measuring",
    JobKind.FIX: "stop fixing",
    JobKind.OPSETS: "stop trying opsets",
    JobKind.PRECISION: "stop the search",
    JobKind.COMPARE: "stop comparing",
}
"""What Escape does to a job, where the kind's name does not say it."""
NARROW = 84
"""Columns below which the palette is named in a word."""
GAP = 2
"""Columns between the entries of the key line."""
Entry = tuple[tuple[Span, ...], str]
"""What the key line shows, and the Textual action behind it."""
LEVEL_ROLES = {NoticeLevel.ERROR: "error", NoticeLevel.WARNING: "warning", NoticeLevel.INFO: "good"}
LEVEL_MARKS = {NoticeLevel.ERROR: "✗", NoticeLevel.WARNING: "!", NoticeLevel.INFO: "·"}


class Bar(Widget):
    """One line made from the state."""

    DEFAULT_CSS = "Bar { height: 1; padding: 0 1; }"

    READS: ClassVar[frozenset[str]] = frozenset()
    """Fields of the state that the line is made from."""

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self.state = AppState()

    def update_state(self, state: AppState) -> None:
        """Show the newest state, if that can change the line."""
        before, self.state = self.state, state
        if differs(before, state, self.READS):
            self.refresh()

    def line(self, width: int) -> Line:
        """What to show in `width` cells."""
        raise NotImplementedError

    def render_line(self, y: int) -> Strip:  # noqa: ARG002
        """The line."""
        width = self.content_size.width
        return strip_of(fitted(self.line(width), width), partial(role_style, self))


class StatusLine(Bar):
    """What is open, for which target, what is known."""

    DEFAULT_CSS = "StatusLine { background: $panel; }"
    READS = frozenset(
        {
            "hello",
            "worker_lost",
            "line",
            "sending",
            "summary",
            "history",
            "jobs",
            "checks",
            "judged",
            "findings",
            "revision",
            "ascii",
            "verification",
            "reopening",
            "refused",
            "present",
            "following",
            "recorded",
        }
    )

    def line(self, width: int) -> Line:
        """See `friction_tui.ui.status`."""
        return status(self.state, width)


class PanelBar(Bar):
    """`1 Graph  2 Problems ✗ 2 …`: shown where panels do not fit beside each other."""

    READS = frozenset({"findings", "ascii"})
    current = PANELS[0]

    def line(self, width: int) -> Line:
        """The panels, the current one strong, the problems with their counts."""
        numbered = [(PANELS.index(panel) + 1, panel) for panel in PANELS if panel != "inspector"]
        names = self._names(numbered, width)
        if width_of(names) > width and self.current != "source":
            names = self._names(numbered[:-1], width)
        if width_of(names) <= width:
            return Line(names)
        short = [(f"{digit} ", "strong" if panel == self.current else "muted") for digit, panel in numbered]
        return Line((*short, (self.current.capitalize(), "strong")))

    def _names(self, numbered: list[tuple[int, str]], width: int) -> tuple[Span, ...]:
        spans: list[Span] = []
        for digit, panel in numbered:
            role = "strong" if panel == self.current else "muted"
            spans += [(f"{digit}", "key"), (f" {panel.capitalize()}", role)]
            if panel == "problems" and self.state.findings and width >= 72:
                spans += [(" ", "text"), *counts(self.state)]
            spans.append(("  ", "text"))
        return tuple(spans[:-1])


class MessageLine(Bar):
    """The newest message until it is put away; else the selected item in one line."""

    DEFAULT_CSS = "MessageLine { background: $panel; }"
    READS = frozenset({"notice_count", "dismissed_count", "selected", "details", "findings", "problem", "ascii"})

    def line(self, width: int) -> Line:  # noqa: ARG002
        """The message with what to do next, or the item. Of a long detail the last line says most."""
        notice = self.state.unread
        if notice is None:
            return Line(one_line(self.state))
        mark = LEVEL_MARKS[notice.level]
        if self.state.ascii and notice.level is not NoticeLevel.WARNING:
            mark = "X" if notice.level is NoticeLevel.ERROR else "-"
        detail = next((line.strip() for line in reversed(notice.detail.splitlines()) if line.strip()), "")
        spans: tuple[Span, ...] = ((f"{mark} ", LEVEL_ROLES[notice.level]), (" ".join(notice.text.split()), "text"))
        return Line((*spans, (f"  {detail}" if detail else "", "muted")), (("l", "key"), (" all", "muted")))


class KeyLine(Bar):
    """What the keys do now; as many as fit, help and palette always."""

    READS = frozenset(
        {
            "hello",
            "summary",
            "graph",
            "history",
            "findings",
            "problem",
            "jobs",
            "reopening",
            "line",
            "worker_lost",
            "present",
            "lost",
            "taken_back",
            "keys",
        }
    )

    typed: tuple[tuple[str, str], ...] = ()
    """Keys with their meaning while keys are typed into something; empty while they are not."""

    def type(self, keys: tuple[tuple[str, str], ...]) -> None:
        """What keys mean from now on, while they are typed into something."""
        self.typed = keys
        self.refresh()

    async def on_click(self, event: Click) -> None:
        """A click on an entry does what its key does."""
        if self.typed:
            return
        width = self.content_size.width
        shown, tail = self._entries(width), self._tail(width)
        column = event.x - self.styles.padding.left
        at = 0
        for spans, does in shown:
            if at <= column < at + width_of(spans):
                await self.run_action(does)
            at += width_of(spans) + GAP
        at = width - sum(width_of(spans) for spans, _ in tail) - GAP
        for spans, does in tail:
            if at <= column < at + width_of(spans):
                await self.run_action(does)
            at += width_of(spans) + GAP

    def line(self, width: int) -> Line:
        """Valid actions by rank; how to get help and the palette. While one types, what keys mean in it."""
        if self.typed:
            return Line(_joined([(((key, "key"), (f" {what}", "muted")), "") for key, what in self.typed]))
        return Line(_joined(self._entries(width)), _joined(self._tail(width)))

    def _entries(self, width: int) -> list[Entry]:
        """What fits, by rank."""
        room = width - width_of(_joined(self._tail(width))) - GAP
        entries: list[Entry] = []
        running = self.state.running()
        if running is not None:
            label = ENDING.get(running.kind, f"cancel {running.kind}")
            entries.append(((("Esc", "key"), (f" {label}", "muted")), "screen.do('app.back')"))
        for action in sorted((a for a in available(self.state) if 0 < a.rank < 9), key=lambda a: a.rank):
            wider = [*entries, self._entry(action)]
            entries = wider if width_of(_joined(wider)) <= room else entries
        return entries

    def _tail(self, width: int) -> list[Entry]:
        palette = (PALETTE_HINT[0], (" more", "muted")) if width < NARROW else PALETTE_HINT
        return [self._entry(BY_ID["app.help"]), (palette, "app.command_palette")]

    def _entry(self, action: Action) -> Entry:
        key = action.key(self.state.keys)
        return ((key, "key"), (f" {action.label}", "muted")), f"screen.do('{action.id}')"


def _joined(entries: Sequence[Entry]) -> tuple[Span, ...]:
    spans: list[Span] = []
    for shown, _ in entries:
        spans += [*([(" " * GAP, "text")] if spans else ()), *shown]
    return tuple(spans)
