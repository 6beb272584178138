"""A Hugging Face directory that is already on disk: config.json plus weights. Nothing is downloaded.

The directory's own Python code is never run (`trust_remote_code=False`), pickled weights only load as tensors.
"""

from __future__ import annotations

import importlib
import inspect
import json
import os
from pathlib import Path
from typing import Any

import torch

from friction_tui.kinds.export import USER_CODE
from friction_tui.sources.channel import Channel
from friction_tui.sources.export_request import Done, ExportRequest
from friction_tui.sources.pytorch import example_inputs
from friction_tui.sources.pytorch import export as pytorch
from friction_tui.sources.pytorch.user_code import Built
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity

_BATCH, _LENGTH = 2, 16


def export(request: ExportRequest, channel: Channel) -> Done:
    """Export the directory's model through torch. Raises ImportError when transformers is not installed."""
    os.environ["HF_HUB_OFFLINE"] = os.environ["TRANSFORMERS_OFFLINE"] = "1"
    transformers = importlib.import_module("transformers")
    folder = Path(request.source.path)
    channel.stage("load the model")
    if refused := _unfit(folder):
        channel.found(refused)
        return Done(None, channel.elapsed)
    try:
        built = build(transformers, folder, request)
    except (ImportError, MemoryError):
        raise
    except Exception as error:
        channel.found(_cannot_load(folder, error, transformers.__version__))
        return Done(None, channel.elapsed)
    if not _weights(folder):
        channel.found(_no_weights(folder, transformers.__version__))
    return pytorch.export_built(request, channel, built)


def build(transformers: Any, folder: Path, request: ExportRequest) -> Built:
    """The model in eval mode with its head, a key-value cache turned off, and example inputs that fit its kind."""
    config = transformers.AutoConfig.from_pretrained(folder, local_files_only=True, trust_remote_code=False)
    # A cache in the outputs is a Python object, which cannot be an ONNX output.
    config.use_cache = False
    config.return_dict = True
    if hasattr(config, "relative_attention_num_buckets"):
        # T5 and its kin add a learned bias to the scores: the layout that torch's fused attention gives for it is one
        # whose view the exporter's lowering refuses ("Cannot view a tensor with shape ..."). Plain attention is equal.
        config._attn_implementation = "eager"
    named = _named_class(transformers, config)
    if _weights(folder):
        maker = named or transformers.AutoModel
        model = maker.from_pretrained(folder, config=config, local_files_only=True, trust_remote_code=False)
    else:
        model = named(config) if named else transformers.AutoModel.from_config(config, trust_remote_code=False)
    model.eval()
    if request.source.inputs:
        args, kwargs = example_inputs.from_specs(model, request.source.inputs)
        return Built(model, args, kwargs)
    return Built(model, (), _inputs(model, config), guessed=True)


def _named_class(transformers: Any, config: Any) -> Any:
    """The class of transformers that config.json names, head included; None where it names none that is there."""
    for name in config.architectures or ():
        found = getattr(transformers, name, None)
        if isinstance(found, type) and issubclass(found, transformers.PreTrainedModel):
            return found
    return None


def _inputs(model: Any, config: Any) -> dict[str, Any]:
    """Inputs as the model's main input asks for them; those of a decoder or a second encoder beside it."""
    match model.main_input_name:
        case "pixel_values":
            made = {"pixel_values": _pixels(config)}
        case "input_values":
            made = {"input_values": torch.randn(_BATCH, 16000)}
        case "input_features":
            # As many frames as the encoder has positions, at a stride of 2 in its convolutions (Whisper: 30 s).
            frames = 2 * getattr(config, "max_source_positions", 1500)
            made = {"input_features": torch.randn(_BATCH, getattr(config, "num_mel_bins", 80), frames)}
        case main:
            made = {main: _tokens(config), "attention_mask": torch.ones(_BATCH, _LENGTH, dtype=torch.int64)}
    accepted = inspect.signature(model.forward).parameters
    if config.is_encoder_decoder and "decoder_input_ids" in accepted:
        made["decoder_input_ids"] = _tokens(config)
    # Text beside images is a pair of encoders (CLIP); where tokens stand for the image, text alone is an input.
    vision = getattr(config, "vision_config", None)
    paired = vision is not None and not any(hasattr(config, f"image_token_{kind}") for kind in ("id", "index"))
    if paired and "pixel_values" in accepted and "pixel_values" not in made:
        made["pixel_values"] = _pixels(vision)
    return made


