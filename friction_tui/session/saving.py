"""Files that the user asked for: the model with the recipe applied, and the last engine."""

from __future__ import annotations

import shutil
from pathlib import Path

from friction_tui.files import whole
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.edited import write
from friction_tui.vocabulary.protocol import Refused, Saved


def save_model(base: OpenedModel, model: OpenedModel, path: Path) -> Saved | Refused:
    """Write `model`, an edit of `base`, to `path`; weights in external files come along as they were."""
    home = base.path.parent.resolve()
    try:
        if model.external and path.parent.resolve() != home:
            for file in {external.path for external in model.external if external.size_on_disk}:
                copy = path.parent / file.relative_to(home)
                copy.parent.mkdir(parents=True, exist_ok=True)
                shutil.copy2(file, copy)
        with whole(path) as partial:
            write(model.proto, partial, path.name)
    except (OSError, ValueError) as error:
        return Refused(what=f"{path} was not written", why=str(error), next="Choose another place.")
    return Saved(path=str(path), bytes=path.stat().st_size)


def save_engine(built: str, path: Path) -> Saved | Refused:
    """Copy the plan at `built`, "" where none was built, to `path`."""
    if not built:
        return Refused("There is no engine to save", why="none was built in this session", next="Press b to build.")
    try:
        with whole(path) as partial:
            shutil.copyfile(built, partial)
    except OSError as error:
        return Refused(what=f"{path} was not written", why=str(error), next="Choose another place.")
    return Saved(path=str(path), bytes=path.stat().st_size)
