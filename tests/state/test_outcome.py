"""What is said of an edit and of a clean model: whose verdict it is, what is not known, and whether results hold."""

from collections.abc import Callable
from dataclasses import replace

import msgspec
import pytest

from friction_tui.state.app_state import AppState, Job, job_started, opened, with_history
from friction_tui.state.follow import after
from friction_tui.state.outcome import proof_span, proved_notice
from friction_tui.state.reduce import reduce
from friction_tui.ui.problems.coverage import coverage
from friction_tui.ui.problems.why import Why
from friction_tui.ui.status import known, short_name, status
from friction_tui.vocabulary.protocol import Event, Hello, JobEnded, JobKind, LatencyResult, Proved
from friction_tui.vocabulary.recipe import Precision, Recipe, Rewrite

EQUAL = "equal on 6 inputs, max error 0 (ONNX Runtime 1.32.0 CPU)"


def proved(revision: int, holds: bool | None, text: str) -> Proved:
    return Proved(revision=revision, rewrites=("reshape-minus-one",), holds=holds, text=text)


@pytest.fixture
def state(recipe: Recipe, hello: Hello, told: Callable[..., list[Event]]) -> AppState:
    state = opened(AppState(), recipe)
    for event in (hello, *told(findings=[])):
        state = reduce(state, event)
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


def rewritten(state: AppState) -> AppState:
    assert state.history is not None and state.recipe is not None
    recipe = msgspec.structs.replace(state.recipe, rewrites=(Rewrite("reshape-minus-one", ("8",)),))
    return with_history(state, state.history.edit(recipe))


def test_the_status_line_says_who_ran_it(state: AppState) -> None:
    assert ("runs ? no GPU", "note") in known(state)
    by_ort = [text for text, _ in known(ran(state, "ONNX Runtime 1.32.0 CPU, 2 threads"))]
    assert by_ort[-2:] == ["runs ✓ opt (ORT CPU)", "TRT ? no GPU"]
    assert known(ran(state, "TensorRT 10.16, CUDA"))[-1] == ("runs ✓ opt (TRT)", "good")
    assert short_name("ONNX Runtime 1.32.0 CUDA") == "ORT CUDA"


def test_a_clean_model_is_not_called_working(state: AppState) -> None:
    text = "\n".join("".join(part for part, _ in line.spans) for line in coverage(state, 90))
    assert "TensorRT-RTX 1.7.1 parser takes every node" in text
    assert "? builds   not tried" in text and "? runs     not tried at any shape" in text and "no NVIDIA GPU" in text


def test_a_proof_is_said_and_a_failed_one_is_loud(state: AppState) -> None:
    state = rewritten(state)
    assert proof_span(state) == ("comparing the results before and after the rewrites …", "note")
    held = reduce(state, proved(state.revision, True, EQUAL))
    assert proof_span(held) == (f"proven: {EQUAL}", "good") and ("results equal ✓", "good") in known(held)
    failed = proved(state.revision, False, "differs on 2 of 6 inputs, max error 3.1")
    notice = proved_notice(failed, None)
    assert (notice.level, notice.detail) == ("error", "u undoes it") and "differs on 2 of 6" in notice.text
    assert ("results changed ✗", "error") in known(reduce(state, failed))
    assert proved_notice(proved(1, None, "no weights here"), None).level == "warning"
    assert proof_span(reduce(state, proved(state.revision - 1, True, EQUAL))) == proof_span(state), "an elder proof"


def test_the_why_page_of_a_solved_problem_shows_the_proof(state: AppState) -> None:
    state = rewritten(state)
    why = Why()
    why.state = reduce(state, proved(state.revision, True, EQUAL))
    text = "\n".join("".join(part for part, _ in line.spans) for line in why.lines(100))
    assert "This problem is gone" in text and EQUAL in text


def test_a_job_that_ends_says_so_by_the_number_of_its_kind(state: AppState) -> None:
    state, _ = job_started(state, JobKind.OPSETS)
    state, build = job_started(state, JobKind.BUILD)
    assert state.jobs[-1].nth == 1
    told = after(state, JobEnded(job=build, kind=JobKind.BUILD, seconds=2.0, cancelled=True))
    assert told.unread is not None and told.unread.text == "build #1 cancelled after 2.0 s"
    quiet = after(state, JobEnded(job=1, kind=JobKind.OPSETS, seconds=2.0))
    assert quiet.told == state.told


def test_a_build_that_died_says_nothing_of_the_model(state: AppState) -> None:
    state, number = job_started(state, JobKind.BUILD)
    died = after(state, JobEnded(job=number, kind=JobKind.BUILD, seconds=1.0, error="killed by SIGSEGV"))
    assert ("builds ?", "warning") in known(died)


def test_a_precision_that_is_chosen_is_on_the_narrowest_line(state: AppState) -> None:
    assert state.history is not None and state.recipe is not None
    chosen = msgspec.structs.replace(state.recipe, precision=Precision.FP16, target="SM89")
    edited = with_history(state, state.history.edit(chosen))
    said = "".join(text for text, _ in status(edited, 80).spans)
    assert "SM89 · fp16" in said and "TensorRT-RTX" not in said
    assert "TensorRT-RTX 1.7.1 · SM89 · fp16" in "".join(text for text, _ in status(edited, 160).spans)
