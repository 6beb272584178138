"""A save of the source, or of a module of the same project, is noticed."""

from __future__ import annotations

import os
import types
from pathlib import Path

from friction_tui.sources import watch


def test_only_files_of_the_project_are_watched(tmp_path: Path) -> None:
    (tmp_path / "pyproject.toml").write_text("")
    inside, outside = tmp_path / "pkg" / "net.py", Path(os.__file__)
    inside.parent.mkdir()
    inside.write_text("")
    modules = {name: types.ModuleType(name) for name in ("net", "os", "built_in")}
    modules["net"].__file__, modules["os"].__file__ = str(inside), str(outside)
    assert watch.project_root(inside) == tmp_path
    assert watch.project_files(tmp_path, modules) == (inside.resolve(),)


def test_a_rewrite_is_noticed_and_a_vanished_file_is_waited_for(tmp_path: Path) -> None:
    file = tmp_path / "net.py"
    file.write_text("a = 1")
    before = watch.stamps([file])
    assert watch.changed(before, watch.stamps([file])) == ()
    file.unlink()
    assert watch.changed(before, watch.stamps([file])) == ()
    file.write_text("a = 12")
    assert watch.changed(before, watch.stamps([file])) == (file,)
