"""What the inspector says of a graph input or output beyond its shape: how it is declared, its ranges, who reads it."""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.state.app_state import AppState
from friction_tui.ui.look.lines import Line, Span, paragraph, width_of
from friction_tui.ui.shapes.rows import Row, rows
from friction_tui.vocabulary.protocol import GraphData, Port
from friction_tui.vocabulary.recipe import POINTS

READERS_NAMED = 6


def port_lines(state: AppState, path: str, width: int) -> list[Line]:
    """Lines for the item `<name` or `>name`; none for any other."""
    summary, graph = state.summary, state.graph
    if summary is None or graph is None or path[:1] not in ("<", ">"):
        return []
    ports = summary.inputs if path.startswith("<") else summary.outputs
    port = next((port for port in ports if port.name == path[1:]), None)
    if port is None:
        return []
    lines = _labelled("decl", _declared(port, ascii_only=state.ascii), width)
    if path.startswith("<"):
        sized = rows(summary.inputs, state.recipe.profile if state.recipe else None)
        lines += _ranges((row for row in sized if _sizes(row, port)), width, ascii_only=state.ascii)
        if port.shape_tensor:
            lines += _labelled("note", "TensorRT reads it as a shape: its values are part of the profile", width)
        lines += _labelled("read", _readers(graph, path), width)
    return lines


def _labelled(label: str, text: str, width: int) -> list[Line]:
    return paragraph(text, width, indent=((f"{label} ", "muted"),))


def _declared(port: Port, *, ascii_only: bool) -> str:
    if port.dims is None:
        return f"{port.dtype}, rank unknown"
    sizes = [str(dim.size) if dim.size is not None else dim.symbol or "?" for dim in port.dims]
    return f"{port.dtype} {(' x ' if ascii_only else ' × ').join(sizes) or 'scalar'}"


def _sizes(row: Row, port: Port) -> bool:
    return row.key == port.name if row.is_values else any(use.rpartition("[")[0] == port.name for use in row.uses)


def _ranges(found: Iterable[Row], width: int, *, ascii_only: bool) -> list[Line]:
    """`N  1 · 4 · 8`, and who chose it."""
    between = " . " if ascii_only else " · "
    lines = []
    for row in found:
        cells = [row.cell(point) for point in POINTS]
        said: Span = (between.join(cells), "text") if all(cells) else ("no range yet, e sets one", "note")
        spans: tuple[Span, ...] = (("size ", "muted"), (f"{row.key}  ", "name"), said)
        room = width - width_of(spans) - 1  # the sizes matter more than who chose them
        words = ("guessed, e edits", "guessed", "?") if row.guessed else ("chosen", "")
        beside = next((word for word in words if len(word) <= room), "")
        tail: tuple[Span, ...] = ((beside, "note" if row.guessed else "muted"),) if beside and all(cells) else ()
        lines.append(Line(spans, tail))
    return lines


def _readers(graph: GraphData, path: str) -> str:
    item = graph.paths.index(path)
    found = [at for at, read in enumerate(graph.inputs) if item in read]
    named = ", ".join(f"{graph.ops[at]} {graph.names[at]}" for at in found[:READERS_NAMED])
    more = f" and {len(found) - READERS_NAMED} more" if len(found) > READERS_NAMED else ""
    return f"by {named}{more}" if found else "by no node: it has no effect"
