"""Options of the recipe that the engine or the model does not have: target, precision, builder options, opset."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

from friction_tui.kinds import engine, versions
from friction_tui.plugin_libraries import not_agreed
from friction_tui.rules.check import Check
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Location, LocationKind
from friction_tui.vocabulary.recipe.builder_options import BY_NAME, refused, written

_OPTION = Location(LocationKind.MODEL, "")


def check(context: CheckContext) -> Iterator[Finding]:
    """What was chosen and the engine does not offer, and an opset that the team requires and the model lacks."""
    yield from _required_opset(context)
    yield from of_the_engine(context)


def _required_opset(context: CheckContext) -> Iterator[Finding]:
    recipe, opset = context.recipe, context.model.index.opsets.get("")
    required = recipe.required_opset
    if required is None or context.model.file.kind != "onnx" or opset == required:
        return
    why = f": {recipe.opset_why}" if recipe.opset_why else ""
    yield versions.OPSET_REQUIRED.finding(
        required=required,
        cause=f"friction.toml requires opset {required}{why}. The model has {opset or 'none of the default domain'}.",
        locations=(_OPTION,),
        fixes=(
            f"Export at opset {required}.",
            f"Convert it: --opset {required}, or opset = {required} in friction.toml.",
        ),
    )


def of_the_engine(context: CheckContext) -> Iterator[Finding]:
    """A target or option that the engine lacks; a precision that is neither a flag nor an edit of the model."""
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
    for path, why in not_agreed(recipe).items():
        yield engine.PLUGIN_LIBRARY.finding(
            library=Path(path).name,
            cause=f"The plug-in library {path} was chosen, and it was not loaded: {why}.",
            locations=(_OPTION,),
            fixes=(
                "Agree if you trust it: --allow-code, or Enter on plugins in the dialog of the builder options (T).",
                "See what is in it first: friction-tui creators.",
            ),
        )
    for name, one in refused(recipe.builder, builder.options).items():
        chosen = f"{name}={written(BY_NAME[name], recipe.builder[name])}"
        yield engine.BUILDER_OPTION.finding(
            engine=builder.label,
            option=chosen,
            cause=f"The builder option {chosen} was chosen, and {builder.label} does not offer it: {one.why_not}.",
            locations=(_OPTION,),
            fixes=(*((f"{one.nearest[0].upper()}{one.nearest[1:]}.",) if one.nearest else ()), f"Leave {name} out."),
        )


CHECK = Check(
    "options",
    "what was chosen and the engine or the model does not have",
    check,
    (engine.TARGET, engine.PRECISION_FLAG, engine.BUILDER_OPTION, engine.PLUGIN_LIBRARY, versions.OPSET_REQUIRED),
)
