"""How it looks: one telling screen per terminal size, dark and light. Versions and times come from conftest."""

from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from friction_tui.ui.app import FrictionApp
from friction_tui.vocabulary.protocol import Detail, Event, Hello
from friction_tui.vocabulary.recipe import Recipe

SCREENS = {
    "graph-80x24-dark": ((80, 24), "dark", ["n"]),
    "problems-80x24-light": ((80, 24), "light", ["2"]),
    "workbench-120x30-dark": ((120, 30), "dark", ["n", "n"]),
    "why-120x30-light": ((120, 30), "light", ["n", "n", "enter"]),
    "workbench-200x60-light": ((200, 60), "light", ["n", "n"]),
}


@pytest.mark.parametrize("name", SCREENS)
def test_screen(
    name: str,
    snap_compare: Callable[..., bool],
    recipe: Recipe,
    hello: Hello,
    silent_worker: list[str],
    worker_events: Callable[..., list[Event]],
    reshape_detail: Detail,
) -> None:
    size, theme, keys = SCREENS[name]
    app = FrictionApp(recipe, worker=silent_worker, theme=theme)

    async def open_it(pilot: Pilot[None]) -> None:
        for event in (hello, *worker_events(), reshape_detail):
            app.live.hear(event)
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            for _ in range(4):
                await pilot.pause()
        app.on_new_state()
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=open_it)


def test_snapshots_stay_small() -> None:
    folder = Path(__file__).parent / "__snapshots__" / "test_snapshots"
    sizes = {file.name: file.stat().st_size for file in folder.glob("*") if file.is_file()}
    assert len(sizes) >= len(SCREENS)
    assert max(sizes.values()) < 200_000, sizes
