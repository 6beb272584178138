"""`friction-tui graph`: the drawn graph on stdout."""

from __future__ import annotations

import shutil
import sys

from friction_tui.commands.ask import judged
from friction_tui.commands.failing import CouldNotRun
from friction_tui.drawing.marks import marks_of, notes_of
from friction_tui.drawing.print import print_graph
from friction_tui.vocabulary.recipe import Recipe


def run(recipe: Recipe, width: int | None, *, ascii_only: bool, unfolded: bool, allow: bool) -> int:
    """Print the graph with refused nodes marked; 0 when it could be drawn."""
    answer = judged(recipe, allow=allow)
    if answer.graph is None or not answer.graph.graph.names:
        why = next((f"{finding.title}. {finding.cause}" for finding in answer.findings), "it has no nodes")
        raise CouldNotRun(f"{recipe.source.path} has no graph to draw: {why}")
    columns = width or shutil.get_terminal_size((100, 24)).columns
    lines = print_graph(
        answer.graph.graph,
        marks_of(answer.findings),
        answer.labels,
        columns,
        ascii=ascii_only or not _can_encode(),
        fold="open" if unfolded else "auto",
        notes=notes_of(answer.findings),
    )
    try:
        for line in lines:
            sys.stdout.write(line + "\n")
    except BrokenPipeError:  # `friction-tui graph … | head`
        sys.stderr.close()
    return 0


def _can_encode() -> bool:
    try:
        "│├▸⇠✗".encode(sys.stdout.encoding or "ascii")
    except UnicodeEncodeError:
        return False
    return True
