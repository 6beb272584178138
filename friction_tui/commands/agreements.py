"""A `friction.toml` beside a model: what the team agreed on, with the command line's choices on top."""

from __future__ import annotations

import datetime
from collections.abc import Container, Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from friction_tui.friction_toml import Allowed, RecipeFile, of_model
from friction_tui.report.verdict import ModelVerdict
from friction_tui.vocabulary.recipe import ExportOptions, Precision, Profile, Recipe


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


def under(verdicts: Sequence[ModelVerdict], files: Sequence[RecipeFile], today: datetime.date) -> list[ModelVerdict]:
    """The verdicts without what the team allows today, each with the file of its model.

    They say how much was left out, which agreements have run out, and which match nothing in any model: a file may be
    shared by several.
    """
    judged = [(verdict, held) for verdict, held in zip(verdicts, files, strict=True) if not verdict.failure]
    used = {a for verdict, held in judged for a in held.allow for f in verdict.findings if a.covers(f.kind, f.names)}
    return [_under(verdict, held, used, today) for verdict, held in zip(verdicts, files, strict=True)]


def _under(verdict: ModelVerdict, held: RecipeFile, used: Container[Allowed], today: datetime.date) -> ModelVerdict:
    allowed = [a for a in held.allow if a.holds(today)]
    kept = tuple(f for f in verdict.findings if not any(a.covers(f.kind, f.names) for a in allowed))
    hidden = len(verdict.findings) - len(kept)
    found = {finding.kind for finding in kept}
    ended = [a for a in held.allow if a.kind in found and a not in allowed]
    unused = [a for a in held.allow if a not in used and a not in ended and not verdict.failure]
    about = (
        *verdict.about,
        f"pinned to opset {held.opset}: {held.opset_why}" if held.opset and held.opset_why else "",
        f"{hidden} allowed by friction.toml" if hidden else "",
        *(f"{agreement.kind} was allowed until {agreement.until}" for agreement in ended),
        *(f"{agreement} is allowed and was found in no model checked" for agreement in unused),
    )
    return replace(verdict, findings=kept, about=about)


def _profile(chosen: Profile | None, agreed: Profile | None) -> Profile | None:
    if chosen is None or agreed is None:
        return chosen if chosen is None or chosen.ranges or chosen.values else None
    return Profile(ranges={**agreed.ranges, **chosen.ranges}, values={**agreed.values, **chosen.values})
