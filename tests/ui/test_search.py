"""`/` in graph, log and source: Enter leaves the field, `n` and `N` go on, Escape clears, everywhere alike."""

from dataclasses import replace

import pytest

from friction_tui.ui.bars import KeyLine
from friction_tui.vocabulary.protocol import SourceText
from tests.ui.bench import OpenApp, bench_of, screen_text, settled
from tests.ui.builds.test_build_panel import built, recipe_of

SOURCE = SourceText(file="model.py", names=("model.py",), text="\n".join(("a = conv(x)", "b = a", "c = conv(b)", "d")))
PLACES = {
    "graph": ("1", "conv", 3),
    "build": ("4", "e", 3),
    "source": ("8", "conv", 2),
}
"""The panel's key, what is sought in it, and how often that is there."""


@pytest.mark.parametrize("panel", PLACES)
async def test_search_is_the_same_everywhere(open_app: OpenApp, panel: str) -> None:
    key, text, count = PLACES[panel]
    async with open_app((120, 40)) as (app, pilot):
        state = app.live.state
        app.live.show(replace(state, jobs=(built(1, recipe_of(state)),), sources={"": SOURCE}))
        await settled(pilot)
        await pilot.press(key, "slash", *text)
        await settled(pilot)
        first = next(i for i in range(1, count + 1) if f"{i} of {count}" in screen_text(app))
        assert first == (count if panel == "build" else 1), "a log is looked at from its end"
        keys = "".join(segment.text for segment in app.screen.query_one(KeyLine).render_line(0))
        assert "Enter leaves the field" in keys and "next" not in keys

        await pilot.press("enter")
        await settled(pilot)
        assert bench_of(app).current == panel and app.focused is bench_of(app).panel(panel)
        problem = app.live.state.problem
        at = []
        for step in ("n", "n", "N"):
            await pilot.press(step)
            await settled(pilot)
            at.append(next(i for i in range(1, count + 1) if f"{i} of {count}   n next" in screen_text(app)))
        second = first % count + 1
        assert at == [second, second % count + 1, second]
        assert app.live.state.problem is problem, "n went on in the search, not in the problems"

        await pilot.press("escape")
        await settled(pilot)
        assert f"of {count}   n next" not in screen_text(app) and bench_of(app).current == panel
        await pilot.press("n")
        await settled(pilot)
        assert app.live.state.problem is not None, "n means the next problem again"


async def test_a_search_goes_on_from_the_cursor(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        await pilot.press("slash", *"conv", "enter", "end", "n")
        await settled(pilot)
        assert "1 of 3" in screen_text(app), "round the end"
        await pilot.press("end", "N")
        await settled(pilot)
        assert "3 of 3" in screen_text(app)


async def test_escape_in_the_field_and_an_empty_text_clear(open_app: OpenApp) -> None:
    async with open_app() as (app, pilot):
        for keys in (("slash", *"conv", "escape"), ("slash", "enter")):
            await pilot.press(*keys)
            await settled(pilot)
            assert app.focused is bench_of(app).graph and not bench_of(app).graph.sought
            assert "Graph /" not in screen_text(app)
