"""Operators of a domain of their own that TensorRT reads as ONNX's, because it looks at the name alone."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.model.provenance import location_of
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators.operator_origin import read_as_standard
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Severity, Tier


def read_as_onnx(context: CheckContext) -> Iterator[Finding]:
    """Foreign operators that TensorRT silently takes for ONNX operators of the same name."""
    index = context.model.index
    nodes = [n for n in index.nodes if read_as_standard(n) and not index.function_of(n.proto)]
    if not nodes:
        return
    domains = ", ".join(sorted({node.proto.domain for node in nodes}))
    ops = ", ".join(sorted({node.proto.op_type for node in nodes}))
    local = [node for node in nodes if not node.proto.domain.startswith("com.")]
    missing = f" If {ops} was a function of the model, its definition is missing from it." if local else ""
    restore = (
        f"Add the definition of {ops} to the model's functions again, or replace it by standard operators: re-export."
    )
    yield Finding(
        kind="operators/domain-ignored",
        severity=Severity.WARNING,
        tier=Tier.HAZARD,
        title=f"{ops} of {domains} would be read as ONNX's own",
        cause=f"TensorRT's parser looks at the operator's name and ignores its domain: {ops} of {domains} is imported "
        "as the standard operator of that name, whatever it computes (com.microsoft.nchwc has reordered weights)."
        + missing,
        source=RULE,
        locations=tuple(location_of(context.model, node) for node in nodes),
        fixes=(
            *(Fix(text) for text in (restore,) if local),
            Fix("Use the original model, before it was optimised; or give a custom operator a name of its own."),
        ),
    )
