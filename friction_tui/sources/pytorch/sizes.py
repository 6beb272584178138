"""Sizes that belong together: what the captured program says about the dimensions asked for, and sizes that fit.

A decoder with a cache has `total = past + new`: three dimensions that were asked for, two that can be chosen. The
captured program holds such an equation as the size of an input, or as an assertion that the exporter removes.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import sympy  # type: ignore[import-untyped]
import torch

from friction_tui.sources.pytorch.dynamic_shapes import AskedDim

_GROWTH = 3
"""No test size is larger than this many times the example's: the range's maximum may not fit this machine."""


@dataclass(frozen=True, slots=True)
class Linked:
    """One equation between dimensions: `dim` has the size `formula`, in terms of `others`."""

    dim: AskedDim
    formula: str
    others: tuple[AskedDim, ...]


class Sizes:
    """The dimensions asked for, as expressions over those that can be chosen freely."""

    def __init__(self, program: torch.export.ExportedProgram | None, asked: Sequence[AskedDim]) -> None:
        self.asked = tuple(asked)
        captured = expressions(program, asked) if program is not None else {}
        known = {symbol for size in captured.values() for symbol in size.free_symbols}
        self._size: dict[AskedDim, Any] = {dim: captured.get(dim, _by_name(dim)) for dim in asked}
        self.equations = tuple(_equations(program, known)) if program is not None else ()
        alone = {size: dim for dim, size in self._size.items() if size.is_Symbol}
        for equation in self.equations:
            for symbol, value in _solved(equation, self._size.values(), alone):
                self._size = {dim: size.subs(symbol, value) for dim, size in self._size.items()}
        free = sorted({symbol for size in self._size.values() for symbol in size.free_symbols}, key=str)
        self._free = {symbol: [dim for dim, size in self._size.items() if size == symbol] for symbol in free}

    @property
    def links(self) -> tuple[Linked, ...]:
        """The equations between several dimensions."""
        first = {symbol: dims[0] for symbol, dims in self._free.items() if dims}
        found = []
        for dim, size in self._size.items():
            if not size.is_Symbol and size.free_symbols and size.free_symbols <= first.keys():
                named = {symbol: sympy.Symbol(dim.key) for symbol, dim in first.items()}
                others = tuple(first[symbol] for symbol in sorted(size.free_symbols, key=str))
                found.append(Linked(dim, str(size.subs(named)), others))
        return tuple(found)

    def solves(self, expression: Any) -> bool:
        """Whether a condition is one of the equations that the sizes were made to fulfil."""
        return any(expression == equation for equation in self.equations)

    def at(self, point: str, *, limit: bool = False) -> dict[AskedDim, int] | None:
        """The sizes at `min`, `opt` or `max` of the ranges; None where no size of a free dimension is known.

        `limit` keeps them at sizes that this machine surely has memory for.
        """
        chosen = {}
        for symbol, dims in self._free.items():
            if not dims:
                return None
            low = max(wanted(dim, "min") for dim in dims)
            high = min(wanted(dim, "max") for dim in dims)
            size = {"min": low, "max": high}.get(point, wanted(dims[0], "opt"))
            chosen[symbol] = min(size, max(low, dims[0].example * _GROWTH)) if limit else size
        return self._with(chosen)

    def larger(self) -> dict[AskedDim, int] | None:
        """Sizes a little above the example's, each free dimension by another amount, where the ranges allow it."""
        # The same axis with the same size and range in several inputs is one thing (the batch, the length): models
        # expect it equal, so it varies together.
        alike = list(dict.fromkeys(_alike(dims[0]) for dims in self._free.values() if dims))
        chosen = {}
        for symbol, dims in self._free.items():
            if not dims:
                return None
            low, high = max(dim.min for dim in dims), min(wanted(dim, "max") for dim in dims)
            example = dims[0].example
            chosen[symbol] = max(low, min(high, example * _GROWTH, example + 1 + alike.index(_alike(dims[0]))))
        return self._with(chosen)

    def _with(self, chosen: Mapping[Any, int]) -> dict[AskedDim, int] | None:
        found = {}
        for dim, size in self._size.items():
            number = size.subs(chosen)
            if not number.is_Integer or number < 1:
                return None
            found[dim] = int(number)
        return found


def wanted(dim: AskedDim, point: str) -> int:
    """The size of a dimension at a point of its range; the example's times a little where there is no largest."""
    match point:
        case "min":
            return dim.min
        case "max":
            return dim.max if dim.max is not None else dim.example * _GROWTH
    return dim.opt or dim.example


def points(sizes: Sizes) -> Iterator[dict[AskedDim, int]]:
    """Sizes to compare at, no two alike and none the example's: larger than it, the smallest, the profile's own."""
    seen = [{dim: dim.example for dim in sizes.asked}]
    tried = [sizes.larger(), sizes.at("min")]
    if any(dim.opt for dim in sizes.asked):
        tried += [sizes.at("opt", limit=True)]
    for point in tried:
        if point is not None and point not in seen:
            seen.append(point)
            yield point


def expressions(program: torch.export.ExportedProgram, asked: Sequence[AskedDim]) -> dict[AskedDim, Any]:
    """The size of each asked dimension in the capture, an expression over its symbols; fixed ones are left out."""
    fed = [spec.arg.name for spec in program.graph_signature.input_specs if spec.kind.name == "USER_INPUT"]
    values = {node.name: node.meta.get("val") for node in program.graph.nodes if node.op == "placeholder"}
    given = [values[name] for name in fed if isinstance(values.get(name), torch.Tensor)]
    found = {}
    for dim in asked:
        size = given[dim.position].shape[dim.axis] if dim.position < len(given) else None
        if isinstance(size, torch.SymInt) and size.node.expr.free_symbols:
            found[dim] = size.node.expr
    return found


def _equations(program: torch.export.ExportedProgram, known: set[Any]) -> Iterator[Any]:
    """The removed assertions that set sizes of inputs equal."""
    for node in program.graph.nodes:
        value = node.meta.get("val")
        if node.users or node.op != "call_function" or not isinstance(value, torch.SymBool):
            continue
        expression = value.node.expr
        if isinstance(expression, sympy.Eq) and len(expression.free_symbols) > 1 and expression.free_symbols <= known:
            yield expression


def _solved(equation: Any, sizes: Iterable[Any], alone: Mapping[Any, AskedDim]) -> Iterator[tuple[Any, Any]]:
    """The symbol that an equation gives and its value: a sum of others with positive factors, `total = past + new`."""
    if not equation.free_symbols <= {symbol for size in sizes for symbol in size.free_symbols}:
        return  # one of them is solved for already
    for symbol in sorted(equation.free_symbols, key=lambda s: -alone[s].example if s in alone else 0):
        difference = sympy.expand(equation.lhs - equation.rhs)
        if not difference.is_polynomial(*equation.free_symbols) or abs(difference.coeff(symbol)) != 1:
            continue
        value = sympy.expand(symbol - difference / difference.coeff(symbol))
        if symbol not in value.free_symbols and all(c > 0 for c in value.as_coefficients_dict().values()):
            yield symbol, value
            return


def _by_name(dim: AskedDim) -> Any:
    """A dimension that no capture tells about: one size with those of its name."""
    return sympy.Symbol(dim.symbol)


def _alike(dim: AskedDim) -> tuple[int, int, int, int | None]:
    return dim.axis, dim.example, dim.min, dim.max
