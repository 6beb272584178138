"""Cutting models out of a graph for the parser: from a node on, up to a node, or one node with what it needs.

Tensors at the edge of a cut become inputs, typed by shape inference. That is as good as the real thing only
where the parser does not fold them: shape arithmetic, constants and small tensors are therefore cut out together
with the nodes that compute them.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import onnx
from onnx import TensorProto

from friction_tui.engines.tensorrt import assemble
from friction_tui.engines.tensorrt.marked import MarkedGraph
from friction_tui.engines.tensorrt.stub import Types, without_node

_SHAPE_LIKE = frozenset({TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL})
_SMALL = 64
"""Integer tensors of higher rank are taken for shape arithmetic up to this many elements: pads before a Reshape."""


@dataclass(frozen=True, slots=True)
class Cut:
    """A model to parse. `numbers` are the pieces in it, in order; `edges` the tensors made inputs.

    `weak` says that an edge's shape is less well known than it might be inside the whole graph.
    """

    data: bytes
    numbers: tuple[int, ...]
    edges: tuple[str, ...]
    weak: bool


@dataclass(slots=True)
class Cuts:
    """Cuts models out of `graph`, leaving out what is known to be refused.

    `dead` are refused pieces, `stubbed` those with a refused node inside a body, `cleared` those that only a cut
    made fail, `faulty` refused inputs and initializers, `untypable` tensors the parser does not take as inputs.
    """

    graph: MarkedGraph
    types: Types
    dead: set[int] = field(default_factory=set)
    stubbed: set[int] = field(default_factory=set)
    cleared: set[int] = field(default_factory=set)
    faulty: set[str] = field(default_factory=set)
    untypable: set[str] = field(default_factory=set)
    outputs: list[onnx.ValueInfoProto] = field(default_factory=list)
    _head: bytes = b""
    _protos: list[onnx.NodeProto] = field(default_factory=list)
    _fields: list[bytes] = field(default_factory=list)
    _producer: dict[str, int] = field(default_factory=dict)
    _inputs: dict[str, bytes] = field(default_factory=dict)
    _initializers: dict[str, bytes] = field(default_factory=dict)
    _constant: set[str] = field(default_factory=set)
    _from_shapes: set[str] = field(default_factory=set)
    _tainted: list[bool] = field(default_factory=list)
    _stubs: int = 0

    def __post_init__(self) -> None:
        graph = self.graph.proto.graph
        self.outputs = list(graph.output)
        self._head = assemble.model_head(self.graph.proto)
        self._protos = [piece.proto for piece in self.graph.pieces]
        self._fields = [piece.field for piece in self.graph.pieces]
        for value in graph.input:
            self._inputs.setdefault(value.name, assemble.input_field(value))
        self._initializers = {tensor.name: assemble.initializer_field(tensor) for tensor in graph.initializer}
        for sparse in graph.sparse_initializer:
            self._initializers[sparse.values.name] = assemble.field(15, sparse.SerializeToString())
        self._constant = set(self._initializers)
        for number, piece in enumerate(self.graph.pieces):
            for name in piece.writes:
                self._producer.setdefault(name, number)
            if all(name in self._constant for name in piece.reads):
                self._constant.update(piece.writes)

    # ------------------------------------------------------------------------------------------- what to cut

    def whole(self) -> Cut:
        """The whole graph with nothing left out, as the file has it."""
        numbers = range(len(self.graph.pieces))
        return self._cut(numbers, self._initializers, {}, self.outputs, weak=False)

    def suffix(self, start: int, end: int | None = None) -> Cut:
        """The pieces from `start` on (before `end`), without those refused or standing on unknown ground."""
        return self._gather(range(start, len(self.graph.pieces) if end is None else end))

    def alone(self, number: int) -> Cut:
        """One piece with what it needs."""
        return self._gather((number,))

    def up_to(self, number: int) -> Cut:
        """One piece and everything before it that it depends on."""
        wanted, stack = {number}, [number]
        while stack:
            for name in self.graph.pieces[stack.pop()].reads:
                producer = self._producer.get(name)
                if producer is not None and producer not in wanted:
                    wanted.add(producer)
                    stack.append(producer)
        return self._gather(sorted(wanted))

    @property
    def taken_out(self) -> int:
        """How much was taken out so far; grows with every change to what is cut."""
        out = len(self.dead) + len(self.cleared) + len(self.faulty) + len(self.untypable) + self._stubs
        return out - len(self.outputs)

    @property
    def untouched(self) -> bool:
        """Whether nothing is left out yet."""
        return not (self.dead or self.stubbed or self.faulty)

    def output_type(self, elem_type: int) -> bytes:
        """Return a model that computes nothing and declares an output of an element type."""
        value = onnx.helper.make_tensor_value_info("x", TensorProto.FLOAT, [1])
        result = onnx.helper.make_tensor_value_info("y", elem_type, [1])
        node = assemble.node_field(onnx.helper.make_node("Relu", ["x"], ["y"]))
        return assemble.assembled(self._head, [assemble.input_field(value), node, assemble.output_field(result)])

    def tensors(self, *, as_listed: bool) -> bytes:
        """Return a model with every input and initializer and no node; an input listed twice is twice in it."""
        inputs = list(self._inputs.values())
        if as_listed:
            inputs = [assemble.input_field(v) for v in self.graph.proto.graph.input if v.name not in self.faulty]
        return assemble.assembled(self._head, [*self._initializers.values(), *inputs])

    # ----------------------------------------------------------------------------------- what is left out, and why

    def drop(self, name: str) -> bool:
        """Leave a refused input or initializer out and its readers unjudged; False for none, or one left out before."""
        if not name or name in self.faulty:
            return False
        self.faulty.add(name)
        self._inputs.pop(name, None)
        self._initializers.pop(name, None)
        return True

    def kill(self, number: int) -> None:
        """Take a refused piece out."""
        self.dead.add(number)
        del self._tainted[number + 1 :]

    def kill_inside(self, number: int, marked_name: str) -> None:
        """Take out the node called `marked_name` in a body of a piece, or all of the piece if it cannot be stubbed."""
        stub = None if number in self.dead else without_node(self._protos[number], marked_name, self.types)
        if stub is None:
            self.kill(number)
            return
        self._protos[number] = stub.node
        self._fields[number] = assemble.node_field(stub.node)
        for value in stub.inputs:
            self._inputs[value.name] = assemble.input_field(value)
        self.stubbed.add(number)
        self._stubs += 1
        del self._tainted[number + 1 :]

    def provisional(self, number: int) -> bool:
        """Whether a piece depends on anything refused."""
        for at in range(len(self._tainted), number + 1):
            self._tainted.append(any(self._shaky(name) for name in self.graph.pieces[at].reads))
        return self._tainted[number] or number in self.stubbed

    def writer(self, name: str) -> tuple[str, int] | None:
        """(node name, output number) of the tensor's writer in the main graph."""
        number = self._producer.get(name)
        if number is None:
            return None
        proto = self.graph.pieces[number].proto
        return proto.name, list(proto.output).index(name)

    def _shaky(self, name: str) -> bool:
        producer = self._producer.get(name)
        if producer is None:
            return name in self.faulty
        before = producer < len(self._tainted) and self._tainted[producer]
        return before or producer in self.dead or producer in self.stubbed

    # ------------------------------------------------------------------------------------------------- cutting

    def _gather(self, wanted: Iterable[int]) -> Cut:
        """Cut out the wanted pieces, with what has to be computed inside and with edges for the rest.

        A piece behind a refused one whose output type nobody knows is left out: there is nothing to judge it on.
        """
        pieces, producer_of, given = self.graph.pieces, self._producer, self._initializers
        used: set[int] = set()
        edges: set[str] = set()
        initializers: dict[str, bytes] = {}
        unjudged: set[int] = set()
        for first in wanted:
            if first in self.dead or first in self.cleared:
                continue
            added, new_edges, stack = {first}, set(), [first]
            while stack and first not in unjudged:
                for name in pieces[stack.pop()].reads:
                    producer = producer_of.get(name)
                    if name in self.faulty:
                        unjudged.add(first)
                        break
                    if producer is None:
                        if name in given:
                            initializers[name] = given[name]
                    elif producer in used or producer in added or name in edges:
                        continue
                    elif not self._gone(producer) and producer not in unjudged and self._recompute(name):
                        added.add(producer)
                        stack.append(producer)
                    elif self.types.known(name) and name not in self.untypable:
                        new_edges.add(name)
                    else:
                        unjudged.add(first)
                        break
            if first not in unjudged:
                used |= added
                edges |= new_edges
        outer = sorted(name for name in edges if producer_of[name] not in used)
        values = {name: assemble.input_field(self.types.value(name)) for name in outer}
        outputs = [value for value in self.outputs if producer_of.get(value.name) in used]
        weak = any(self.types.weak(name) for name in outer)
        return self._cut(sorted(used), initializers, values, outputs, weak=weak)

    def _gone(self, number: int) -> bool:
        return number in self.dead or number in self.cleared

    def _recompute(self, name: str) -> bool:
        """Whether a tensor must be computed inside a cut, because the parser may need its value or has better types."""
        if name in self._constant or name in self.untypable or not self.types.known(name):
            return True
        tensor = self.types.value(name).type.tensor_type
        if tensor.elem_type not in _SHAPE_LIKE:
            return len(tensor.shape.dim) <= 1 and self._comes_from_shapes(name)
        elements = 1
        for dim in tensor.shape.dim:
            elements *= dim.dim_value if dim.HasField("dim_value") else _SMALL + 1
        return len(tensor.shape.dim) <= 1 or elements <= _SMALL

    def _comes_from_shapes(self, name: str) -> bool:
        """Whether a tensor is computed from integers and constants only, as the scales of a Resize often are."""
        if not self._from_shapes:
            self._from_shapes.update(self._constant)
            for piece in self.graph.pieces:
                if all(read in self._from_shapes or self._is_integer(read) for read in piece.reads):
                    self._from_shapes.update(piece.writes)
        return name in self._from_shapes

    def _is_integer(self, name: str) -> bool:
        return self.types.known(name) and self.types.value(name).type.tensor_type.elem_type in _SHAPE_LIKE

    def _cut(
        self,
        numbers: Iterable[int],
        initializers: dict[str, bytes],
        edges: dict[str, bytes],
        outputs: Iterable[onnx.ValueInfoProto],
        *,
        weak: bool,
    ) -> Cut:
        chosen = tuple(numbers)
        parts = [self._fields[number] for number in chosen]
        parts += [*initializers.values(), *self._inputs.values(), *edges.values()]
        parts += [assemble.output_field(value) for value in outputs]
        return Cut(assemble.assembled(self._head, parts), chosen, tuple(edges), weak)
