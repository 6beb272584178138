"""A lock is there as long as its process is, and temporary folders go with it."""

import gc
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


def test_a_lasting_folder_goes_with_its_owner_or_before_a_hard_end() -> None:
    class Owner:
        pass

    first, second = Owner(), Owner()
    folders = [locks.lasting_folder(owner, "test") for owner in (first, second)]
    locks.sweep()
    assert all(folder.is_dir() for folder in folders)
    del first
    gc.collect()
    assert [folder.is_dir() for folder in folders] == [False, True]
    locks.remove_lasting()
    assert not folders[1].exists()
    assert second is not None
