"""Dialogs: every choice is one edit, hand-made fixes stay text, commands are copied or saved."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import msgspec

from friction_tui import friction_toml
from friction_tui.report.precision import summary
from friction_tui.state.app_state import AppState, Job
from friction_tui.ui.actions.edit_commands import save_recipe
from friction_tui.ui.dialogs.copy_as import CopyScreen
from friction_tui.ui.dialogs.opset import NEWEST, OpsetScreen
from friction_tui.ui.dialogs.precision import PrecisionScreen
from friction_tui.ui.dialogs.target import TargetScreen
from friction_tui.ui.panel import Begin, Cancel, Edit, Say
from friction_tui.ui.problems.fixes import FixesScreen, applied
from friction_tui.vocabulary.finding import Finding, Fix, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import (
    EngineInfo,
    Hello,
    JobKind,
    KeptNode,
    LogLevel,
    LogLine,
    OpsetPlan,
    PrecisionResult,
)
from friction_tui.vocabulary.recipe import Precision, Range, Rewrite, Source, SourceKind
from tests.ui.bench import Bench
from tests.ui.shapes.test_shapes_panel import state_of

ENGINE = EngineInfo(
    name="TensorRT-RTX",
    label="TensorRT-RTX 1.7.1",
    version="1.7.1",
    can_parse=True,
    can_build=True,
    can_run=False,
    targets=("SM75", "SM89"),
    precisions=("as-exported", "fp16"),
)
FINDING = Finding(
    kind="dynamic/baked-reshape",
    severity=Severity.ERROR,
    tier=Tier.SHAPES,
    title="breaks for every batch but 1",
    cause="",
    source="rule",
    locations=(Location(LocationKind.NODE, "head/Reshape", "Reshape", node="8"),),
    fixes=(
        Fix("x.flatten(1) in model.py:88"),
        Fix("rewrite the target", rewrite="free-batch", nodes=("8",)),
        Fix("restrict N", ranges={"N": Range(1, 1, 1)}),
        Fix("convert", opset=18),
    ),
)

FOUND = PrecisionResult(
    source="ONNX Runtime 1.32.0 CPU",
    precision="fp16",
    tolerance=0.01,
    inputs="random",
    nodes=7,
    kept=(KeptNode(path="3", name="n/Pow", op="Pow", before=None, after=0.0, weight_bytes=8),),
    error_in_half=None,
    error=0.001,
    minimal=True,
    casts=2,
    runs=4,
    seconds=0.5,
)
GOOD = OpsetPlan(
    opset=18,
    source="TensorRT parser",
    refused=1,
    lost=("Gelu act: no plugin",),
    inputs=("axes of ReduceMean ×2",),
    holds=True,
    verification="verified on 2 inputs",
)
BAD = OpsetPlan(opset=16, refusal="onnx has no adapter", adapter="Relu 14 → 13")


def state() -> AppState:
    return replace(state_of(), hello=Hello(version="0", pid=1, machine="m", engines=(ENGINE,)))


async def test_the_opset_dialog_says_what_each_opset_gains_and_loses_as_it_is_tried() -> None:
    base = state()
    assert base.recipe is not None
    dialog = OpsetScreen(base)
    app = Bench(dialog=dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert isinstance(app.heard[0], Begin)
        assert "nothing is converted" in app.text()
        await pilot.press("up")
        await pilot.pause()
        assert "converting from 17 to see" in app.text()
        job = Job(number=1, kind=JobKind.OPSETS, recipe=base.recipe, plans=(GOOD, BAD))
        dialog.update_state(replace(base, jobs=(job,)))
        await pilot.pause()
        said = " ".join(app.text().split())
        assert "loses: TensorRT parser refuses Gelu act: no plugin" in said
        assert "become inputs: axes of ReduceMean ×2" in said
        assert "✗ Relu 14 → 13" in said
        await pilot.press("down", "down", "enter")
        await pilot.pause()
        assert isinstance(app.heard[-1], Say)
        await pilot.press("up", "up", "enter")
        await pilot.pause()
        edit, cancel = app.heard[-2:]
        assert isinstance(edit, Edit) and isinstance(cancel, Cancel)
        assert (edit.what, edit.recipe.opset) == ("opset 17 → 18", 18)


def test_the_newest_opset_offered_is_the_one_the_converter_knows() -> None:
    from onnx.defs import onnx_opset_version

    assert onnx_opset_version() == NEWEST


async def test_code_is_exported_again_at_another_opset() -> None:
    base = state()
    assert base.history is not None and base.recipe is not None
    recipe = msgspec.structs.replace(base.recipe, source=Source("net.py", SourceKind.PYTORCH))
    app = Bench(dialog=OpsetScreen(replace(base, history=msgspec.structs.replace(base.history, present=recipe))))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.press("down")
        await pilot.pause()
        assert "exported again at this opset" in app.text()
        assert app.heard == []


async def test_target_and_precision_are_chosen_one_after_the_other_and_what_is_missing_says_why() -> None:
    app = Bench(dialog=TargetScreen(state()))
    async with app.run_test(size=(100, 24)) as pilot:
        await pilot.press("down", "down", "enter", "down", "down", "enter")
        await pilot.pause()
        edits = [edit for edit in app.heard if isinstance(edit, Edit)]
        assert [edit.what for edit in edits] == ["target default → SM89", "precision as-exported → fp16"]
        assert (edits[-1].recipe.target, edits[-1].recipe.precision) == ("SM89", Precision.FP16)
        assert "comes from QDQ nodes in the model, not from a switch here" in app.text()


async def test_fixes_are_applied_as_one_edit_and_hand_made_ones_are_copied() -> None:
    base = state()
    assert base.recipe is not None
    app = Bench(dialog=FixesScreen(base, FINDING))
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        await pilot.press("up", "enter")
        await pilot.pause()
        assert app.copied == ["x.flatten(1) in model.py:88"]
        await pilot.press("down", "enter")
        await pilot.pause()
        edit = app.heard[-1]
        assert isinstance(edit, Edit)
        assert edit.recipe.rewrites == (Rewrite("free-batch", ("8",)),)
    assert applied(edit.recipe, FINDING.fixes[1]) == edit.recipe
    restricted = applied(base.recipe, FINDING.fixes[2])
    assert restricted.profile is not None and restricted.profile.ranges["N"] == Range(1, 1, 1)
    assert applied(base.recipe, FINDING.fixes[3]).opset == 18


async def test_commands_are_shown_copied_and_saved(tmp_path: Path) -> None:
    app = Bench(dialog=CopyScreen(state()))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.pause()
        assert "--minShapes=images:1x3x320x32,mask:1x320,size:320x320" in app.text()
        await pilot.press("down", "down")
        await pilot.pause()
        assert "H = torch.export.Dim('H', min=320, max=640)" in app.text()
        assert isinstance(app.dialog, CopyScreen)
        app.dialog._save("torch.onnx.export", tmp_path / "export.py")
        await pilot.pause()
        compile((tmp_path / "export.py").read_text(), "export.py", "exec")
    app = Bench(dialog=CopyScreen(state()))
    async with app.run_test(size=(100, 30)) as pilot:
        await pilot.press("enter")
        await pilot.pause()
        assert app.copied[0].startswith("trtexec \\\n  --onnx=m.onnx")
        assert isinstance(app.heard[-1], Say)


def test_friction_toml_is_written_and_keeps_what_was_allowed(tmp_path: Path) -> None:
    file = tmp_path / "friction.toml"
    file.write_text('[[allow]]\nkind = "older/int64-range"\nwhy = "token ids are small"\n')
    said: list[Say] = []
    bench: Any = SimpleNamespace(
        state=state(),
        app=SimpleNamespace(push_screen=lambda _, answer: answer(file)),
        post_message=said.append,
    )
    save_recipe(bench)
    assert said[0].text == f"recipe written to {file}"
    held = friction_toml.load(file)
    assert [allowed.kind for allowed in held.allow] == ["older/int64-range"]
    assert bench.state.recipe is not None and held.recipe().profile == bench.state.recipe.profile
    file.write_text("[")
    save_recipe(bench)
    assert said[1].text.startswith("the recipe was not written: ") and file.read_text() == "["


async def test_the_search_for_nodes_that_stay_float32_is_shown_cancelled_and_kept_in_one_edit() -> None:
    base = state()
    assert base.recipe is not None
    dialog = PrecisionScreen(base)
    app = Bench(dialog=dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        begun = app.heard.pop()
        assert isinstance(begun, Begin)
        job = Job(
            number=3, kind=JobKind.PRECISION, recipe=base.recipe, lines=(LogLine(LogLevel.INFO, "2 nodes: 0.1", 0.1),)
        )
        dialog.update_state(replace(base, jobs=(job,)))
        await pilot.pause()
        assert "2 nodes: 0.1" in app.text()
        dialog.update_state(replace(base, jobs=(replace(job, running=False, precision=FOUND),)))
        await pilot.pause()
        assert "1 node of 7 must stay float32" in app.text()
        assert "NaN or Inf" in app.text()
        await pilot.press("end", "enter")
        await pilot.pause()
        edit = app.heard[-1]
        assert isinstance(edit, Edit)
        assert edit.what == "precision as-exported → fp16, 1 node kept float32"
        assert edit.recipe.keep_float32 == ("n/Pow",)
    dialog = PrecisionScreen(base)
    app = Bench(dialog=dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        dialog.update_state(replace(base, jobs=(job,)))
        await pilot.press("escape")
        await pilot.pause()
        assert [type(said).__name__ for said in app.heard] == ["Begin", "Cancel"]


async def test_where_nothing_can_be_half_no_precision_is_offered() -> None:
    base = state()
    assert base.recipe is not None
    all_kept = msgspec.structs.replace(FOUND, nodes=1)
    job = Job(number=3, kind=JobKind.PRECISION, recipe=base.recipe, running=False, precision=all_kept)
    dialog = PrecisionScreen(base)
    dialog.update_state(replace(base, jobs=(job,)))
    app = Bench(dialog=dialog)
    async with app.run_test(size=(80, 24)) as pilot:
        await pilot.pause()
        assert "nothing can be half" in app.text() and "n/Pow" in app.text() and "make it fp16" not in app.text()
        await pilot.press("end", "enter")
        await pilot.pause()
        assert not [said for said in app.heard if isinstance(said, Edit)]
    assert "nothing can be half" in next(summary(all_kept))


async def test_the_opset_dialog_says_what_is_being_tried() -> None:
    base = state()
    assert base.recipe is not None
    dialog = OpsetScreen(base)
    app = Bench(dialog=dialog)
    async with app.run_test(size=(90, 30)) as pilot:
        for tried in ("18 · 1 of 21", "16 · 2 of 21"):
            line = LogLine(LogLevel.INFO, tried, 0.1)
            job = Job(number=1, kind=JobKind.OPSETS, recipe=base.recipe, lines=(line,))
            dialog.update_state(replace(base, jobs=(job,)))
            await pilot.pause()
            assert f"trying {tried}" in app.text()
        dialog.update_state(replace(base, jobs=(replace(job, running=False, plans=(GOOD,)),)))
        await pilot.pause()
        assert "trying" not in app.text()
