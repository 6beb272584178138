"""Directories and a terminal that are the same on every machine."""

from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from textual.pilot import Pilot

from friction_tui.ui import sessions
from friction_tui.ui.app import FrictionApp
from friction_tui.vocabulary.protocol import Event, Hello
from friction_tui.vocabulary.recipe import Recipe
from tests.ui.bench import OpenApp, settled


@pytest.fixture(autouse=True)
def own_directories(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
    """Sessions and logs of the tests stay in the tests; the terminal is the same everywhere."""
    for name in ("XDG_STATE_HOME", "XDG_CONFIG_HOME", "XDG_CACHE_HOME"):
        monkeypatch.setenv(name, str(tmp_path / name.lower()))
    for name in ("NO_COLOR", "COLORFGBG", "SSH_TTY"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("COLORTERM", "truecolor")
    yield


@pytest.fixture
def open_app(
    recipe: Recipe, hello: Hello, silent_worker: list[str], worker_events: Callable[..., list[Event]]
) -> OpenApp:
    """`async with open_app(size) as (app, pilot)`: the detector, opened and judged."""

    @asynccontextmanager
    async def run(
        size: tuple[int, int] = (120, 30), session: sessions.SavedSession | None = None
    ) -> AsyncIterator[tuple[FrictionApp, Pilot[None]]]:
        app = FrictionApp(recipe, session=session, worker=silent_worker)
        async with app.run_test(size=size) as pilot:
            for event in (hello, *worker_events()):
                app.live.hear(event)
            await settled(pilot)
            yield app, pilot

    return run
