"""Sessions are TOML that comes back as it was, and a broken file says what is wrong."""

import subprocess
import sys
import threading
from collections.abc import Callable
from pathlib import Path

import msgspec
import pytest

from friction_tui.locations import sessions_dir
from friction_tui.ui import sessions
from friction_tui.ui.autosave import Autosave, edits_between, session_of
from friction_tui.vocabulary.recipe import History, Precision, Profile, Range, Recipe, Rewrite, Source, Values

FULL = Recipe(
    source=Source(path="/models/a.onnx"),
    profile=Profile(
        ranges={"N": Range(1, 4, 8), "x[2]": Range(32, 64, 96)}, values={"k": Values((1,), (2,), (4,))}, guessed=("N",)
    ),
    opset=18,
    target="SM89",
    precision=Precision.FP16,
    rewrites=(Rewrite("reshape-minus-one", ("9", "12.then_branch.3")),),
)


@pytest.mark.parametrize("recipe", [FULL, msgspec.structs.replace(FULL, profile=None, opset=None)])
def test_a_session_comes_back_as_it_was(recipe: Recipe) -> None:
    path = sessions.save(sessions.new(recipe, ("3", "7"), "9", "problems"))
    back = sessions.load(path)
    assert (back.recipe, back.open_folds, back.cursor, back.panel) == (recipe, ("3", "7"), "9", "problems")
    assert [file for file, _ in sessions.recent()] == [path]


def test_namesakes_in_other_folders_have_sessions_of_their_own() -> None:
    other = msgspec.structs.replace(FULL, source=Source(path="/elsewhere/a.onnx"))
    assert sessions.stem_of(FULL) != sessions.stem_of(other)


def test_a_source_that_is_code_has_its_sessions_before_and_after_it_was_understood() -> None:
    asked = Recipe(source=Source(path="net.py:model"))
    understood = Recipe(source=Source(path=str(Path("net.py").absolute()), factory="model"))
    assert sessions.stem_of(asked) == sessions.stem_of(understood)
    assert sessions.stem_of(asked).startswith("net-")


def test_a_broken_file_says_so_and_spoils_nothing(tmp_path: Path) -> None:
    broken = tmp_path / "broken.toml"
    broken.write_text("recipe = 3")
    with pytest.raises(sessions.BrokenSessionError, match=r"broken\.toml is not a session file.*open the model itself"):
        sessions.load(broken)
    newer = sessions.save(sessions.new(FULL, (), "", ""))
    newer.write_text(newer.read_text().replace(f"format = {sessions.FORMAT}", "format = 99"))
    with pytest.raises(sessions.BrokenSessionError, match="newer friction-tui"):
        sessions.load(newer)
    assert sessions.recent() == []


def edited(count: int, profile: Profile | None = FULL.profile) -> History:
    """A history of so many edits."""
    history = History(msgspec.structs.replace(FULL, profile=profile, opset=10))
    for opset in range(11, 11 + count):
        history = history.edit(msgspec.structs.replace(history.present, opset=opset))
    return history


def written(history: History, saved: float = 0.0, *, running: bool = False) -> sessions.SavedSession:
    session = session_of(history, folds=(), cursor="", panel="", running=running)
    return msgspec.structs.replace(session, saved=saved)


def fail(why: str) -> None:
    raise AssertionError(why)


@pytest.mark.parametrize("profile", [FULL.profile, None])
def test_the_edits_of_a_session_come_back(profile: Profile | None) -> None:
    history = edited(3, profile).undo()
    back = sessions.load(sessions.save(written(history)))
    assert back.history == history
    assert (back.edits, len(back.future)) == (2, 1)


def test_an_unedited_session_never_replaces_an_edited_one_and_the_last_ten_are_kept() -> None:
    for number in range(sessions.KEPT + 3):
        autosave = Autosave(fail)
        autosave.write(written(edited(number + 1), saved=float(number)))
        autosave.close()
    for number in range(2):
        autosave = Autosave(fail)
        autosave.write(written(edited(0), saved=100.0 + number))
        autosave.close()
    offered = sessions.of_source(FULL)
    assert [session.edits for _, session in offered] == [*range(sessions.KEPT + 3, 3, -1)]
    assert len(list(sessions_dir().iterdir())) == sessions.KEPT + 1, "the last unedited one is kept too"
    found = sessions.to_resume(FULL)
    assert found is not None and found[1].edits == sessions.KEPT + 3
    assert [session.edits for _, session in sessions.recent()] == [sessions.KEPT + 3]


