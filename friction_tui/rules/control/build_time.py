"""What TensorRT knows when it builds: constants, and sizes that are the same in the whole profile."""

from __future__ import annotations

import numpy as np

from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.recipe import POINTS

_MEASURES = frozenset(("Shape", "Size"))
_MOVES = frozenset(
    ["Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Cast", "Identity", "Reshape", "Flatten", "Split"]
)
"""Operators that pass values on: sizes that come through them are known when they are the same at every point."""


def known_at_build(context: CheckContext, tensor: str, graph: str = "") -> bool:
    """Whether TensorRT knows the value of a tensor of `graph` when it builds.

    It does when everything the value is computed from is a constant or a size that is the same in the whole profile.
    A comparison that happens to give the same answer everywhere is not folded, and the values the profile gives for
    a shape tensor do not count, even where they are the same everywhere (TensorRT-RTX 1.7.1).
    """
    index = context.model.index
    seen: set[tuple[str, str]] = set()
    pending = [(graph, tensor)]
    while pending:
        location = pending.pop()
        prefix, name = location
        if not name or location in seen or index.initializer_in(prefix, name) is not None:
            continue
        seen.add(location)
        writer = index.writer_in(prefix, name)
        if writer is None:
            owner = index.by_path.get(index.owner_of(prefix))
            own = {value if isinstance(value, str) else value.name for value in index.graphs[prefix].input}
            if owner is None or name in own:
                return False
            pending.append((owner.graph, name))
            continue
        op = writer.proto.op_type
        if op == "Constant" or (op in _MEASURES and _same_everywhere(context, prefix, name)):
            continue
        if op in _MOVES and _same_everywhere(context, prefix, name) and _measured(context, prefix, name):
            continue
        bodies = index.bodies_of(writer.path)
        if op in _MEASURES or not (writer.inputs or bodies):
            return False
        pending.extend((prefix, source) for source in writer.inputs)
        for body in bodies:
            results = [value if isinstance(value, str) else value.name for value in index.graphs[body].output]
            pending.extend((body, result) for result in results)
    return True


def _measured(context: CheckContext, graph: str, tensor: str) -> bool:
    """Whether a value that was only moved comes from sizes and constants alone, not from an input's values."""
    index = context.model.index
    pending, seen = [tensor], {tensor}
    while pending:
        name = pending.pop()
        writer = index.writer_in(graph, name)
        if writer is None:
            if index.initializer_in(graph, name) is None:
                return False
            continue
        if writer.proto.op_type not in _MEASURES:
            pending.extend(source for source in writer.inputs if source and source not in seen)
            seen.update(writer.inputs)
    return True


def _same_everywhere(context: CheckContext, graph: str, tensor: str) -> bool:
    """Whether a value is known at min, opt and max, and the same at each."""
    values = [context.table.at(point).inside(graph).values.get(tensor) for point in POINTS]
    known = [value for value in values if value is not None]
    return len(known) == len(POINTS) and all(np.array_equal(value, known[0]) for value in known)
