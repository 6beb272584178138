"""The keys of the graph panel."""

from __future__ import annotations

from textual.binding import Binding, BindingType

GRAPH_KEYS: list[BindingType] = [
    Binding("up,k", "move(-1)", "Up", show=False, id="graph.up", tooltip="Row above"),
    Binding("down,j", "move(1)", "Down", show=False, id="graph.down", tooltip="Row below"),
    Binding("pageup", "page(-1)", "Page up", show=False, id="graph.page-up", tooltip="One page up"),
    Binding("pagedown", "page(1)", "Page down", show=False, id="graph.page-down", tooltip="One page down"),
    Binding("home", "end(-1)", "First", show=False, id="graph.first", tooltip="First row"),
    Binding("end", "end(1)", "Last", show=False, id="graph.last", tooltip="Last row"),
    Binding("enter", "inspect", "Inspect", show=False, id="graph.inspect", tooltip="Explain or inspect this node"),
    Binding("space", "turn", "Fold", show=False, id="graph.toggle", tooltip="Fold or unfold"),
    Binding("left", "fold", "Fold", show=False, id="graph.fold", tooltip="Fold, or go to the module around it"),
    Binding("right", "unfold", "Unfold", show=False, id="graph.unfold", tooltip="Unfold"),
    Binding("E", "unfold_all", "Unfold all", show=False, id="graph.unfold-all", tooltip="Unfold everything"),
    Binding("C", "fold_all", "Fold all", show=False, id="graph.fold-all", tooltip="Fold everything"),
    Binding(
        "H",
        "shape_only",
        "Shape-only",
        show=False,
        id="graph.shape_only",
        tooltip="Hide or show shape-only nodes",
    ),
    Binding(
        "left_square_bracket",
        "follow(-1)",
        "To input",
        show=False,
        id="graph.to-input",
        tooltip="Go to where its inputs come from",
    ),
    Binding(
        "right_square_bracket",
        "follow(1)",
        "To reader",
        show=False,
        id="graph.to-reader",
        tooltip="Go to the nodes that read it",
    ),
    Binding("backspace", "return", "Return", show=False, id="graph.return", tooltip="Back to where the jump began"),
]
