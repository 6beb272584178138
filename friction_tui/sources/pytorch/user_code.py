"""Loads what the user named and makes the module and its example inputs. Runs only in the export process."""

from __future__ import annotations

import importlib
import json
import pickle
import re
import sys
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path
from types import ModuleType
from typing import Any

import torch

from friction_tui.sources import python_code
from friction_tui.sources.agreed_code import place
from friction_tui.sources.failure import a_or_an
from friction_tui.sources.python_code import CannotBuild as CannotBuild  # noqa: PLC0414 - part of what build() says
from friction_tui.sources.pytorch import example_inputs
from friction_tui.sources.pytorch.signature import signature_of
from friction_tui.sources.source_lines import definition
from friction_tui.sources.watch import project_root
from friction_tui.vocabulary.finding import SourceLine
from friction_tui.vocabulary.recipe import InputSpec, Source, SourceKind


@dataclass(slots=True)
class Built:
    """A module ready for export. `made_at` is the factory's definition; `options` what `export_kwargs()` asked for.

    `more` is what `check_inputs()` beside the factory returns.
    """

    module: Any
    args: tuple[Any, ...]
    kwargs: dict[str, Any]
    made_at: SourceLine | None = None
    guessed: bool = False
    root: Path | None = None
    options: dict[str, Any] = field(default_factory=dict)
    more: tuple[Any, ...] = ()

    @property
    def further(self) -> list[dict[str, Any]]:
        """What `check_inputs()` beside the factory gave: other example inputs, on which both models are compared."""
        return [replace(self, args=args, kwargs=kwargs).bound for args, kwargs in map(_as_call, self.more)]

    @property
    def bound(self) -> dict[str, Any]:
        """Example inputs by forward's parameter names: positional ones, then the others in the order given.

        That is the order of the exported model's inputs.
        """
        if isinstance(self.module, torch.export.ExportedProgram):
            flat = torch.utils._pytree.tree_leaves((self.args, self.kwargs))
            return {
                str(name): value for name, value in zip(self.module.graph_signature.user_inputs, flat, strict=False)
            }
        try:
            found = dict(signature_of(self.module).bind(*self.args, **self.kwargs).arguments)
        except (TypeError, ValueError):
            return {**{f"input_{i}": value for i, value in enumerate(self.args)}, **self.kwargs}
        given = [name for name in self.kwargs if name in found]
        return {name: found[name] for name in (*(name for name in found if name not in given), *given)}


def build(source: Source) -> Built:
    """Run the user's factory (or load the file) and gather the example inputs.

    Whatever the user's code raises comes out unchanged; CannotBuild says what it returned instead of a module.
    """
    torch.manual_seed(0)
    path = Path(source.path)
    if source.kind is SourceKind.TORCHSCRIPT:
        load_torchscript: Any = torch.jit.load
        return _with_inputs(load_torchscript(str(place(path)), map_location="cpu"), None, source, None, None)
    if source.kind is SourceKind.EXPORTED_PROGRAM:
        program = torch.export.load(place(path))
        args, kwargs = program.example_inputs or ((), {})
        return Built(program, tuple(args), dict(kwargs))
    if path.suffix not in {".py", ""} and path.is_file():
        return _pickled(path, source)
    code = python_code.load(source.path)
    file = code.__file__ or ""
    factory = python_code.named(code, source.factory)
    made = factory() if callable(factory) and not isinstance(factory, torch.nn.Module) else factory
    module, inputs = made if isinstance(made, tuple) and len(made) == 2 else (made, None)
    if not isinstance(module, torch.nn.Module):
        raise CannotBuild(
            f"{source.factory}() returned {a_or_an(type(module).__name__)}; it must return a torch.nn.Module, or a "
            "pair of a module and its example inputs",
            f"Return the module itself from {source.factory}(), in eval mode, or name the function that does.",
        )
    if source.state_dict:
        _load_state(module, Path(source.state_dict))
    _refuse_meta(module)
    built = _with_inputs(module, inputs, source, code, definition(file, source.factory))
    built.root = project_root(Path(file)) if file else None
    built.options = dict(_convention(code, "export_kwargs") or {})
    built.more = tuple(_convention(code, "check_inputs") or ())
    return built


def _convention(code: ModuleType, name: str) -> Any:
    """What a module-level function of this name beside the factory returns, None when there is none."""
    function: Callable[[], Any] | None = getattr(code, name, None)
    return function() if callable(function) else None


