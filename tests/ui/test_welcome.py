"""The first screen without a model: whatever it lists can be opened from it."""

import os
from pathlib import Path

import msgspec
from textual.widgets import Input

from friction_tui.onnx_folder import models_to_choose
from friction_tui.samples import DEMO, sample
from friction_tui.ui import sessions
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.look.themes import default_theme
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source, SourceKind
from tests.ui.bench import screen_text, settled


async def test_a_sample_and_a_typed_path_are_opened(silent_worker: list[str]) -> None:
    path = sample("detector")
    assert path is not None
    app = FrictionApp(worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter")
        await settled(pilot)
        assert app.workbench is app.screen
        assert f"opening {path.name}" in screen_text(app)
    app = FrictionApp(worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("slash")
        app.screen.query_one(Input).value = str(path.parent / "nms.onnx")
        await pilot.press("enter")
        await settled(pilot)
        assert "opening nms.onnx" in screen_text(app)


async def test_recent_sessions_have_their_verdicts_and_the_demo_a_key(silent_worker: list[str], tmp_path: Path) -> None:
    for name, verdict in (("good", "no error, built"), ("bad", "2 errors, 1 warning"), ("unknown", "")):
        recipe = Recipe(source=Source(str(tmp_path / f"{name}.onnx")))
        sessions.save(msgspec.structs.replace(sessions.new(recipe, (), "", ""), verdict=verdict))
    app = FrictionApp(worker=silent_worker)
    async with app.run_test(size=(100, 40)) as pilot:
        shown = screen_text(app)
        assert "no error, built" in shown and "2 errors, 1 warning" in shown and "friction-tui demo" in shown
        await pilot.press("d")
        await settled(pilot)
        assert app.screen is app.workbench and f"{DEMO}.onnx" in screen_text(app)


async def test_a_folder_of_models_lists_them_and_keeps_what_the_command_line_said(tmp_path: Path) -> None:
    for name in ("encoder.onnx", "decoder.onnx"):
        (tmp_path / name).write_bytes(b"")
    asked = Recipe(
        source=Source(str(tmp_path), kind=SourceKind.AUTO), profile=Profile(ranges={"N": Range(1, 2, 3)}), opset=18
    )
    app = FrictionApp(asked)
    async with app.run_test(size=(80, 24)) as pilot:
        assert "encoder.onnx" in screen_text(app)
        await pilot.press("down", "enter")
        await settled(pilot)
        recipe = app.live.state.recipe
    assert recipe is not None
    assert (recipe.source.path, recipe.profile, recipe.opset) == (str(tmp_path / "encoder.onnx"), asked.profile, 18)


def test_a_folder_that_is_a_source_itself_offers_no_choice(tmp_path: Path) -> None:
    (tmp_path / "model.onnx").touch()
    assert models_to_choose(tmp_path) == ()
    (tmp_path / "other.onnx").touch()
    assert models_to_choose(tmp_path) == (tmp_path / "model.onnx", tmp_path / "other.onnx")
    (tmp_path / "config.json").touch()
    (tmp_path / "model.safetensors").touch()
    assert models_to_choose(tmp_path) == ()


async def test_an_unknown_theme_is_said_not_raised(recipe: Recipe, silent_worker: list[str]) -> None:
    app = FrictionApp(recipe, worker=silent_worker, theme="sepia")
    assert app.theme == default_theme(os.environ)
    async with app.run_test(size=(80, 24)):
        assert "there is no theme sepia" in screen_text(app)


async def test_a_mistyped_path_is_no_session_to_come_back_to(tmp_path: Path) -> None:
    app = FrictionApp(Recipe(source=Source(str(tmp_path / "gone.onnx"), kind=SourceKind.AUTO)))
    async with app.run_test(size=(80, 24)) as pilot:
        while app.live.state.judged is None and app.live.state.refused is None:
            await pilot.pause(0.05)
        await pilot.press("q")
    assert sessions.recent() == []
