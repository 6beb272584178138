"""The shape editor: edited in place, refused while typing, nothing lost."""

from __future__ import annotations

from dataclasses import replace

import msgspec
import pytest
from textual.events import Paste

from friction_tui.state.app_state import AppState
from friction_tui.ui.look.line_edit import LineEdit
from friction_tui.ui.panel import Ask, Edit, Say
from friction_tui.ui.shapes.panel import ShapesPanel
from friction_tui.ui.shapes.rows import Row, applied, rows, stepped, typed, without_relation
from friction_tui.vocabulary.protocol import Dim, Exported, FindWidest, ModelSummary, Port, WidestFound
from friction_tui.vocabulary.recipe import History, Profile, Range, Recipe, Source, SourceKind, Values
from friction_tui.vocabulary.recipe.export_sizes import asked_profile, why_export_again
from friction_tui.vocabulary.recipe.text import RecipeTextError
from tests.ui.bench import Bench

INPUTS = (
    Port("images", "float32", (Dim(symbol="N"), Dim(3), Dim(symbol="H"), Dim())),
    Port("mask", "bool", (Dim(symbol="N"), Dim(symbol="H"))),
    Port("size", "int64", (Dim(2),), shape_tensor=True),
)
PROFILE = Profile(
    ranges={"N": Range(1, 4, 8), "H": Range(320, 512, 640), "images[3]": Range(32, 64, 128), "mask[0]": Range(1, 1, 1)},
    values={"size": Values((320, 320), (512, 512), (640, 640))},
    guessed=("images[3]",),
)


def state_of(profile: Profile | None = PROFILE, *, ascii_only: bool = False) -> AppState:
    summary = ModelSummary(
        path="m.onnx",
        ir_version=8,
        opsets={"": 17},
        producer="",
        inputs=INPUTS,
        outputs=(),
        nodes=3,
        initializers=0,
        weights_bytes=0,
        external_bytes=0,
        file_bytes=10,
    )
    recipe = Recipe(source=Source("m.onnx"), profile=profile)
    return AppState(history=History(present=recipe), revision=1, summary=summary, ascii=ascii_only)


def test_a_shared_symbol_is_one_row_and_exceptions_stand_beside_it() -> None:
    found = {row.key: row for row in rows(INPUTS, PROFILE)}
    assert list(found) == ["N", "H", "images[3]", "mask[0]", "size"]
    assert found["N"].uses == ("images[0]",)
    assert found["H"].uses == ("images[2]", "mask[1]")
    assert found["mask[0]"].overrides == "N"
    assert found["images[3]"].guessed
    assert found["size"].cell("max") == "640,640"
    assert rows(INPUTS, Profile(ranges={"gone[0]": Range(1, 1, 1)}))[-1].missing


def test_typing_changes_a_point_or_the_whole_row_or_is_refused() -> None:
    row = Row("H", range=Range(320, 512, 640))
    assert typed(row, "max", "1024").range == Range(320, 512, 1024)
    assert typed(row, "max", "64..96..128").range == Range(64, 96, 128)
    assert typed(row, "min", "400-600").range == Range(400, 512, 600)
    with pytest.raises(RecipeTextError, match="H: opt 512 is above max 100"):
        typed(row, "max", "100")
    assert stepped(row, "max", 1).range == Range(320, 512, 672)
    assert stepped(Row("N", range=Range(1, 4, 8)), "max", 1).range == Range(1, 4, 9)
    values = Row("k", values=PROFILE.values["size"], is_values=True)
    assert typed(values, "opt", "1,2").values == Values((320, 320), (1, 2), (640, 640))
    with pytest.raises(RecipeTextError, match="opt has 1, max has 2 values"):
        typed(values, "opt", "7")


def test_a_line_being_typed_keeps_its_caret() -> None:
    line = LineEdit("640", 3, fresh=True)
    for key, character in (("1", "1"), ("2", "2"), ("left", None), ("backspace", None), ("9", "9")):
        edited = line.pressed(key, character)
        assert edited is not None
        line = edited
    assert (line.text, line.at) == ("92", 1)
    assert line.pressed("f1", None) is None
    assert line.inserted("a\nb").text == "9a b2"


