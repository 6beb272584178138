"""Every check there is, in the order they are run: what costs least and is most certain first."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.diagnosis import largest_activation, performance, training
from friction_tui.diagnosis.case import Case, Check
from friction_tui.diagnosis.control import control_flow
from friction_tui.diagnosis.file import external_data, file_content
from friction_tui.diagnosis.operators import builder_limits, older_tensorrt, operators, recurrent_layout
from friction_tui.diagnosis.shapes import dynamic_shapes, folded_batch, fragile_shapes, profiles
from friction_tui.diagnosis.structure import graph_declarations, graph_structure, opset_and_ir, schema
from friction_tui.diagnosis.types import dtypes, half_precision, quantization, type_constraints
from friction_tui.diagnosis.weights import impossible_constants, weights
from friction_tui.finding import Finding

CHECKS: tuple[tuple[str, Check, str], ...] = (
    ("file", file_content.check, "what the file is"),
    ("external", external_data.check, "weights in external files"),
    ("declarations", graph_declarations.check, "what a graph declares at its border"),
    ("structure", graph_structure.check, "what ONNX asks of a graph"),
    ("schema", schema.check, "what ONNX asks of each operator"),
    ("types", type_constraints.check, "element types that do not fit together"),
    ("dtypes", dtypes.check, "element types TensorRT does not have"),
    ("parser", operators.check, "operators TensorRT's parser takes"),
    ("builder limits", builder_limits.check, "what parses and cannot be built"),
    ("training", training.check, "layers left in training mode"),
    ("quantization", quantization.check, "scales and zero points"),
    ("versions", opset_and_ir.check, "opset and IR version against every runtime"),
    ("profile", profiles.check, "whether the optimization profile is one"),
    ("shapes", dynamic_shapes.check, "what cannot work at some size of the ranges"),
    ("fragile shapes", fragile_shapes.check, "shapes that are right by luck"),
    ("folded batch", folded_batch.check, "batches that are folded into another axis"),
    ("control flow", control_flow.check, "loops and branches whose shapes change"),
    ("recurrent layout", recurrent_layout.check, "recurrent layers some runtimes do not take"),
    ("older TensorRT", older_tensorrt.check, "what older releases refuse"),
    ("weights", weights.check, "values that overflow, vanish or are not finite"),
    ("impossible constants", impossible_constants.check, "constants that make NaN or Inf whatever the input"),
    ("half precision", half_precision.check, "where float16 runs out of range inside the graph"),
    ("performance", performance.check, "what costs time without need"),
    ("largest activation", largest_activation.check, "what costs most memory at the max of the ranges"),
)
"""(name, check, what it looks at)."""

OF_THE_RANGES = frozenset(
    {"builder limits", "quantization", "profile", "shapes", "fragile shapes", "folded batch", "control flow", "parser"}
    | {"largest activation"}
)
"""The checks that look at sizes. All others answer the same whatever the optimization profile is."""


def diagnose(case: Case) -> Iterator[tuple[str, list[Finding]]]:
    """Run every check on `case`; gives each one's name with its findings as soon as it is done."""
    for name, check, _ in CHECKS:
        yield name, list(check(case))
