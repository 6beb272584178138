"""A `friction.toml` beside a model: what the team agreed on, with the command line's choices on top."""

from __future__ import annotations

import datetime
from dataclasses import replace
from pathlib import Path

import msgspec

from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.recipe import ExportOptions, Precision, Profile, Recipe
from friction_tui.vocabulary.recipe.file import RecipeFile, of_model


def with_file(recipe: Recipe) -> tuple[Recipe, RecipeFile]:
    """The recipe completed from the file beside its model, and that file, an empty one where there is none.

    What the command line chose wins. Raises RecipeFileError.
    """
    _, held = of_model(Path(recipe.source.path))
    if held is None:
        return recipe, RecipeFile()
    agreed = held.recipe(recipe.source)
    chosen = msgspec.structs.replace(
        recipe,
        opset=recipe.opset or agreed.opset,
        target=recipe.target or agreed.target,
        precision=agreed.precision if recipe.precision is Precision.AS_EXPORTED else recipe.precision,
        keep_float32=recipe.keep_float32 or agreed.keep_float32,
        profile=_profile(recipe.profile, agreed.profile),
        others=recipe.others or (agreed.others if recipe.profile is not None else ()),
        rewrites=recipe.rewrites or agreed.rewrites,
        export=agreed.export if recipe.export == ExportOptions() else recipe.export,
    )
    return chosen, held


def under(verdict: ModelVerdict, held: RecipeFile, today: datetime.date) -> ModelVerdict:
    """The verdict without what the team allows today. It says what was left out, and which agreements have run out."""
    kept = tuple(f for f in verdict.findings if not any(a.covers(f.kind, f.names, today) for a in held.allow))
    hidden = len(verdict.findings) - len(kept)
    found = {finding.kind for finding in kept}
    ended = [a for a in held.allow if a.kind in found and a.until is not None and a.until < today]
    about = (
        *verdict.about,
        f"pinned to opset {held.opset}: {held.opset_why}" if held.opset and held.opset_why else "",
        f"{hidden} allowed by friction.toml" if hidden else "",
        *(f"{agreement.kind} was allowed until {agreement.until}" for agreement in ended),
    )
    return replace(verdict, findings=kept, about=about)


def _profile(chosen: Profile | None, agreed: Profile | None) -> Profile | None:
    if chosen is None or agreed is None:
        return chosen if chosen is None or chosen.ranges or chosen.values else None
    return Profile(ranges={**agreed.ranges, **chosen.ranges}, values={**agreed.values, **chosen.values})
