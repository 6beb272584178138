"""A lock is there as long as its process is, and temporary folders go with it."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from friction_tui.processes import locks

HOLDER = """
import sys, time
from friction_tui.processes import locks
with locks.temporary_folder("test") as folder:
    (folder / "result").write_text("half")
    print(folder, flush=True)
    sys.stdin.read()
"""


@pytest.fixture(autouse=True)
def own_temporary_directory(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("TMPDIR", str(tmp_path))
    monkeypatch.setattr("tempfile.tempdir", str(tmp_path))


def begun() -> tuple[subprocess.Popen[str], Path]:
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLDER], stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True, env={**os.environ}
    )
    assert holder.stdout is not None
    return holder, Path(holder.stdout.readline().strip())


def test_the_folder_of_a_killed_process_is_swept_and_that_of_a_living_one_is_not() -> None:
    living, kept = begun()
    killed, left = begun()
    killed.kill()
    killed.communicate()
    assert left.is_dir()
    locks.sweep()
    assert not left.exists()
    assert (kept / "result").read_text() == "half"
    living.communicate("")
    assert living.returncode == 0 and not kept.exists()


def test_what_is_not_ours_is_left_alone(tmp_path: Path) -> None:
    other = tmp_path / "another-folder"
    other.mkdir()
    locks.sweep()
    assert other.is_dir()


def test_a_lock_is_held_by_one(tmp_path: Path) -> None:
    file = tmp_path / "a.lock"
    assert not locks.held(file)
    lock = locks.take(file)
    assert lock is not None
    assert locks.held(file) and locks.take(file) is None
    os.close(lock)
    assert not locks.held(file)


def test_a_folder_that_nothing_refers_to_is_removed_and_its_lock_given_back() -> None:
    folder = locks.TemporaryFolder("test")
    path = folder.path
    assert path.is_dir()
    locks.sweep()
    assert path.is_dir(), "this process lives"
    del folder
    assert not path.exists()


def test_every_temporary_folder_of_the_package_is_swept() -> None:
    """One that is made in another way stays behind when its process is killed."""
    package = Path(locks.__file__).parents[1]
    others = [file for file in package.rglob("*.py") if file != Path(locks.__file__)]
    made = [file.name for file in others if "TemporaryDirectory(" in (text := file.read_text()) or "mkdtemp(" in text]
    assert made == []


def test_folders_are_removed_before_a_hard_end() -> None:
    folders = [locks.TemporaryFolder("test") for _ in range(2)]
    folders[0].close()
    assert [folder.path.is_dir() for folder in folders] == [False, True]
    locks.remove_lasting()
    assert not folders[1].path.exists()
