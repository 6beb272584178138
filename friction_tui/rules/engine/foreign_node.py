"""Layer names of an engine turned back into nodes, and `ForeignNode[A...B]` into the nodes between, worst first."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.tensor_bytes import tensor_bytes

_SUFFIX = re.compile(r"(_OutputLayer|_\d+|:\d+| \[\w+\])$")
"""What TensorRT appends to a node's name when it makes several layers of it."""

_ODD: dict[str, str] = {
    **dict.fromkeys(("If", "Loop", "Scan"), "control flow"),
    **dict.fromkeys(("NonZero", "NonMaxSuppression", "Unique", "Compress"), "its shape depends on values"),
    **dict.fromkeys(("ScatterND", "ScatterElements", "Scatter", "GatherND"), "scatters by index"),
    **dict.fromkeys(("Attention", "Einsum", "GridSample", "RotaryEmbedding", "TensorScatter"), "rarely compiled"),
    **dict.fromkeys(("LSTM", "GRU", "RNN"), "a recurrence"),
    **dict.fromkeys(("QuantizeLinear", "DequantizeLinear"), "mixes precisions"),
    **dict.fromkeys(("Cast",), "changes the type"),
    **dict.fromkeys(("TopK", "CumSum", "OneHot", "Range", "Trilu"), "seldom inside a fused region"),
}
"""Operators that most often explain why a fused region has no implementation (public threads), likeliest first."""

_ODD_RANK = {reason: rank for rank, reason in enumerate(dict.fromkeys(_ODD.values()))}


def named_nodes(model: OpenedModel, name: str) -> list[Node]:
    """The nodes that a layer name means: by node name, by tensor, and without what TensorRT appended; [] if none."""
    by_name: dict[str, list[Node]] = {}
    for node in model.index.nodes:
        by_name.setdefault(node.name, []).append(node)
    for part in (name, *re.split(r" \+ ", name)):
        shortened = part.strip()
        while shortened:
            if shortened in by_name:
                return by_name[shortened]
            if shortened in model.index.producer:
                return [model.index.producer[shortened]]
            without = _SUFFIX.sub("", shortened)
            if without == shortened:
                break
            shortened = without
    return []


def region(model: OpenedModel, first: str, last: str) -> list[Node]:
    """The main graph's nodes from `first` to `last`: all that depend on the one and are needed by the other.

    When one end is not in the model (TensorRT names some ends after constants), the other end alone is given.
    """
    starts, ends = named_nodes(model, first), named_nodes(model, last)
    if not starts or not ends:
        return starts or ends
    index = model.index
    after = _reach(starts, lambda n: [r for out in n.proto.output for r in index.consumers.get(out, ())])
    before = _reach(ends, lambda n: [index.producer[name] for name in index.reads(n) if name in index.producer])
    between = [node for node in index.main if node.path in after and node.path in before]
    # A region need not start at one node that leads to its end: then both ends are all that is certain.
    return between or [*starts, *ends]


def _reach(start: Iterable[Node], following: Callable[[Node], list[Node]]) -> set[str]:
    seen: set[str] = set()
    pending = list(start)
    while pending:
        node = pending.pop()
        if node.path not in seen:
            seen.add(node.path)
            pending.extend(following(node))
    return seen


def suspects(table: ShapeTable, nodes: list[Node]) -> list[tuple[Node, str]]:
    """`nodes` ranked by how likely they are the reason, with why: odd operators first, then the largest results."""
    types = table.max.types

    def size(node: Node) -> int:
        return max((tensor_bytes(types.get(name)) or 0 for name in node.proto.output if name), default=0)

    odd = [(node, _ODD[node.proto.op_type]) for node in nodes if node.proto.op_type in _ODD]
    odd.sort(key=lambda found: (_ODD_RANK[found[1]], -size(found[0])))
    large = [
        (node, f"{size(node):,} bytes at max")
        for node in sorted(nodes, key=lambda n: -size(n))
        if node.proto.op_type not in _ODD and size(node)
    ]
    plain = [(node, "part of it") for node in nodes if node.proto.op_type not in _ODD and not size(node)]
    return odd + large + plain