def _tokens(config: Any) -> torch.Tensor:
    return torch.randint(0, min(100, config.get_text_config().vocab_size), (_BATCH, _LENGTH))


def _pixels(config: Any) -> torch.Tensor:
    size = getattr(config, "image_size", 224)
    height, width = size if isinstance(size, tuple | list) else (size, size)
    return torch.randn(_BATCH, getattr(config, "num_channels", 3), height, width)


def _weights(folder: Path) -> list[Path]:
    return sorted(file for pattern in ("*.safetensors", "*.bin") for file in folder.glob(pattern))


def _unfit(folder: Path) -> Finding | None:
    """What is wrong with the files, before transformers meets them: it would ask on a terminal that is not there."""
    try:
        config = json.loads((folder / "config.json").read_bytes())
    except ValueError as error:
        return _finding(folder, f"{folder.name}/config.json is not JSON", f"{error}.", "Download it again.")
    if custom := config.get("auto_map"):
        code = sorted({str(entry).partition(".")[0].rpartition("--")[2] for entry in custom.values()})
        return _finding(
            folder,
            f"{folder.name} is a model with Python code of its own",
            f"Its config.json names code beside the weights (auto_map: {', '.join(f'{name}.py' for name in code)}), "
            "and opening a folder never runs code from it.",
            "Read that code; then write a factory in a .py file that loads the model with trust_remote_code=True, and "
            "open path/file.py:factory, which asks before it runs.",
        )
    if (diffusers := config.get("_class_name")) and "model_type" not in config:
        return _finding(
            folder,
            f"{folder.name} is a {diffusers} of diffusers, not of transformers",
            "Its config.json names a class of diffusers, and opening a folder loads models of transformers only.",
            f"Write a factory in a .py file, `def model(): return {diffusers}.from_pretrained({str(folder)!r}).eval(), "
            "example`, with an example of its inputs, and open path/file.py:model.",
        )
    for file in _weights(folder):
        with file.open("rb") as stream:
            if stream.read(24).startswith(b"version https://git-lfs"):
                return _finding(
                    folder,
                    f"{file.name} is a git-lfs pointer, not the weights",
                    "The repository was cloned without its large files.",
                    "Run `git lfs install && git lfs pull` in that folder.",
                )
    index = folder / "model.safetensors.index.json"
    shards = set(json.loads(index.read_bytes()).get("weight_map", {}).values()) if index.is_file() else set()
    missing = sorted(shard for shard in shards if not (folder / shard).is_file())
    if missing:
        return _finding(
            folder,
            f"{len(missing)} of {len(shards)} weight files are missing",
            f"{index.name} names {', '.join(missing[:3])}{', …' if len(missing) > 3 else ''}.",
            "Download the missing files into the folder.",
        )
    return None


def _finding(folder: Path, reason: str, cause: str, fix: str) -> Finding:
    return USER_CODE.finding(
        outcome="could not be made",
        reason=reason,
        cause=cause,
        locations=(Location(LocationKind.FILE, str(folder)),),
        fixes=(fix,),
    )


def _no_weights(folder: Path, version: str) -> Finding:
    return USER_CODE.finding(
        severity=Severity.WARNING,
        outcome="has random weights",
        reason=f"{folder.name} holds none",
        cause="There is no *.safetensors and no *.bin beside config.json, so the model is what its configuration says. "
        "What an engine refuses does not depend on the weights; results and their range do.",
        source=f"transformers {version}",
        locations=(Location(LocationKind.FILE, str(folder)),),
        fixes=("Download the weights into the folder.",),
    )


def _cannot_load(folder: Path, error: Exception, version: str) -> Finding:
    return USER_CODE.finding(
        outcome="could not be made",
        reason=f"transformers could not load {folder.name}",
        cause=f"{type(error).__name__}: {' '.join(str(error).split())[:600]}",
        source=f"transformers {version}",
        locations=(Location(LocationKind.FILE, str(folder)),),
        fixes=(
            "Check that config.json, the weights (*.safetensors) and the index of sharded weights are complete.",
            "A newer transformers may know the model: `pip install --upgrade transformers`.",
        ),
    )
