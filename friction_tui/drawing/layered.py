"""Places for boxes: layers from top to bottom, an order with few crossings, columns close to the neighbours.

After Sugiyama, Tagawa and Toda (1981), for a few dozen boxes. A value read further down than in the next layer
passes the layers between as a *via*, one column wide.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

SWEEPS = 6
"""Passes over the layers; more change nothing for so few boxes."""
GAP = 2
"""Columns between neighbours in a layer."""


@dataclass(slots=True)
class Spot:
    """A box, or the via of one, in its layer. `column` is its left edge."""

    box: int
    via: bool
    layer: int
    width: int
    above: list[Spot] = field(default_factory=list)
    below: list[Spot] = field(default_factory=list)
    column: int = 0

    @property
    def middle(self) -> int:
        """The column where its value leaves."""
        return self.column + self.width // 2


def location(boxes: Sequence[int], reads: Mapping[int, Sequence[int]], widths: Mapping[int, int]) -> list[list[Spot]]:
    """Layers of spots, each ordered from left to right, columns counted from 0.

    `boxes` come in an order in which each follows what it reads; `reads` are the boxes each reads.
    """
    layers = _layers(boxes, reads, widths)
    _reduce_crossings(layers)
    _set_columns(layers)
    return layers


def _layers(boxes: Sequence[int], reads: Mapping[int, Sequence[int]], widths: Mapping[int, int]) -> list[list[Spot]]:
    depth: dict[int, int] = {}
    for box in boxes:
        depth[box] = 1 + max((depth[source] for source in reads[box]), default=-1)
    readers: dict[int, list[int]] = {box: [] for box in boxes}
    for box in boxes:
        for source in reads[box]:
            readers[source].append(box)
    for box in reversed(boxes):
        if readers[box] and not reads[box]:
            depth[box] = min(depth[reader] for reader in readers[box]) - 1
    layers: list[list[Spot]] = [[] for _ in range(1 + max(depth.values()))]
    spots: dict[int, Spot] = {}
    for box in boxes:
        spots[box] = Spot(box, False, depth[box], widths[box])
        layers[depth[box]].append(spots[box])
    for box in boxes:
        deepest = max((depth[reader] for reader in readers[box]), default=0)
        upper = spots[box]
        for layer in range(depth[box] + 1, deepest + 1):
            lower = [spots[reader] for reader in readers[box] if depth[reader] == layer]
            if layer < deepest:
                lower.append(Spot(box, True, layer, 1))
                layers[layer].append(lower[-1])
            for spot in lower:
                upper.below.append(spot)
                spot.above.append(upper)
            upper = lower[-1]
    return layers


def _reduce_crossings(layers: list[list[Spot]]) -> None:
    best, fewest = [list(layer) for layer in layers], _crossings(layers)
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            other = {id(spot): at for neighbours in layers for at, spot in enumerate(neighbours)}
            own = {id(spot): float(at) for at, spot in enumerate(layer)}
            for spot in layer:
                near = spot.above if down else spot.below
                if near:
                    own[id(spot)] = sum(other[id(each)] for each in near) / len(near)
            layer.sort(key=lambda spot: own[id(spot)])
        crossings = _crossings(layers)
        if crossings < fewest:
            best, fewest = [list(layer) for layer in layers], crossings
    layers[:] = best


def _crossings(layers: Sequence[Sequence[Spot]]) -> int:
    at = {id(spot): location for layer in layers for location, spot in enumerate(layer)}
    count = 0
    for layer in layers:
        edges = sorted((at[id(spot)], at[id(lower)]) for spot in layer for lower in spot.below)
        count += sum(b[1] < a[1] for i, a in enumerate(edges) for b in edges[i + 1 :] if b[0] > a[0])
    return count


def _set_columns(layers: Sequence[Sequence[Spot]]) -> None:
    for layer in layers:
        _arrange(layer, [0.0] * len(layer))
    for sweep in range(SWEEPS):
        down = sweep % 2 == 0
        for layer in layers if down else reversed(layers):
            _arrange(layer, [_wanted(spot, down) for spot in layer])
    left = min(spot.column for layer in layers for spot in layer)
    for layer in layers:
        for spot in layer:
            spot.column -= left


def _wanted(spot: Spot, down: bool) -> float:
    near = (spot.above or spot.below) if down else (spot.below or spot.above)
    if not near:
        return spot.column
    return sum(each.middle for each in near) / len(near) - spot.width // 2


def _arrange(layer: Sequence[Spot], wanted: Sequence[float]) -> None:
    """Put each spot as near to its wanted column as order and gaps allow: least squares, pooling violators."""
    offset = 0
    pools: list[tuple[float, int]] = []
    offsets = []
    for spot, column in zip(layer, wanted, strict=True):
        offsets.append(offset)
        total, count = column - offset, 1
        while pools and pools[-1][0] / pools[-1][1] > total / count:
            before, many = pools.pop()
            total, count = total + before, count + many
        pools.append((total, count))
        offset += spot.width + GAP
    shifts = [round(total / count) for total, count in pools for _ in range(count)]
    for spot, shift, begin in zip(layer, shifts, offsets, strict=True):
        spot.column = shift + begin
