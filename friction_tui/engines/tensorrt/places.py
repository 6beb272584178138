"""Where a failure of the builder is: the smallest part of a model that fails in the same way.

Bottom up, because a part of few nodes builds in 50 ms and the whole may take minutes: every distinct form of one node,
then what lies within one and two hops of a node. Most failures are one node's. What a form says is asked once.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Callable, Iterator, Sequence

from friction_tui.engines.tensorrt.forms import at_risk, key_of
from friction_tui.engines.tensorrt.parts import Part, Parts
from friction_tui.model.graph import Node

HOPS = 2
_WORD = re.compile(r"[\w./:-]+")

Fails = Callable[[Part], bool]
Over = Callable[[], bool]


def smallest_window(
    parts: Parts, fails: Fails, *, target: str = "", text: str = "", over: Over = lambda: False, hops: int = HOPS
) -> tuple[Node, ...]:
    """The nodes of the first part that `fails`, of one node or a neighbourhood of one.

    () when none does, or `over` says that the time is. Nodes that are likely come first: those that `text`, the
    engine's message, names by name or operator, those at risk, rare operators.
    """
    tried: set[str] = set()
    for nodes in _candidates(parts, _likely_first(parts, target, text), hops):
        if over():
            return ()
        part = parts.part(nodes)
        if part is None:
            continue
        key = key_of(part)
        if key in tried:
            continue
        tried.add(key)
        if fails(part):
            return part.nodes
    return ()


def without_more(parts: Parts, nodes: Sequence[Node], fails: Fails, over: Over = lambda: False) -> tuple[Node, ...]:
    """Those of `nodes` that are left when each that can be left out is; the part of all of them fails."""
    left = list(nodes)
    for node in reversed(nodes):
        rest = [one for one in left if one is not node]
        if not rest or over():
            break
        part = parts.part(rest)
        if part is not None and len(part.nodes) < len(left) and fails(part):
            left = [one for one in left if one in part.nodes]
    return tuple(left)


def _candidates(parts: Parts, ranked: Sequence[Node], hops: int) -> Iterator[list[Node]]:
    yield from ([node] for node in ranked)
    for far in range(1, hops + 1):
        yield from (parts.window(node, far) for node in ranked)


def _likely_first(parts: Parts, target: str, text: str) -> list[Node]:
    words = set(_WORD.findall(text))
    count = Counter(node.proto.op_type for node in parts.order)

    def rank(node: Node) -> tuple[bool, bool, bool, int]:
        op = node.proto.op_type
        return node.name not in words, op not in words, not at_risk(parts, node, target), count[op]

    return sorted((node for node in parts.order if node.proto.op_type != "Constant"), key=rank)
