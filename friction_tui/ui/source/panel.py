"""The source panel: the Python a model came from beside its nodes, and how its export went."""

from __future__ import annotations

from collections.abc import Mapping
from functools import lru_cache
from pathlib import Path
from typing import ClassVar

from rich.markup import escape
from textual.binding import Binding, BindingType

from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.ui.lines_panel import SearchedLines
from friction_tui.ui.look.lines import Line, Span, paragraph, symbol, width_of
from friction_tui.ui.look.python_lines import coloured
from friction_tui.ui.panel import Ask, Choose, Reveal, Say
from friction_tui.ui.source.export_progress import export_job, progress
from friction_tui.vocabulary.finding import Finding, SourceLine
from friction_tui.vocabulary.protocol import ReadSource, SourceText
from friction_tui.vocabulary.protocol.evidence import ProgramLine

EXPORT = "export"
"""The view behind the files."""
TITLES_SHOWN = 2
"""Findings shown below their line; the others are counted."""
spans_of = lru_cache(maxsize=4)(coloured)


def findings_by_line(findings: tuple[Finding, ...], names: tuple[str, ...]) -> dict[int, list[Finding]]:
    """The findings that name a line of the file met under `names`, most severe first."""
    found: dict[int, list[Finding]] = {}
    for finding in findings:
        for line in {
            location.source.line for location in finding.locations if location.source and location.source.file in names
        }:
            found.setdefault(line, []).append(finding)
    return found


