"""What holds for every screen: a state that comes before the widgets are there, and the help page."""

import importlib
import pkgutil
from dataclasses import replace
from typing import Any

import pytest
from textual.screen import Screen

import friction_tui.ui
from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.dialogs.builder_options import BuilderOptions
from friction_tui.ui.dialogs.copy_as import CopyScreen
from friction_tui.ui.dialogs.opset import OpsetScreen
from friction_tui.ui.dialogs.other_engines import OtherEngines
from friction_tui.ui.dialogs.precision import PrecisionScreen
from friction_tui.ui.dialogs.target import TargetScreen
from friction_tui.ui.problems.fixes import FixesScreen
from friction_tui.ui.screens import StateScreen
from friction_tui.ui.welcome import Welcome
from friction_tui.ui.why_screen import WhyScreen
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import History, Recipe
from tests.ui.bench import Bench, OpenApp, bench_of, screen_text, settled


def screens() -> set[type]:
    """Every screen of the package."""
    found: set[type] = set()
    for module in pkgutil.walk_packages(friction_tui.ui.__path__, "friction_tui.ui."):
        members = vars(importlib.import_module(module.name)).values()
        found |= {one for one in members if isinstance(one, type) and issubclass(one, Screen)}
    return {one for one in found if one.__module__.startswith("friction_tui.")}


def test_every_screen_holds_the_state() -> None:
    found = screens()
    assert len(found) > 12
    assert [one for one in found if not issubclass(one, StateScreen)] == []
    assert [one for one in found if one is not StateScreen and "update_state" in vars(one)] == []


@pytest.mark.parametrize("made_of", ["bench", "state"])
async def test_a_state_before_the_widgets_are_there_is_drawn_once_they_are(open_app: OpenApp, made_of: str) -> None:
    async with open_app() as (app, pilot):
        bench, state = bench_of(app), app.live.state
        made: list[StateScreen[Any]] = [WhyScreen(bench), FixesScreen(state, state.findings[0], bench), Welcome()]
        if made_of == "state":
            made = [OpsetScreen(state), PrecisionScreen(state), TargetScreen(state), CopyScreen(state)]
            made += [OtherEngines(state), BuilderOptions(state)]
        for screen in made:
            app.push_screen(screen)
            app.live.show(replace(app.live.state, revision=app.live.state.revision + 1))
            app.on_new_state()  # nothing of the screen is there yet
            await settled(pilot)
            assert app.screen is screen and screen.state is app.live.state
            app.pop_screen()
            await settled(pilot)


async def test_what_came_before_is_not_lost(recipe: Recipe) -> None:
    state = AppState(history=History(recipe))
    dialog = PrecisionScreen(state)
    job = Job(number=9, kind=JobKind.PRECISION, recipe=recipe, running=False, error="no inputs")
    dialog.update_state(replace(state, jobs=(job,)))
    app = Bench(dialog=dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert "no inputs" in app.text()


@pytest.mark.parametrize(
    ("keys", "first"),
    [
        (("2",), "In Problems"),
        (("3",), "In Shapes"),
        (("1",), "In Graph"),
        (("o",), "Leave without converting"),
        (("x",), "Carry out the fix under the cursor"),
        (("l",), "Close this page"),
        (("W",), "Back to the workbench"),
        (("O",), "Type the path of a model"),
        (("G",), "Go to this node in the outline"),
    ],
)
async def test_help_begins_with_what_is_looked_at(open_app: OpenApp, keys: tuple[str, ...], first: str) -> None:
    async with open_app((100, 40)) as (app, pilot):
        await pilot.press("n", *keys)
        await settled(pilot)
        await pilot.press("question_mark")
        await settled(pilot)
        shown = screen_text(app).split("╭─ Keys")[1].splitlines()[1:7]
        assert any(first in line for line in shown), shown
        depth = len(app.screen_stack)
        await pilot.press("question_mark")
        await settled(pilot)
        assert len(app.screen_stack) == depth, "the page of keys has no page of keys"