async def test_an_edit_is_one_message_and_an_invalid_one_stays_as_typed() -> None:
    app = Bench(ShapesPanel(id="shapes"))
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(state_of())
        await pilot.press("right", "enter", "2")
        await pilot.pause()
        assert "✗ N: opt 4 is above max 2; the rule is 0 ≤ min ≤ opt ≤ max" in app.text()
        await pilot.press("enter")
        assert app.heard == []
        await pilot.press("0")
        assert "✓ N 1 · 4 · 20" in app.text()
        await pilot.press("enter")
        await pilot.pause()
        (edit,) = app.heard
        assert isinstance(edit, Edit)
        assert edit.what == "N max 8 → 20"
        assert edit.recipe.profile is not None
        assert edit.recipe.profile.ranges["N"] == Range(1, 4, 20)


async def test_escape_leaves_a_cell_as_it_was_and_steps_against_the_rule_are_refused_aloud() -> None:
    app = Bench(ShapesPanel(id="shapes"))
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(state_of())
        await pilot.press("enter", "9", "escape", "left", "minus", "minus")
        await pilot.pause()
        assert [type(message) for message in app.heard] == [Edit, Edit]
        app.heard.clear()
        await pilot.press("down", "down", "down", "plus")
        await pilot.pause()
        (said,) = app.heard
        assert isinstance(said, Say)
        assert "mask[0]: min 2 is above opt 1" in said.text
        app.heard.clear()
        await pilot.press("delete")
        await pilot.pause()
        (edit,) = app.heard
        assert isinstance(edit, Edit)
        assert edit.recipe.profile is not None
        assert "mask[0]" not in edit.recipe.profile.ranges


async def test_a_whole_command_can_be_pasted() -> None:
    panel = ShapesPanel(id="shapes")
    app = Bench(panel)
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(state_of())
        panel.post_message(
            Paste("trtexec --minShapes=images:1x3x64x64,mask:1x64 --maxShapes=images:2x3x64x64,mask:2x64")
        )
        panel.post_message(Paste("trtexec --minShapes=image:1x3x64x64"))
        await pilot.pause()
        edit, said = app.heard
        assert isinstance(edit, Edit) and isinstance(said, Say)
        assert edit.recipe.profile is not None
        assert edit.recipe.profile.ranges["N"] == Range(1, 2, 2)
        assert edit.recipe.profile.ranges["H"] == Range(64, 64, 64)
        assert "mask[0]" not in edit.recipe.profile.ranges
        assert "no input 'image'; its inputs: images, mask, size" in said.text


async def test_everything_is_said_in_a_narrow_panel_and_in_ascii() -> None:
    app = Bench(ShapesPanel(id="shapes"))
    async with app.run_test(size=(46, 16)) as pilot:
        app.show(state_of(ascii_only=True))
        await pilot.pause()
        shown = app.text()
        for word in ("guessed", "over N", "640", "128", "images  N x 3 x H x ?", "int64, read as a shape"):
            assert word in shown
        app.show(state_of(None))
        await pilot.pause()
        assert "no optimization profile, as asked" in app.text()
        await pilot.press("enter", "4", "enter")
        await pilot.pause()
        (edit,) = app.heard
        assert isinstance(edit, Edit)
        assert edit.recipe.profile == Profile(ranges={"N": Range(4, 4, 4)})


async def test_profiles_are_added_switched_edited_and_removed_each_in_one_edit() -> None:
    panel = ShapesPanel()
    app = Bench(panel)

    def take() -> Recipe:
        edit = app.heard[-1]
        assert isinstance(edit, Edit)
        app.show(replace(panel.state, history=History(present=edit.recipe)))
        return edit.recipe

    async with app.run_test(size=(60, 16)) as pilot:
        app.show(state_of())
        await pilot.press("a")
        await pilot.pause()
        assert take().profiles == (PROFILE, PROFILE)
        await pilot.press("home", "plus")  # opt of N, in the copy
        await pilot.pause()
        both = take().profiles
        assert (both[0], both[1].ranges["N"]) == (PROFILE, Range(1, 5, 8))
        await pilot.pause()
        assert "profile   0 [1]" in app.text()
        await pilot.press("left_square_bracket")
        await pilot.pause()
        shown = take()
        assert (shown.profile, shown.profiles) == (PROFILE, both)
        await pilot.press("D")
        await pilot.pause()
        assert take().profiles == both[1:]
        await pilot.press("D")
        await pilot.pause()
        assert isinstance(app.heard[-1], Say)
        assert "profile  " not in app.text()


