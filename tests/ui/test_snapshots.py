"""How it looks: one telling screen per terminal size, dark and light. Versions and times come from conftest."""

from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest
from textual.command import CommandPalette
from textual.pilot import Pilot

from friction_tui.ui.app import FrictionApp
from friction_tui.vocabulary.finding import Fix
from friction_tui.vocabulary.protocol import Detail, Event, Hello, Previewed
from friction_tui.vocabulary.protocol.differences import Change, GraphDifference, ModelDifference, NodeChange, NodeFacts
from friction_tui.vocabulary.recipe import Recipe, Rewrite
from tests.detector import RESHAPE

SCREENS = {
    "graph-80x24-dark": ((80, 24), "dark", ["n"]),
    "problems-80x24-light": ((80, 24), "light", ["2"]),
    "workbench-120x30-dark": ((120, 30), "dark", ["n", "n"]),
    "why-120x30-light": ((120, 30), "light", ["n", "n", "enter"]),
    "workbench-160x45-dark": ((160, 45), "dark", ["n", "n"]),
    "workbench-160x45-light": ((160, 45), "light", ["n", "n"]),
    "workbench-200x60-light": ((200, 60), "light", ["n", "n"]),
    "why-240x70-dark": ((240, 70), "dark", ["n", "W"]),
    "workbench-240x70-ascii": ((240, 70), "light", ["n", "n"]),
    "workbench-120x30-ascii": ((120, 30), "dark", ["n", "slash", *"conv", "enter"]),
    "graph-80x24-ascii": ((80, 24), "light", ["n"]),
    "palette-120x30-ascii": ((120, 30), "dark", ["ctrl+p"]),
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
    app = FrictionApp(recipe, worker=silent_worker, theme=theme, ascii_only=name.endswith("-ascii"))

    async def open_it(pilot: Pilot[None]) -> None:
        for event in (hello, *worker_events(), reshape_detail):
            app.live.hear(event)
        await pilot.pause()
        for key in keys:
            await pilot.press(key)
            for _ in range(4):
                await pilot.pause()
            if isinstance(app.screen, CommandPalette):
                await app.workers.wait_for_complete()  # the commands are gathered beside the keys
                await pilot.pause()
        app.on_new_state()
        await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=open_it)


def test_snapshots_stay_small() -> None:
    folder = Path(__file__).parent / "__snapshots__" / "test_snapshots"
    sizes = {file.name: file.stat().st_size for file in folder.glob("*") if file.is_file()}
    assert len(sizes) >= len(SCREENS)
    assert max(sizes.values()) < 250_000, sizes


FOLLOW = Rewrite("reshape-follow-input", ("8",))
FIXES = (
    Fix("Let fixed entries follow the input (exact).", FOLLOW.name, FOLLOW.nodes, exactness="exact"),
    Fix("Leave training mode (changes results: no dropout).", "eval-mode", (), exactness="changes results"),
    *RESHAPE.fixes[:1],
)
BEFORE = NodeFacts("8", "head/Reshape", "Reshape", ("neck/cat1", "shape"), ("flat",))
PREVIEW = ModelDifference(
    graphs=(
        GraphDifference(
            changed=(NodeChange(BEFORE, msgspec.structs.replace(BEFORE, inputs=("neck/cat1", "constant"))),),
            added=(NodeFacts("8", "head/Shape", "Shape", ("neck/cat1",), ("sizes",)),),
            initializers=(Change("constant", "", "int64[2] [0, 256]"),),
        ),
    )
)


@pytest.mark.parametrize("size", [(80, 24), (120, 30)], ids=["80x24", "120x30"])
def test_fixes(
    size: tuple[int, int],
    snap_compare: Callable[..., bool],
    recipe: Recipe,
    hello: Hello,
    silent_worker: list[str],
    worker_events: Callable[..., list[Event]],
) -> None:
    """The dialog of the fixes with a preview, and the graph that it marks."""
    app = FrictionApp(recipe, worker=silent_worker)

    async def open_it(pilot: Pilot[None]) -> None:
        finding = msgspec.structs.replace(RESHAPE, fixes=FIXES)
        for event in (hello, *worker_events(findings=[finding])):
            app.live.hear(event)
        await pilot.pause()
        for key in ("n", "x", "p"):
            await pilot.press(key)
            for _ in range(4):
                await pilot.pause()
        app.live.hear(Previewed(1, FOLLOW, PREVIEW))
        for _ in range(4):
            await pilot.pause()

    assert snap_compare(app, terminal_size=size, run_before=open_it)
