"""Where stored infinities go: whether an operator that knows bounds takes each of them in."""

from __future__ import annotations

from friction_tui.model.graph import GraphIndex, Node
from friction_tui.rules.weights.stored_tensors import Stored

BOUNDS = frozenset(
    {
        "Where",
        "Min",
        "Max",
        "Clip",
        "Equal",
        "Less",
        "LessOrEqual",
        "Greater",
        "GreaterOrEqual",
        "IsInf",
        "IsNaN",
    }
)
"""Operators for which an infinite operand is an ordinary bound or mask value."""
_TO_ZERO = frozenset({"Softmax", "LogSoftmax", "Exp", "Sigmoid", "Tanh", "Relu", "ReduceMax", "ArgMax", "TopK"})
"""Operators that make something finite of -Inf, or let any other operand win."""
_MOVES = frozenset(
    {
        "Cast",
        "Concat",
        "Expand",
        "Flatten",
        "Gather",
        "GatherElements",
        "GatherND",
        "Identity",
        "Pad",
        "Reshape",
        "Slice",
        "Split",
        "Squeeze",
        "Tile",
        "Transpose",
        "Unsqueeze",
    }
)
_FARTHEST = 1000
"""Nodes that are looked at for one tensor."""


def absorbed(index: GraphIndex, stored: Stored, *, positive: bool) -> bool:
    """Whether every path from the tensor ends in an operator that takes its infinities, with moves and sums between.

    A bias row of -Inf for padding is looked up, added to scores and goes into a Softmax; a threshold of Inf is looked
    up and compared with. `positive`: there is +Inf among the values, for which only bounds count.
    """
    pending = list(stored.readers)
    seen: set[str] = set()
    results = {value.name for value in index.proto.graph.output}
    while pending:
        node, position = pending.pop()
        if node.path in seen:
            continue
        seen.add(node.path)
        if position < 0 or len(seen) > _FARTHEST:  # read by a body
            return False
        if node.proto.op_type in BOUNDS or (not positive and node.proto.op_type in _TO_ZERO):
            continue
        if not _keeps(node, position):
            return False
        for output in node.outputs:
            if output in results or index.bodies_of(node.path):
                return False
            readers = index.consumers_in(node.graph).get(output, [])
            pending += [(reader, _position(reader, output)) for reader in readers]
    return True


def _keeps(node: Node, position: int) -> bool:
    """Whether the node passes an infinity on as it is."""
    op = node.proto.op_type
    return (op in _MOVES and (position == 0 or op == "Concat")) or op == "Add" or (op == "Sub" and position == 0)


def _position(node: Node, tensor: str) -> int:
    return node.inputs.index(tensor) if tensor in node.inputs else -1
