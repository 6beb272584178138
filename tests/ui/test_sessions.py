"""Sessions are TOML that comes back as it was, and a broken file says what is wrong."""

from pathlib import Path

import msgspec
import pytest

from friction_tui.ui import sessions
from friction_tui.vocabulary.recipe import Precision, Profile, Range, Recipe, Rewrite, Source, Values

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
