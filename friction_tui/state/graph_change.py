"""What changed from one graph to the next, by the nodes' names as far as those say it."""

from __future__ import annotations

from collections import Counter

from friction_tui.drawing.scopes import PSEUDO
from friction_tui.state.app_state import GraphChange
from friction_tui.vocabulary.protocol import GraphData


def graph_change(before: GraphData, after: GraphData, revision: int) -> GraphChange:
    """The nodes added and removed.

    An exporter numbers nodes as it goes (`relu_1`, `relu_2`), so that one more renames those behind it: of the
    nodes with new names, as many as have lost theirs with the same operator in the same module are the same ones.
    """
    old, new = _nodes(before), _nodes(after)
    gone, come = {k: v for k, v in old.items() if k not in new}, {k: v for k, v in new.items() if k not in old}
    renamed = Counter(gone.values()) & Counter(come.values())
    return GraphChange(revision, _without(come, renamed), _without(gone, renamed))


def _nodes(graph: GraphData) -> dict[str, tuple[str, tuple[str, ...]]]:
    """`Op name` to the operator and the module."""
    items = zip(graph.ops, graph.names, graph.scopes, strict=True)
    return {f"{op} {name}": (op, graph.scope_table[scope]) for op, name, scope in items if op not in PSEUDO}


def _without(
    nodes: dict[str, tuple[str, tuple[str, ...]]], renamed: Counter[tuple[str, tuple[str, ...]]]
) -> tuple[str, ...]:
    left = renamed.copy()
    kept = []
    for name, what in reversed(nodes.items()):
        if left[what]:
            left[what] -= 1
        else:
            kept.append(name)
    return tuple(reversed(kept))
