"""Opening a model that was edited before: go on, or start afresh; nothing is lost on either way."""

import shutil
from pathlib import Path

import msgspec
import pytest
from textual.pilot import Pilot
from textual.widgets import Input

from friction_tui.locations import sessions_dir
from friction_tui.samples import sample
from friction_tui.state.user_actions import open_request
from friction_tui.ui import sessions
from friction_tui.ui.app import FrictionApp
from friction_tui.ui.autosave import Autosave, session_of
from friction_tui.ui.dialogs.saved_sessions import SavedSessions, headline
from friction_tui.ui.panel import Edit
from friction_tui.ui.welcome import Welcome
from friction_tui.ui.workbench import Workbench
from friction_tui.vocabulary.protocol import Asked, Opened
from friction_tui.vocabulary.recipe import History, Precision, Range, Recipe, Source, SourceKind
from tests.detector import session_events
from tests.ui.bench import screen_text, settled


@pytest.fixture
def model(tmp_path: Path) -> Path:
    """A model of its own folder, named as that of the events."""
    path = sample("detector")
    assert path is not None
    return Path(shutil.copy(path, tmp_path / "detector.onnx"))


@pytest.fixture
def recipe(model: Path) -> Recipe:
    return Recipe(source=Source(str(model), SourceKind.AUTO))


def fail(why: str) -> None:
    raise AssertionError(why)


def left_behind(recipe: Recipe, edits: int, *, unsaved: int = 0, saved: float = 0.0) -> tuple[Path, History]:
    """A session with edits; one that crashed where some are unsaved."""
    history = History(recipe)
    for size in range(edits):
        history = history.edit(history.present.with_range("N", Range(1, 2, 3 + size)))
    session = session_of(history, folds=(), cursor="8", panel="shapes", running=bool(unsaved))
    autosave = Autosave(fail)
    path = autosave.write(msgspec.structs.replace(session, unsaved=unsaved, saved=saved or session.saved))
    autosave.close()
    return path, history


def opened_by_worker(app: FrictionApp) -> None:
    """The worker has read what was asked for last."""
    state = app.live.state
    assert state.recipe is not None
    for event in session_events(state.revision):
        own = msgspec.structs.replace(event, recipe=state.recipe) if isinstance(event, Opened) else event
        app.live.hear(own)


async def opened(app: FrictionApp, pilot: Pilot[None]) -> None:
    await settled(pilot)
    opened_by_worker(app)
    await settled(pilot)


async def test_enter_resumes_with_every_edit_and_where_one_was(recipe: Recipe, silent_worker: list[str]) -> None:
    path, history = left_behind(recipe, 3)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, SavedSessions)
        assert app.live.state.revision == 0, "nothing is read, and no code run, before the answer"
        assert "A session with 3 edits from a moment ago" in screen_text(app)
        await pilot.press("enter")
        await opened(app, pilot)
        assert app.live.state.history == history
        assert app.workbench is not None and app.workbench.current == "shapes" and app.live.state.selected == "8"
        await pilot.press("u")
        await settled(pilot)
        assert app.live.state.history == history.undo()
        await pilot.press("q")
    assert sessions.load(path).history == history.undo(), "it goes on in its own file"
    assert len(list(sessions_dir().glob("*.toml"))) == 1


async def test_the_journal_of_a_resumed_session_says_what_its_edits_came_to(
    recipe: Recipe, silent_worker: list[str]
) -> None:
    path, _ = left_behind(recipe, 2)
    sessions.save(msgspec.structs.replace(sessions.load(path), outcomes=("fixed 3", "broke 1; not verified")), path)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        await pilot.press("enter")
        await opened(app, pilot)
        await pilot.press("u", "J")
        await settled(pilot)
        assert "fixed 3" in screen_text(app) and "broke 1; not verified" in screen_text(app)
        await pilot.press("escape", "q")
    assert sessions.load(path).outcomes == ("fixed 3", "broke 1; not verified"), "they are kept for the next time"


async def test_n_starts_afresh_and_the_edited_session_stays(recipe: Recipe, silent_worker: list[str]) -> None:
    path, history = left_behind(recipe, 2)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("n")
        await opened(app, pilot)
        assert app.live.state.history == History(recipe)
        await pilot.press("q")
    assert sessions.load(path).history == history
    assert [file for file, _ in sessions.of_source(recipe)] == [path]


async def test_escape_opens_nothing_and_leaves(recipe: Recipe, silent_worker: list[str]) -> None:
    left_behind(recipe, 2)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("escape")
        await settled(pilot)
    assert app.return_code == 0 and app.live.state.revision == 0


async def test_the_older_sessions_can_be_chosen_too(recipe: Recipe, silent_worker: list[str]) -> None:
    left_behind(recipe, 2, saved=100.0)
    left_behind(recipe, 5, saved=200.0)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        await pilot.press("down", "enter")
        await settled(pilot)
        assert app.live.state.history is not None and len(app.live.state.history.past) == 2


async def test_after_a_crash_the_unsaved_edits_are_counted(recipe: Recipe, silent_worker: list[str]) -> None:
    left_behind(recipe, 3, unsaved=2)
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(120, 30)) as pilot:
        await settled(pilot)
        assert "you had 2" in screen_text(app)
    ((_, session),) = sessions.of_source(recipe)
    assert headline(session, session.saved + 120) == (
        "friction-tui did not end as it should (2 minutes ago): you had 2 unsaved edits. "
        "Enter resumes with them, n starts afresh."
    )


