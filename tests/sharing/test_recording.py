"""What is recorded is what was shown, and can be shown again without the model."""

from __future__ import annotations

import asyncio
import shutil
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path

import msgspec
import pytest

from friction_tui.samples import sample
from friction_tui.sharing.playback import Playback
from friction_tui.sharing.recording import FORMAT, BrokenRecording, Recorder, read
from friction_tui.state.app_state import AppState
from friction_tui.state.viewer_messages import snapshot
from friction_tui.ui.live import LiveSession
from friction_tui.ui.replay import ReplayApp
from friction_tui.vocabulary.protocol import Hello, Inspect, LineChanged
from friction_tui.vocabulary.recipe import Range, Recipe, Source
from tests.sharing.viewers import is_judged, shared_part, until

NOT_RECORDED = {"hello", "history", "accepted", "summary", "outcomes"}
"""Name the machine or the model's directory."""


@pytest.fixture(autouse=True)
def own_places(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "state"))


@pytest.fixture(scope="module")
def session(tmp_path_factory: pytest.TempPathFactory) -> tuple[bytes, AppState]:
    """A session on a copy of a sample: opened, edited, undone; what was recorded and the last state."""
    return asyncio.run(_session(tmp_path_factory.mktemp("recorded")))


@pytest.fixture
def recorded(session: tuple[bytes, AppState], tmp_path: Path) -> tuple[Path, AppState]:
    """A file of one's own to spoil."""
    file = tmp_path / "session.ndjson"
    file.write_bytes(session[0])
    return file, session[1]


async def _session(tmp_path: Path) -> tuple[bytes, AppState]:
    secret = tmp_path / "secret-project"
    secret.mkdir()
    path = sample("baked_batch")
    assert path is not None
    model = Path(shutil.copy(path, secret))
    file = tmp_path / "session.ndjson"
    live = LiveSession(lambda _: None, record=Recorder(file))
    await live.start()
    live.open(Recipe(source=Source(str(model))))
    state = await until(live, is_judged)
    live.ask(Inspect(path="0"))
    state = await until(live, lambda state: state.details)
    assert state.recipe is not None
    live.edit(state.recipe.with_range("N", Range(1, 1, 4)), "N max 8 → 4")
    state = await until(live, is_judged)
    assert state.history is not None
    live.move(state.history.undo(), "undone")
    state = await until(live, is_judged)
    await live.close()
    assert file.stat().st_mode & 0o077 == 0
    return file.read_bytes(), state


async def test_a_recording_comes_to_the_same_state_and_names_no_directory(recorded: tuple[Path, AppState]) -> None:
    file, state = recorded
    assert b"secret-project" not in file.read_bytes()
    recording = read(file)
    assert recording.header.model == ""
    playback = Playback(recording, AppState())
    last = playback.state(len(playback))
    now, then = shared_part(last), shared_part(state)
    assert [name for name in now if now[name] != then[name]] == [name for name in now if name in NOT_RECORDED]
    assert last.recipe is not None
    assert last.recipe.source.path == "baked_batch.onnx"
    assert [n.text for n in last.notices if "N max" in n.text] == ["N max 8 → 4", "undid: N max 4 → 8"]


async def test_every_step_can_be_gone_back_to(recorded: tuple[Path, AppState]) -> None:
    playback = Playback(read(recorded[0]), AppState())
    forth = [playback.state(position) for position in range(len(playback) + 1)]
    assert [playback.state(position) for position in reversed(range(len(playback) + 1))] == forth[::-1]
    marks, position = [], 0
    while position < len(playback):
        position = playback.mark_after(position, 1)
        marks.append(position)
    back = [position := playback.mark_after(position, -1) for _ in marks]
    assert back == [*marks[-2::-1], 0]
    revisions = [forth[mark].revision for mark in marks]
    assert sorted(set(revisions)) == [1, 2, 3]


async def test_the_app_shows_a_recording_and_changes_nothing(recorded: tuple[Path, AppState]) -> None:
    file, state = recorded
    app = ReplayApp(read(file), speed=100.0)
    async with app.run_test(size=(120, 40)) as pilot:
        await until(app.live, lambda shown: shown.revision == 3 and is_judged(shown))
        await pilot.pause()
        assert app.live.state.findings == state.findings
        await pilot.press("ctrl+r")
        assert "recording" in app.live.state.notices[-1].text
        seen = []
        while app.live.state.revision == 3:
            await pilot.press("left_square_bracket")
            seen.append(app.live.state.checking)
        assert True in seen  # the undo, before its verdict
        assert app.live.state.revision == 2
        assert is_judged(app.live.state)
        await pilot.press("b")
        assert app.live.state.running() is None
        await pilot.press("slash", "a", "space", "b")
        assert not app._playing


def _cut(data: bytes) -> bytes:
    return data[:-20]


def _damaged(data: bytes) -> bytes:
    lines = data.split(b"\n")
    lines[3] = lines[3][: len(lines[3]) // 2]
    return b"\n".join(lines)


def _newer(data: bytes) -> bytes:
    header, rest = data.split(b"\n", 1)
    now = {**msgspec.json.decode(header), "recording": FORMAT + 1, "friction_tui": "9.9.0"}
    return msgspec.json.encode(now) + b"\n" + rest


@pytest.mark.parametrize(
    ("change", "words"),
    [
        (_damaged, "damaged in line 4"),
        (_newer, "recorded by friction-tui 9.9.0, which is newer"),
        (lambda _: b"", "is empty"),
        (lambda _: b"<html>", "is not a friction-tui recording"),
    ],
)
async def test_what_cannot_be_replayed_is_said(
    recorded: tuple[Path, AppState], change: Callable[[bytes], bytes], words: str
) -> None:
    file = recorded[0]
    file.write_bytes(change(file.read_bytes()))
    with pytest.raises(BrokenRecording, match=words):
        read(file)


async def test_a_recording_that_was_cut_off_is_replayed_as_far_as_it_goes(recorded: tuple[Path, AppState]) -> None:
    file = recorded[0]
    whole = len(read(file).entries)
    file.write_bytes(_cut(file.read_bytes()))
    recording = read(file)
    assert recording.cut_off
    assert len(recording.entries) == whole - 1


def test_a_recording_replaces_no_file(tmp_path: Path) -> None:
    (tmp_path / "kept").write_text("dear")
    with pytest.raises(BrokenRecording, match="exists already"):
        Recorder(tmp_path / "kept")


def test_no_machine_is_named_whoever_names_it(tmp_path: Path) -> None:
    file = tmp_path / "named.ndjson"
    recorder = Recorder(file)
    hello = Hello(version="1", pid=7, machine="secret-box", engines=())
    line = LineChanged(machine="secret-box", up=False, why="ssh: connect to host secret-box: refused")
    for said in (hello, line, snapshot(replace(AppState(), hello=hello, line=line), 1)):
        recorder.heard(said)
    recorder.close()
    assert b"secret-box" not in file.read_bytes()
    assert len(read(file).entries) == 3
