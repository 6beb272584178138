"""The whole way from a factory to a built engine and a timed model, through the real worker."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from benchmarks.python_to_engine import keras_recipe, through, torch_recipe, write_keras
from friction_tui.sources.runner import TENSORFLOW_PYTHON
from friction_tui.verdicts.answer import Answer
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.protocol import JobKind

pytestmark = pytest.mark.slow


def _reached_an_engine(answer: Answer) -> None:
    assert not answer.failure
    assert not [(f.kind, f.title) for f in answer.findings if f.severity is Severity.ERROR]
    assert answer.build is not None
    assert answer.build.ok
    assert (answer.build.engine_bytes or 0) > 1e6
    assert answer.build.activation_bytes
    timed = answer.jobs[JobKind.MEASURE].latency
    assert timed is not None
    assert timed.p50 > 0


@pytest.mark.parametrize("name", ["lstm", "llama"])
def test_a_torch_model_reaches_an_engine(name: str) -> None:
    answer = through(torch_recipe(name))
    _reached_an_engine(answer)
    assert answer.recipe.profile is not None
    assert not answer.recipe.profile.guessed, "the ranges that were asked for are all there is to choose"


@pytest.mark.tensorflow
@pytest.mark.skipif(TENSORFLOW_PYTHON not in os.environ, reason=f"{TENSORFLOW_PYTHON} names no TensorFlow environment")
def test_a_keras_model_reaches_an_engine(tmp_path: Path) -> None:
    write_keras(tmp_path)
    _reached_an_engine(through(keras_recipe("keras_cnn", tmp_path)))
