"""`Y` writes what the session says now: the findings of the edited model, its changes, build and measurement."""

from __future__ import annotations

import json
import re
import shutil
from functools import partial
from pathlib import Path
from typing import Any

import pytest
from textual.widgets import Input

from friction_tui.samples import sample
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.dialogs.path_prompt import PathPrompt
from friction_tui.vocabulary.protocol import JobKind
from friction_tui.vocabulary.recipe import Recipe, Source, SourceKind
from tests.ui.bench import OpenApp, bench_of, settled
from tests.ui.test_mending_by_keys import built, errors, judged, made, until

pytest.importorskip("tensorrt_rtx", reason="builds with the RTX edition, which is part of the cpu extra, not of gpu")


def data_of(page: str) -> dict[str, Any]:
    found = re.search(r'<script type="application/json" id="data">(.*?)</script>', page, re.DOTALL)
    assert found is not None
    return dict(json.loads(found[1]))


@pytest.mark.slow
async def test_the_report_of_a_session_has_its_changes_its_build_and_its_measurement(tmp_path: Path) -> None:
    found = sample("baked_batch")
    assert found is not None
    model = tmp_path / "baked_batch.onnx"
    shutil.copy(found, model)
    app = FrictionApp(Recipe(source=Source(path=str(model), kind=SourceKind.AUTO)))
    async with app.run_test(size=(80, 24)) as pilot:
        await until(app, pilot, judged)
        assert errors(app.live.state) == 1
        await pilot.press("X")
        await until(app, pilot, partial(made, edits=1))
        assert (await built(app, pilot)).build is not None
        await pilot.press("m")
        await until(app, pilot, lambda state: bool(state.latencies) and state.running(JobKind.MEASURE) is None)
        await pilot.press("Y")
        await until(app, pilot, lambda state: isinstance(app.screen, PathPrompt) and state.forecast is not None)
        await pilot.press("enter")
        page = tmp_path / "baked_batch-report.html"
        await until(app, pilot, lambda state: any(str(page) in notice.text for notice in state.notices))
        data = data_of(page.read_text())
        tables = {table["title"]: table for table in data["tables"]}
        change, outcome = tables["Changes"]["rows"][0]
        assert change == "reshape-follow-input applied to Reshape(classifier/Reshape)" and outcome.startswith("fixed 1")
        assert tables["Engine"]["rows"][0] == ["result", "built"]
        assert "Latency" in tables and len(data["latency"]) > 1
        assert data["graph"]["marks"].count("error") == 0 and "0 errors" in data["model"]["verdict"]
        assert data["memory"] is not None
        assert "[[rewrites]]" in data["reproduce"]
        # Undone, the same keys report the model as it was: neither the build nor the measurement is of it.
        await pilot.press("u")
        await until(app, pilot, lambda state: judged(state) and errors(state) == 1)
        await pilot.press("Y")
        await until(app, pilot, lambda _: isinstance(app.screen, PathPrompt))
        app.screen.query_one(Input).value = str(tmp_path / "undone.html")
        await pilot.press("enter")
        await until(app, pilot, lambda _: (tmp_path / "undone.html").exists())
        undone = data_of((tmp_path / "undone.html").read_text())
        titles = {table["title"] for table in undone["tables"]}
        assert not titles & {"Changes", "Engine", "Latency"} and undone["latency"] is None
        assert undone["graph"]["marks"].count("error") == 1


async def test_names_are_left_out_on_request_and_a_file_that_cannot_be_written_is_said(
    open_app: OpenApp, tmp_path: Path
) -> None:
    async with open_app() as (app, pilot):
        for action, name in (("session.report", "plain"), ("session.anonymous-report", "redacted")):
            await bench_of(app).action_do(action)
            await settled(pilot)
            assert isinstance(app.screen, PathPrompt)
            app.screen.query_one(Input).value = str(tmp_path / f"{name}.html")
            await pilot.press("enter")
            await until(app, pilot, lambda _, name=name: (tmp_path / f"{name}.html").exists())  # type: ignore[misc]
        named = data_of((tmp_path / "plain.html").read_text())["graph"]["names"]
        redacted = (tmp_path / "redacted.html").read_text()
        own = [name for name in named if len(name) > 4]
        assert own and not [name for name in own if name in redacted]
        await bench_of(app).action_do("session.report")
        await settled(pilot)
        app.screen.query_one(Input).value = str(tmp_path / "gone" / "report.html")
        await pilot.press("enter")
        await settled(pilot)
        assert isinstance(app.screen, PathPrompt), "a folder that is not there is said before anything is written"
