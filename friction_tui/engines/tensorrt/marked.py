"""The graph as the parser is shown it: sorted, functions inlined, weights left at home, every node marked.

The parser names a node by its name, or by the outer node's number when it sits in a body. So each node's name
gets a mark, `conv1‹17›`, which leads back to its path wherever it turns up: in errors, logs and layer names.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from pathlib import Path

import onnx
from onnx import inliner

from friction_tui.engines.tensorrt.assemble import node_field
from friction_tui.engines.tensorrt.parser import ParserError
from friction_tui.model.constants import constant_of, tensor_value
from friction_tui.model.file.external import tensor_bytes
from friction_tui.model.graph import GraphIndex, Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.weightless import weightless

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
        return self.marks[int(_MARK.findall(marked_name)[-1])]


def unmarked(text: str) -> str:
    """The text as it would have been without marks."""
    return _MARK.sub("", text)


def marks_in(graph: MarkedGraph, text: str) -> tuple[Mark, ...]:
    """What the marks in a text stand for, in its order."""
    return tuple(graph.marks[int(number)] for number in _MARK.findall(text))


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
    writes = node.outputs if "" not in node.outputs else tuple(filter(None, node.outputs))
    return Piece(node.proto, reads, writes, node_field(node.proto))


def _inlined(proto: onnx.ModelProto) -> onnx.ModelProto:
    """The model without local functions, as far as onnx can inline them; the rest stay calls."""
    try:
        return inliner.inline_local_functions(proto)
    except (RuntimeError, ValueError, onnx.checker.ValidationError):
        return proto


def _without_weights(model: OpenedModel, folder: Path) -> onnx.ModelProto:
    """The model as the parser needs it. Recorded shapes go: inference must not lean on stale ones."""
    proto = weightless(model.proto, folder, model.path.parent)
    del proto.graph.value_info[:]
    for light, tensor in zip(proto.graph.initializer, model.proto.graph.initializer, strict=True):
        if tensor.HasField("raw_data") and len(tensor.raw_data) != tensor_bytes(tensor):
            light.CopyFrom(tensor)  # broken data must reach the parser as it is
    return proto