async def test_every_edit_is_written_before_the_app_ends(recipe: Recipe, silent_worker: list[str]) -> None:
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        for size in (4, 5, 6):
            now = app.live.state.recipe
            assert now is not None
            app.post_message(Edit(now.with_range("N", Range(1, 2, size)), "an edit"))
            await settled(pilot)
        (file,) = (await written(pilot, 3)).glob("*.toml")
        session = sessions.load(file)
        assert (session.running, session.unsaved, session.history) == (True, 3, app.live.state.history)
        assert sessions.of_source(recipe) == [], "it is open here"
        await pilot.press("w", "u")
        await settled(pilot)
        await written(pilot, 2)
        assert sessions.load(file).unsaved == 1
        await pilot.press("q")
    session = sessions.load(file)
    assert (session.running, session.unsaved, session.edits) == (False, 0, 2)


async def written(pilot: Pilot[None], edits: int) -> Path:
    """The folder of the sessions once one with so many edits is in it."""
    folder = sessions_dir()
    while not any(session.edits == edits for _, session in sessions._readable("*.toml")):
        await pilot.pause(0.01)
    return folder


async def test_a_session_is_opened_by_its_file(recipe: Recipe, silent_worker: list[str]) -> None:
    path, history = left_behind(recipe, 2)
    app = FrictionApp(worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await settled(pilot)
        assert isinstance(app.screen, Welcome) and "2 edits, just now" in screen_text(app)
        await pilot.press("enter")
        await settled(pilot)
        assert app.live.state.history == history, "it was chosen: there is nothing to ask"
        await pilot.press("q")
    app = FrictionApp(history.present, session=sessions.load(path), file=path, worker=silent_worker)
    async with app.run_test(size=(80, 24)):
        assert app.live.state.history == history


@pytest.mark.parametrize("way", ["command line", "typed path", "folder list", "workbench"])
async def test_however_a_model_is_opened_its_friction_toml_counts(
    model: Path, silent_worker: list[str], way: str
) -> None:
    model.with_name("other.onnx").write_bytes(model.read_bytes())
    model.with_name("detector.friction.toml").write_text('precision = "fp16"\nopset = 18\n')
    folder = Recipe(source=Source(str(model.parent), SourceKind.AUTO))
    other = Recipe(source=Source(str(model.with_name("other.onnx")), SourceKind.AUTO))
    if way == "command line":
        from friction_tui.cli import _agreed

        asked: Recipe | None = _agreed(str(model), {})
    else:
        asked = {"typed path": None, "folder list": folder, "workbench": other}[way]
    app = FrictionApp(asked, worker=silent_worker if way != "folder list" else None)
    async with app.run_test(size=(80, 24)) as pilot:
        if way == "workbench":
            await opened(app, pilot)
            await pilot.press("O")
            await settled(pilot)
        if way in ("typed path", "workbench"):
            await pilot.press("slash")
            app.screen.query_one(Input).value = str(model)
        if way != "command line":
            await pilot.press("enter")
        await settled(pilot)
        recipe = app.live.state.recipe
        assert recipe is not None and app.screen is app.workbench
        assert (recipe.source.path, recipe.precision, recipe.opset) == (str(model), Precision.FP16, 18)


async def test_a_friction_toml_that_cannot_be_used_is_said(model: Path, silent_worker: list[str]) -> None:
    model.with_name("friction.toml").write_text("opsett = 18")
    app = FrictionApp(worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        app.open_path(model)
        await settled(pilot)
        assert any("opsett" in notice.message for notice in app._notifications)
        assert isinstance(app.screen, Welcome)


async def test_from_the_workbench_to_another_model_and_back(
    recipe: Recipe, model: Path, silent_worker: list[str]
) -> None:
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        await pilot.press("O")
        await settled(pilot)
        assert isinstance(app.screen, Welcome) and "Esc goes back" in screen_text(app)
        await pilot.press("escape")
        await settled(pilot)
        assert isinstance(app.screen, Workbench)
        now = app.live.state.recipe
        assert now is not None
        app.post_message(Edit(now.with_range("N", Range(1, 2, 5)), "an edit"))
        await settled(pilot)
        other = model.with_name("other.onnx")
        app.open_path(other)
        await settled(pilot)
        assert app.screen is app.workbench
        assert app.live.state.recipe is not None and app.live.state.recipe.source.path == str(other)
        ((_, session),) = sessions.of_source(recipe)
        assert (session.edits, session.running) == (1, False), "what was open is saved, and free to be resumed"
        app.open_path(model)
        await settled(pilot)
        assert isinstance(app.screen, SavedSessions)
        await pilot.press("escape")
        await settled(pilot)
        assert app.live.state.recipe.source.path == str(other), "the question left open what was open"


async def test_a_model_that_another_viewer_opens_does_not_end_up_in_this_ones_session(
    recipe: Recipe, model: Path, silent_worker: list[str]
) -> None:
    app = FrictionApp(recipe, worker=silent_worker)
    async with app.run_test(size=(80, 24)) as pilot:
        await opened(app, pilot)
        app.live.edit(recipe.with_range("N", Range(1, 2, 4)), "mine")
        await written(pilot, 1)
        other = Recipe(source=Source(str(model.with_name("other.onnx")), SourceKind.AUTO))
        app.live.hear(Asked(request=open_request(app.live.state, other), by="bo"))
        await opened(app, pilot)
        for size in (5, 6):
            app.live.edit(other.with_range("N", Range(1, 2, size)), "mine too")
        await written(pilot, 2)
        await pilot.press("q")
    ((_, mine),) = sessions.of_source(recipe)
    assert (mine.edits, mine.running, mine.recipe.source.path) == (1, False, str(model))
    assert [session.edits for _, session in sessions.of_source(other)] == [2]
