"""Which panels stand where: the chosen problem beside the list, and rows as high as what they hold."""

from dataclasses import replace

import pytest

from friction_tui.ui.layout import LEAST, row_heights
from friction_tui.ui.workbench import Workbench
from tests.ui.bench import OpenApp, bench_of, screen_text, settled


@pytest.mark.parametrize("size", [(160, 45), (240, 70)])
async def test_from_160_columns_the_page_stands_beside_the_list(open_app: OpenApp, size: tuple[int, int]) -> None:
    async with open_app(size) as (app, pilot):
        bench = bench_of(app)
        assert bench.panel("why").display and "Why ─ operator/nonzero" in screen_text(app)
        await pilot.press("n", "n")
        await settled(pilot)
        assert "Why ─ dynamic/baked-reshape" in screen_text(app), "it follows the chosen problem"
        await pilot.press("2", "enter")
        await settled(pilot)
        assert isinstance(app.screen, Workbench) and bench.current == "why"
        await pilot.press("escape")
        await settled(pilot)
        assert bench.current == "problems", "back to where it was asked for"
        graph = bench.graph.size.width
        app.live.show(replace(app.live.state, findings=()))
        await settled(pilot)
        assert not bench.panel("why").display and bench.graph.size.width > graph, "the graph takes its room"


async def test_below_160_columns_it_is_a_screen(open_app: OpenApp) -> None:
    async with open_app((159, 45)) as (app, pilot):
        assert not bench_of(app).panel("why").display
        await pilot.press("n", "W")
        await settled(pilot)
        assert not isinstance(app.screen, Workbench)


async def test_the_strip_is_as_high_as_what_it_holds(open_app: OpenApp) -> None:
    async with open_app((120, 60)) as (app, pilot):
        bench = bench_of(app)
        before = bench.graph.outer_size.height
        assert bench.panel("shapes").outer_size.height <= 12 < 57 * 35 // 100
        assert before + bench.panel("shapes").outer_size.height == 57
        await pilot.resize_terminal(120, 30)
        await settled(pilot)
        assert bench.graph.outer_size.height + bench.panel("shapes").outer_size.height == 27


def test_rows_never_take_more_than_their_part_and_change_in_steps() -> None:
    rows = {row_heights("wide", 40, {"shapes": 9, "build": held}, "build") for held in range(60)}
    assert rows == {f"1fr 1fr 1fr {height}" for height in (9, 12, 14)}
    for height in range(21, 90):
        problems, rest, shapes, build = row_heights("very-wide", height, {"shapes": 99, "build": 99}, "build").split()
        assert rest == "1fr" and int(build) >= LEAST["build"]
        assert int(problems) + int(shapes) + int(build) < height
    assert row_heights("single", 40, {}, "build") == ""
