"""BatchNormalization whose stored variance cannot be one: the root of a negative number is NaN."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np

from friction_tui.diagnosis.case import RULE, Case
from friction_tui.finding import Finding, Fix, Place, PlaceKind, Severity, Tier
from friction_tui.model.constants import constant_value
from friction_tui.model.provenance import place_of

_VARIANCE = 4
"""The input of BatchNormalization, https://onnx.ai/onnx/operators/onnx__BatchNormalization.html."""
_EPSILON = 1e-5
"""Its default, which is added before the root is taken."""
_CHANNELS = 65_536


def check(case: Case) -> Iterator[Finding]:
    """Errors for running variances below zero."""
    if case.model.file.kind != "onnx":
        return
    for node in case.model.index.nodes:
        if node.proto.op_type != "BatchNormalization" or len(node.proto.input) <= _VARIANCE:
            continue
        name = node.proto.input[_VARIANCE]
        values = constant_value(case.model, name, _CHANNELS, node.graph)
        if values is None or not values.size:
            continue
        epsilon = next((a.f for a in node.proto.attribute if a.name == "epsilon"), _EPSILON)
        bad = np.flatnonzero(values.ravel().astype(np.float64) + epsilon < 0)
        if not bad.size:
            continue
        first = int(bad[0])
        yield Finding(
            kind="weights/negative-variance",
            severity=Severity.ERROR,
            tier=Tier.HAZARD,
            title=f"A negative variance in {name}",
            cause=f"The variance {name} of BatchNormalization {node.name} is negative in {bad.size} of {values.size} "
            f"channels, first {float(values.ravel()[first]):g} in channel {first}: its root is NaN, and so is the "
            "channel. Every engine builds it in silence.",
            source=RULE,
            places=(Place(PlaceKind.INITIALIZER, name), place_of(case.model, node)),
            fixes=(
                Fix("Look at the order of the stored statistics: mean and variance may have been swapped in a script."),
                Fix("Go back to an intact checkpoint and re-export: the weights are damaged."),
            ),
        )
