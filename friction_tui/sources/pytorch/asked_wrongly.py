"""`dynamic_shapes` of the user's that does not fit the example inputs: a name that forward has not, another nesting."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any

import torch

from friction_tui.kinds.export import DYNAMIC_SHAPES
from friction_tui.sources.failure import location_of
from friction_tui.sources.pytorch.user_code import Built
from friction_tui.sources.source_lines import context, find_in
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, SourceLine


def findings(built: Built, source: str) -> list[Finding]:
    """One finding with everything that does not fit; none when all does or nothing was asked."""
    wanted = built.options.get("dynamic_shapes")
    if wanted is None or isinstance(built.module, torch.export.ExportedProgram):
        return []
    wrong = list(_wrong(built.bound, wanted))
    if not wrong:
        return []
    line = asked_at(built)
    shown = {name: _shape(value) for name, value in built.bound.items()}
    return [
        DYNAMIC_SHAPES.finding(
            problem=wrong[0],
            cause="; ".join(wrong) + ". torch.export takes one entry for each input, nested as the input is.",
            source=source,
            locations=(location_of(line) if line else Location(LocationKind.MODEL, "dynamic_shapes"),),
            evidence=(f"example inputs: {shown}", *(context(line) if line else ())),
            fixes=(
                f"Write `dynamic_shapes={_template(built.bound)}`, with axes of your own where a size varies, such as "
                '`{0: torch.export.Dim("batch")}`, and nothing where none does.',
            ),
        )
    ]


def asked_at(built: Built) -> SourceLine | None:
    """Where the user's file asks for dynamic shapes."""
    if built.made_at is None:
        return None
    inside = ("export_kwargs",)
    return find_in(built.made_at.file, inside, "dynamic_shapes") or find_in(built.made_at.file, inside, "return")


def _wrong(bound: Mapping[str, Any], wanted: Any) -> Iterator[str]:
    if isinstance(wanted, Mapping):
        listed = ", ".join(bound)
        yield from (f"forward is given no {name}; its inputs are {listed}" for name in wanted if name not in bound)
        spec = wanted
    elif isinstance(wanted, tuple | list):
        if len(wanted) != len(bound):
            yield f"it has {len(wanted)} entries, and the example has {len(bound)} inputs ({', '.join(bound)})"
            return
        spec = dict(zip(bound, wanted, strict=True))
    else:
        yield f"it is of type {type(wanted).__name__}, not a dict or a tuple"
        return
    for name, value in bound.items():
        yield from _misfit(name, value, spec.get(name))


def _misfit(name: str, value: Any, own: Any) -> Iterator[str]:
    if own is None:
        return
    match value:
        case torch.Tensor():
            axes = own.keys() if isinstance(own, Mapping) else range(len(own)) if isinstance(own, tuple | list) else ()
            outside = [axis for axis in axes if not isinstance(axis, int) or not -value.dim() <= axis < value.dim()]
            if not isinstance(own, Mapping | tuple | list):
                yield f"{name} is a tensor and gets {own!r}, not its axes"
            elif outside:
                yield f"{name} has {value.dim()} axes, and {', '.join(map(repr, outside))} is none of them"
        case dict():
            if not isinstance(own, Mapping) or own.keys() - value.keys():
                yield f"{name} is a dict of {', '.join(map(str, value))}, and its entry is {own!r}"
                return
            for key, inner in value.items():
                yield from _misfit(f"{name}[{key!r}]", inner, own.get(key))
        case tuple() | list():
            if not isinstance(own, tuple | list) or len(own) != len(value):
                yield f"{name} is a {type(value).__name__} of {len(value)}, and its entry is {own!r}"
                return
            for number, (inner, entry) in enumerate(zip(value, own, strict=True)):
                yield from _misfit(f"{name}[{number}]", inner, entry)
        case _:
            yield f"{name} is no tensor and has no axes; its entry must be None"


def _shape(value: Any) -> Any:
    match value:
        case torch.Tensor():
            return list(value.shape)
        case dict():
            return {key: _shape(inner) for key, inner in value.items()}
        case tuple() | list():
            return tuple(map(_shape, value))
    return type(value).__name__


def _template(value: Any) -> str:
    """The form that fits: `{'x': {}, 'pair': ({}, {})}`."""
    match value:
        case torch.Tensor():
            return "{}"
        case dict():
            return "{" + ", ".join(f"{key!r}: {_template(inner)}" for key, inner in value.items()) + "}"
        case tuple() | list():
            inner = ", ".join(map(_template, value))
            return f"[{inner}]" if isinstance(value, list) else f"({inner}{',' * (len(value) == 1)})"
    return "None"
