"""Our findings against the engines' own verdicts, on a sample of the onnx package's backend tests."""

from __future__ import annotations

import pytest

from benchmarks.agreement import backend_tests, compare, disagreements, explained, explanations
from benchmarks.engine_answers import Answers


@pytest.mark.slow
@pytest.mark.filterwarnings("ignore::RuntimeWarning")
def test_a_sample_of_the_backend_tests_agrees_or_is_explained() -> None:
    answers, known = Answers(), explanations()
    compared = [compare(test, answers) for test in list(backend_tests())[::60]]
    assert len(compared) > 25
    assert [one.name for one in disagreements(compared) if not explained(one.name, known)] == []