def exported_state(profile: Profile, limits: dict[str, tuple[int, int | None]], *dims: Dim) -> AppState:
    """A module exported from Python with one input x of these dimensions."""
    state = state_of()
    assert state.summary is not None
    summary = msgspec.structs.replace(state.summary, inputs=(Port("x", "float32", dims),))
    recipe = Recipe(source=Source("net.py", SourceKind.PYTORCH, "model"), profile=profile)
    exported = Exported(revision=1, onnx_path="m.onnx", seconds=1.0, limits=limits)
    return replace(state, history=History(present=recipe), summary=summary, exported=exported)


async def test_a_fixed_size_of_an_exported_source_can_be_freed_and_says_what_that_takes() -> None:
    app = Bench(ShapesPanel(id="shapes"))
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(exported_state(Profile(), {}, Dim(2), Dim(3)))
        await pilot.press("plus")
        await pilot.pause()
        assert isinstance(app.heard[-1], Say) and "x[0] is fixed" in app.heard[-1].text
        await pilot.press("enter", *"1..4..8")
        await pilot.pause()
        assert "✓ x[0] 1 · 4 · 8   Enter exports again with it" in app.text()
        await pilot.press("enter")
        await pilot.pause()
        edit = app.heard[-1]
        assert isinstance(edit, Edit) and edit.recipe.profile is not None
        assert edit.recipe.profile.ranges == {"x[0]": Range(1, 4, 8)}
        # The export gives the freed dimension a name of its own; within what it was asked for it holds.
        freed = exported_state(Profile(ranges={"x_0": Range(1, 4, 8)}), {"x[0]": (1, 8)}, Dim(symbol="x_0"), Dim(3))
        app.show(freed)
        await pilot.press("enter", *"1..2..6")
        await pilot.pause()
        assert "✓ x_0 1 · 2 · 6   Enter takes it" in app.text()
        await pilot.press("escape", "enter", *"1..2..16")
        await pilot.pause()
        assert "✓ x_0 1 · 2 · 16   Enter exports again with it" in app.text()
        await pilot.press("escape", "delete")
        await pilot.pause()
        edit = app.heard[-1]
        assert isinstance(edit, Edit) and edit.recipe.profile == Profile()


def test_which_sizes_need_another_export() -> None:
    fixed, free = (Port("x", "float32", (dim, Dim(3))) for dim in (Dim(2), Dim(symbol="x_0")))
    source = Source("net.py", SourceKind.PYTORCH, "model")

    def why(port: Port, profile: Profile, limits: dict[str, tuple[int, int | None]]) -> str:
        return why_export_again((port,), Recipe(source=source, profile=profile), limits)

    wide = Profile(ranges={"x[0]": Range(1, 4, 8)})
    assert why(fixed, wide, {}) == "x[0] is 2 in the model and is to be 1..8"
    assert why(fixed, wide, {"x[0]": (1, 8)}) == "", "asked already: it stayed fixed, which is a finding"
    assert why(free, wide, {"x[0]": (2, None)}) == "x[0] was exported for 2 and up and is to be 1..8"
    assert why(free, Profile(), {"x[0]": (1, 8)}) == "x[0] is free in the model and has no range any more"
    guessed = Profile(ranges={"x_0": Range(1, 4, 8)}, guessed=("x_0",))
    assert why(free, guessed, {"x[0]": (1, 4)}) == "", "what nobody chose asks for nothing"
    onnx = Recipe(source=Source("m.onnx"), profile=wide)
    assert why_export_again((fixed,), onnx, {}) == ""
    two = Recipe(source=source, profile=wide, others=(Profile(ranges={"x[0]": Range(16, 16, 32)}),))
    asked = asked_profile(two)
    assert asked is not None and asked.ranges == {"x[0]": Range(1, 4, 32)}, "one model serves all profiles"


async def test_a_size_is_not_cut_off_for_the_word_beside_it() -> None:
    ranges = {"N": Range(1, 4, 8), "H": Range(224, 448, 1024), "images[3]": Range(224, 448, 1024)}
    guessed = state_of()
    assert guessed.recipe is not None
    profile = Profile(ranges=ranges, guessed=("N", "H", "images[3]"))
    recipe = msgspec.structs.replace(guessed.recipe, profile=profile)
    app = Bench(ShapesPanel(id="shapes"))
    async with app.run_test(size=(29, 16)) as pilot:
        app.show(replace(guessed, history=History(present=recipe)))
        await pilot.pause()
        lines = app.text().splitlines()
        assert any(line.split()[1:5] == ["H", "224", "448", "1024"] for line in lines)


