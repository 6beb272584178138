"""What the screen knows of the line to a worker elsewhere, and what it refuses while nobody is there."""

from __future__ import annotations

from dataclasses import replace

import pytest

from friction_tui import __version__
from friction_tui.state.app_state import AppState, NoticeLevel
from friction_tui.state.dispatch import dispatch
from friction_tui.ui.actions.registry import BY_ID
from friction_tui.ui.look.lines import Line
from friction_tui.ui.status import status
from friction_tui.vocabulary.finding import Finding, Severity, Tier
from friction_tui.vocabulary.protocol import (
    EngineInfo,
    Hello,
    JobEnded,
    JobKind,
    Judged,
    LineChanged,
    ModelSummary,
    Refused,
    Saved,
    Sending,
    StartJob,
)
from friction_tui.vocabulary.recipe import History, Recipe, Source

UP = LineChanged(machine="box", up=True, version=__version__)
DOWN = LineChanged(machine="box", up=False, why="Connection reset", again_s=0.5)


@pytest.fixture
def state() -> AppState:
    engine = EngineInfo(
        name="trt", label="TensorRT-RTX 1.7.1", version="1.7.1", can_parse=True, can_build=True, can_run=True
    )
    hello = Hello(version=__version__, pid=1, machine="box", engines=(engine,))
    summary = ModelSummary(
        path="m.onnx",
        ir_version=9,
        opsets={"": 17},
        producer="",
        inputs=(),
        outputs=(),
        nodes=3,
        initializers=0,
        weights_bytes=0,
        external_bytes=0,
        file_bytes=100,
    )
    begun = replace(AppState(), history=History(Recipe(source=Source("m.onnx"))), revision=1, hello=hello)
    return dispatch(replace(begun, summary=summary), UP)


def text_of(line: Line) -> str:
    return "".join(text for text, _ in (*line.spans, *line.tail))


def test_the_header_names_the_machine_and_says_when_it_is_gone(state: AppState) -> None:
    for width in (160, 80):
        assert "box" in text_of(status(state, width))
        assert "connection lost" in text_of(status(dispatch(state, DOWN), width))


def test_what_needs_somebody_there_refuses_with_the_reason(state: AppState) -> None:
    lost = dispatch(state, DOWN)
    for action in ("build.start", "latency.measure"):
        assert "nobody is there" not in BY_ID[action].why_not(state)
        assert BY_ID[action].why_not(lost) == f"nobody is there: {lost.line_lost}"
    assert BY_ID["session.reconnect"].why_not(state)
    assert not BY_ID["session.reconnect"].why_not(lost)
    assert lost.line_lost == "the connection to box is lost; R tries again"


def test_it_is_said_once_when_it_is_lost_and_once_when_it_is_back(state: AppState) -> None:
    lost = dispatch(state, DOWN)
    assert lost.unread is not None
    assert lost.unread.level is NoticeLevel.ERROR
    assert lost.unread.text == "connection to box lost: Connection reset"
    assert dispatch(lost, DOWN).notice_count == lost.notice_count, "not at every attempt"
    back = dispatch(lost, UP)
    assert back.unread is not None
    assert back.unread.text == "connected to box again"


def test_another_version_is_told(state: AppState) -> None:
    other = dispatch(state, LineChanged(machine="box", up=True, version="0.0.9"))
    assert other.unread is not None
    assert "0.0.9" in other.unread.text
    assert __version__ in other.unread.text


def test_a_job_goes_on_while_the_line_is_down_and_its_result_is_taken(state: AppState) -> None:
    started = dispatch(state, StartJob(job=1, kind=JobKind.BUILD))
    lost = dispatch(started, DOWN)
    assert lost.running(JobKind.BUILD) is not None
    ended = dispatch(dispatch(lost, UP), JobEnded(job=1, kind=JobKind.BUILD, seconds=3.0, error="no memory"))
    assert ended.running() is None


def test_progress_of_a_file_is_shown_until_it_is_there(state: AppState) -> None:
    going = dispatch(state, Sending(path="m.onnx", done=250_000_000, total=1_000_000_000))
    assert "sending 25% of 1 GB" in text_of(status(going, 160))
    there = dispatch(going, Sending(path="m.onnx", done=1_000_000_000, total=1_000_000_000))
    assert "sending" not in text_of(status(there, 160))
    failed = dispatch(going, Sending(path="m.onnx", done=0, total=0, why_not="no space left"))
    assert failed.unread is not None
    assert failed.unread.text == "m.onnx was not sent to box: no space left"


def test_which_machine_was_asked_and_written_on_is_said(state: AppState) -> None:
    missing = Finding(
        kind="file/missing", severity=Severity.ERROR, tier=Tier.MODEL, title="No such file", cause="", source="rule"
    )
    asked = dispatch(state, Judged(revision=1, findings=[missing], seconds=0.1))
    assert asked.unread is not None
    assert asked.unread.text == "box was asked for it"
    refused = dispatch(state, Refused(what="net.py", why="there is no such file", revision=1))
    assert refused.unread is not None
    assert "(box was asked)" in refused.unread.text
    saved = dispatch(state, Saved(path="out.onnx", bytes=3))
    assert saved.unread is not None
    assert saved.unread.text == "wrote on box: out.onnx"
