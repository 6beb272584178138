"""What is said of an edit and of a clean model: whose verdict it is, what is not known, and whether results hold."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from friction_tui.state.app_state import AppState, Job
from friction_tui.state.derived import verification_span, verified_notice
from friction_tui.state.dispatch import dispatch
from friction_tui.state.user_actions import edit_request, job_request, open_request
from friction_tui.ui.problems.coverage import coverage
from friction_tui.ui.problems.why import Why
from friction_tui.ui.status import known, short_name, status
from friction_tui.vocabulary.protocol import Event, Hello, JobEnded, JobKind, LatencyResult, Verified
from friction_tui.vocabulary.recipe import Precision, Recipe, Rewrite

VERIFIED = "verified on 6 inputs, max difference 3e-07 (ONNX Runtime 1.32.0 CPU)"


def verified(revision: int, holds: bool | None, text: str) -> Verified:
    return Verified(revision=revision, rewrites=("reshape-minus-one",), holds=holds, text=text)


@pytest.fixture
def state(recipe: Recipe, hello: Hello, worker_events: Callable[..., list[Event]]) -> AppState:
    state = dispatch(AppState(), open_request(AppState(), recipe))
    for event in (hello, *worker_events(findings=[])):
        state = dispatch(state, event)
    return state


def ran(state: AppState, source: str) -> AppState:
    result = LatencyResult(
        source=source,
        point="opt",
        shapes={},
        times_ms=(1.0,),
        warmup=1,
        load_ms=1,
        p50=1,
        p90=1,
        p99=1,
        mean=1,
        per_second=1,
    )
    assert state.recipe is not None
    return replace(state, jobs=(Job(1, JobKind.MEASURE, state.recipe, running=False, latency=result),))


def edited(state: AppState, recipe: Recipe) -> AppState:
    assert state.history is not None
    request = edit_request(state, state.history.edit(recipe))
    assert request is not None
    return dispatch(state, request)


def started(state: AppState, kind: JobKind) -> tuple[AppState, int]:
    request = job_request(state, kind)
    return dispatch(state, request), request.job


def rewritten(state: AppState) -> AppState:
    assert state.recipe is not None
    recipe = msgspec.structs.replace(state.recipe, rewrites=(Rewrite("reshape-minus-one", ("8",)),))
    return edited(state, recipe)


def test_the_status_line_says_who_ran_it(state: AppState) -> None:
    assert ("runs ? no GPU", "note") in known(state)
    by_ort = [text for text, _ in known(ran(state, "ONNX Runtime 1.32.0 CPU, 2 threads"))]
    assert by_ort[-2:] == ["runs ✓ opt (ORT CPU)", "TRT ? no GPU"]
    assert known(ran(state, "TensorRT-RTX 1.7.1"))[-1] == ("runs ✓ opt (TRT)", "good")
    assert short_name("ONNX Runtime 1.32.0 CUDA") == "ORT CUDA"


def test_a_clean_model_is_not_called_working(state: AppState) -> None:
    text = "\n".join("".join(part for part, _ in line.spans) for line in coverage(state, 90))
    assert "TensorRT-RTX 1.7.1 parser takes every node" in text
    assert "? builds   not tried" in text and "? runs     not tried at any shape" in text and "no NVIDIA GPU" in text


def test_a_verification_is_said_and_a_failed_one_is_an_error(state: AppState) -> None:
    state = rewritten(state)
    assert verification_span(state) == ("comparing the results before and after the rewrites …", "note")
    held = dispatch(state, verified(state.revision, True, VERIFIED))
    assert verification_span(held) == (VERIFIED, "good") and ("results verified ✓", "good") in known(held)
    failed = verified(state.revision, False, "differs on 2 of 6 inputs, max difference 3.1")
    notice = verified_notice(failed)
    assert (notice.level, notice.detail) == ("error", "u undoes it") and "differs on 2 of 6" in notice.text
    assert ("results changed ✗", "error") in known(dispatch(state, failed))
    assert verified_notice(verified(1, None, "no weights here")).level == "warning"
    assert verification_span(dispatch(state, verified(state.revision - 1, True, VERIFIED))) == verification_span(
        state
    ), "an older verification"


def test_the_why_page_of_a_solved_problem_shows_the_verification(state: AppState) -> None:
    state = rewritten(state)
    why = Why()
    why.state = dispatch(state, verified(state.revision, True, VERIFIED))
    text = "\n".join("".join(part for part, _ in line.spans) for line in why.lines(100))
    assert "This problem is gone" in text and VERIFIED in text


def test_a_job_that_ends_says_so_by_the_number_of_its_kind(state: AppState) -> None:
    state, _ = started(state, JobKind.OPSETS)
    state, build = started(state, JobKind.BUILD)
    assert state.jobs[-1].nth == 1
    cancelled = dispatch(state, JobEnded(job=build, kind=JobKind.BUILD, seconds=2.0, cancelled=True))
    assert cancelled.unread is not None and cancelled.unread.text == "build #1 cancelled after 2.0 s"
    quiet = dispatch(state, JobEnded(job=1, kind=JobKind.OPSETS, seconds=2.0))
    assert quiet.notice_count == state.notice_count


def test_a_build_that_died_says_nothing_of_the_model(state: AppState) -> None:
    state, number = started(state, JobKind.BUILD)
    died = dispatch(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=1.0, error="killed by SIGSEGV"))
    assert ("builds ?", "warning") in known(died)


def test_a_precision_that_is_chosen_is_on_the_narrowest_line(state: AppState) -> None:
    assert state.recipe is not None
    chosen = msgspec.structs.replace(state.recipe, precision=Precision.FP16, target="SM89")
    state = edited(state, chosen)
    said = "".join(text for text, _ in status(state, 80).spans)
    assert "SM89 · fp16" in said and "TensorRT-RTX" not in said
    assert "TensorRT-RTX 1.7.1 · SM89 · fp16" in "".join(text for text, _ in status(state, 160).spans)
