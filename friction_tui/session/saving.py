"""Files that the user asked for: the model with the recipe applied, a script that repeats it, the last engine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

import onnx

from friction_tui.files import whole
from friction_tui.model.graph_diff import model_diff
from friction_tui.model.opened import OpenedModel
from friction_tui.processes.begin import script
from friction_tui.processes.child import run
from friction_tui.processes.locks import temporary_folder
from friction_tui.rewrites.edited import write
from friction_tui.vocabulary.protocol import Refused, Saved
from friction_tui.vocabulary.recipe import Precision, Recipe

SCRIPT_LIMIT_S = 600.0
"""Seconds that a written script may take to repeat the edits: it reads and writes the whole model."""


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


def save_script(base: OpenedModel, model: OpenedModel, path: Path, recipe: Recipe) -> Saved | Refused:
    """Write a Python script that makes `model`, which `recipe` made, of `base`."""
    try:
        written = write_script(base, model, path, edits_of(recipe))
    except OSError as error:
        return Refused(what="The script was not written", why=str(error), next="Choose another place.")
    if not written.repeats:
        return Refused(what=f"{path} was written", why=written.text, next="S writes the edited model itself.")
    return Saved(path=str(path), bytes=path.stat().st_size, note=written.text)


def edits_of(recipe: Recipe) -> list[str]:
    """The recipe's edits of the model, in words and in their order."""
    from friction_tui.rewrites import REWRITES  # most models are judged without any rewrite

    edits = [f"{REWRITES[one.name].title} ({one.name}, {REWRITES[one.name].exactness})" for one in recipe.rewrites]
    edits += [f"convert to opset {recipe.opset}"] if recipe.opset is not None else []
    edits += [f"precision {recipe.precision.value}"] if recipe.precision is not Precision.AS_EXPORTED else []
    return edits


@dataclass(frozen=True, slots=True)
class WrittenScript:
    """What running a script that was written showed: whether it repeats the edits, and that in words."""

    repeats: bool
    text: str


def write_script(base: OpenedModel, model: OpenedModel, path: Path, edits: Sequence[str]) -> WrittenScript:
    """Write the script that makes `model` of `base`, and run it once. Raises OSError where it cannot be written."""
    from friction_tui.rewrites.script import script_of

    try:
        script_of(base.proto, model.proto, base.path.name, edits).write(path)
    except OSError as error:
        raise OSError(f"{path} was not written: {error}") from None
    with temporary_folder("script") as folder:
        made = folder / "repeated.onnx"
        done = run(script(path, str(base.path), str(made)), limit_s=SCRIPT_LIMIT_S)
        if done.code != 0:
            return WrittenScript(False, f"the script fails: {done.last_line}")
        repeated = onnx.load(str(made), load_external_data=False)
    if not model_diff(model.proto, repeated).empty:
        return WrittenScript(False, "the script gives another model; do not use it")
    return WrittenScript(True, "repeats the edits: the same model")


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
