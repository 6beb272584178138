"""What is looked at to explain a broken node, and what an explanation is."""

from __future__ import annotations

from dataclasses import dataclass

from friction_tui.kinds.kind import Kind
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.model.shapes.clashes import Side
from friction_tui.model.shapes.tensors import PointShapes
from friction_tui.rules.shapes.dimensions import Dimension, Dimensions
from friction_tui.rules.shapes.shape_study import Broken, Study
from friction_tui.rules.shapes.size_origin import Origin, origin_of
from friction_tui.vocabulary.finding import Fix, Location, LocationKind


@dataclass(frozen=True, slots=True)
class Explanation:
    """The kind, what is to be said beyond the message, other things to point at, and what to do.

    `by_size` says whether sizes that happen to work are worth naming: not where they work by chance or only as pairs.
    """

    kind: Kind
    text: str = ""
    locations: tuple[Location, ...] = ()
    fixes: tuple[Fix, ...] = ()
    by_size: bool = True


@dataclass(frozen=True, slots=True)
class View:
    """A broken node with what was found out about it; `whole` are the shapes where it breaks most tellingly."""

    model: OpenedModel
    dimensions: Dimensions
    broken: Broken
    studied: Study
    whole: PointShapes

    @property
    def node(self) -> Node:
        """The node that cannot work."""
        return self.broken.node

    @property
    def point(self) -> PointShapes:
        """The tensors of the graph the node stands in."""
        return self.whole.inside(self.node.graph)

    def varying(self, side: Side) -> list[Dimension]:
        """The dimensions that change the size of a side."""
        start = self.studied.base or self.dimensions.at("opt")
        found = []
        for dimension in self.dimensions.all.values():
            sizes = set()
            for size in dict.fromkeys(
                (start[dimension.key], dimension.range.min, dimension.range.max, start[dimension.key] + 1)
            ):
                shapes = self.dimensions.shapes({**start, dimension.key: size}).inside(self.node.graph)
                tensor = shapes.types.get(side.tensor)
                if tensor is not None and tensor.sizes is not None and side.axis < len(tensor.sizes):
                    sizes.add(tensor.sizes[side.axis])
            if len(sizes) > 1:
                found.append(dimension)
        return found

    def origin(self, side: Side, point: PointShapes | None = None) -> Origin:
        """Where the size of a side comes from."""
        return origin_of(self.model, point or self.whole, side.tensor, side.axis, self.node.graph)

    def locations(self, origin: Origin) -> tuple[Location, ...]:
        """The constant or the node that decided a size."""
        if origin.kind == "initializer" and self.model.index.initializer_in(origin.graph, origin.tensor) is not None:
            return (Location(LocationKind.INITIALIZER, origin.tensor),)
        return (location_of(self.model, origin.node),) if origin.node is not None else ()