class SourcePanel(SearchedLines):
    """Enter on a line goes to its nodes, one after the other; the line of the node selected in the graph is marked."""

    NAME = "Source"
    CURSOR_AT_REST = True
    READS = frozenset(
        {"sources", "selected", "details", "findings", "problem", "graph", "jobs", "exported", "history", "ascii"}
    )
    BINDINGS: ClassVar[list[BindingType]] = [
        Binding("left", "view(-1)", "File", show=False, id="source.left", tooltip="Another file, or the export's log"),
        Binding("right", "view(1)", "File", show=False, id="source.right", tooltip="Another file, or the export's log"),
    ]

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._wanted = ""
        """The file to show, by any of its names; "" the main one."""
        self._before = ""
        """The file shown until the wanted one is here."""
        self._export = False
        self._asked: tuple[str, int] | None = None
        """The file that was asked for last, and of which export."""
        self._left_for = ""
        """The node that Enter went to: the cursor stays on the line it went from."""

    @property
    def source(self) -> SourceText | None:
        """The file to show, the one shown before while it is not here; None where there is none yet."""
        known = self.state.sources
        return known.get(self._wanted) or known.get(self._before) or known.get("")

    @property
    def line_shown(self) -> int | None:
        """The line under the cursor, counted from 1."""
        return self.cursor_key if isinstance(self.cursor_key, int) else None

    # ------------------------------------------------------------------------------------------- state

    def on_show(self) -> None:
        """Nothing is read before the panel is shown."""
        self._follow_problem() if self.state.export_failed else self._follow()
        self._ask()

    def state_changed(self, before: object) -> None:
        """Follow the graph's cursor; ask for what is new with an export."""
        assert isinstance(before, AppState)
        if not self.display:
            return
        if self.state.problem is not before.problem or self.state.exported is not before.exported:
            self._follow_problem()
        elif any(getattr(self.state, name) is not getattr(before, name) for name in ("selected", "details", "sources")):
            self._follow()
        self._ask()
        self.rebuild()

    def _ask(self) -> None:
        """Ask once for a file of an export; a failed one too, whose findings name its lines."""
        job = export_job(self.state)
        if self.state.history is None or (job is not None and job.running) or self._wanted in self.state.sources:
            return
        wanted = (self._wanted, id(self.state.exported or self.state.graph))
        if wanted != self._asked:
            self._asked = wanted
            self.post_message(Ask(ReadSource(self._wanted)))

    def _follow(self) -> None:
        """To the line of the selected node, or of the chosen problem where no node has one."""
        state = self.state
        if state.selected and state.selected == self._left_for:
            return
        self._left_for = ""
        node = state.details.get(state.selected)
        if node is not None and node.source is not None:
            self.go_to(node.source)
        elif state.graph is None:
            self._follow_problem()

    def _follow_problem(self) -> None:
        """To the line of the problem in hand, where it is about the code and about no node that is shown."""
        problem = self.state.problem
        known = (problem,) if problem is not None else self.state.findings
        line = next((found.line for found in known if found.line and not found.node_paths), None)
        if line is not None:
            self.go_to(line)

    def go_to(self, line: SourceLine) -> None:
        """Show a line of the project; its file is asked for where it is not here yet."""
        source = self.source
        if source is None or line.file not in source.names:
            self._want(line.file)
        self._export = False
        self._ask()
        self.show_line(line.line)

    def _want(self, file: str) -> None:
        """Show another file, and this one until that is here."""
        if self._wanted in self.state.sources:
            self._before = self._wanted
        self._wanted = file

    def show_line(self, line: int) -> None:
        """Put the cursor on a line."""
        self.rebuild(keep=line)
        if self.line_shown == line:
            self._go(self._cursor)

    def rebuild(self, keep: object = None) -> None:
        """Say below what Enter would do, too."""
        super().rebuild(keep)
        self.on_lines_panel_moved()

    def on_lines_panel_moved(self) -> None:
        """Other lines have other nodes."""
        nodes, selected = self._nodes_here(), self.state.selected
        if selected in nodes and len(nodes) > 1:
            text = f"node {nodes.index(selected) + 1} of {len(nodes)} · Enter goes to the next"
        else:
            text = f"Enter goes to the node{'s' if len(nodes) > 1 else ''} of line {self.line_shown}" if nodes else ""
        self.border_subtitle = text

    # ----------------------------------------------------------------------------------------- drawing

    def title(self) -> str:
        """`Source ─ residual_cnn.py`."""
        if self._shows_export:
            return f"{self.NAME} ─ {EXPORT}"
        source = self.source
        if source is None or not source.text:
            return self.NAME
        parts = [self.NAME, Path(source.file).name]
        parts += ["of the failed export"] if self.state.export_failed else []
        return escape(" ─ ".join(parts))

    @property
    def _shows_export(self) -> bool:
        job = export_job(self.state)
        return self._export or (self.source is None and job is not None and job.running)

    def lines(self, width: int) -> list[Line]:
        """The file with its marks, or the export."""
        if self._shows_export:
            return progress(self.state, width)
        source = self.source
        if source is None:
            return paragraph("reading the source …", width, "muted")
        if source.error:
            return paragraph(source.error[:1].upper() + source.error[1:] + ".", width, "muted")
        return self._python(source, width)

    def _python(self, source: SourceText, width: int) -> list[Line]:
        found = findings_by_line(self.state.findings, source.names)
        made, led = (_lines_with(self.state.selected, lines) for lines in (source.nodes, source.callers))
        text = spans_of(source.text)
        digits = len(str(len(text)))
        lines = []
        for at, spans in enumerate(text, start=1):
            here = self._pointer(at in made, at in led)
            mark = self._mark(found.get(at))
            number = (f"{at:>{digits}}  ", "strong" if at in made else "gutter")
            count = len(source.nodes.get(at, ()))
            nodes: tuple[Span, ...] = ((f"{count} node{'s' if count > 1 else ''}", "gutter"),) if count else ()
            code = (mark, here, number, *spans)
            room = width_of((*code, *nodes)) + 2 <= width
            lines.append(Line(code, nodes if room else (), key=at))
            margin = ((" " * (digits + 5), "text"),)
            for finding in found.get(at, ())[:TITLES_SHOWN]:
                role = symbol(finding.severity, finding.tier)[1]
                lines += paragraph(finding.title, width, role, indent=margin, key=at)
            fix = next((fix.text for finding in found.get(at, ())[:1] for fix in finding.fixes), "")
            arrow = "-> " if self.state.ascii else "→ "
            lines += paragraph(fix, width, "text", indent=(*margin, (arrow, "key")), key=at) if fix else []
            rest = len(found.get(at, ())) - TITLES_SHOWN
            lines += paragraph(f"and {rest} more", width, "muted", indent=margin, key=at) if rest > 0 else []
        return lines

    def _mark(self, findings: list[Finding] | None) -> Span:
        if not findings:
            return "  ", "text"
        sign, role = symbol(findings[0].severity, findings[0].tier, ascii_only=self.state.ascii)
        return f"{sign} ", role

    def _pointer(self, made: bool, led: bool) -> Span:
        """`▸` where the selected node was made, `·` where what made it was called."""
        if made:
            return ("> " if self.state.ascii else "▸ "), "key"
        return ("- " if self.state.ascii else "· ") if led else "  ", "muted"

    # ----------------------------------------------------------------------------------------- actions

    def action_view(self, step: int) -> None:
        """Another file of the project, or how the export went."""
        source = self.source
        views = [*(source.files if source is not None else ()), EXPORT]
        here = EXPORT if self._shows_export or source is None else source.file
        chosen = views[(views.index(here) + step) % len(views)] if here in views else views[0]
        self._export = chosen == EXPORT
        if not self._export:
            self._want(chosen)
            self._ask()
        self._cursor = 0
        self.border_title = self.title()
        self.rebuild()
        self.scroll_to(y=0, animate=False, force=True)

    def on_lines_panel_chosen(self) -> None:
        """To the next node of this line; where it has none, to what is wrong with it."""
        if isinstance(self.cursor_key, ProgramLine):
            self._open_operator(self.cursor_key)
            return
        line, source, nodes = self.line_shown, self.source, self._nodes_here()
        if line is None or source is None:
            return
        found = findings_by_line(self.state.findings, source.names).get(line)
        if nodes:
            at = nodes.index(self.state.selected) + 1 if self.state.selected in nodes else 0
            self._left_for = nodes[at % len(nodes)]
            self.post_message(Reveal(self._left_for))
        elif found:
            self.post_message(Choose(found[0], explain=True))
        else:
            self.post_message(Say(f"no node comes from line {line}", NoticeLevel.INFO))

    def _open_operator(self, operator: ProgramLine) -> None:
        """To the first node that was made of an operator of the program, else to its line."""
        graph = self.state.graph
        paths = dict(zip(graph.names, graph.paths, strict=False)) if graph is not None else {}
        node = next((paths[name] for name in operator.nodes if name in paths), None)
        if node is not None:
            self._left_for = node
            self.post_message(Reveal(node))
        elif operator.line is not None:
            self.go_to(operator.line)
        else:
            self.post_message(Say("no node and no line of Python belongs to this operator", NoticeLevel.INFO))

    def _nodes_here(self) -> list[str]:
        """The nodes of the line under the cursor: its own, else those of what it calls."""
        line, source, graph = self.line_shown, self.source, self.state.graph
        if line is None or source is None or graph is None:
            return []
        known = set(graph.paths)
        return [path for path in (source.nodes.get(line) or source.callers.get(line) or ()) if path in known]


def _lines_with(path: str, lines: Mapping[int, list[str]]) -> set[int]:
    return {line for line, paths in lines.items() if path in paths} if path else set()