def test_a_session_that_another_app_has_open_is_not_offered_and_continued_in_another_file() -> None:
    first = Autosave(fail)
    path = first.write(written(edited(2)))
    assert sessions.of_source(FULL) == [] and sessions.to_resume(FULL) is None
    second = Autosave(fail, path)
    other = second.write(written(edited(1)))
    assert other != path and sessions.load(path).edits == 2
    first.close()
    assert [file for file, _ in sessions.of_source(FULL)] == [path]
    second.close()
    third = Autosave(fail, path)
    assert third.write(written(edited(4))) == path
    third.close()


def test_of_edits_that_come_faster_than_the_disk_the_last_is_written(monkeypatch: pytest.MonkeyPatch) -> None:
    begun, go_on, seen = threading.Event(), threading.Event(), list[int]()
    save: Callable[..., Path] = sessions.save

    def slow(session: sessions.SavedSession, path: Path | None = None) -> Path:
        begun.set()
        assert go_on.wait(30)
        seen.append(session.edits)
        return save(session, path)

    monkeypatch.setattr(sessions, "save", slow)
    autosave = Autosave(fail)
    for count in (1, 2, 3, 4):
        autosave.put(written(edited(count)))
        assert begun.wait(30)
    go_on.set()
    autosave.close()
    assert seen == [1, 4]
    assert autosave.path is not None and sessions.load(autosave.path).edits == 4


def test_a_folder_that_cannot_be_written_is_said(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "file").touch()
    monkeypatch.setenv("XDG_STATE_HOME", str(tmp_path / "file"))
    said: list[str] = []
    autosave = Autosave(said.append)
    autosave.put(written(edited(1)))
    autosave.close()
    assert len(said) == 1 and "Not a directory" in said[0]


def test_edits_since_the_user_saved_are_counted() -> None:
    three = edited(3)
    assert edits_between(None, three) == 3
    assert edits_between(three, three) == 0
    assert edits_between(three, edited(5)) == 2
    assert edits_between(three, three.undo()) == 1
    other = three.undo().edit(msgspec.structs.replace(three.present, opset=99))
    assert edits_between(three, other) == 2, "one undone, one made"


@pytest.mark.parametrize(
    ("seconds", "said"),
    [(3, "just now"), (60, "1 minute ago"), (150, "2 minutes ago"), (7200, "2 hours ago"), (86400, "1 day ago")],
)
def test_how_long_ago_is_said_in_words(seconds: float, said: str) -> None:
    assert sessions.ago(seconds) == said


EDITS_FOR_EVER = """
import itertools
import sys
import msgspec
from friction_tui.ui.autosave import Autosave, session_of
from friction_tui.vocabulary.recipe import History, Recipe, Source

autosave = Autosave(sys.exit)
history = History(Recipe(source=Source(path="/models/a.onnx")))
for opset in itertools.count(1):
    history = history.edit(msgspec.structs.replace(history.present, opset=opset))
    autosave.put(session_of(history, folds=(), cursor="", panel="", running=True))
    print(opset, flush=True)
"""


@pytest.mark.parametrize("edits", [1, 2, 5, 13, 34, 89, 233])
def test_a_process_killed_at_any_moment_leaves_a_whole_session_and_no_lock(edits: int) -> None:
    writer = subprocess.Popen([sys.executable, "-c", EDITS_FOR_EVER], stdout=subprocess.PIPE)
    assert writer.stdout is not None
    made = [int(writer.stdout.readline()) for _ in range(edits)][-1]
    writer.kill()
    made = max([made, *map(int, writer.communicate()[0].split()[-1:])])
    for path in sessions_dir().glob("*.toml"):
        if path.stat().st_size:
            assert 0 < sessions.load(path).edits <= made + 1
            assert [found for found, _ in sessions.of_source(FULL)] == [path], "its lock went with it"
