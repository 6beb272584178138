"""The simplest source: a file or directory that already holds an ONNX model."""

from __future__ import annotations

from pathlib import Path

from friction_tui.recipe import Source


def resolve(source: Source) -> Path:
    """The model file `source` names. A directory stands for the one .onnx file in it.

    Raises ValueError for a directory with none or several, naming them. A path that does not exist is returned
    as it is: opening it says so.
    """
    path = Path(source.path).expanduser()
    if not path.is_dir():
        return path
    models = sorted(path.glob("*.onnx"))
    if len(models) == 1:
        return models[0]
    if not models:
        raise ValueError(f"{path} is a directory without an .onnx file. Name the model file itself.")
    names = ", ".join(model.name for model in models[:6]) + (", …" if len(models) > 6 else "")
    raise ValueError(f"{path} holds {len(models)} models ({names}). Name one of them.")
