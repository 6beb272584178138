"""The graph as the parser is shown it: sorted, functions inlined, weights left at home, every node marked.

The parser names a node by its name, or by the outer node's number when it sits in a body. So each node's name
gets a mark, `conv1‹17›`, which leads back to its path wherever it turns up: in errors, logs and layer names.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import TensorProto, inliner

from friction_tui.engines.tensorrt.assemble import node_field
from friction_tui.engines.tensorrt.parser import ParserError
from friction_tui.model.constants import constant_of, element_count, tensor_value
from friction_tui.model.external import tensor_bytes
from friction_tui.model.graph import GraphIndex, Node
from friction_tui.model.opened import OpenedModel

HEAVY_BYTES = 16 * 1024
"""Initializers from this size on are replaced by zeros of the same type and shape, read from a file of holes."""
_VALUES_MATTER = frozenset(
    {"QuantizeLinear", "DequantizeLinear", "DynamicQuantizeLinear", "QLinearConv", "QLinearMatMul"}
)
"""Operators whose scales and zero points the parser looks into, however many there are."""
_HOLES = "holes"

_MARK = re.compile(r"‹(\d+)›(?:__\d+)*")
"""A mark, with what inlining appends to a node's name."""


@dataclass(frozen=True, slots=True)
class Mark:
    """What a mark stands for: the node as the user knows it."""

    path: str
    name: str
    op: str


@dataclass(frozen=True, slots=True)
class Piece:
    """A node of the main graph, ready to be put into a model again and again.

    `reads` are its inputs and what its bodies take from outside; `field` the node as a field of GraphProto.
    """

    proto: onnx.NodeProto
    reads: tuple[str, ...]
    writes: tuple[str, ...]
    field: bytes


@dataclass(frozen=True, slots=True)
class MarkedGraph:
    """Everything the passes need. `path` is the (absent) file beside which the external data lies."""

    proto: onnx.ModelProto
    marks: tuple[Mark, ...]
    index: GraphIndex
    pieces: tuple[Piece, ...]
    path: str

    def mark_of(self, error: ParserError, outer: onnx.NodeProto) -> Mark:
        """The node an error is about: the one it names, which may sit in a body of `outer`, else `outer`."""
        return self.mark_in(error.name if _MARK.search(error.name) else outer.name)

    def mark_in(self, marked_name: str) -> Mark:
        """The node a marked name belongs to."""
        found = _MARK.search(marked_name)
        assert found is not None, marked_name
        return self.marks[int(found[1])]


def unmarked(text: str) -> str:
    """The text as it would have been without marks."""
    return _MARK.sub("", text)


def marked_graph(model: OpenedModel, folder: Path, *, inline: bool = True) -> MarkedGraph:
    """Mark a model's nodes. `folder` is an empty directory that must live as long as the result is parsed."""
    proto = _without_weights(model, folder)
    index = GraphIndex(proto)
    marks = []
    for number, node in enumerate(index.nodes):
        marks.append(Mark(node.path, node.name, node.proto.op_type))
        node.proto.name = f"{node.name}‹{number}›"
        node.proto.ClearField("metadata_props")
        node.proto.ClearField("doc_string")
    if inline and proto.functions:
        proto = _inlined(proto)
        index = GraphIndex(proto)
    pieces = tuple(_piece(index, index.main[number]) for number in index.sorted_in(""))
    return MarkedGraph(proto, tuple(marks), index, pieces, str(folder / "model.onnx"))


def static_nodes(graph: MarkedGraph) -> list[Node]:
    """All nodes the parser would look at, those in bodies included; not the branch a constant condition never takes."""
    index = graph.index
    never: set[str] = set()
    nodes = []
    for node in index.nodes:
        if node.graph.startswith("@") or node.graph in never:
            never.update(index.bodies_of(node.path))
            continue
        if node.proto.op_type == "If":
            condition = _constant_condition(index, node)
            if condition is not None:
                taken = f"{node.path}.{'then_branch' if condition else 'else_branch'}"
                never.update(body for body in index.bodies_of(node.path) if body != taken)
        nodes.append(node)
    return nodes


