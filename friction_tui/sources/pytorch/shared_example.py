"""Example inputs that are one tensor, such as `(x, x)`: torch.export takes them for one input."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import torch

from friction_tui.kinds.export import SHARED_EXAMPLE
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch.dynamic_shapes import tensors
from friction_tui.sources.pytorch.user_code import Built
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine


def names(built: Built) -> tuple[str, ...]:
    """The inputs that are the same tensor as another one."""
    if isinstance(built.module, torch.export.ExportedProgram):
        return ()
    by_tensor: dict[int, list[str]] = {}
    for name, tensor in tensors(built.bound):
        by_tensor.setdefault(id(tensor), []).append(name)
    return tuple(name for same in by_tensor.values() if len(same) > 1 for name in same)


def apart(built: Built) -> Built:
    """The same with a tensor of its own for every input."""
    seen: set[int] = set()

    def own(tensor: torch.Tensor) -> torch.Tensor:
        if id(tensor) in seen:
            return tensor.clone()
        seen.add(id(tensor))
        return tensor

    args, kwargs = torch.utils._pytree.tree_map_only(torch.Tensor, own, (built.args, built.kwargs))
    return dataclasses.replace(built, args=args, kwargs=kwargs)


def finding(shared: Sequence[str], source: str, made_at: SourceLine | None) -> Finding:
    """That they were exported apart, and why."""
    listed = " and ".join((", ".join(shared[:-1]), shared[-1]))
    places: tuple[Any, ...] = (location_of(made_at),) if made_at else ()
    return SHARED_EXAMPLE.finding(
        inputs=listed,
        cause=f"In the example {listed} are the same tensor, which torch.export takes for one input: the ONNX model "
        "would read only one of them. Copies were exported.",
        source=source,
        locations=(*places, *(Location(LocationKind.INPUT, name) for name in shared)),
        fixes=("Give each input a tensor of its own (`x.clone()`), here and where you export the model yourself.",),
    )
