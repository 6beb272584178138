"""Example inputs for an export: from what the user typed, or guessed from the module's first layer."""

from __future__ import annotations

import inspect
from collections.abc import Iterable
from typing import Any

import torch

from friction_tui.sources.pytorch.signature import signature_of
from friction_tui.vocabulary.recipe import InputSpec

_BATCH, _LENGTH, _IMAGE = 2, 16, 64
"""Sizes of a guess. The batch is 2: torch.export treats a size of 1 as a constant more readily."""


def from_specs(module: Any, specs: Iterable[InputSpec]) -> tuple[tuple[Any, ...], dict[str, Any]]:
    """Random tensors for the specs, as positional arguments where forward has a parameter of that name, in order."""
    limit = _token_limit(module)
    tensors = {spec.name: make(spec, limit) for spec in specs}
    names = parameters(module)
    if not set(tensors) <= set(names):
        return tuple(tensors.values()), {}
    leading = []
    for name in names:
        if name not in tensors:
            break
        leading.append(tensors.pop(name))
    return tuple(leading), tensors


def make(spec: InputSpec, token_limit: int = 2) -> torch.Tensor:
    """A random tensor: normal for floating point, below `token_limit` for integers (so that it can be looked up)."""
    dtype: torch.dtype = getattr(torch, spec.dtype)
    if dtype.is_floating_point or dtype.is_complex:
        return torch.randn(spec.shape, dtype=torch.complex64 if dtype.is_complex else torch.float32).to(dtype)
    if dtype is torch.bool:
        return torch.ones(spec.shape, dtype=dtype)
    return torch.randint(0, max(1, min(token_limit, 100)), spec.shape, dtype=dtype)


def guess(module: Any) -> tuple[InputSpec, ...]:
    """Inputs that fit the first layer with weights, when forward needs exactly one; nothing when that is not so."""
    needed = parameters(module, required_only=True)
    if len(needed) != 1:
        return ()
    name = needed[0]
    for layer in module.modules():
        match layer:
            case torch.nn.Embedding():
                return (InputSpec(name, (_BATCH, _LENGTH), "int64"),)
            case torch.nn.Conv1d():
                return (InputSpec(name, (_BATCH, layer.in_channels, _IMAGE)),)
            case torch.nn.Conv2d():
                return (InputSpec(name, (_BATCH, layer.in_channels, _IMAGE, _IMAGE)),)
            case torch.nn.Conv3d():
                return (InputSpec(name, (_BATCH, layer.in_channels, _LENGTH, _IMAGE, _IMAGE)),)
            case torch.nn.Linear():
                return (InputSpec(name, (_BATCH, layer.in_features)),)
            case torch.nn.RNNBase():
                sizes = (_BATCH, _LENGTH) if layer.batch_first else (_LENGTH, _BATCH)
                return (InputSpec(name, (*sizes, layer.input_size)),)
            case torch.nn.TransformerEncoderLayer():
                return (InputSpec(name, (_BATCH, _LENGTH, layer.linear1.in_features)),)
    return ()


def described(inputs: dict[str, Any]) -> tuple[InputSpec, ...]:
    """What was used, flattened as the exporter names it: `xs_0`, `xs_1` for a list `xs`."""
    return tuple(
        InputSpec(name, tuple(value.shape), str(value.dtype).removeprefix("torch."))
        for name, value in leaves(inputs)
        if isinstance(value, torch.Tensor)
    )


def leaves(inputs: Any, prefix: str = "") -> list[tuple[str, Any]]:
    """Every value in nested tuples, lists and dicts, named as the exporter names the ONNX input made of it."""
    if isinstance(inputs, dict):
        items = [(str(key), value) for key, value in inputs.items()]
    elif isinstance(inputs, tuple | list):
        items = [(str(index), value) for index, value in enumerate(inputs)]
    else:
        return [(prefix, inputs)]
    return [leaf for key, value in items for leaf in leaves(value, f"{prefix}_{key}" if prefix else key)]


def parameters(module: Any, *, required_only: bool = False) -> list[str]:
    """Names of forward's parameters that take one input each; only those without a default when `required_only`."""
    try:
        signature = signature_of(module)
    except (TypeError, ValueError):
        return []
    named = (inspect.Parameter.POSITIONAL_ONLY, inspect.Parameter.POSITIONAL_OR_KEYWORD)
    return [
        parameter.name
        for parameter in signature.parameters.values()
        if parameter.kind in named and not (required_only and parameter.default is not inspect.Parameter.empty)
    ]


def _token_limit(module: Any) -> int:
    sizes = [m.num_embeddings for m in module.modules() if isinstance(m, torch.nn.Embedding)]
    return min(sizes, default=2)
