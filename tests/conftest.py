"""The small session of a detector that the tests of the state and of the screens share."""

import shutil
import sys
from collections.abc import Callable, Iterator
from pathlib import Path

import platformdirs
import pytest

from friction_tui.vocabulary.protocol import Detail, Event, Hello
from friction_tui.vocabulary.recipe import Recipe
from tests.detector import HELLO, RECIPE, RESHAPE_DETAIL, SILENT_WORKER, session_events


@pytest.fixture(scope="session")
def known_engines(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """What the installed engines can do and have said before, which takes a while to ask and is always the same."""
    folder = tmp_path_factory.mktemp("engines")
    for file in Path(platformdirs.user_cache_dir("friction-tui")).glob("*.json"):
        (folder / file.name).symlink_to(file)
    return folder


@pytest.fixture(autouse=True)
def own_cache(
    known_engines: Path, tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch
) -> Iterator[None]:
    """No test finds answers of the builder that another test or the user left."""
    cache = tmp_path_factory.mktemp("cache") / "friction-tui"
    shutil.copytree(known_engines, cache, symlinks=True)
    monkeypatch.setenv("XDG_CACHE_HOME", str(cache.parent))
    question = sys.modules.get("friction_tui.engines.tensorrt.question")
    if question is not None:
        question.kept_answers.cache_clear()
    yield
    for file in cache.glob("*.json"):
        if not (known_engines / file.name).exists():
            shutil.copy(file, known_engines)


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
