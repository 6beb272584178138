"""Constants that make NaN or Inf whatever the input is: variances and radicands below zero, divisors of zero."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from friction_tui.kinds import weights
from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.provenance import location_of
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

_VARIANCE = 4
"""The input of BatchNormalization, https://onnx.ai/onnx/operators/onnx__BatchNormalization.html."""
_EPSILON = 1e-5
"""Its default, which is added before the root is taken."""
_DIVISOR = 1
_SILENT = "Every engine builds it in silence."
_DAMAGED = "Go back to an intact checkpoint and re-export: the weights are damaged."
_VALUES = 65_536
"""As many are looked at; larger tensors are weights, and no layer divides by these."""


def check(context: CheckContext) -> Iterator[Finding]:
    """Errors for negative running variances, divisions by a stored zero, roots and logarithms of negative numbers."""
    if context.model.file.kind != "onnx":
        return
    for node in context.model.index.nodes:
        if node.proto.op_type == "BatchNormalization":
            yield from _variance(context, node)
        elif node.proto.op_type == "Div":
            yield from _divisor(context, node)
        elif node.proto.op_type in ("Log", "Sqrt"):
            yield from _root(context, node)


def _stored(
    context: CheckContext, node: Node, position: int
) -> tuple[str, np.ndarray[tuple[int], np.dtype[np.float64]]]:
    """The name and the values of a constant input, none of them where it is computed or not of floats."""
    name = node.proto.input[position] if position < len(node.proto.input) else ""
    values = constant_value(context.model, name, _VALUES, node.graph) if name else None
    known = values is not None and values.dtype.kind == "f"
    return name, values.astype(np.float64).ravel() if values is not None and known else np.empty(0)


def _variance(context: CheckContext, node: Node) -> Iterator[Finding]:
    name, values = _stored(context, node, _VARIANCE)
    epsilon = next((a.f for a in node.proto.attribute if a.name == "epsilon"), _EPSILON)
    bad = np.flatnonzero(values + epsilon < 0)
    if bad.size:
        first = int(bad[0])
        yield weights.NEGATIVE_VARIANCE.finding(
            tensor=name,
            cause=f"The variance {name} of BatchNormalization {node.name} is negative in {bad.size} of {values.size} "
            f"channels, first {values[first]:g} in channel {first}: its root is NaN, and so is the channel. {_SILENT}",
            locations=_locations(context, node, name),
            fixes=(
                "Look at the order of the stored statistics: mean and variance may have been swapped in a script.",
                _DAMAGED,
            ),
        )


def _divisor(context: CheckContext, node: Node) -> Iterator[Finding]:
    name, values = _stored(context, node, _DIVISOR)
    zeros = int((values == 0).sum())
    if zeros:
        yield weights.ZERO_DIVISOR.finding(
            node=node.name,
            cause=f"Div {node.name} divides by {name}, a constant that is 0 in {zeros} of {values.size} places: the "
            f"result there is Inf, or NaN for 0 / 0. {_SILENT}",
            locations=_locations(context, node, name),
            fixes=(
                "Correct the value: a standard deviation of 0 (a feature that never varied) needs an epsilon or a 1.",
                "Go back to an intact checkpoint and re-export, if the zeros should not be there.",
            ),
        )


def _root(context: CheckContext, node: Node) -> Iterator[Finding]:
    """The root or logarithm of something negative. The logarithm of 0 is -Inf, as masks want it."""
    name, values = _stored(context, node, 0)
    below = int((values < 0).sum())
    op = node.proto.op_type
    if below:
        yield weights.NEGATIVE_ROOT.finding(
            op=op,
            node=node.name,
            cause=f"{op} {node.name} takes {name}, a constant that is negative in {below} of {values.size} places: "
            f"the result there is NaN, and so is what follows. {_SILENT}",
            locations=_locations(context, node, name),
            fixes=(
                "Correct the value: clamp it to a small positive number, or look at what should have been stored "
                "there.",
                _DAMAGED,
            ),
        )


def _locations(context: CheckContext, node: Node, tensor: str) -> tuple[Location, Location]:
    return Location(LocationKind.INITIALIZER, tensor), location_of(context.model, node)


CHECK = Check(
    "impossible constants",
    "constants that make NaN or Inf whatever the input",
    check,
    (weights.NEGATIVE_VARIANCE, weights.NEGATIVE_ROOT, weights.ZERO_DIVISOR),
)
