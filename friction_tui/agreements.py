"""A `friction.toml` beside a model: what the team agreed on, with the command line's choices on top."""

from __future__ import annotations

import datetime
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

import msgspec

from friction_tui.recipe import Precision, Profile, Recipe
from friction_tui.recipe_file import Allowed, beside, load
from friction_tui.report.verdict import ModelVerdict


def with_file(recipe: Recipe) -> tuple[Recipe, tuple[Allowed, ...]]:
    """The recipe completed from the file beside its model, and the findings the file allows.

    What the command line chose wins. A file that names another model is not this one's. Raises RecipeFileError.
    """
    model = Path(recipe.source.path)
    file = beside(model)
    if not file.is_file():
        return recipe, ()
    held = load(file)
    if held.source is not None and Path(held.source.path).absolute() != model.absolute():
        return recipe, ()
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
        export=agreed.export,
    )
    return chosen, held.allow


def also(recipe: Recipe, chosen: Sequence[str], *, allow_code: bool) -> tuple[str, ...]:
    """The interpreters of other environments to ask: those of the command line, and of the file beside the model.

    A file that came with a model names programs that would be run: those are left out unless code is allowed.
    """
    given = [interpreter(python) for python in chosen]
    file = beside(Path(recipe.source.path))
    if allow_code and file.is_file():
        given += [interpreter(str(file.parent / python)) for python in load(file).also]
    return tuple(dict.fromkeys(given))


def interpreter(python: str) -> str:
    """The interpreter of an environment, given by itself or by its directory.

    Absolute, but not resolved: an environment's interpreter is a link, and the link makes the environment.
    """
    path = Path(python).expanduser().absolute()
    return str(path / "bin" / "python" if path.is_dir() else path)


def without_allowed(verdict: ModelVerdict, allowed: tuple[Allowed, ...], today: datetime.date) -> ModelVerdict:
    """The verdict without what the team allows today; an agreement that has run out counts no more."""
    kept = tuple(f for f in verdict.findings if not any(a.covers(f.kind, f.names, today) for a in allowed))
    hidden = len(verdict.findings) - len(kept)
    about = (*verdict.about, f"{hidden} allowed by friction.toml") if hidden else verdict.about
    return replace(verdict, findings=kept, about=about)


def _profile(chosen: Profile | None, agreed: Profile | None) -> Profile | None:
    if chosen is None or agreed is None:
        return chosen if chosen is None or chosen.ranges or chosen.values else None
    return Profile(ranges={**agreed.ranges, **chosen.ranges}, values={**agreed.values, **chosen.values})
