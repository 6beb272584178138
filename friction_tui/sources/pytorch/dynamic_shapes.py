"""The recipe's ranges as torch.export's `dynamic_shapes`, and back: what was asked of each dimension."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch.export import Dim

from friction_tui.sources.pytorch.example_inputs import leaves
from friction_tui.vocabulary.recipe import Profile, Range, dim_key

_NO_LIMIT = 2**31
"""torch.export's own default for the largest size is near sys.maxsize; anything above this means "no limit"."""


@dataclass(frozen=True, slots=True)
class AskedDim:
    """A dimension asked to be dynamic: axis `axis` of the `position`-th tensor input.

    `max` None: no upper limit. `opt` is the profile's, 0 where no profile asks for it.
    """

    input: str
    position: int
    axis: int
    symbol: str
    example: int
    min: int
    max: int | None
    opt: int = 0

    @property
    def key(self) -> str:
        """Its name on screen: `x[0]`."""
        return dim_key(self.input, self.axis, "")

    @property
    def span(self) -> str:
        """The sizes asked for, in words."""
        return f"{self.min}..{self.max}" if self.max is not None else f"{self.min} and up"


def plan(
    bound: Mapping[str, Any], wanted: Any, profile: Profile | None
) -> tuple[dict[str, Any] | None, tuple[AskedDim, ...]]:
    """`dynamic_shapes` for torch.onnx.export, with what it asks for.

    `bound` are the example inputs by parameter name, `wanted` the user's own `dynamic_shapes` (dict or tuple), to
    which the profile adds: an `input[axis]` range makes that dimension dynamic, a symbol's range replaces the bounds
    of the `Dim` of that name. Ranges with min == max stay static.
    """
    ranges = {key: r for key, r in (profile.ranges if profile else {}).items() if r.min != r.max}
    spec = dict(wanted) if isinstance(wanted, Mapping) else dict(zip(bound, wanted or (), strict=False))
    dims: dict[str, Any] = {}
    asked: list[AskedDim] = []
    position = 0

    def visit(name: str, value: Any, own: Any) -> Any:
        nonlocal position
        if isinstance(value, dict):
            own = own if isinstance(own, Mapping) else {}
            return {key: visit(f"{name}_{key}", inner, own.get(key)) for key, inner in value.items()}
        if isinstance(value, tuple | list):
            listed = list(own) if isinstance(own, tuple | list) else [None] * len(value)
            visited = [visit(f"{name}_{i}", v, o) for i, (v, o) in enumerate(zip(value, listed, strict=False))]
            return type(value)(visited) if type(value) in (tuple, list) else visited
        if not isinstance(value, torch.Tensor):
            return None
        axes = _axes(own)
        for axis in range(value.dim()):
            given = axes.get(axis)
            chosen = _range_for(name, axis, given, ranges)
            if chosen is not None and not isinstance(given, Dim):
                symbol = given if isinstance(given, str) else f"{name}_{axis}"
                axes[axis] = dims.setdefault(symbol, _dim(symbol, chosen, value.shape[axis]))
            elif isinstance(given, Dim):
                symbol = given.__name__
                if chosen is not None and type(given) is Dim:
                    axes[axis] = dims.setdefault(symbol, _dim(symbol, chosen, value.shape[axis]))
            elif isinstance(given, str):
                symbol = given
            else:
                continue
            asked.append(_asked(name, position, axis, symbol, value.shape[axis], chosen, axes[axis]))
        position += 1
        return axes or None

    shapes = {name: visit(name, value, spec.get(name)) for name, value in bound.items()}
    if not any(_is_set(shape) for shape in shapes.values()):
        return None, ()
    return shapes, tuple(asked)


def relaxed(shapes: Any) -> Any:
    """The same with every dimension `Dim.AUTO`, which lets the capture through and shows what it decided."""
    if isinstance(shapes, dict):
        return {key: relaxed(value) for key, value in shapes.items()}
    if isinstance(shapes, tuple | list):
        return type(shapes)(relaxed(value) for value in shapes)
    return Dim.AUTO if isinstance(shapes, Dim | str) else shapes


def tensors(bound: Mapping[str, Any]) -> list[tuple[str, torch.Tensor]]:
    """The tensor inputs with the names the exporter gives them, in the order of the ONNX inputs."""
    return [(name, value) for name, value in leaves(dict(bound)) if isinstance(value, torch.Tensor)]


def _axes(own: Any) -> dict[int, Any]:
    if isinstance(own, Mapping):
        return {int(axis): dim for axis, dim in own.items() if dim is not None}
    if isinstance(own, tuple | list):
        return {axis: dim for axis, dim in enumerate(own) if dim is not None}
    return {}


def _range_for(name: str, axis: int, given: Any, ranges: Mapping[str, Range]) -> Range | None:
    symbol = given if isinstance(given, str) else getattr(given, "__name__", "")
    keys = (dim_key(name, axis, ""), f"{name}_{axis}", symbol)
    return next((ranges[key] for key in keys if key in ranges), None)


def _dim(symbol: str, chosen: Range, example: int) -> Any:
    """A Dim for the range. The example's own size must lie within, or the export refuses to start."""
    name = re.sub(r"\W", "_", symbol)
    return Dim(name, min=min(chosen.min, example), max=max(chosen.max, example))


def _asked(name: str, position: int, axis: int, symbol: str, example: int, chosen: Range | None, dim: Any) -> AskedDim:
    if chosen is not None:
        return AskedDim(name, position, axis, symbol, example, chosen.min, chosen.max, chosen.opt)
    low, high = getattr(dim, "min", 0), getattr(dim, "max", None)
    limit = int(high) if isinstance(high, int) and high < _NO_LIMIT else None
    return AskedDim(name, position, axis, symbol, example, max(1, int(low)) if isinstance(low, int) else 1, limit)


def _is_set(shape: Any) -> bool:
    if isinstance(shape, dict):
        return any(_is_set(value) for value in shape.values())
    if isinstance(shape, tuple | list):
        return any(_is_set(value) for value in shape)
    return shape is not None
