"""Random keys, the same ones each time, over several models: nothing raises, whatever is on the screen.

FRICTION_SOAK_KEYS sets how many keys each model gets; 2000 are 10,000 over the five.
"""

from __future__ import annotations

import os
import random
import shutil
from collections.abc import Callable
from pathlib import Path

import pytest
from textual.pilot import Pilot

from friction_tui import samples
from friction_tui.samples import sample
from friction_tui.ui.actions.registry import ACTIONS
from friction_tui.ui.app import FrictionApp
from friction_tui.vocabulary.protocol import Event, Hello
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind

KEYS = int(os.environ.get("FRICTION_SOAK_KEYS", "300"))
MODELS = ("detector", "nms", "torch_classifier", "training_mode", "healthy_transformer")
SIZES = ((80, 24), (120, 30), (160, 45), (240, 70), (40, 8))
NEVER = {"q", "ctrl+z", "N"}
"""They leave the app, or start a web server."""
COMMON = ("enter", "escape", "up", "down", "left", "right", "tab", "shift+tab", "space", "n", "x", "W", "slash", "1")


def pressed(seed: int) -> list[str]:
    """Keys of the registry and of every dialog, the common ones more often; now and then another size, as `WxH`."""
    source = random.Random(seed)
    known = {key for action in ACTIONS for key in action.keys.split(",") if key} | set(
        "abcdefghijklmnoprstuvwxyzEDCFHgv"
    )
    known |= {"ctrl+p", "backspace", "delete", "home", "end", "pageup", "pagedown", "plus", "minus", "full_stop"}
    keys = sorted(known - NEVER)
    sizes = [f"{width}x{height}" for width, height in SIZES]
    chosen = (source.choices((COMMON, keys, sizes), (40, 57, 3))[0] for _ in range(KEYS))
    return [source.choice(group) for group in chosen]


async def press_all(pilot: Pilot[None], keys: list[str]) -> None:
    for key in keys:
        width, x, height = key.partition("x")
        if x and width.isdigit():
            await pilot.resize_terminal(int(width), int(height))
        else:
            await pilot.press(key)


@pytest.fixture(autouse=True)
def nothing_is_written_elsewhere(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """Prompts for a path get random ones, and samples are opened from the list: all of that is in the test's folder."""
    folder = tmp_path / "models"
    shutil.copytree(samples.folders()[0], folder, ignore=shutil.ignore_patterns("__pycache__"))
    monkeypatch.setattr(samples, "folders", lambda: [folder])
    monkeypatch.chdir(tmp_path)
    for name in ("HOME", "XDG_DOWNLOAD_DIR"):
        monkeypatch.setenv(name, str(tmp_path))
    return folder


@pytest.mark.parametrize("seed", [1, 2])
async def test_random_keys_while_the_worker_answers_nothing_more(
    recipe: Recipe, hello: Hello, silent_worker: list[str], worker_events: Callable[..., list[Event]], seed: int
) -> None:
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=SIZES[seed]) as pilot:
        for event in (hello, *worker_events()):
            app.live.hear(event)
        await press_all(pilot, pressed(seed))
    assert not app.crashed


@pytest.mark.slow
@pytest.mark.parametrize("seed", range(len(MODELS)))
async def test_random_keys_on_real_models(seed: int) -> None:
    path = sample(MODELS[seed])
    assert path is not None
    app = FrictionApp(Recipe(source=Source(path=str(path), kind=SourceKind.AUTO)))
    async with app.run_test(size=SIZES[seed]) as pilot:
        await press_all(pilot, pressed(seed))
    assert not app.crashed
