"""Photographs the real app on the sample models: `make screenshots`. Nothing in the pictures is made up.

Each picture is a short script of keys and an SVG, which stays sharp and small.
"""

from __future__ import annotations

import asyncio
import re
import sys
import tempfile
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from friction_tui.samples import sample
from friction_tui.ui.app import FrictionApp
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source

HERE = Path(__file__).parent
FONTS = "ui-monospace, Menlo, Consolas, DejaVu Sans Mono, monospace"


@dataclass(frozen=True)
class Shot:
    """One picture: the model, the size, and the keys to press before it is taken."""

    name: str
    model: str
    keys: tuple[str, ...] = ()
    size: tuple[int, int] = (140, 40)
    ranges: tuple[tuple[str, Range], ...] = ()
    theme: str = "dark"


SIZES = (("N", Range(1, 4, 8)), ("H", Range(224, 224, 448)), ("W", Range(224, 224, 448)))
SHOTS = (
    Shot("workbench", "detector", ("n", "n", "n"), ranges=SIZES),
    Shot("why", "torch_classifier", ("n", "enter"), ranges=(("N", Range(1, 4, 8)),)),
    Shot("build", "healthy_transformer", ("b", "wait", "4"), ranges=(("N", Range(1, 4, 8)), ("L", Range(16, 64, 128)))),
    Shot("memory", "healthy_cnn", ("b", "wait", "5"), ranges=(("N", Range(1, 8, 64)),)),
    Shot("latency", "healthy_cnn", ("m", "wait", "6"), ranges=(("N", Range(1, 8, 64)),)),
    Shot("small", "detector", ("n",), size=(80, 24), ranges=SIZES),
    Shot("light", "healthy_transformer", (), theme="light"),
)


async def take(shot: Shot, out: Path) -> Path:
    """Drive the app and save what it shows."""
    path = sample(shot.model)
    assert path is not None
    recipe = Recipe(source=Source(str(path)), profile=Profile(ranges=dict(shot.ranges)))
    app = FrictionApp(recipe, theme=shot.theme)
    async with app.run_test(size=shot.size) as pilot:
        await until(pilot, app, lambda state: state.judged is not None and bool(state.labels))
        for key in shot.keys:
            if key == "wait":
                await until(pilot, app, lambda state: bool(state.jobs) and not state.jobs[-1].running)
            else:
                await pilot.press(key)
                await pilot.pause(0.4)
        await pilot.pause(1.0)
        return Path(app.save_screenshot(f"{shot.name}.svg", path=str(out)))


async def until(pilot: Any, app: FrictionApp, holds: Callable[[Any], bool], limit_s: float = 120) -> None:
    """Wait until the app's state is as wanted."""
    async with asyncio.timeout(limit_s):
        while not holds(app.live.state):
            await pilot.pause(0.05)


def self_contained(svg: str) -> str:
    """The picture without the web font it asks for: viewers use what they have, and nothing is fetched."""
    return re.sub(r"@font-face \{[^}]*\}", "", svg).replace("Fira Code, monospace", FONTS).replace("Fira Code", FONTS)


def main() -> None:
    """Take all of them, or those named on the command line."""
    wanted = sys.argv[1:]
    with tempfile.TemporaryDirectory() as folder:
        for shot in SHOTS:
            if wanted and shot.name not in wanted:
                continue
            svg = asyncio.run(take(shot, Path(folder)))
            (HERE / svg.name).write_text(self_contained(svg.read_text(encoding="utf-8")), encoding="utf-8")
            print(f"screenshots/{svg.name}")


if __name__ == "__main__":
    main()
