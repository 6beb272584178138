"""Parts of a model as models of their own: some nodes, with what they need of the rest as inputs or constants."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import helper, numpy_helper

from friction_tui.engines.profiles import Points, ResolvedProfile
from friction_tui.model.graph import GraphIndex, Node
from friction_tui.model.names import DTYPE_CODES
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.tensors import TensorType
from friction_tui.vocabulary.recipe import POINTS, Profile, Range

_SMALL = 256
"""Elements up to which a value that is known becomes a constant of the part."""
_ONLY_BETWEEN_QDQ = frozenset(
    {"int4", "uint4", "float8e4m3fn", "float8e5m2", "float4e2m1", "float8e8m0", "int8", "uint8"}
)
"""Types of tensors that an engine has between QuantizeLinear and DequantizeLinear only: cut elsewhere, both stay."""


@dataclass(frozen=True, slots=True)
class Part:
    """A part of a model: its nodes, as a model, and the sizes to build it at."""

    nodes: tuple[Node, ...]
    proto: onnx.ModelProto
    profile: ResolvedProfile


class Parts:
    """Cuts parts out of one graph of `model`, with the sizes that `table` knows at min, opt and max.

    The graph is the main one, or the body at the path prefix `prefix`. `light` is a copy of the model that parts are
    made of: without large weights, say.
    """

    def __init__(
        self,
        model: OpenedModel,
        table: ShapeTable,
        prefix: str = "",
        light: GraphIndex | None = None,
    ) -> None:
        self.model, self.table, self.prefix = model, table, prefix
        self._index, self._light = model.index, light or model.index
        self._points = [table.at(point).inside(prefix) for point in POINTS]
        self.order: list[Node] = [self._index.nodes_in[prefix][number] for number in self._index.sorted_in(prefix)]
        """The graph's nodes in topological order."""
        self._rank = {node.path: number for number, node in enumerate(self.order)}
        self._producer = self._index.producer_in(prefix)
        self.consumers = self._index.consumers_in(prefix)
        graph = self._index.graphs[prefix]
        given = () if isinstance(graph, onnx.FunctionProto) else graph.input
        self._declared = {value.name: value for value in given} if not prefix else {}
        self._outputs = {value.name: value for value in graph.output} if not prefix else {}
        self._kept = {value if isinstance(value, str) else value.name for value in graph.output}
        sizes = [input_sizes(model, table.profile, point) for point in POINTS]
        self._sizes: dict[str, Points] = {
            name: (sizes[0][name], sizes[1][name], sizes[2][name])
            for name in sizes[1]
            if all(name in at for at in sizes)
        }
        values = table.profile.values if table.profile else {}
        self._values = {name: (given.min, given.opt, given.max) for name, given in values.items()}
        self._moved = _moved(table)
        self._moved_types = None if self._moved is None else self._moved.at("opt").inside(prefix).types

    def writer(self, name: str) -> Node | None:
        """The node of this graph that writes a tensor; None where no node of it does."""
        return self._producer.get(name)

    def element_type(self, name: str) -> int:
        """A tensor's element type as ONNX numbers it, 0 where it is not known."""
        if name in self._declared:
            return int(self._declared[name].type.tensor_type.elem_type)
        stored = self._initializer(name)
        if stored is not None:
            return stored.data_type
        types = self._types(name)
        return DTYPE_CODES.get(types[0].dtype, 0) if types else 0

    def reads(self, node: Node) -> list[str]:
        """The tensors that a node reads, in its bodies too."""
        return self._index.reads(node)

    def part(self, chosen: Iterable[Node]) -> Part | None:
        """The model of the `chosen` nodes and of what computes the shapes they need; None where a type is not known."""
        inside = {node.path: node for node in chosen}
        for node in list(inside.values()):
            inside |= {partner.path: partner for partner in self._partners(node)}
        pending, edges = list(inside.values()), dict[str, onnx.ValueInfoProto]()
        constants = dict[str, onnx.TensorProto]()
        shapes: dict[str, Points] = {}
        values: dict[str, Points] = {}
        while pending:
            for name in self._index.reads(pending.pop()):
                writer = self._producer.get(name)
                if name in edges or name in constants or (writer is not None and writer.path in inside):
                    continue
                if writer is None and (stored := self._initializer(name)) is not None:
                    constants[name] = stored
                elif writer is None and name in self._declared:
                    edges[name] = self._declared[name]
                    if name in self._sizes:
                        shapes[name] = self._sizes[name]
                    if name in self._values:
                        values[name] = self._values[name]
                elif (value := self._fixed(name)) is not None:
                    constants[name] = numpy_helper.from_array(value, name)
                elif writer is None:
                    if (typed := self._typed(name)) is None:
                        return None
                    edges[name], shapes[name] = typed
                    if self._is_shape(name):
                        rows = [tuple(int(one) for one in value.reshape(-1)) for value in self._known(name)]
                        values[name] = (rows[0], rows[1], rows[2])
                elif self._is_shape(name) or (edge := self._edge(name)) is None:
                    inside[writer.path] = writer
                    pending.append(writer)
                else:
                    edges[name], shapes[name] = edge
        nodes = tuple(sorted(inside.values(), key=lambda node: self._rank[node.path]))
        return Part(nodes, self._model_of(nodes, edges, constants), ResolvedProfile(shapes, values))

    def window(self, node: Node, hops: int) -> list[Node]:
        """A node, what writes its inputs and what reads its outputs, `hops` times, in topological order."""
        found, edge = {node.path: node}, [node]
        for _ in range(hops):
            near = [writer for one in edge for name in self._index.reads(one) if (writer := self.writer(name))]
            near += [reader for one in edge for name in one.outputs for reader in self.consumers.get(name, ())]
            edge = [one for one in near if one.path not in found]
            found |= {one.path: one for one in edge}
        return sorted(found.values(), key=lambda one: self._rank[one.path])

    def _partners(self, node: Node) -> list[Node]:
        """A reader of each result that an engine has between QuantizeLinear and DequantizeLinear only."""
        if node.proto.op_type == "DequantizeLinear":
            return []
        found = []
        for name in node.outputs:
            types = self._types(name) if name else []
            if types and types[0].dtype in _ONLY_BETWEEN_QDQ:
                readers = self.consumers.get(name, ())
                found += [reader for reader in readers if reader.proto.op_type == "DequantizeLinear"][:1]
        return found

    def _initializer(self, name: str) -> onnx.TensorProto | None:
        """An initializer of this graph or of one around it."""
        prefix = self.prefix
        while True:
            stored = self._light.initializer_in(prefix, name)
            if stored is not None or not prefix:
                return stored
            owner = self._index.owner_of(prefix)
            if not owner:
                return None
            prefix = self._index.by_path[owner].graph

    def before(self, nodes: Iterable[Node], end: Node) -> list[Node]:
        """Those of `nodes` that `end` depends on, itself included, in topological order."""
        among = {node.path: node for node in nodes}
        kept, pending = {end.path: end}, [end]
        while pending:
            for name in self._index.reads(pending.pop()):
                writer = self._producer.get(name)
                if writer is not None and writer.path in among and writer.path not in kept:
                    kept[writer.path] = writer
                    pending.append(writer)
        return sorted(kept.values(), key=lambda node: self._rank[node.path])

    def _types(self, name: str) -> list[TensorType]:
        found = [point.types.get(name) for point in self._points]
        return [one for one in found if one is not None]

    def _known(self, name: str) -> list[np.ndarray]:
        return [point.values[name] for point in self._points if name in point.values]

    def _fixed(self, name: str) -> np.ndarray | None:
        """A value that is the same at every point and small, None for anything else."""
        known = self._known(name)
        if len(known) < len(POINTS) or known[0].size > _SMALL or known[0].dtype == np.object_:
            return None
        return known[0] if all(np.array_equal(known[0], value) for value in known) else None

    def _is_shape(self, name: str) -> bool:
        """Whether a tensor is shape arithmetic: its values are known, and differ between the points."""
        return len(self._known(name)) == len(POINTS)

    def _edge(self, name: str) -> tuple[onnx.ValueInfoProto, Points] | None:
        """A tensor as an input, with its sizes at the three points; None where it cannot be one."""
        types = self._types(name)
        return None if types and types[0].dtype in _ONLY_BETWEEN_QDQ else self._typed(name)

    def _typed(self, name: str) -> tuple[onnx.ValueInfoProto, Points] | None:
        """A tensor with its type, and its sizes at the three points; None where they are not known."""
        types = self._types(name)
        sizes = [size for one in types if (size := one.sizes) is not None]
        if len(sizes) < len(POINTS) or types[0].dtype not in DTYPE_CODES or len({len(size) for size in sizes}) != 1:
            return None
        columns = list(zip(*sizes, strict=True))
        dims = [
            at[0] if len(set(at)) == 1 and not self._free(name, axis, at[0]) else f"{name}_{axis}"
            for axis, at in enumerate(columns)
        ]
        low, high = tuple(map(min, columns)), tuple(map(max, columns))
        return helper.make_tensor_value_info(name, DTYPE_CODES[types[0].dtype], dims), (low, sizes[1], high)

    def _free(self, name: str, axis: int, size: int) -> bool:
        """Whether a dim of one size depends on a range of one size: the builder takes it for dynamic all the same."""
        moved = self._moved_types.get(name) if self._moved_types is not None else None
        return moved is not None and moved.sizes is not None and moved.sizes[axis : axis + 1] != (size,)

    def _model_of(
        self, nodes: tuple[Node, ...], edges: dict[str, onnx.ValueInfoProto], constants: dict[str, onnx.TensorProto]
    ) -> onnx.ModelProto:
        model = onnx.ModelProto(ir_version=self.model.proto.ir_version)
        model.opset_import.extend(self.model.proto.opset_import)
        model.functions.extend(self._light.proto.functions)
        graph = model.graph
        graph.name = self.model.proto.graph.name or "part"
        graph.node.extend(self._light.by_path[node.path].proto for node in nodes)
        graph.input.extend(edges.values())
        graph.initializer.extend(constants.values())
        inside = {node.path for node in nodes}
        ends = [name for node in nodes for name in node.outputs if name and self._leaves(name, inside)]
        graph.output.extend(self._output(name) for name in ends or [name for name in nodes[-1].outputs if name][:1])
        return model

    def _leaves(self, name: str, inside: set[str]) -> bool:
        readers = self.consumers.get(name, ())
        return name in self._kept or any(reader.path not in inside for reader in readers)

    def _output(self, name: str) -> onnx.ValueInfoProto:
        """A tensor as an output. The element type of one that nobody knows is taken to be float32."""
        if name in self._outputs:
            own: onnx.ValueInfoProto = self._outputs[name]
            return own
        known, types = self._typed(name), self._types(name)
        if known is not None:
            return known[0]
        code = DTYPE_CODES.get(types[0].dtype, onnx.TensorProto.FLOAT) if types else onnx.TensorProto.FLOAT
        value: onnx.ValueInfoProto = helper.make_tensor_value_info(name, code, None)
        return value


def _moved(table: ShapeTable) -> ShapeTable | None:
    """The table with every range of one size moved by 1: what moves along is dynamic. None where nothing is to move."""
    profile = table.profile
    fixed = {key: chosen for key, chosen in profile.ranges.items() if chosen.min == chosen.max} if profile else {}
    if profile is None or not fixed:
        return None
    moved = {key: Range(one.min + 1, one.min + 1, one.min + 1) for key, one in fixed.items()}
    return ShapeTable(table.model, Profile(ranges={**profile.ranges, **moved}, values=profile.values))
