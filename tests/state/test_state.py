"""One snapshot, moved on by events: what is stale, what an edit fixed, what survives a dead worker."""

from collections.abc import Callable

import msgspec
import pytest

from friction_tui.drawing.marks import ProblemMark
from friction_tui.state.app_state import AppState, Notice, NoticeLevel, PastExport
from friction_tui.state.derived import change_text
from friction_tui.state.dispatch import Message, dispatch
from friction_tui.state.user_actions import (
    ChooseProblem,
    DismissNotice,
    SelectItem,
    SetAscii,
    SetAutoBuild,
    SetElapsed,
    SetPastExports,
    ShowNotice,
    edit_request,
    job_request,
    open_request,
)
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity
from friction_tui.vocabulary.protocol import (
    EXPORT_JOB,
    BuildResult,
    CancelJob,
    ConsentNeeded,
    Event,
    Findings,
    Inspect,
    JobEnded,
    JobKind,
    JobProgress,
    Judged,
    LogLevel,
    LogLine,
    Open,
    Phase,
    Refused,
    RowLabels,
    WorkerDied,
)
from friction_tui.vocabulary.recipe import History, Range, Recipe, Source

RECIPE = Recipe(source=Source(path="/models/detector.onnx"))


@pytest.fixture
def judged(worker_events: Callable[..., list[Event]]) -> AppState:
    """The detector, opened and judged."""
    state = dispatch(AppState(), open_request(AppState(), RECIPE))
    for event in worker_events():
        state = dispatch(state, event)
    return state


def moved(state: AppState, history: History) -> AppState:
    """The state after an edit, an undo or a redo."""
    request = edit_request(state, history)
    assert request is not None
    return dispatch(state, request)


def started(state: AppState, kind: JobKind) -> tuple[AppState, int]:
    """The state with one more job, and its number."""
    request = job_request(state, kind)
    return dispatch(state, request), request.job


def edited(state: AppState, size: int = 16) -> AppState:
    """The state after the user widened N."""
    assert state.history is not None
    recipe = state.history.present.with_range("N", Range(1, 4, size))
    return moved(state, state.history.edit(recipe))


def findings_of(state: AppState) -> list[Finding]:
    """The verdict shown."""
    return list(state.findings)


def test_guesses_complete_the_recipe_without_being_an_edit(judged: AppState) -> None:
    assert judged.history is not None and judged.recipe is not None and judged.recipe.profile is not None
    assert judged.recipe.profile.guessed == ("N", "H")
    assert judged.history.past == ()


def test_marks_follow_the_findings(judged: AppState) -> None:
    assert judged.marks == {
        "10": ProblemMark.ERROR,
        "8": ProblemMark.ERROR,
        "7": ProblemMark.WARNING,
        "11": ProblemMark.UNKNOWN,
    }
    assert not judged.stale and not judged.checking


def test_an_edit_makes_the_verdict_stale_until_the_next(judged: AppState) -> None:
    state = edited(judged)
    assert state.revision == 2 and state.stale and state.checking
    assert findings_of(state) == findings_of(judged), "the older list stays on screen, marked"

    fixed = [f for f in findings_of(judged) if f.kind != "dynamic/baked-reshape"]
    state = dispatch(state, Judged(revision=2, findings=fixed, seconds=0.1))
    assert not state.stale and state.change is not None
    assert change_text(state.change) == "fixed head/Reshape"


def test_a_note_that_comes_or_goes_is_neither_broken_nor_fixed(judged: AppState) -> None:
    (first, *_), notes = findings_of(judged), []
    for name in ("gone", "new"):
        place = Location(LocationKind.NODE, name)
        notes.append(msgspec.structs.replace(first, severity=Severity.NOTE, locations=(place,)))
    before = dispatch(judged, Judged(revision=1, findings=[first, notes[0]], seconds=0.1))
    after = dispatch(edited(before), Judged(revision=2, findings=[first, notes[1]], seconds=0.1))
    assert after.change is not None
    assert change_text(after.change) == ""


