"""Every check there is, in the order they are run: what costs least and is most certain first."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.rules import performance, training
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.rules.control import control_flow
from friction_tui.rules.engine import options
from friction_tui.rules.file import external_data, file_content
from friction_tui.rules.operators import builder_limits, older_forms, older_tensorrt, operators, recurrent_layout
from friction_tui.rules.shapes import dynamic_shapes, folded_batch, fragile_shapes, output_sizes, profiles
from friction_tui.rules.structure import graph_declarations, graph_structure, opset_and_ir, schema
from friction_tui.rules.types import dtypes, half_precision, lost_values, quantization, type_constraints
from friction_tui.rules.weights import impossible_constants, weights
from friction_tui.vocabulary.finding import Finding

CHECKS: tuple[Check, ...] = (
    file_content.CHECK,
    options.CHECK,
    external_data.CHECK,
    graph_declarations.CHECK,
    graph_structure.CHECK,
    schema.CHECK,
    type_constraints.CHECK,
    dtypes.CHECK,
    operators.CHECK,
    builder_limits.CHECK,
    training.CHECK,
    quantization.CHECK,
    opset_and_ir.CHECK,
    profiles.CHECK,
    dynamic_shapes.CHECK,
    fragile_shapes.CHECK,
    folded_batch.CHECK,
    output_sizes.CHECK,
    control_flow.CHECK,
    recurrent_layout.CHECK,
    older_tensorrt.CHECK,
    older_forms.CHECK,
    weights.CHECK,
    impossible_constants.CHECK,
    half_precision.CHECK,
    lost_values.CHECK,
    performance.CHECK,
    performance.LARGEST_ACTIVATION,
)
"""Every check, what costs least and is most certain first."""


def diagnose(context: CheckContext) -> Iterator[tuple[str, list[Finding]]]:
    """Run every check on `context`; gives each one's name with its findings as soon as it is done."""
    for check in CHECKS:
        yield check.name, list(check(context))
