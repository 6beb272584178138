"""Options of the recipe that the installed engine does not have: a target, a precision."""

from __future__ import annotations

from collections.abc import Iterator

from friction_tui.kinds import engine
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Location, LocationKind

_OPTION = Location(LocationKind.MODEL, "")


def check(context: CheckContext) -> Iterator[Finding]:
    """A target that the engine does not offer, a precision that neither is a flag of it nor an edit of the model."""
    builder, recipe = context.builder, context.recipe
    if builder is None:
        return
    if recipe.target and builder.targets and recipe.target not in builder.targets:
        offered = ", ".join(builder.targets)
        yield engine.TARGET.finding(
            engine=builder.label,
            target=recipe.target,
            cause=f"The target {recipe.target} was chosen, and {builder.label} builds for {offered}.",
            locations=(_OPTION,),
            fixes=(f"Choose one of {offered}.", "Choose no target: the engine then builds for its default ones."),
        )
    if builder.precisions and recipe.precision.value not in builder.precisions:
        offered = ", ".join(builder.precisions)
        yield engine.PRECISION_FLAG.finding(
            engine=builder.label,
            precision=recipe.precision.value,
            cause=f"The precision {recipe.precision.value} was chosen. Networks of {builder.label} are strongly typed: "
            f"it has no builder flag for it, and it needs scales that are not in the model. It takes {offered}.",
            locations=(_OPTION,),
            fixes=(
                "Quantize the model before: QuantizeLinear and DequantizeLinear carry the scales.",
                f"Choose one of {offered}.",
            ),
        )


CHECK = Check("options", "what was chosen and the engine does not have", check, (engine.TARGET, engine.PRECISION_FLAG))
