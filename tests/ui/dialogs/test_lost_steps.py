"""Steps that do not apply any more are dropped, moved or undone, and nothing else of the recipe changes."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from textual.pilot import Pilot

from friction_tui.ui.app import FrictionApp
from friction_tui.ui.dialogs.lost_steps import LostSteps, dropped, moved
from friction_tui.vocabulary.protocol import LostStep, Opened, OtherNode, StepsLost
from friction_tui.vocabulary.recipe import Recipe, Rewrite
from tests.detector import RECIPE, session_events
from tests.ui.bench import screen_text, settled

GONE, OTHER = Rewrite("reshape-minus-one", ("a = Reshape(gone)", "b = Reshape(there)")), Rewrite("eval-mode")
STEP = LostStep(
    why="Reshape(gone) is not in the model any more",
    rewrite=GONE,
    node=GONE.nodes[0],
    others=(OtherNode("c = Reshape(c)", "Reshape c"),),
)
ASKED = msgspec.structs.replace(RECIPE, rewrites=(GONE, OTHER), keep_float32=("x", "y"))


@asynccontextmanager
async def left_out(worker: list[str]) -> AsyncIterator[tuple[FrictionApp, Pilot[None]]]:
    """The app, when the worker has read the model and left a step out."""
    app = FrictionApp(ASKED, worker=worker)
    async with app.run_test(size=(120, 30)) as pilot:
        revision = app.live.state.revision
        for event in (*session_events(revision), StepsLost(revision, (STEP,))):
            own = msgspec.structs.replace(event, recipe=ASKED) if isinstance(event, Opened) else event
            app.live.hear(own)
        await settled(pilot)
        yield app, pilot


def test_a_step_is_dropped_or_moved_and_the_others_stay() -> None:
    assert dropped(ASKED, STEP) == msgspec.structs.replace(ASKED, rewrites=(OTHER,))
    there = Rewrite(GONE.name, ("c = Reshape(c)", GONE.nodes[1]))
    assert moved(ASKED, STEP, STEP.others[0]) == msgspec.structs.replace(ASKED, rewrites=(there, OTHER))
    kept = LostStep("no such node", kept="x", others=(OtherNode("z", "z"),))
    assert dropped(ASKED, kept).keep_float32 == ("y",)
    assert moved(ASKED, kept, kept.others[0]).keep_float32 == ("z", "y")


async def test_it_is_said_and_can_be_dropped(silent_worker: list[str]) -> None:
    async with left_out(silent_worker) as (app, pilot):
        said = screen_text(app)
        assert "does not apply any more, left out: reshape-minus-one" in said and "A adapt" in said
        await pilot.press("A")
        await settled(pilot)
        assert isinstance(app.screen, LostSteps) and "Move it to Reshape c" in screen_text(app)
        await pilot.press("d")
        await settled(pilot)
        assert app.live.state.recipe == dropped(ASKED, STEP)
        app.live.hear(StepsLost(app.live.state.revision, ()))
        await settled(pilot)
        assert app.live.state.lost == () and "A adapt" not in screen_text(app)


async def test_it_can_be_moved_and_undone(silent_worker: list[str]) -> None:
    async with left_out(silent_worker) as (app, pilot):
        await pilot.press("A", "down", "enter")
        await settled(pilot)
        recipe: Recipe | None = app.live.state.recipe
        assert recipe == moved(ASKED, STEP, STEP.others[0])
        await pilot.press("A", "u")
        await settled(pilot)
        assert app.live.state.recipe == ASKED
