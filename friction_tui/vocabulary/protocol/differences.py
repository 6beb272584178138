"""What differs between two versions of a model, as facts: what an edit took out, put in and changed."""

from __future__ import annotations

import msgspec


class NodeFacts(msgspec.Struct, frozen=True):
    """A node: `op` with its domain (`com.microsoft::Gelu`), `path` in its own model, attributes as short texts."""

    path: str
    name: str
    op: str
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    attributes: dict[str, str] = {}


class Change(msgspec.Struct, frozen=True):
    """Something with a name before and after, as short texts; "" where it was not there, or is not any more."""

    name: str
    before: str
    after: str


class NodeChange(msgspec.Struct, frozen=True):
    """A node that stayed and is not the same: another name, inputs, outputs, or the attributes listed."""

    before: NodeFacts
    after: NodeFacts
    attributes: tuple[Change, ...] = ()


class GraphDifference(msgspec.Struct, frozen=True, kw_only=True):
    """One graph: `graph` is its path prefix in the model before ("" for the main graph).

    `moved` counts the nodes that only stand elsewhere in the order.
    """

    graph: str = ""
    removed: tuple[NodeFacts, ...] = ()
    added: tuple[NodeFacts, ...] = ()
    changed: tuple[NodeChange, ...] = ()
    inputs: tuple[Change, ...] = ()
    outputs: tuple[Change, ...] = ()
    initializers: tuple[Change, ...] = ()
    moved: int = 0

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        parts = (self.removed, self.added, self.changed, self.inputs, self.outputs, self.initializers)
        return not any(parts) and not self.moved


class ModelDifference(msgspec.Struct, frozen=True, kw_only=True):
    """A whole model: the graphs in which something differs, the main one first."""

    graphs: tuple[GraphDifference, ...] = ()
    opsets: tuple[Change, ...] = ()
    functions: tuple[Change, ...] = ()
    ir_version: Change | None = None

    @property
    def empty(self) -> bool:
        """Whether nothing differs."""
        return not (self.graphs or self.opsets or self.functions or self.ir_version)


class Pair(msgspec.Struct, frozen=True):
    """Two model files to compare."""

    before: str
    after: str


class Compared(msgspec.Struct, frozen=True):
    """What differs; None where one of the files holds no ONNX graph, whose name is `no_graph`."""

    difference: ModelDifference | None
    no_graph: str = ""
