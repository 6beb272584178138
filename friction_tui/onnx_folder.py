"""A folder named in place of a model: the ONNX file in it, or what to name instead."""

from __future__ import annotations

from pathlib import Path


def model_in(folder: Path) -> Path:
    """The one .onnx file in `folder`. Raises ValueError for none or several, with what to name instead."""
    models = sorted(folder.glob("*.onnx"))
    if len(models) == 1:
        return models[0]
    if not models:
        raise ValueError(f"a folder without an .onnx file. {instead(folder)}")
    names = ", ".join(model.name for model in models[:6]) + (", …" if len(models) > 6 else "")
    raise ValueError(f"a folder with {len(models)} models ({names}). Name one of them.")


def models_to_choose(folder: Path) -> tuple[Path, ...]:
    """The models in a folder that stands for none of them: its .onnx files, else those one level below.

    Nothing for a folder that is a source itself: a SavedModel, or weights with their configuration.
    """
    configured = (folder / "config.json").is_file() or (folder / "model_index.json").is_file()
    weights = any(folder.glob("*.safetensors")) or any(folder.glob("*.bin"))
    found = sorted(folder.glob("*.onnx"))
    if len(found) == 1 or (configured and (weights or not found)) or any(folder.glob("saved_model.pb*")):
        return ()
    return tuple(found or sorted(folder.glob("*/*.onnx")))


def instead(folder: Path) -> str:
    """What to name instead of a folder without a model, in a sentence, from what lies in it."""
    inside = sorted(entry.name for entry in folder.iterdir() if entry.is_dir() and any(entry.glob("*.onnx")))
    if inside:
        return f"There is one in {folder / inside[0]}."
    if (folder / "model_index.json").is_file():
        return "It is a diffusers pipeline: write a factory that loads one of its models, path/file.py:factory."
    if (folder / "adapter_config.json").is_file():
        return "It holds an adapter (LoRA) only: merge it into its base model (`merge_and_unload()`) in a factory."
    if (folder / "tokenizer.json").is_file() or (folder / "tokenizer_config.json").is_file():
        return "It holds a tokenizer only: config.json and the weights are missing."
    return "Name the model file itself."
