"""What the graph panel says in words: its title, and what stands in it while there is no graph."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING

from friction_tui.state.app_state import AppState
from friction_tui.ui.look.lines import Line, paragraph, symbol
from friction_tui.ui.source.export_progress import progress
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import JobKind

if TYPE_CHECKING:
    from friction_tui.drawing.outline import Outline


def graph_title(name: str, state: AppState, outline: Outline, cursor: int, *, hides: bool) -> str:
    """`Graph ─ 412 nodes ─ neck`: how many, the scope the cursor is in, and what is not shown."""
    nodes = (state.graph.nodes if state.graph else 0) or (state.summary.nodes if state.summary else 0)
    scope = "/".join(outline.graph.scope_table[outline.graph.scopes[outline.item(cursor)]])
    parts = (
        name,
        f"{nodes:,} node{'s' if nodes != 1 else ''}",
        scope,
        "part of the file" if state.open_file_only else "",
        "shape-only nodes hidden" if hides else "",
    )
    return " ─ ".join(filter(None, parts))


def graph_note(state: AppState, width: int) -> list[Line]:
    """Lines for an empty graph panel."""
    name = Path(state.recipe.source.path).name if state.recipe else ""
    if state.refused is not None:
        mark, role = symbol(Severity.ERROR, ascii_only=state.ascii)
        what = paragraph(state.refused.what, width, "strong", indent=((f"{mark} ", role),))
        why = [*paragraph(state.refused.why, width), Line(), *paragraph(state.refused.next, width, "muted")]
        return [Line(), *what, Line(), *why]
    if state.running(JobKind.EXPORT) is not None:
        return [Line(), *paragraph(f"exporting {name}", width, "strong"), Line(), *progress(state, width)]
    if state.recipe is None:
        return paragraph("no model is open yet", width, "muted")
    if not state.findings:
        text = f"opening {name} …" if state.summary is None or state.checking else "The model has no nodes."
        return paragraph(text, width, "muted")
    finding = state.findings[0]
    mark, role = symbol(finding.severity, finding.tier, ascii_only=state.ascii)
    lines = [
        Line(),
        *(_export_failed(width) if state.export_failed else []),
        *paragraph(finding.title, width, "strong", indent=((f"{mark} ", role),)),
        Line(),
        *paragraph(finding.cause, width),
    ]
    if state.open_file_only and not finding.kind.startswith("file/"):
        lines += [Line(), *paragraph(state.open_file_only, width, "muted")]
    if finding.line is not None:
        lines += [Line(), *paragraph(f"{finding.line.file}:{finding.line.line}", width, "link")]
        lines += paragraph(finding.line.code.strip(), width, "code", indent=(("  ", "text"),))
    for at, fix in enumerate(finding.fixes, start=1):
        lines += [Line(), *paragraph(fix.text, width, indent=((f"{at}  ", "key"),))]
    return lines


def _export_failed(width: int) -> list[Line]:
    keys = (("W", "key"), (" explains  ", "muted"), ("8", "key"), (" the source  ", "muted"))
    said = paragraph("The export failed; there is no graph to show.", width, "muted")
    return [*said, Line((*keys, ("r", "key"), (" exports again", "muted"))), Line()]