def test_another_reason_to_refuse_a_node_is_not_broken_by_a_fix(judged: AppState) -> None:
    (first, *_) = findings_of(judged)
    places = {name: Location(LocationKind.NODE, name) for name in "abc"}

    def about(kind: str, severity: Severity, *names: str) -> Finding:
        where = tuple(places[name] for name in names)
        return msgspec.structs.replace(first, kind=kind, severity=severity, locations=where)

    before = dispatch(judged, Judged(revision=1, findings=[about("k/one", Severity.ERROR, "a", "b")], seconds=0.1))
    others = [about("k/two", Severity.ERROR, "b"), about("k/three", Severity.WARNING, "c")]
    after = dispatch(edited(before), Judged(revision=2, findings=others, seconds=0.1))
    assert after.change is not None
    assert change_text(after.change) == "fixed a; broke c"


def test_reading_again_dismisses_that_it_was_not_read(judged: AppState) -> None:
    assert judged.recipe is not None
    consent = ConsentNeeded(revision=1, recipe=judged.recipe, files=("net.py",), sha256="0" * 64, runs="net.py")
    declined = dispatch(dispatch(judged, consent), CancelJob(job=EXPORT_JOB))
    assert declined.unread is not None
    assert "not opened" in declined.unread.text
    again = dispatch(declined, Open(revision=declined.revision + 1, recipe=judged.recipe, again=True))
    assert again.unread is None
    assert again.notices == declined.notices, "the list keeps it"


def test_a_dead_worker_stays_said_when_the_next_one_finds_the_same(judged: AppState) -> None:
    assert judged.judged is not None
    same = Judged(revision=1, findings=judged.judged.findings, seconds=0.1)
    died = dispatch(judged, WorkerDied(why="killed by SIGKILL", restarted=True))
    again = dispatch(died, same).unread
    assert again is not None
    assert again.text == "the worker died and was restarted: killed by SIGKILL"
    assert judged.recipe is not None
    reading = dispatch(judged, Open(revision=2, recipe=judged.recipe, again=True))
    asked = dispatch(reading, msgspec.structs.replace(same, revision=2)).unread
    assert asked is not None
    assert asked.text.startswith("opened again")
    answers = dispatch(judged, same)
    assert answers.notice_count == judged.notice_count, "more answers to the same question open nothing again"


def test_late_answers_to_an_older_edit_change_nothing(judged: AppState) -> None:
    state = edited(judged)
    assert dispatch(state, Judged(revision=1, findings=[], seconds=9.0)) is state
    assert dispatch(state, RowLabels(revision=1, labels=["late"])) is state


def test_undo_makes_a_build_true_again(judged: AppState) -> None:
    state, number = started(judged, JobKind.BUILD)
    done = BuildResult(ok=True, source="TensorRT-RTX 1.7.1 builder", seconds=2.1)
    state = dispatch(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=2.1, build=done))
    after = edited(state)
    assert not state.is_stale(state.builds[-1])
    assert after.is_stale(after.builds[-1])
    assert after.history is not None
    undone = moved(after, after.history.undo())
    assert not undone.is_stale(undone.builds[-1])


def test_what_a_build_finds_is_listed_until_the_recipe_changes(judged: AppState) -> None:
    found = findings_of(judged)[0]
    state = dispatch(judged, Judged(revision=1, findings=[], seconds=0.1))
    state, number = started(state, JobKind.BUILD)
    state = dispatch(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=1.0, findings=(found,)))
    assert findings_of(state) == [found]
    state = dispatch(edited(state), Judged(revision=2, findings=[], seconds=0.1))
    assert findings_of(state) == []


def test_progress_adds_lines_and_the_end_keeps_them(judged: AppState) -> None:
    state, number = started(judged, JobKind.BUILD)
    for t in (0.1, 0.2):
        line = LogLine(LogLevel.INFO, f"at {t}", t)
        progress = JobProgress(job=number, kind=JobKind.BUILD, phases=(Phase("parse"),), lines=(line,), elapsed=t)
        state = dispatch(state, progress)
    state = dispatch(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=0.3, cancelled=True))
    job = state.jobs[-1]
    assert [line.text for line in job.lines] == ["at 0.1", "at 0.2"]
    assert job.cancelled and not job.running and state.running() is None


