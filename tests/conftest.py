"""The small session of a detector that the tests of the state and of the screens share."""

from collections.abc import Callable

import pytest

from friction_tui.vocabulary.protocol import Detail, Event, Hello
from friction_tui.vocabulary.recipe import Recipe
from tests.detector import HELLO, RECIPE, RESHAPE_DETAIL, SILENT_WORKER, session_events


@pytest.fixture
def worker_events() -> Callable[..., list[Event]]:
    """All events up to a verdict: `worker_events(revision, findings)`."""
    return session_events


@pytest.fixture
def recipe() -> Recipe:
    """What the user opened."""
    return RECIPE


@pytest.fixture
def hello() -> Hello:
    """A worker with TensorRT-RTX, ONNX Runtime and no GPU."""
    return HELLO


@pytest.fixture
def silent_worker() -> list[str]:
    """A worker that says nothing: the tests speak for it."""
    return SILENT_WORKER


@pytest.fixture
def reshape_detail() -> Detail:
    """The inspector's view of head/Reshape."""
    return RESHAPE_DETAIL