def test_a_minus_sign_a_zero_and_a_step_are_read_as_they_are_typed() -> None:
    row = Row("H", range=Range(320, 512, 640))
    with pytest.raises(RecipeTextError, match="H: min -3 is below 0"):
        typed(row, "min", "-3")
    with pytest.raises(RecipeTextError, match="H: min 320 is above opt -3"):
        typed(row, "opt", " -3 ")
    assert typed(row, "min", "0").range == Range(0, 512, 640)
    with pytest.raises(RecipeTextError, match="H: min 320 is above opt 0"):
        typed(row, "opt", "0")
    with_step = typed(row, "opt", "step 32")
    assert with_step.range == Range(320, 512, 640, 32)
    assert stepped(with_step, "opt", -1).range == Range(320, 480, 640, 32)
    with pytest.raises(RecipeTextError, match="opt 500 is not on the step 32, 480 and 512 are"):
        typed(with_step, "opt", "500")
    assert typed(row, "opt", "64..512 step 8").range == Range(64, 512, 512, 8)


def test_a_relation_moves_what_nobody_chose_and_stays_checked_where_somebody_did() -> None:
    profile = Profile(
        ranges={"N": Range(1, 4, 8), "H": Range(8, 16, 32), "images[3]": Range(1, 2, 3)}, guessed=("images[3]",)
    )
    recipe = Recipe(source=Source("m.onnx"), profile=profile)
    made = {row.key: row for row in rows(INPUTS, profile)}
    declared = applied(recipe, typed(made["images[3]"], "opt", "= 2*H + 1"))
    assert declared.profile is not None
    assert declared.profile.relations == ("images[3] = 2*H + 1",)
    assert declared.profile.ranges["images[3]"] == Range(17, 33, 65)
    moved = applied(declared, typed(made["H"], "max", "40"))
    assert moved.profile is not None
    assert moved.profile.ranges["images[3]"] == Range(17, 33, 81)
    with pytest.raises(RecipeTextError, match="is on both sides"):
        typed(made["H"], "opt", "= H + 1")
    chosen = applied(declared, replace(made["images[3]"], range=Range(17, 33, 70), guessed=False))
    kept = applied(chosen, typed(made["H"], "max", "40"))
    assert kept.profile is not None
    assert kept.profile.ranges["images[3]"] == Range(17, 33, 70)
    row = next(row for row in rows(INPUTS, declared.profile) if row.key == "images[3]")
    assert row.relation == "2*H + 1"
    dropped = without_relation(declared, row).profile
    assert dropped is not None
    assert dropped.relations == ()


async def test_the_widest_range_is_asked_for_and_taken() -> None:
    app = Bench(ShapesPanel(id="shapes"))
    async with app.run_test(size=(80, 20)) as pilot:
        app.show(state_of())
        await pilot.press("down", "W")
        await pilot.pause()
        asked = next(message for message in app.heard if isinstance(message, Ask))
        assert asked.request == FindWidest("H")
        app.heard.clear()
        found = WidestFound("H", Range(32, 512, 4096, 32), "4128 fails")
        app.show(replace(state_of(), widest=found))
        await pilot.pause()
        (edit,) = app.heard
        assert isinstance(edit, Edit)
        assert edit.recipe.profile is not None
        assert edit.recipe.profile.ranges["H"] == found.range
        assert "4128 fails" in edit.what


async def test_tab_goes_on_editing_and_the_keys_are_those_of_editing() -> None:
    panel = ShapesPanel(id="shapes")
    app = Bench(panel)
    async with app.run_test(size=(90, 24)) as pilot:
        app.show(state_of())
        await pilot.press("enter")
        assert panel.border_subtitle == ""
        reached = []
        for _ in range(3):
            await pilot.press("tab")
            assert panel._editing is not None
            reached.append((panel.cursor_key, panel._editing.text))
        assert reached == [("N", "8"), ("H", "320"), ("H", "512")]
        await pilot.press("shift+tab", "shift+tab", "1", "6", "tab")
        await pilot.pause()
        assert [said.what for said in app.heard if isinstance(said, Edit)] == ["N max 8 → 16"]
        assert panel._editing is not None and panel.cursor_key == "H"
        await pilot.press("escape")
        assert panel._editing is None and panel.border_subtitle
