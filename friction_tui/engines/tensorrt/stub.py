"""What stands in for a refused node: inputs of the type shape inference gives its outputs."""

from __future__ import annotations

from dataclasses import dataclass, field

import onnx

from friction_tui.model import onnx_native
from friction_tui.model.graph import body_attributes
from friction_tui.model.onnx_native import NativeRefused, NotAnswered
from friction_tui.model.shapes.inference import native_left_out


@dataclass(slots=True)
class Types:
    """Types of the tensors of a marked model, inferred when first asked for.

    `declared` are the model's own records, used for what inference cannot tell: outputs of custom operators.
    """

    proto: onnx.ModelProto
    declared: dict[str, onnx.ValueInfoProto]
    _inferred: onnx.ModelProto | None = None
    _main: dict[str, onnx.ValueInfoProto] = field(default_factory=dict)
    _symbols: set[str] = field(default_factory=set)
    _exact: set[str] = field(default_factory=set)

    def known(self, name: str) -> bool:
        """Whether a tensor of the main graph can be made an input: a tensor type and a known rank."""
        self._infer()
        return name in self._main

    def value(self, name: str) -> onnx.ValueInfoProto:
        """Return the type of a tensor for which `known` is true."""
        return self._main[name]

    def refine(self, name: str, dims: tuple[int, ...]) -> None:
        """Take over what the parser knows about a tensor's shape, -1 for dims it does not know either."""
        shape = self._main[name].type.tensor_type.shape
        self._exact.add(name)
        if len(dims) == len(shape.dim):
            better = onnx.ValueInfoProto()
            better.CopyFrom(self._main[name])
            for dim, size in zip(better.type.tensor_type.shape.dim, dims, strict=True):
                if size >= 0:
                    dim.dim_value = size
            self._main[name] = better

    def weak(self, name: str) -> bool:
        """Whether a dimension is neither fixed nor a symbol of the model's inputs, nor known not to be."""
        if name in self._exact:
            return False
        dims = self._main[name].type.tensor_type.shape.dim
        return any(not dim.HasField("dim_value") and dim.dim_param not in self._symbols for dim in dims)

    def bodies(self, marked_name: str) -> onnx.NodeProto | None:
        """Return the main graph's node of that name with inferred types in its bodies."""
        self._infer()
        assert self._inferred is not None
        return next((node for node in self._inferred.graph.node if node.name == marked_name), None)

    def _infer(self) -> None:
        if self._inferred is not None:
            return
        bare = onnx.ModelProto()
        bare.CopyFrom(self.proto)
        for output in bare.graph.output:
            output.ClearField("type")  # a stale declaration would win over what is inferred
        try:
            self._inferred = bare if native_left_out() else onnx_native.infer_shapes(bare, data_prop=True)
        except (NativeRefused, NotAnswered):
            self._inferred = bare
        graph = self._inferred.graph
        for value in (*self.declared.values(), *graph.output, *graph.value_info):
            if usable(value):
                self._main[value.name] = value
        self._symbols = {
            dim.dim_param
            for value in graph.input
            for dim in value.type.tensor_type.shape.dim
            if dim.HasField("dim_param")
        }


def usable(value: onnx.ValueInfoProto) -> bool:
    """Whether a value can be a network input."""
    tensor = value.type.tensor_type
    return value.type.HasField("tensor_type") and tensor.elem_type != 0 and tensor.HasField("shape")


@dataclass(frozen=True, slots=True)
class Stub:
    """A node without the refused one in its body, and the inputs that take its place."""

    node: onnx.NodeProto
    inputs: tuple[onnx.ValueInfoProto, ...]


def without_node(outer: onnx.NodeProto, marked_name: str, types: Types) -> Stub | None:
    """Replace the node called `marked_name` in a body of `outer` by new graph inputs; None if their type is unknown.

    A body reads what it needs from outside, so a main graph input can feed it directly.
    """
    inferred = types.bodies(outer.name)
    if inferred is None:
        return None
    known = _value_infos(inferred)
    copy = onnx.NodeProto()
    copy.CopyFrom(outer)
    stack = [body for _, body in body_attributes(copy)]
    while stack:
        graph = stack.pop()
        for position, node in enumerate(graph.node):
            if node.name == marked_name:
                return _stubbed(copy, graph, position, known)
            stack.extend(body for _, body in body_attributes(node))
    return None


def _stubbed(
    outer: onnx.NodeProto, graph: onnx.GraphProto, position: int, known: dict[str, onnx.ValueInfoProto]
) -> Stub | None:
    """Take out one node of a body, and those behind it that nobody knows the types for."""
    inputs: list[onnx.ValueInfoProto] = []
    kept: list[onnx.NodeProto] = []
    lost: set[str] = set()
    for number, node in enumerate(graph.node):
        if number != position and not lost.intersection(_names_in(node)):
            kept.append(node)
            continue
        for name in filter(None, node.output):
            if name in known:
                stand_in = onnx.ValueInfoProto()
                stand_in.CopyFrom(known[name])
                stand_in.name = f"{name}‹stub of {node.name}›"
                inputs.append(stand_in)
                kept.append(onnx.helper.make_node("Identity", [stand_in.name], [name]))
            else:
                lost.add(name)
    if lost.intersection(value.name for value in graph.output):
        return None
    copies = [onnx.NodeProto.FromString(node.SerializeToString()) for node in kept]
    del graph.node[:]
    graph.node.extend(copies)
    return Stub(outer, tuple(inputs))


def _names_in(node: onnx.NodeProto) -> set[str]:
    """Every tensor a node mentions, in its bodies too."""
    names = set(node.input)
    stack = [body for _, body in body_attributes(node)]
    while stack:
        graph = stack.pop()
        names.update(value.name for value in graph.output)
        for inner in graph.node:
            names.update(inner.input)
            stack.extend(body for _, body in body_attributes(inner))
    return names


def _value_infos(node: onnx.NodeProto) -> dict[str, onnx.ValueInfoProto]:
    known = {}
    stack = [body for _, body in body_attributes(node)]
    while stack:
        graph = stack.pop()
        known.update({value.name: value for value in (*graph.output, *graph.value_info) if usable(value)})
        stack.extend(body for inner in graph.node for _, body in body_attributes(inner))
    return known
