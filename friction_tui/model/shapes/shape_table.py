"""Every tensor's shape over the profile's ranges, in short enough words for a row."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence

from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import input_sizes, shapes_at
from friction_tui.model.shapes.symbolic import known_symbolic
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.vocabulary.recipe import POINTS, Profile

_SIMPLE = re.compile(r"[A-Za-z_]\w*|\d+\*[A-Za-z_]\w*")
"""An expression short enough for a row: a symbol or a multiple of one."""
_Triple = tuple[int | None, ...]
"""One dimension's size at min, opt and max; or the dims of one point."""


class ShapeTable:
    """Shapes at min, opt and max of a profile, each worked out when first asked for.

    Points are remembered with the model, by their sizes: a table for an edited profile works out only what the
    edit changed.
    """

    def __init__(self, model: OpenedModel, profile: Profile | None) -> None:
        self.model = model
        self.profile = profile
        self._points: dict[str, PointShapes] = {}
        self._labels: dict[str, str] = {}
        self._texts: dict[tuple[tuple[_Triple, ...], tuple[str, ...] | None], str] = {}
        ranges = profile.ranges if profile else {}
        self._symbols = {
            key: (chosen.min, chosen.opt, chosen.max)
            for key, chosen in ranges.items()
            if "[" not in key and chosen.min < chosen.max
        }

    def at(self, point: str) -> PointShapes:
        """The shapes at "min", "opt" or "max"."""
        if point not in self._points:
            values = {name: given.at(point) for name, given in (self.profile.values if self.profile else {}).items()}
            self._points[point] = shapes_at(self.model, input_sizes(self.model, self.profile, point), values, point)
        return self._points[point]

    @property
    def min(self) -> PointShapes:
        """The shapes at the smallest sizes."""
        return self.at("min")

    @property
    def opt(self) -> PointShapes:
        """The shapes at the most likely sizes."""
        return self.at("opt")

    @property
    def max(self) -> PointShapes:
        """The shapes at the largest sizes."""
        return self.at("max")

    def probe(
        self, sizes: Mapping[str, tuple[int, ...]], values: Mapping[str, Sequence[int]] | None = None
    ) -> PointShapes:
        """The shapes at any other sizes. Shape-tensor inputs without `values` keep those at opt."""
        if values is None:
            values = {name: given.opt for name, given in (self.profile.values if self.profile else {}).items()}
        return shapes_at(self.model, sizes, values, "probe")

    def symbolic(self, tensor: str) -> tuple[str, ...] | None:
        """Dims in input symbols (`8*N`), None where there are none or `infer_symbolic` has not run for the model."""
        return known_symbolic(self.model).get(tensor)

    def label(self, tensor: str) -> str:
        """Its shape over the ranges, such as `N × 64 × H/2 × 320..640`.

        A dim is a symbol or a simple multiple of one where the three points leave no doubt, else its range of
        sizes. "scalar" for rank 0, "" where the rank is not known at every point.
        """
        if tensor not in self._labels:
            self._labels[tensor] = self._label(tensor)
        return self._labels[tensor]

    def _label(self, tensor: str) -> str:
        points = [self.at(point).types.get(tensor) for point in POINTS]
        rows = [found.dims for found in points if found is not None and found.dims is not None]
        if len(rows) < len(POINTS) or len({len(row) for row in rows}) != 1:
            return self._symbolic_label(tensor)
        key = (tuple(rows), self.symbolic(tensor))
        if key not in self._texts:  # most tensors of a model share a few shapes
            self._texts[key] = self._text(*key)
        return self._texts[key]

    def _text(self, rows: tuple[_Triple, ...], symbolic: tuple[str, ...] | None) -> str:
        """The label for the dims at min, opt and max."""
        if symbolic is None or len(symbolic) != len(rows[0]):
            symbolic = ("",) * len(rows[0])
        columns = zip(*rows, strict=True)
        parts = [self._dim(column, simple) for column, simple in zip(columns, symbolic, strict=True)]
        if len(parts) >= 4 and parts[-1] == parts[-2] and ".." in parts[-1]:
            parts[-2:] = [f"{parts[-1]}²"]
        return " × ".join(parts) or "scalar"

    def _symbolic_label(self, tensor: str) -> str:
        dims = self.symbolic(tensor)
        return "" if dims is None else " × ".join(dims).replace("*", "·") or "scalar"

    def _dim(self, sizes: _Triple, simple: str) -> str:
        """One dimension. `simple` is its expression in input symbols when that is known."""
        known = sorted({size for size in sizes if size is not None})
        if not known:
            return "?"
        if len(known) == 1:
            return str(known[0])
        exact = [key for key, triple in self._symbols.items() if sizes == triple]
        names = exact or [name for key, triple in self._symbols.items() if (name := _multiple(sizes, key, triple))]
        if len(names) == 1:
            return names[0]
        if simple and _SIMPLE.fullmatch(simple):
            return simple.replace("*", "·")
        return f"{known[0]}..{known[-1]}"


def _multiple(sizes: _Triple, symbol: str, triple: tuple[int, int, int]) -> str:
    """`8·N` or `N/2` when `sizes` are that at all three points, "" otherwise.

    Two different points fit many formulas by chance, so three are needed.
    """
    if None in sizes or len(set(triple)) < 3:
        return ""
    for factor in range(2, 65):
        if all(size == factor * at for size, at in zip(sizes, triple, strict=True)):
            return f"{factor}·{symbol}"
        if all(size is not None and size * factor == at for size, at in zip(sizes, triple, strict=True)):
            return f"{symbol}/{factor}"
    return ""
