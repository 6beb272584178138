"""An action is either available or says why it is not, in words for the message line."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from friction_tui.state.app_state import AppState
from friction_tui.state.dispatch import dispatch
from friction_tui.state.user_actions import job_request, open_request
from friction_tui.ui.actions.registry import BY_ID, available
from friction_tui.vocabulary.protocol import Event, Hello, JobKind
from friction_tui.vocabulary.recipe import Recipe


@pytest.fixture
def judged(recipe: Recipe, hello: Hello, worker_events: Callable[..., list[Event]]) -> AppState:
    state = dispatch(AppState(), open_request(AppState(), recipe))
    for event in (hello, *worker_events()):
        state = dispatch(state, event)
    return state


def why_not(action: str, state: AppState) -> str:
    return BY_ID[action].why_not(state)


def test_without_a_model_the_reason_is_that_none_is_open() -> None:
    for action in ("recipe.undo", "build.start", "problem.next", "latency.measure", "model.save"):
        assert why_not(action, AppState()) == "no model is open"
    assert {action.id for action in available(AppState())} >= {"app.help", "app.quit", "panel.graph"}


def test_while_a_model_is_read_the_reason_is_that(recipe: Recipe) -> None:
    opening = dispatch(AppState(), open_request(AppState(), recipe))
    assert why_not("problem.next", opening) == "the model is still being read"
    assert why_not("model.export", opening) == ""


def test_an_open_model_can_be_built_here_and_not_measured_with_tensorrt(judged: AppState) -> None:
    assert why_not("build.start", judged) == ""
    assert why_not("latency.measure", judged) == "", "ONNX Runtime can run it"
    assert why_not("recipe.undo", judged) == "there is nothing to undo"
    assert why_not("build.diff", judged) == "two builds are needed for a comparison"
    assert why_not("model.inputs", judged) == "this model needs no export"


def test_a_running_build_is_the_reason_against_another(judged: AppState) -> None:
    building = dispatch(judged, job_request(judged, JobKind.BUILD))
    assert why_not("build.start", building) == "a build is already running; Esc stops it"
    assert why_not("latency.measure", building) == ""
    assert why_not("job.cancel", building) == ""
    assert why_not("job.cancel", judged) == "nothing is running"


def test_what_engines_say_of_themselves_is_the_reason_where_none_can(judged: AppState) -> None:
    assert judged.hello is not None
    engines = tuple(engine for engine in judged.hello.engines if engine.name == "onnxruntime")
    without = replace(judged, hello=Hello(version="0", pid=1, machine="m", engines=engines))
    assert why_not("build.start", without) == "no engine here can do it"
    assert why_not("build.start", replace(judged, hello=None)) == "the worker is still starting"
    assert why_not("build.start", replace(judged, reopening=True)) == "the worker is still reading the model"