def _with_inputs(
    module: Any, inputs: Any, source: Source, code: ModuleType | None, made_at: SourceLine | None
) -> Built:
    """Example inputs from, in this order: `--input`, the factory, `example_inputs()` beside it, a guess."""
    if source.inputs:
        args, kwargs = example_inputs.from_specs(module, source.inputs)
        return Built(module, args, kwargs, made_at)
    if inputs is None and code is not None:
        inputs = _convention(code, "example_inputs")
    if inputs is not None:
        args, kwargs = _as_call(inputs)
        return Built(module, args, kwargs, made_at)
    guessed: tuple[InputSpec, ...] = example_inputs.guess(module)
    if not guessed:
        needed = example_inputs.parameters(module, required_only=True) or ["name"]
        typed = " ".join(f"--input {name}:1x3x224x224:float32" for name in needed)
        beside = "Return them beside the module (`return model, (x,)`), write an `example_inputs()` beside it, or give "
        beside = beside if code is not None else "Give "
        raise CannotBuild(
            f"there are no example inputs for forward({', '.join(needed)}), and none could be guessed from its layers",
            f"{beside}`{typed}`, with your shapes and types.",
        )
    args, kwargs = example_inputs.from_specs(module, guessed)
    return Built(module, args, kwargs, made_at, guessed=True)


def _as_call(inputs: Any) -> tuple[tuple[Any, ...], dict[str, Any]]:
    if isinstance(inputs, Mapping):
        return (), dict(inputs)
    if isinstance(inputs, tuple | list):
        # (args, kwargs), as torch.export takes them, only when the pair cannot be two positional inputs.
        if len(inputs) == 2 and isinstance(inputs[0], tuple) and isinstance(inputs[1], dict):
            return inputs[0], dict(inputs[1])
        return tuple(inputs), {}
    return (inputs,), {}


def _pickled(path: Path, source: Source) -> Built:
    """A checkpoint: a whole pickled module (the user agreed to run it), or weights that lack their module."""
    sys.path += [str(path.resolve().parent), str(Path.cwd())]  # where the classes in it may be defined
    loaded = torch.load(place(path), map_location="cpu", weights_only=False)
    if isinstance(loaded, torch.nn.Module):
        return _with_inputs(loaded, None, source, None, None)
    found = a_or_an(type(loaded).__name__) + (f" with {len(loaded)} entries" if hasattr(loaded, "__len__") else "")
    raise CannotBuild(
        f"{path.name} holds {found}, weights without the module they belong to",
        f"Name the code that makes the module, with these weights: path/model.py:factory --state-dict {path}",
    )


def _load_state(module: torch.nn.Module, path: Path) -> None:
    state: Any
    if path.name.endswith(".safetensors.index.json"):
        shards = sorted(set(json.loads(path.read_bytes())["weight_map"].values()))
        state = {key: value for shard in shards for key, value in _safetensors(path.parent / shard).items()}
    elif path.suffix == ".safetensors":
        state = _safetensors(path)
    else:
        state = _tensors_only(path)
    for key in ("state_dict", "model_state_dict", "model"):
        if isinstance(state, Mapping) and isinstance(state.get(key), Mapping):
            state = state[key]
    state = {key.removeprefix("module."): value for key, value in state.items()}
    module.load_state_dict(state, assign=any(weight.is_meta for weight in module.parameters()))


def _safetensors(path: Path) -> dict[str, torch.Tensor]:
    """The tensors of one file; mapped into memory where the library can."""
    loaded: dict[str, torch.Tensor] = importlib.import_module("safetensors.torch").load_file(path)
    return loaded


def _tensors_only(path: Path) -> Any:
    """A checkpoint of tensors and plain containers; one that holds Python objects would run code and is refused."""
    try:
        return torch.load(path, map_location="cpu", weights_only=True)
    except pickle.UnpicklingError as error:
        named = re.search(r"GLOBAL ([\w.]+)|Trying to call reduce for unrecognized function (\S+)", str(error))
        what = f" ({next(filter(None, named.groups()))})" if named else ""
        raise CannotBuild(
            f"{path.name} holds more than tensors{what}, and loading that would run code: nothing of it was loaded",
            "Save the tensors alone, `torch.save(model.state_dict(), 'weights.pt')` or as safetensors; or load the "
            "file in the factory, which runs as your own code.",
        ) from error


def _refuse_meta(module: torch.nn.Module) -> None:
    """Weights that are only shapes fail deep inside torch, in words about devices."""
    empty = [name for name, weight in (*module.named_parameters(), *module.named_buffers()) if weight.is_meta]
    if not empty:
        return
    more = f" and {len(empty) - 1} more" if len(empty) > 1 else ""
    raise CannotBuild(
        f"the weights are on the meta device ({empty[0]}{more}): they have shapes and no values",
        "Build the module outside `torch.device('meta')` (or `init_empty_weights`); or give it values: "
        "`model.load_state_dict(weights, assign=True)`, for random ones `model.to_empty(device='cpu')`.",
    )