def test_a_dead_worker_takes_its_jobs_along_and_nothing_else(judged: AppState) -> None:
    state, _ = started(judged, JobKind.BUILD)
    state = dispatch(state, WorkerDied(why="killed by SIGSEGV", restarted=True, last_words="\n\nboom\n"))
    assert state.running() is None
    assert findings_of(state) == findings_of(judged) and state.graph is judged.graph
    assert state.unread is not None and "SIGSEGV" in state.unread.text and state.unread.detail == "boom"


def test_a_refusal_is_a_line_with_its_way_out(judged: AppState) -> None:
    state = dispatch(judged, Refused(what="opset 22", why="no adapter for Upsample", next="choose 13"))
    assert state.unread is not None
    assert (state.unread.text, state.unread.detail) == ("opset 22: no adapter for Upsample", "choose 13")


def test_first_verdicts_stream_in(worker_events: Callable[..., list[Event]]) -> None:
    state = dispatch(AppState(), open_request(AppState(), RECIPE))
    for event in worker_events():
        if isinstance(event, Judged):
            break
        state = dispatch(state, event)
        if isinstance(event, Findings):
            assert [f.kind for f in state.findings] == ["operator/nonzero"] and state.checking


def test_a_refused_edit_is_taken_back(judged: AppState) -> None:
    state = edited(judged)
    state = dispatch(state, Refused(what="opset 22", why="no adapter", revision=2))
    assert state.recipe == judged.recipe and not state.stale and not state.checking
    assert state.history is not None and state.history.past == () and state.history.future == ()


def test_a_source_that_cannot_be_opened_says_why() -> None:
    state = dispatch(
        dispatch(AppState(), open_request(AppState(), RECIPE)),
        Refused(what="no such file", why="it was moved", revision=1),
    )
    assert state.refused is not None and not state.checking


def test_every_message_is_dispatched(judged: AppState) -> None:
    actions: tuple[tuple[Message, str, object], ...] = (
        (SelectItem("8"), "selected", "8"),
        (ChooseProblem(judged.findings[0]), "problem", judged.findings[0]),
        (ShowNotice(Notice(NoticeLevel.INFO, "hello")), "notice_count", judged.notice_count + 1),
        (SetAutoBuild(True), "auto_build", True),
        (SetAscii(True), "ascii", True),
        (SetPastExports((PastExport(2.0, ()),)), "past_exports", (PastExport(2.0, ()),)),
        (Inspect("8"), "details", {}),
    )
    for message, field, value in actions:
        assert getattr(dispatch(judged, message), field) == value
    warned = dispatch(judged, ShowNotice(Notice(NoticeLevel.WARNING, "look here")))
    assert dispatch(warned, SelectItem("8")).unread is not None, "a warning stays until it is dismissed"
    assert dispatch(warned, DismissNotice()).unread is None
    job, number = started(judged, JobKind.BUILD)
    assert dispatch(job, SetElapsed(number, 3.0)).jobs[-1].elapsed == 3.0


def test_the_same_notice_again_is_counted_and_kept_once(judged: AppState) -> None:
    once = judged.with_notice(NoticeLevel.INFO, "no such line")
    twice = once.with_notice(NoticeLevel.INFO, "no such line")
    assert twice.notices == once.notices
    assert twice.notice_count == once.notice_count + 1


def test_what_an_edit_did_includes_what_the_builder_says_later(judged: AppState) -> None:
    assert judged.judged is not None
    first, *rest = judged.judged.findings
    state = dispatch(edited(judged), Judged(revision=2, findings=rest, seconds=0.1, complete=False))
    refused = msgspec.structs.replace(first, kind="engine/builder-crashed", title="the builder crashed")
    state = dispatch(state, Judged(revision=2, findings=[*rest, refused], seconds=0.9))
    assert state.change is not None
    assert (state.change.fixed, state.change.broke) == ((first,), (refused,))
