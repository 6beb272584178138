"""Files are written whole or not at all; a stray byte in one that is read is an error with its line."""

from __future__ import annotations

from pathlib import Path

import pytest

from friction_tui.files import BadFile, read_toml, whole, write_whole
from friction_tui.friction_toml import RecipeFileError, load
from friction_tui.ui import sessions
from friction_tui.ui.actions import keymap


def test_what_was_there_stays_when_writing_fails(tmp_path: Path) -> None:
    path = tmp_path / "report.json"
    path.write_text("before")
    with pytest.raises(OSError, match="disk"), whole(path) as partial:
        partial.write_text("half")
        raise OSError("disk full")
    assert path.read_text() == "before"
    assert list(tmp_path.iterdir()) == [path]


def test_a_name_that_is_too_long_leaves_nothing(tmp_path: Path) -> None:
    with pytest.raises(OSError, match="too long"):
        write_whole(tmp_path / ("n" * 300), b"text")
    assert list(tmp_path.iterdir()) == []


def test_a_device_is_written_to_as_it_is() -> None:
    write_whole(Path("/dev/null"), b"text")
    assert Path("/dev/null").is_char_device()
    with pytest.raises(OSError, match="No space"):
        write_whole(Path("/dev/full"), b"text")


def test_a_link_stays_a_link(tmp_path: Path) -> None:
    (tmp_path / "link").symlink_to(tmp_path / "target")
    (tmp_path / "target").write_text("before")
    write_whole(tmp_path / "link", b"after")
    assert (tmp_path / "link").is_symlink()
    assert (tmp_path / "target").read_text() == "after"


@pytest.mark.parametrize(
    ("content", "says"),
    [
        (b'a = "b"\nc = "\xff"\n', "line 2: byte 0xff"),
        (b"a = " + b"[" * 50_000, "nested"),
        (b"a = ", "Invalid value"),
    ],
)
def test_toml_that_cannot_be_read(content: bytes, says: str) -> None:
    with pytest.raises(BadFile, match=says):
        read_toml(content, dict[str, str])


def test_every_file_a_user_edits(tmp_path: Path) -> None:
    path = tmp_path / "friction.toml"
    path.write_bytes(b'target = "SM89"\n# \xff\n')
    assert "line 2" in keymap.read(path)[1]
    with pytest.raises(sessions.BrokenSessionError, match="line 2"):
        sessions.load(path)
    with pytest.raises(RecipeFileError, match="line 2"):
        load(path)
