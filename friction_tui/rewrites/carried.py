"""Tensors of an element type TensorRT does not compute with, carried in a wider one: the same numbers in another type.

A model that computes with uint8, int16 or quantized integers is rewritten node by node in order. What a node gives is
computed in float32, int32 or int64 and stays there for the readers that are rewritten too; a Cast back to the model's
own type stands behind it for those that are not, and goes where nothing reads it.
"""

from __future__ import annotations

from collections.abc import Callable, Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.model.opened import OpenedModel
from friction_tui.model.opset import OpsetRefused, convert, opset_of
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.editing import copy_of
from friction_tui.rewrites.graph_editor import GraphEditor
from friction_tui.rewrites.graph_parts import forget_shapes, remove_unused

OPSET = 13
"""The opset from which on Clip, Round and Mod are as the nodes need them that are put in."""
FLOAT, INT32, INT64, BOOL = TensorProto.FLOAT, TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL

CARRIERS: dict[int, int] = {
    TensorProto.INT4: INT32,
    TensorProto.UINT4: INT32,
    TensorProto.INT8: INT32,
    TensorProto.UINT8: INT32,
    TensorProto.INT16: INT32,
    TensorProto.UINT16: INT32,
    TensorProto.UINT32: INT64,
    TensorProto.UINT64: INT64,
}
"""A type TensorRT does not compute with, and one that holds all its numbers (of uint64 those below 2^63)."""
REFUSED = frozenset({TensorProto.UINT4, TensorProto.INT16, TensorProto.UINT16, TensorProto.UINT32, TensorProto.UINT64})
"""Those of them that TensorRT does not even take as an input, an output or the result of a Cast."""
LIMITS: dict[int, tuple[int, int]] = {
    TensorProto.INT4: (-8, 7),
    TensorProto.UINT4: (0, 15),
    TensorProto.INT8: (-128, 127),
    TensorProto.UINT8: (0, 255),
    TensorProto.INT16: (-32768, 32767),
    TensorProto.UINT16: (0, 65535),
    TensorProto.INT32: (-(2**31), 2**31 - 1),
    TensorProto.UINT32: (0, 2**32 - 1),
}
"""The smallest and largest number of an integer type."""


@dataclass(frozen=True, slots=True)
class Carrier:
    """`name` holds, as element type `held`, what a tensor of element type `type` holds."""

    name: str
    held: int
    type: int


class Carried:
    """The tensors of a model that are carried so far. `at_border`: inputs and outputs may change their types."""

    def __init__(self, graph: GraphEditor, kept: Collection[str] = (), *, at_border: bool = False) -> None:
        self.graph, self.kept, self.at_border = graph, kept, at_border
        self._carriers: dict[str, Carrier] = {}
        self._read: dict[tuple[str, int], str] = {}
        self._outputs = {value.name: value for value in graph.proto.graph.output}
        if at_border:
            for value in graph.proto.graph.input:
                tensor = value.type.tensor_type
                if tensor.elem_type in REFUSED:
                    self._carriers[value.name] = Carrier(value.name, CARRIERS[tensor.elem_type], tensor.elem_type)
                    tensor.elem_type = CARRIERS[tensor.elem_type]

    def carrier(self, tensor: str) -> Carrier | None:
        """What carries a tensor, None where nothing does."""
        return self._carriers.get(tensor)

    def type(self, tensor: str) -> int:
        """The element type the model gives a tensor, 0 where it is not known."""
        if tensor in self._carriers:
            return self._carriers[tensor].type
        try:
            return self.graph.dtype(tensor) if tensor else 0
        except CannotRewrite:
            return 0

    def narrow(self, tensor: str) -> bool:
        """Whether a tensor is one that has to be carried and is not kept as it is."""
        return bool(tensor) and tensor not in self.kept and (tensor in self._carriers or self.type(tensor) in CARRIERS)

    def read(self, tensor: str, held: int) -> str:
        """The numbers of a tensor as element type `held`; a constant where it is one."""
        found = self._read.get((tensor, held))
        if found is None:
            found = self._read[tensor, held] = self._as(tensor, held)
        return found

    def _as(self, tensor: str, held: int) -> str:
        carrier = self._carriers.get(tensor)
        if carrier is not None:
            return carrier.name if carrier.held == held else self.graph.cast(carrier.name, held)
        value = self.graph.constant(tensor)
        if value is not None:
            dtype = helper.tensor_dtype_to_np_dtype(held)
            return self.graph.const(value.astype(dtype), dtype, name=f"{tensor}_carried")
        if self.type(tensor) == held:
            return tensor
        if self.type(tensor) in REFUSED:
            raise CannotRewrite(f"{tensor} comes from outside the nodes that can be rewritten")
        return self.graph.cast(tensor, held)

    def write(self, tensor: str, name: str, held: int, of_type: int) -> None:
        """Let `name`, of element type `held`, carry `tensor`, which the model has as `of_type`."""
        self._carriers[tensor] = Carrier(name, held, of_type)
        output = self._outputs.get(tensor)
        if output is not None and of_type in REFUSED and self.at_border:
            output.type.tensor_type.elem_type = CARRIERS[of_type]
            of_type = CARRIERS[of_type]
        if output is not None and of_type in (TensorProto.INT8, TensorProto.INT4):
            # The engine gives int8 by a quantization only; with scale 1 it hands the integers on.
            floats = name if held == FLOAT else self.graph.cast(name, FLOAT)
            zero = self.graph.const(0, helper.tensor_dtype_to_np_dtype(of_type))
            self.graph.op("QuantizeLinear", [floats, self.graph.const(1.0, np.float32), zero], tensor)
        else:
            self.graph.cast(name, of_type, tensor)


Handler = Callable[[onnx.NodeProto, Carried], bool]
"""Rewrites a node on carried tensors; False where it leaves the node as it is."""


def carry(
    model: OpenedModel,
    handlers: Mapping[tuple[str, str], tuple[str, Handler]],
    kept: Callable[[GraphEditor], Collection[str]],
    *,
    at_border: bool = False,
) -> tuple[onnx.ModelProto, set[str]]:
    """A copy of the model with every node of its main graph rewritten that a handler takes.

    Also the names of the handlers that did. `kept(graph)` are tensors that stay as they are. Raises CannotRewrite
    where there is nothing to rewrite, or a handler does.
    """
    proto = copy_of(model)
    if opset_of(proto) < OPSET:
        try:
            proto = convert(proto, OPSET)
        except OpsetRefused as error:
            raise CannotRewrite(f"it needs opset {OPSET}, and the model does not convert: {error}") from None
    graph = GraphEditor(proto, model.path.parent)
    carried = Carried(graph, kept(graph), at_border=at_border)
    names: set[str] = set()

    def rewrite(node: onnx.NodeProto) -> bool:
        domain = "" if node.domain == "ai.onnx" else node.domain
        name, handler = handlers.get((domain, node.op_type), ("", None))
        if handler is None or not handler(node, carried):
            return False
        names.add(name)
        return True

    graph.rebuild(proto.graph, rewrite)
    forget_shapes(proto)
    remove_unused(proto)
    if len(proto.graph.node) == len(model.proto.graph.node) and not names:
        raise CannotRewrite("no node computes with an integer type that TensorRT does not take")
    return proto, names
