"""What no output of the graph needs: left behind by an export, and free to go."""

from __future__ import annotations

from friction_tui.model.opened import OpenedModel


def unneeded(model: OpenedModel) -> frozenset[str]:
    """Paths of the main graph's nodes that no graph output is computed from. Nothing, in a graph without outputs."""
    index = model.index
    wanted = [value.name for value in model.proto.graph.output]
    if not wanted:
        return frozenset()
    needed: set[str] = set()
    while wanted:
        node = index.producer.get(wanted.pop())
        if node is not None and node.path not in needed:
            needed.add(node.path)
            wanted.extend(index.reads(node))
    return frozenset(node.path for node in index.main) - needed
