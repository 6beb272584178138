"""The inspector: everything about the item under the graph's cursor."""

from __future__ import annotations

from collections.abc import Iterable

from rich.markup import escape
from textual.timer import Timer

from friction_tui.drawing.scopes import PSEUDO
from friction_tui.state.app_state import AppState
from friction_tui.ui.lines_panel import LinesPanel
from friction_tui.ui.look.lines import Line, Span, paragraph, symbol, width_of
from friction_tui.ui.panel import Ask, Choose
from friction_tui.ui.shapes.rows import Row, rows
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol import (
    GraphData,
    InitializerStats,
    Inspect,
    NodeDetail,
    Port,
    ReadInitializer,
    TensorDetail,
)
from friction_tui.vocabulary.recipe import POINTS

REST_SECONDS = 0.08
BLOCKS = " ▁▂▃▄▅▆▇█"
ASCII_BLOCKS = " .:-=+*#@"


def shape_text(shapes: tuple[tuple[int, ...] | None, ...]) -> str:
    """Min, opt and max shapes in one: `1·4·8 × 3 × 320`; `?` where no point is known."""
    known = [shape for shape in shapes if shape is not None]
    if not known:
        return "shape unknown"
    if any(len(shape) != len(known[0]) for shape in known):
        return " · ".join(str(list(shape)) for shape in known)
    if not known[0]:
        return "scalar"
    sizes = ("·".join(map(str, axis)) if len(set(axis)) > 1 else str(axis[0]) for axis in zip(*known, strict=True))
    points = [point for point, shape in zip(POINTS, shapes, strict=False) if shape is not None]
    return " × ".join(sizes) + ("" if len(known) == len(shapes) else f" at {' and '.join(points)} only")


