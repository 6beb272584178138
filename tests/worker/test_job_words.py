"""What is said of a job that failed: sentences for the user as they are, anything else with its class."""

from __future__ import annotations

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt.run import PlanRefused
from friction_tui.rewrites.half_trials import CannotTry
from friction_tui.vocabulary.protocol import JobKind, JobRequest
from friction_tui.vocabulary.recipe import Recipe, Source
from friction_tui.worker.job import _in_words


def test_a_sentence_for_the_user_has_no_class_in_front() -> None:
    recipe = Recipe(source=Source("model.onnx"))
    request = JobRequest(job=1, kind=JobKind.MEASURE, recipe=recipe, model="model.onnx", folder="")
    for kind in (EngineMissing, PlanRefused, CannotTry):
        assert _in_words(request, kind("TensorRT is not installed.")) == "TensorRT is not installed."
    assert _in_words(request, KeyError("x")) == "KeyError: 'x'"
    assert "ran out of memory" in _in_words(request, MemoryError())
    assert "ran out of memory" in _in_words(request, RuntimeError("std::bad_alloc"))
