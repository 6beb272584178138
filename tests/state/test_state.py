"""One snapshot, moved on by events: what is stale, what an edit fixed, what survives a dead worker."""

from collections.abc import Callable

import pytest

from friction_tui.drawing.marks import Mark
from friction_tui.state.app_state import AppState, job_started, not_read, opened, reopened, with_history
from friction_tui.state.follow import after
from friction_tui.state.outcome import change_text
from friction_tui.state.reduce import reduce
from friction_tui.vocabulary.finding import Finding
from friction_tui.vocabulary.protocol import (
    BuildResult,
    Event,
    Findings,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    LogLine,
    Phase,
    Refused,
    RowLabels,
    WorkerDied,
)
from friction_tui.vocabulary.recipe import Range, Recipe, Source

RECIPE = Recipe(source=Source(path="/models/detector.onnx"))


@pytest.fixture
def judged(told: Callable[..., list[Event]]) -> AppState:
    """The detector, opened and judged."""
    state = opened(AppState(), RECIPE)
    for event in told():
        state = reduce(state, event)
    return state


def edited(state: AppState, size: int = 16) -> AppState:
    """The state after the user widened N."""
    assert state.history is not None
    recipe = state.history.present.with_range("N", Range(1, 4, size))
    return with_history(state, state.history.edit(recipe))


def findings_of(state: AppState) -> list[Finding]:
    """The verdict shown."""
    return list(state.findings)


def test_guesses_complete_the_recipe_without_being_an_edit(judged: AppState) -> None:
    assert judged.history is not None and judged.recipe is not None and judged.recipe.profile is not None
    assert judged.recipe.profile.guessed == ("N", "H")
    assert judged.history.past == ()


def test_marks_follow_the_findings(judged: AppState) -> None:
    assert judged.marks == {"10": Mark.ERROR, "8": Mark.ERROR, "7": Mark.WARNING, "11": Mark.UNKNOWN}
    assert not judged.stale and not judged.checking


def test_an_edit_makes_the_verdict_stale_until_the_next(judged: AppState) -> None:
    state = edited(judged)
    assert state.revision == 2 and state.stale and state.checking
    assert findings_of(state) == findings_of(judged), "the older list stays on screen, marked"

    fixed = [f for f in findings_of(judged) if f.kind != "dynamic/baked-reshape"]
    state = reduce(state, Judged(revision=2, findings=fixed, seconds=0.1))
    assert not state.stale and state.change is not None
    assert change_text(state.change) == "fixed head/Reshape"


def test_reading_again_puts_away_that_it_was_not_read(judged: AppState) -> None:
    declined = not_read(judged, "net.py was not opened", "you did not agree", "r asks again")
    assert declined.unread is not None
    assert "not opened" in declined.unread.text
    assert reopened(declined).unread is None
    assert reopened(declined).notices == declined.notices, "the list keeps it"


def test_a_dead_worker_stays_said_when_the_next_one_finds_the_same(judged: AppState) -> None:
    assert judged.judged is not None
    same = Judged(revision=1, findings=judged.judged.findings, seconds=0.1)
    died = after(judged, WorkerDied(why="killed by SIGKILL", restarted=True))
    again = after(died, same).unread
    assert again is not None
    assert again.text == "the worker died and was restarted: killed by SIGKILL"
    asked = after(judged, same).unread
    assert asked is not None
    assert asked.text.startswith("opened again")


def test_late_answers_to_an_older_edit_change_nothing(judged: AppState) -> None:
    state = edited(judged)
    assert reduce(state, Judged(revision=1, findings=[], seconds=9.0)) is state
    assert reduce(state, RowLabels(revision=1, labels=["late"])) is state


def test_undo_makes_a_build_true_again(judged: AppState) -> None:
    state, number = job_started(judged, JobKind.BUILD)
    done = BuildResult(ok=True, source="TensorRT-RTX 1.7.1 builder", seconds=2.1)
    state = reduce(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=2.1, build=done))
    after = edited(state)
    assert not state.is_stale(state.builds[-1])
    assert after.is_stale(after.builds[-1])
    assert after.history is not None
    undone = with_history(after, after.history.undo())
    assert not undone.is_stale(undone.builds[-1])


def test_what_a_build_finds_is_listed_until_the_recipe_changes(judged: AppState) -> None:
    found = findings_of(judged)[0]
    state = reduce(judged, Judged(revision=1, findings=[], seconds=0.1))
    state, number = job_started(state, JobKind.BUILD)
    state = reduce(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=1.0, findings=(found,)))
    assert findings_of(state) == [found]
    state = reduce(edited(state), Judged(revision=2, findings=[], seconds=0.1))
    assert findings_of(state) == []


def test_progress_adds_lines_and_the_end_keeps_them(judged: AppState) -> None:
    state, number = job_started(judged, JobKind.BUILD)
    for t in (0.1, 0.2):
        line = LogLine("info", f"at {t}", t)
        progress = JobProgress(job=number, kind=JobKind.BUILD, phases=(Phase("parse"),), lines=(line,), elapsed=t)
        state = reduce(state, progress)
    state = reduce(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=0.3, cancelled=True))
    job = state.jobs[-1]
    assert [line.text for line in job.lines] == ["at 0.1", "at 0.2"]
    assert job.cancelled and not job.running and state.running() is None


def test_a_dead_worker_takes_its_jobs_along_and_nothing_else(judged: AppState) -> None:
    state, _ = job_started(judged, JobKind.BUILD)
    state = reduce(state, WorkerDied(why="killed by SIGSEGV", restarted=True, last_words="\n\nboom\n"))
    assert state.running() is None
    assert findings_of(state) == findings_of(judged) and state.graph is judged.graph
    assert state.unread is not None and "SIGSEGV" in state.unread.text and state.unread.detail == "boom"


def test_a_refusal_is_a_line_with_its_way_out(judged: AppState) -> None:
    state = reduce(judged, Refused(what="opset 22", why="no adapter for Upsample", next="choose 13"))
    assert state.unread is not None
    assert (state.unread.text, state.unread.detail) == ("opset 22: no adapter for Upsample", "choose 13")


def test_first_verdicts_stream_in(told: Callable[..., list[Event]]) -> None:
    state = opened(AppState(), RECIPE)
    for event in told():
        if isinstance(event, Judged):
            break
        state = reduce(state, event)
        if isinstance(event, Findings):
            assert [f.kind for f in state.findings] == ["operator/nonzero"] and state.checking


def test_a_refused_edit_is_taken_back(judged: AppState) -> None:
    state = edited(judged)
    state = reduce(state, Refused(what="opset 22", why="no adapter", revision=2))
    assert state.recipe == judged.recipe and not state.stale and not state.checking
    assert state.history is not None and state.history.past == () and state.history.future == ()


def test_a_source_that_cannot_be_opened_says_why() -> None:
    state = reduce(opened(AppState(), RECIPE), Refused(what="no such file", why="it was moved", revision=1))
    assert state.refused is not None and not state.checking