def histogram_text(counts: tuple[int, ...], *, ascii_only: bool = False) -> str:
    """Counts as a row of bars."""
    blocks = ASCII_BLOCKS if ascii_only else BLOCKS
    top = max(counts, default=0) or 1
    return "".join(blocks[-(-count * (len(blocks) - 1) // top)] for count in counts)


def stats_text(stats: InitializerStats) -> str:
    """What an initializer's statistics say, in one paragraph."""
    if stats.error:
        return f"cannot be read: {stats.error}"
    if stats.min is None or stats.max is None or stats.mean is None or stats.std is None:
        return f"{stats.bytes:,} bytes"
    parts = [f"{stats.min:.4g} … {stats.max:.4g}", f"mean {stats.mean:.4g}", f"std {stats.std:.4g}"]
    counted = {
        "zeros": stats.zeros,
        "NaN": stats.nans,
        "infinite": stats.infs,
        "too small for fp16": stats.fp16_subnormal,
        "too large for fp16": stats.fp16_overflow,
    }
    parts += [f"{count:,} {what}" for what, count in counted.items() if count]
    return " · ".join((*parts, f"{stats.bytes:,} bytes"))


def findings_at(state: AppState, path: str) -> list[Finding]:
    """The findings that name a node."""
    if path not in state.marks:
        return []
    return [finding for finding in state.findings if path in finding.node_paths]


def one_line(state: AppState) -> tuple[Span, ...]:
    """The selected item in one line, for terminals too narrow for the inspector."""
    found = findings_at(state, state.selected)
    chosen = state.problem if state.problem in found or (state.problem and not state.problem.node_paths) else None
    if chosen is not None or found:
        finding = chosen or found[0]
        mark, role = symbol(finding.severity, finding.tier, ascii_only=state.ascii)
        one_of = f"{found.index(finding) + 1} of {len(found)} here  " if finding in found and len(found) > 1 else ""
        return ((f"{mark} ", role), (one_of, "muted"), (finding.title, "text"))
    node = state.details.get(state.selected)
    if node is None:
        return ()
    arrow = "->" if state.ascii else "→"
    ins = ", ".join(shape_text(t.shapes) for t in node.inputs if t.role not in ("initializer", "missing"))
    outs = ", ".join(f"{t.dtype} {shape_text(t.shapes)}" for t in node.outputs)
    return ((f"{node.op} ", "strong"), (f"{node.name}  ", "name"), (f"{ins} {arrow} {outs}", "muted"))


class Inspector(LinesPanel):
    """Attributes, inputs, outputs, source and findings of one item. Enter reads an initializer's values."""

    NAME = "Inspector"
    READS = frozenset({"selected", "details", "stats", "findings", "recipe", "summary", "graph", "ascii"})

    def __init__(self, *, id: str | None = None) -> None:
        super().__init__(id=id)
        self._asking: Timer | None = None
        self._shows_node = False

    def title(self) -> str:
        """`Inspector ─ head/Reshape`."""
        node = self.state.details.get(self.state.selected)
        return escape(f"{self.NAME} ─ {node.name}") if node else self.NAME

    def state_changed(self, before: AppState) -> None:
        """While the worker is asked about another node, the older one stays rather than flicker."""
        waiting = self.state.selected and self.state.selected not in self.state.details
        if waiting:
            self._ask_soon()
        if not (waiting and self._shows_node):
            super().state_changed(before)

    def _ask_soon(self) -> None:
        """Ask once the cursor rests: holding a key down must not ask about every row."""
        if self._asking is not None:
            self._asking.stop()
        self._asking = self.set_timer(REST_SECONDS, self._ask)

    def _ask(self) -> None:
        if self.state.selected and self.state.selected not in self.state.details:
            self.post_message(Ask(Inspect(path=self.state.selected)))

    def lines(self, width: int) -> list[Line]:
        """Findings first, then what goes in and out, then the rest."""
        node = self.state.details.get(self.state.selected)
        lines: list[Line] = []
        for finding in findings_at(self.state, self.state.selected):
            mark, role = symbol(finding.severity, finding.tier, ascii_only=self.state.ascii)
            lines.extend(paragraph(finding.title, width, indent=((f"{mark} ", role),), key=finding))
        self._shows_node = node is not None
        if node is None:
            return lines or paragraph(self._nothing(), width, "muted")
        for tensor in node.inputs:
            lines.extend(self._tensor("in", tensor, width))
        for tensor in node.outputs:
            lines.extend(self._tensor("out", tensor, width))
        return [*lines, *port_lines(self.state, self.state.selected, width), *_facts(node, width)]

    def _nothing(self) -> str:
        """Why there is nothing to inspect."""
        if self.state.graph is None or not self.state.graph.main:
            return "There is no graph to inspect." if self.state.graph is not None else "Nothing to inspect yet."
        return "asking …" if self.state.selected else "A module, not a node: Space opens or folds it."

    def _tensor(self, label: str, tensor: TensorDetail, width: int) -> list[Line]:
        if tensor.role == "missing":
            return [Line(((f"{label:<5}", "muted"), (f"{tensor.formal} ", "text"), ("left out", "muted")))]
        key = tensor.name if tensor.role == "initializer" else None
        role = f" {tensor.role}" if tensor.role in ("initializer", "constant") else ""
        head: tuple[Span, ...] = ((f"{label:<5}", "muted"), (f"{tensor.formal or tensor.name}  ", "strong"))
        name = ((tensor.name, "name"),) if tensor.formal else ()
        spans = (*head, (tensor.dtype, "code"), (role, "muted"), ("  " + shape_text(tensor.shapes), "text"))
        fits = width_of((*spans, *name)) + 2 <= width
        lines = [Line(spans, name if fits else (), key=key)]
        if name and not fits:
            lines.append(Line((("       ", "text"), *name), key=key))
        if tensor.value:
            lines.extend(paragraph(tensor.value, width, "code", indent=(("       = ", "muted"),), key=key))
        stats = self.state.stats.get(tensor.name)
        if stats is not None:
            lines.extend(paragraph(stats_text(stats), width, "muted", indent=(("       ", "text"),), key=key))
            if stats.histogram:
                bars = histogram_text(stats.histogram, ascii_only=self.state.ascii)
                lines.append(Line((("       ", "text"), (bars, "note")), key=key))
        return lines

    def on_lines_panel_chosen(self) -> None:
        """Read an initializer's values, or explain a finding."""
        if isinstance(self.cursor_key, str):
            self.post_message(Ask(ReadInitializer(name=self.cursor_key)))
        elif isinstance(self.cursor_key, Finding):
            self.post_message(Choose(self.cursor_key, explain=True))


def _facts(node: NodeDetail, width: int) -> list[Line]:
    """Attributes, then where the node comes from."""
    lines: list[Line] = []
    for name, value in node.attributes:
        lines.extend(paragraph(value, width, "code", indent=(("attr ", "muted"), (f"{name} = ", "text"))))
    if node.op not in PSEUDO:
        op = f"{node.op}, {node.domain or 'ai.onnx'} opset {node.opset}, node {node.path}"
        lines.extend(paragraph(op, width, indent=(("op   ", "muted"),)))
    if node.source:
        source = f"{node.source.file}:{node.source.line}"
        function = f" in {node.source.function}" if node.source.function else ""
        lines.extend(paragraph(source + function, width, "link", indent=(("from ", "muted"),)))
        if node.source.code:
            lines.extend(paragraph(node.source.code.strip(), width, "code", indent=(("     ", "text"),)))
    if node.scope:
        lines.extend(paragraph(" / ".join(node.scope), width, "muted", indent=(("in   ", "muted"),)))
    if node.doc:
        lines.extend(paragraph(node.doc, width, "muted", indent=(("doc  ", "muted"),)))
    return lines


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
