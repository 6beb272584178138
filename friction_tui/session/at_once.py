"""The verdict of a session in one call, for whoever judges a model without a screen: the same questions."""

from __future__ import annotations

from pathlib import Path

import msgspec

from friction_tui.engines.found import deciding, found, parser
from friction_tui.engines.onnxruntime import LARGEST_RUN
from friction_tui.kinds.answered import Verdict, unanswered
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.plugin_libraries import agreed
from friction_tui.processes.locks import temporary_folder
from friction_tui.rules.context import CheckContext, context_for
from friction_tui.session.asking import ParserQuestion, ProfileFreeResults, without_profile
from friction_tui.session.judging import Judgement, judge
from friction_tui.session.opening import complete
from friction_tui.session.saving import save_model
from friction_tui.vocabulary.protocol import Event, Findings, Refused
from friction_tui.vocabulary.recipe import Profile, Recipe


def judged(model: OpenedModel, recipe: Recipe) -> Verdict:
    """What a session that opens `model` from a file says of it under `recipe`, whose rewrites are in the model already.

    Sizes that the recipe only guessed are guessed again: another model may run at others. No rewrites are offered.
    """
    with temporary_folder("judged") as folder:
        opened = _on_disk(model, folder)
        context = context_of(opened, complete(opened, _chosen(recipe)))
        return _verdict(context)


def context_of(model: OpenedModel, recipe: Recipe) -> CheckContext:
    """What a check may read of `model`, made for the engine that decides here."""
    return context_for(deciding(found()), model, recipe, ShapeTable(model, recipe.profile))


def _verdict(context: CheckContext) -> Verdict:
    said: dict[str, Findings] = {}

    def hear(event: Event) -> None:
        if isinstance(event, Findings):
            said[event.check] = event

    recipe, model = context.recipe, context.model
    asked = parser(context.builder) if recipe.parse else None
    question = ParserQuestion(asked, model, agreed(recipe)) if asked is not None else None
    kept = ProfileFreeResults(model, without_profile(recipe), question)
    judgement = Judgement(0, hear, stop=lambda: False, offers=False)
    findings = judge(judgement, context, kept, lambda: None) or []
    return Verdict(findings, unanswered(said.values(), findings))


def _on_disk(model: OpenedModel, folder: Path) -> OpenedModel:
    """The model as a file of its own, which engines read and run; as it is where it was read from its file.

    One with more external data than is ever run stays in memory: its data would have to be copied.
    """
    if model.file.head or sum(one.size_on_disk or 0 for one in model.external) > LARGEST_RUN:
        return model
    saved = save_model(model, model, folder / model.path.name)
    if isinstance(saved, Refused):
        raise OSError(f"{saved.what}: {saved.why}")
    return open_model(Path(saved.path))


def _chosen(recipe: Recipe) -> Recipe:
    """The recipe without its rewrites and without the sizes that nobody chose."""
    profiles = tuple(_without_guesses(one) for one in recipe.profiles)
    recipe = msgspec.structs.replace(recipe, rewrites=())
    return recipe.with_profiles(profiles, recipe.position) if recipe.profile is not None else recipe


def _without_guesses(profile: Profile) -> Profile:
    return msgspec.structs.replace(
        profile,
        ranges={key: one for key, one in profile.ranges.items() if key not in profile.guessed},
        values={key: one for key, one in profile.values.items() if key not in profile.guessed},
        guessed=(),
    )
