"""The Python environments whose TensorRT is asked about a model too."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from friction_tui.friction_toml import of_model
from friction_tui.vocabulary.recipe.recipe import Recipe


def also(recipe: Recipe, chosen: Sequence[str], *, allow_code: bool) -> tuple[str, ...]:
    """The interpreters of other environments to ask: those of the command line, and of the file beside the model.

    A file that came with a model names programs that would be run: those are left out unless code is allowed.
    """
    given = [interpreter(python) for python in chosen]
    file, held = of_model(Path(recipe.source.path))
    if allow_code and held is not None:
        given += [interpreter(str(file.parent / python)) for python in held.also]
    return tuple(dict.fromkeys(given))


def interpreter(python: str) -> str:
    """The interpreter of an environment, given by itself or by its directory.

    Absolute, but not resolved: an environment's interpreter is a link, and the link makes the environment.
    """
    path = Path(python).expanduser().absolute()
    return str(path / "bin" / "python" if path.is_dir() else path)
