"""Naming a node so that the name still means the same node after an edit or another export.

A path (`12.then_branch.3`) changes as soon as a node is put in front. A reference is the node's first output tensor,
which is written by one node only; `#path` where a node has none or where the tensor has several writers.
"""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.model.graph import GraphIndex, Node

_PATH = "#"


def reference(index: GraphIndex, path: str) -> str:
    """The reference of the node at `path`."""
    node = index.by_path.get(path)
    output = next((name for name in node.outputs if name), "") if node is not None else ""
    return output if output and len(_writers(index).get(output, ())) == 1 else f"{_PATH}{path}"


def referenced(index: GraphIndex, nodes: Iterable[str]) -> list[Node | None]:
    """The node that each reference or path names, None for one that is not in the model any more."""
    writers = _writers(index)
    found: list[Node | None] = []
    for name in nodes:
        written = writers.get(name, ())
        if len(written) == 1:
            found.append(written[0])
        else:
            found.append(index.by_path.get(name.removeprefix(_PATH)))
    return found


def _writers(index: GraphIndex) -> dict[str, list[Node]]:
    """Tensor to the nodes that write it, in the main graph, bodies and functions together."""
    writers: dict[str, list[Node]] = {}
    for node in index.nodes:
        for name in node.outputs:
            if name:
                writers.setdefault(name, []).append(node)
    return writers
