"""The dialog of the builder's options: each change is one edit, and what is not offered says why."""

from __future__ import annotations

import hashlib
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from friction_tui.state.app_state import AppState
from friction_tui.ui.dialogs.builder_options import BuilderOptions
from friction_tui.ui.panel import Edit, Say
from friction_tui.vocabulary.protocol import EngineInfo, Hello, OptionHere
from friction_tui.vocabulary.recipe import Value
from friction_tui.vocabulary.recipe.builder_options import OPTIONS
from tests.ui.bench import Bench, OpenApp, bench_of, screen_text, settled
from tests.ui.shapes.test_shapes_panel import state_of

ENGINE = EngineInfo(
    name="TensorRT-RTX",
    label="TensorRT-RTX 1.7.1",
    version="1.7.1",
    can_parse=True,
    can_build=True,
    can_run=False,
    options={option.name: OptionHere() for option in OPTIONS}
    | {
        "refit": OptionHere("it needs a GPU", "build where there is one"),
        "tactic_sources": OptionHere(choices=("JIT_CONVOLUTIONS",)),
    },
)


def state(chosen: dict[str, Value] | None = None) -> AppState:
    base = replace(state_of(), hello=Hello(version="0", pid=1, machine="m", engines=(ENGINE,)))
    assert base.history is not None
    recipe = msgspec.structs.replace(base.history.present, builder=chosen or {})
    return replace(base, history=msgspec.structs.replace(base.history, present=recipe))


def at(name: str) -> list[str]:
    """The keys that go from the first option to this one."""
    return ["down"] * [option.name for option in OPTIONS].index(name)


async def test_switches_and_choices_change_at_once_and_d_takes_them_back() -> None:
    app = Bench(dialog=BuilderOptions(state()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*at("sparsity"), "enter", "down", "enter", "up", "d")
        await pilot.pause()
        edits = [edit for edit in app.heard if isinstance(edit, Edit)]
        assert [edit.what for edit in edits] == [
            "sparsity default → yes",
            "tf32 default → no",
            "sparsity yes → default",
        ]
        assert edits[-1].recipe.builder == {"tf32": False}


async def test_a_choice_goes_round() -> None:
    app = Bench(dialog=BuilderOptions(state()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*at("hardware_compatibility"), "enter", "enter", "enter")
        await pilot.pause()
        recipes = [edit.recipe.builder for edit in app.heard if isinstance(edit, Edit)]
        assert [one.get("hardware_compatibility") for one in recipes] == [
            "ampere_plus",
            "same_compute_capability",
            None,
        ]


async def test_an_amount_is_typed_and_judged_while_typing() -> None:
    app = Bench(dialog=BuilderOptions(state()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("enter", "ctrl+u", *"much")
        await settled(pilot)
        assert "workspace is an amount of memory, such as 512MiB, not much" in " ".join(app.text().split())
        await pilot.press("enter")
        await settled(pilot)
        assert not [edit for edit in app.heard if isinstance(edit, Edit)]
        await pilot.press("ctrl+u", *"64MiB", "enter")
        await settled(pilot)
        edit = app.heard[-1]
        assert isinstance(edit, Edit)
        assert edit.recipe.builder == {"workspace": 64 << 20}
        assert "trtexec --memPoolSize=workspace:64M" in app.text()


async def test_a_name_that_the_engine_lacks_is_refused_while_typing() -> None:
    app = Bench(dialog=BuilderOptions(state()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*at("tactic_sources"), "enter", "ctrl+u", *"cudnn", "enter")
        await settled(pilot)
        assert "it has no CUDNN; choose of JIT_CONVOLUTIONS" in " ".join(app.text().split())
        assert not [edit for edit in app.heard if isinstance(edit, Edit)]


async def test_what_is_not_offered_says_why_and_one_that_was_chosen_all_the_same_is_taken_out() -> None:
    app = Bench(dialog=BuilderOptions(state()))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*at("refit"), "enter")
        await pilot.pause()
        assert "not offered: it needs a GPU; build where there is one" in " ".join(app.text().split())
        assert [say.text for say in app.heard if isinstance(say, Say)] == ["refit is not offered: it needs a GPU"]
        assert not [edit for edit in app.heard if isinstance(edit, Edit)]
    app = Bench(dialog=BuilderOptions(state({"refit": True})))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press(*at("refit"))
        await pilot.pause()
        assert "✗ refit" in app.text()
        await pilot.press("enter")
        await pilot.pause()
        edit = app.heard[-1]
        assert isinstance(edit, Edit)
        assert edit.recipe.builder == {}


@pytest.mark.parametrize("size", [(80, 24), (160, 45)])
async def test_in_the_app_a_change_is_an_edit_that_u_takes_back(open_app: OpenApp, size: tuple[int, int]) -> None:
    async with open_app(size) as (app, pilot):
        await pilot.press("T")
        await settled(pilot)
        assert "Builder options" in screen_text(app)
        await pilot.press("down", "down", "enter", "escape")
        await settled(pilot)
        assert app.live.state.recipe is not None
        assert app.live.state.recipe.builder == {"sparsity": True}
        assert size[0] < 100 or "1 builder option" in screen_text(app)  # 80 columns have no room for it
        await pilot.press("u")
        await settled(pilot)
        recipe = bench_of(app).state.recipe
        assert recipe is not None
        assert recipe.builder == {}


async def test_a_plug_in_library_is_chosen_only_after_one_agreed(tmp_path: Path) -> None:
    library = tmp_path / "libmine.so"
    library.write_bytes(b"code")
    app = Bench(dialog=BuilderOptions(state()))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press(*at("plugins"), "enter", "ctrl+u", *str(tmp_path / "gone.so"))
        await settled(pilot)
        assert "cannot be read" in app.text()
        await pilot.press("ctrl+u", *str(library), "enter")
        await settled(pilot)
        assert "runs its code" in app.text()
        await pilot.press("enter")  # the cursor is on no
        await settled(pilot)
        assert not [edit for edit in app.heard if isinstance(edit, Edit)]
        await pilot.press("enter", "ctrl+u", *str(library), "enter")
        await settled(pilot)
        await pilot.press("up", "enter")
        await settled(pilot)
        edit = app.heard[-1]
        assert isinstance(edit, Edit)
        assert edit.recipe.builder == {"plugins": (str(library),)}
        assert edit.recipe.plugins_agreed == (hashlib.sha256(b"code").hexdigest(),)
