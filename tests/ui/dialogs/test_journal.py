"""The journal names every edit with what it came to, and goes back to any of them without forgetting the others."""

from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import msgspec
from textual.pilot import Pilot

from friction_tui.ui.app import FrictionApp
from friction_tui.ui.dialogs.choice import ChoiceList
from friction_tui.ui.dialogs.journal import Journal
from friction_tui.ui.dialogs.path_prompt import PathPrompt
from friction_tui.vocabulary.protocol import Judged, Opened, Refused, Verified
from friction_tui.vocabulary.recipe import History, Precision, Range, Recipe, Rewrite
from tests.detector import RECIPE, session_events
from tests.ui.bench import screen_text, settled

EDITS = (
    RECIPE.with_range("N", Range(1, 1, 16)),
    msgspec.structs.replace(RECIPE.with_range("N", Range(1, 1, 16)), rewrites=(Rewrite("reshape-minus-one", ("y",)),)),
    msgspec.structs.replace(RECIPE.with_range("N", Range(1, 1, 16)), precision=Precision.FP16),
)


@asynccontextmanager
async def edited(worker: list[str]) -> AsyncIterator[tuple[FrictionApp, Pilot[None]]]:
    """The detector after three edits: all problems fixed by the first two and made again by the third; one a note."""
    app = FrictionApp(RECIPE, worker=worker)
    async with app.run_test(size=(120, 30)) as pilot:
        for event in session_events(app.live.state.revision):
            app.live.hear(msgspec.structs.replace(event, recipe=RECIPE) if isinstance(event, Opened) else event)
        findings = app.live.state.judged.findings if app.live.state.judged else []
        for recipe, left in zip(EDITS, (findings[1:], [], findings), strict=True):
            app.live.edit(recipe, "an edit")
            revision = app.live.state.revision
            app.live.hear(Judged(revision=revision, findings=left, seconds=0.1))
            if recipe.rewrites:
                names = tuple(rewrite.name for rewrite in recipe.rewrites)
                app.live.hear(Verified(revision, names, holds=True, text="verified on 6 inputs"))
        await settled(pilot)
        yield app, pilot


async def test_every_edit_is_a_sentence_with_what_it_came_to(silent_worker: list[str]) -> None:
    async with edited(silent_worker) as (app, pilot):
        await pilot.press("J")
        await settled(pilot)
        assert isinstance(app.screen, Journal)
        lines = ["".join(text for text, _ in line.spans) for line in app.screen.query_one(ChoiceList).lines(100)]
        assert lines == [
            "    0  opened",
            "    1  N not set → 1..1..16",
            "       fixed 1",
            "    2  reshape-minus-one applied to y",
            "       fixed 2; verified on 6 inputs",
            "▸   3  precision as-exported → fp16, reshape-minus-one taken back",
            "       broke 3",
        ]
        assert "▸   3  precision as-exported → fp16" in screen_text(app)


async def test_enter_goes_back_and_forward_again(silent_worker: list[str]) -> None:
    async with edited(silent_worker) as (app, pilot):
        whole = app.live.state.history
        assert whole is not None and whole.steps == (RECIPE, *EDITS)
        await pilot.press("J", "home", "enter")
        await settled(pilot)
        assert app.live.state.history == History(RECIPE, (), EDITS)
        await pilot.press("J")
        await settled(pilot)
        assert "(undone)" in screen_text(app)
        await pilot.press("down", "down", "enter")
        await settled(pilot)
        assert app.live.state.history == whole.at(2)
        app.live.hear(Refused("it does not apply", why="for a reason", revision=app.live.state.revision))
        await settled(pilot)
        history = app.live.state.history
        assert history is not None and history.present == EDITS[2], "what was judged last"


async def test_what_was_made_can_be_written_from_here_and_by_a_key(silent_worker: list[str]) -> None:
    async with edited(silent_worker) as (app, pilot):
        for keys in (("J", "S"), ("S",), ("J", "f"), ("J", "p")):
            await pilot.press(*keys)
            await settled(pilot)
            assert isinstance(app.screen, PathPrompt)
            await pilot.press("escape")


def test_a_history_goes_to_any_of_its_steps() -> None:
    history = History(EDITS[1], (RECIPE, EDITS[0]), (EDITS[2],))
    assert [history.at(step).steps for step in range(4)] == [history.steps] * 4
    recipes: list[Recipe] = [history.at(step).present for step in range(4)]
    assert recipes == [RECIPE, *EDITS]
    assert history.at(2) == history
