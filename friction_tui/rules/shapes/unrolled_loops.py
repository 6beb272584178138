"""A Python loop over a dynamic axis that was unrolled at export: one Gather for each step of the example."""

from __future__ import annotations

import numpy as np

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.shapes.shape_view import Explanation, View
from friction_tui.vocabulary.finding import Fix
from friction_tui.vocabulary.recipe import Range

_STEPS = 4
"""Fewer constant indices than that are a choice, not a loop."""


def unrolled(view: View) -> Explanation | None:
    """Why one of the Gathers with the indices 0, 1, 2... fails; None where the node is none of such a row."""
    dials = view.studied.dials
    row = _row(view, view.node)
    if not dials or len(row) < _STEPS:
        return None
    key, steps = dials[0].key, len(row)
    words = (
        f"Gather takes the constant indices 0 to {steps - 1} of one axis of {view.node.inputs[0]}: a Python loop over "
        f"{key} that was unrolled at export for the example's {steps} steps, baked in. A smaller {key} is read out of "
        f"range; of a larger one everything after the first {steps} steps is ignored without an error."
    )
    fixes = (
        Fix(
            f"Work on the whole axis at once in the code (no `for t in range(x.shape[...])`), or use a scripted loop "
            f"or torch.scan, and re-export with {key} dynamic."
        ),
        Fix(
            f"If {key} is always {steps}, export with it fixed, or set the range of {key} to {steps}.",
            ranges={key: Range(steps, steps, steps)},
        ),
    )
    locations = tuple(location_of(view.model, node) for node in row)
    return Explanation("dynamic/unrolled-loop", words, locations, fixes, by_size=False)


def _row(view: View, node: Node) -> list[Node]:
    """The Gathers of one tensor and axis by the constants 0, 1, 2..., in order; [] where `node` is none of them."""
    by_index: dict[int, Node] = {}
    for other in view.model.index.nodes_in[node.graph]:
        if other.proto.op_type == "Gather" and other.inputs[:1] == node.inputs[:1] and _axis(other) == _axis(node):
            value = constant_value(view.model, other.inputs[1], 1, other.graph) if len(other.inputs) > 1 else None
            if value is not None:
                by_index.setdefault(int(np.ravel(value)[0]), other)
    row = [by_index[number] for number in range(len(by_index)) if number in by_index]
    return row if len(row) == len(by_index) and any(one.path == node.path for one in row) else []


def _axis(node: Node) -> int:
    return next((int(attribute.i) for attribute in node.proto.attribute if attribute.name == "axis"), 0)
