"""Where a failure of the builder begins, for a message that names no node: bisection over the graph's beginnings.

A beginning of the graph, in topological order, has the model's own inputs, so that nothing about it needs to be
inferred. The shortest one that fails in the same way ends with the node at which the failure begins.
"""

from __future__ import annotations

from collections.abc import Callable

from friction_tui.engines.tensorrt import assemble
from friction_tui.engines.tensorrt.marked import MarkedGraph
from friction_tui.engines.tensorrt.stub import Types


def first_failing(
    graph: MarkedGraph, fails: Callable[[bytes], bool], over: Callable[[], bool] = lambda: False
) -> int | None:
    """The number of the piece with which the shortest failing beginning of `graph` ends.

    `fails` says whether a serialised model fails in the way that is looked for; the whole graph does. None when `over`
    says yes before the answer is known. It takes as many builds as the number of nodes has binary digits.
    """
    beginnings = Beginnings(graph)
    works, broken = 0, len(graph.pieces)
    while broken - works > 1:
        if over():
            return None
        middle = (works + broken) // 2
        if fails(beginnings.upto(middle)):
            broken = middle
        else:
            works = middle
    return broken - 1 if graph.pieces else None


class Beginnings:
    """Models of the first nodes of a graph, in topological order."""

    def __init__(self, graph: MarkedGraph) -> None:
        self._graph = graph
        self._types = Types(graph.proto, {})
        self._head = assemble.model_head(graph.proto)
        values = graph.proto.graph
        self._given = {value.name: assemble.input_field(value) for value in values.input}
        self._weights = {tensor.name: assemble.initializer_field(tensor) for tensor in values.initializer}
        for sparse in values.sparse_initializer:
            self._weights[sparse.values.name] = assemble.field(15, sparse.SerializeToString())
        self._outputs = {value.name: assemble.output_field(value) for value in values.output}

    def upto(self, end: int) -> bytes:
        """The model of the pieces before `end`; its outputs are what the rest would read, and the model's own."""
        pieces = self._graph.pieces
        reads = {name for piece in pieces[:end] for name in piece.reads}
        later = {name for piece in pieces[end:] for name in piece.reads}
        written = [name for piece in pieces[:end] for name in piece.writes]
        parts = [piece.field for piece in pieces[:end]]
        parts += [data for name, data in self._weights.items() if name in reads]
        parts += [data for name, data in self._given.items() if name in reads]
        outputs = [self._output(name) for name in written if name in self._outputs or name in later]
        parts += [data for data in outputs if data] or [self._output(written[-1])]
        return assemble.assembled(self._head, parts)

    def _output(self, name: str) -> bytes:
        if name in self._outputs:
            return self._outputs[name]
        return assemble.output_field(self._types.value(name)) if self._types.known(name) else b""
