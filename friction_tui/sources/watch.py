"""Which files of the user's project a model was made from: a save of one is a reason to export again."""

from __future__ import annotations

import sys
import sysconfig
from collections.abc import Iterable, Mapping
from pathlib import Path
from types import ModuleType

import friction_tui

_OWN = Path(friction_tui.__file__).parent.resolve()
_PROJECT_MARKS = ("pyproject.toml", "setup.py", "setup.cfg", ".git", "requirements.txt")


def project_root(file: Path) -> Path:
    """The folder a source file's project starts at: the nearest parent with a project mark, else its own folder."""
    folder = file.resolve().parent
    for parent in (folder, *folder.parents):
        if any((parent / mark).exists() for mark in _PROJECT_MARKS):
            return parent
    return folder


def project_files(root: Path, modules: Mapping[str, ModuleType] | None = None) -> tuple[Path, ...]:
    """The Python files under `root` that are imported in this process; installed packages and this one left out."""
    loaded: Iterable[ModuleType] = list((modules or sys.modules).values())
    root = root.resolve()
    found = set()
    for module in loaded:
        name = getattr(module, "__file__", None)
        if isinstance(name, str) and name.endswith(".py"):
            file = Path(name).resolve()
            if file.is_relative_to(root) and not is_installed(file) and not is_own(file):
                found.add(file)
    return tuple(sorted(found))


def is_installed(file: Path) -> bool:
    """Whether a file belongs to Python itself or to an installed package rather than to the user."""
    if "site-packages" in file.parts or "dist-packages" in file.parts:
        return True
    return file.is_relative_to(Path(sysconfig.get_path("stdlib")).resolve())


def is_own(file: Path) -> bool:
    """Whether a file belongs to friction-tui."""
    return file.resolve().is_relative_to(_OWN)


def stamps(files: Iterable[Path]) -> dict[Path, tuple[int, int]]:
    """(modification time in ns, size) of each file; a file that is not there is left out.

    An editor that saves by renaming makes the file vanish for a moment: compare with `changed`, which waits for it.
    """
    found = {}
    for file in files:
        try:
            stat = file.stat()
        except OSError:
            continue
        found[file] = (stat.st_mtime_ns, stat.st_size)
    return found


def changed(before: Mapping[Path, tuple[int, int]], now: Mapping[Path, tuple[int, int]]) -> tuple[Path, ...]:
    """The files that are there now and differ from before, sorted."""
    return tuple(sorted(file for file, stamp in now.items() if before.get(file) != stamp))