def _constant_condition(index: GraphIndex, node: Node) -> bool | None:
    graph, name = node.graph, next(iter(node.proto.input), "")
    while True:
        tensor, writer = index.initializer_in(graph, name), index.writer_in(graph, name)
        if tensor is not None or writer is not None or not graph:
            break
        owner = index.owner_of(graph)
        graph = index.by_path[owner].graph if owner else ""
    value = None
    if tensor is not None:
        value = tensor_value(tensor, 1)
    elif writer is not None and writer.proto.op_type == "Constant":
        value = constant_of(writer.proto, 1)
    return None if value is None or value.size != 1 else bool(value.reshape(-1)[0])


def _piece(index: GraphIndex, node: Node) -> Piece:
    reads = tuple(dict.fromkeys(index.reads(node)))
    writes = tuple(name for name in node.proto.output if name)
    return Piece(node.proto, reads, writes, node_field(node.proto))


def _inlined(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions, as far as onnx can inline them; the rest stay calls."""
    try:
        return inliner.inline_local_functions(proto)
    except (RuntimeError, ValueError, onnx.checker.ValidationError):
        return proto


def _without_weights(model: OpenedModel, folder: Path) -> onnx.ModelProto:
    source = model.proto
    proto = onnx.ModelProto(ir_version=source.ir_version)
    proto.opset_import.extend(source.opset_import)
    proto.functions.extend(source.functions)
    graph = proto.graph
    graph.name = source.graph.name or "main"
    graph.node.extend(source.graph.node)
    graph.input.extend(source.graph.input)
    graph.output.extend(source.graph.output)
    graph.sparse_initializer.extend(source.graph.sparse_initializer)
    exact = _exact_names(source.graph.node)
    weights = _Weights(model, folder)
    for tensor in source.graph.initializer:
        weights.add(graph.initializer.add(), tensor, keep=tensor.name in exact)
    weights.write()
    return proto


_ALIGNMENT = 64


def _exact_names(nodes: Iterable[onnx.NodeProto]) -> set[str]:
    return {name for node in nodes if node.op_type in _VALUES_MATTER for name in node.input[1:]}


class _Weights:
    """Copies initializers, heavy ones as references into a file of holes, external ones through links."""

    def __init__(self, model: OpenedModel, folder: Path) -> None:
        self._files = {file.initializer: file for file in model.external}
        self._folder = folder
        self._links: dict[Path, str] = {}
        self._holes = 0

    def add(self, copy: onnx.TensorProto, tensor: onnx.TensorProto, *, keep: bool) -> None:
        external = tensor.data_location == TensorProto.EXTERNAL
        size = tensor_bytes(tensor)
        file = self._files.get(tensor.name) if external else None
        there = file is not None and not file.missing and not file.short and not file.escapes
        if (external and not there) or (size >= HEAVY_BYTES and not keep and (external or _whole(tensor, size))):
            copy.name, copy.data_type = tensor.name, tensor.data_type
            copy.dims.extend(tensor.dims)
            # Each at a place of its own: TensorRT takes weights at one address for the same weights.
            self._refer(copy, _HOLES, self._holes, size)
            self._holes += -(-size // _ALIGNMENT) * _ALIGNMENT
        elif file is not None:
            copy.name, copy.data_type = tensor.name, tensor.data_type
            copy.dims.extend(tensor.dims)
            self._refer(copy, self._link(file.path), file.offset, file.length if file.length is not None else size)
        else:
            copy.CopyFrom(tensor)

    def write(self) -> None:
        with (self._folder / _HOLES).open("wb") as holes:
            holes.truncate(self._holes)

    def _link(self, path: Path) -> str:
        if path not in self._links:
            self._links[path] = f"data{len(self._links)}"
            (self._folder / self._links[path]).symlink_to(path)
        return self._links[path]

    @staticmethod
    def _refer(copy: onnx.TensorProto, location: str, offset: int, length: int) -> None:
        copy.data_location = TensorProto.EXTERNAL
        for key, value in (("location", location), ("offset", str(offset)), ("length", str(length))):
            copy.external_data.add(key=key, value=value)


def _whole(tensor: onnx.TensorProto, size: int) -> bool:
    """Whether the data has the length the dims call for; what has not must reach the parser as it is."""
    if tensor.HasField("raw_data"):
        return len(tensor.raw_data) == size and min(tensor.dims, default=1) >= 0
    stored = max(len(tensor.float_data), len(tensor.int32_data), len(tensor.int64_data), len(tensor.double_data))
    return stored == element_count(tensor)
