"""A model in float16 or bfloat16: which nodes compute in it, and the Casts where the types meet.

An operator computes in half if its ONNX definition takes it; bodies of If, Loop and Scan, and operators onnx does not
know, stay float32. So does what does not depend on the values of an input: shapes and scales are worked out in
float32, where 2049 is a number of its own. Graph inputs and outputs keep their types.
"""

from __future__ import annotations

from collections.abc import Collection, Mapping
from dataclasses import dataclass

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.inference import opsets_of
from friction_tui.rewrites.editing import replace_tensor
from friction_tui.rules.structure.operator_schema import Formal, schema_of
from friction_tui.rules.types.element_types import element_types

HALVES = {"fp16": TensorProto.FLOAT16, "bf16": TensorProto.BFLOAT16}
"""Element types by the name of the precision, as `Precision` spells it."""
FLOAT16_LARGEST = 65504.0
SUFFIX: dict[int, str] = {
    TensorProto.FLOAT16: "/float16",
    TensorProto.BFLOAT16: "/bfloat16",
    TensorProto.FLOAT: "/float32",
}
_CONSTANT_SOURCES = frozenset({"Shape", "Size", "Constant"})


@dataclass(frozen=True, slots=True)
class Lowered:
    """A node that computes in half: the positions of its inputs and outputs that do."""

    inputs: frozenset[int]
    outputs: frozenset[int]


def lowerable(model: OpenedModel, kept: Collection[str] = ()) -> dict[str, Lowered]:
    """The main graph's nodes that compute in half, by path, in topological order. `kept` names those that do not."""
    index, opsets = model.index, opsets_of(model)
    types = element_types(model).get("", {})
    varying = {value.name for value in index.inputs}
    found: dict[str, Lowered] = {}
    for path in index.order:
        node = index.by_path[path]
        if node.proto.op_type in _CONSTANT_SOURCES or not any(name in varying for name in index.reads(node)):
            continue
        varying.update(name for name in node.outputs if name)
        if node.name in kept or index.bodies_of(path) or index.function_of(node.proto):
            continue
        lowered = _lowered(node, types, opsets)
        if lowered.inputs or lowered.outputs:
            found[path] = lowered
    return found


def _lowered(node: Node, types: Mapping[str, int], opsets: Mapping[str, int]) -> Lowered:
    domain = "" if node.proto.domain == "ai.onnx" else node.proto.domain
    schema = schema_of(node.proto.op_type, domain, opsets[domain]) if domain in opsets else None
    nothing = Lowered(frozenset(), frozenset())
    if schema is None:
        return nothing
    inputs, variables = set(), set()
    for position, name in enumerate(node.inputs):
        formal = schema.input_at(position)
        if formal and name and types.get(name) == TensorProto.FLOAT and _takes(node, formal):
            inputs.add(position)
            variables.add(formal.variable)
    outputs = {
        position
        for position, name in enumerate(node.outputs)
        if name and types.get(name) == TensorProto.FLOAT
        for formal in (schema.output_at(position),)
        if formal and (formal.variable in variables or (node.proto.op_type == "Cast" and _takes(node, formal)))
    }
    kinds = {types.get(name) for name in node.outputs if name}
    if None in kinds or (not outputs and (TensorProto.FLOAT in kinds or node.proto.op_type == "Cast")):
        return nothing  # what it writes is not known, or not in half: rounding its inputs would save nothing
    return Lowered(frozenset(inputs), frozenset(outputs))


def _takes(node: Node, formal: Formal) -> bool:
    """Whether a formal parameter takes both float32 and a half type.

    TensorRT computes in bfloat16 whatever it computes in float16 (see its data type support matrix); ONNX allows it
    for Conv and others since opset 22 only, which no parser minds.
    """
    return node.proto.op_type == "Identity" or {TensorProto.FLOAT, TensorProto.FLOAT16} <= formal.types


def in_half(model: OpenedModel, half: int, kept: Collection[str] = (), *, imitate: bool = False) -> onnx.ModelProto:
    """A copy of the model that computes in `half` except at the nodes named in `kept`. Weights must be in the model.

    `imitate` gives a float32 model instead that rounds every tensor the other one has in half: ONNX Runtime's CPU
    kernels compute float16 in float32 and leave out the rounding between two of them, so that overflow goes unseen.
    """
    return rewritten(model, lowerable(model, kept), half, imitate=imitate)


def rewritten(
    model: OpenedModel, lowered: Mapping[str, Lowered], half: int, *, imitate: bool = False
) -> onnx.ModelProto:
    """The same for chosen nodes: those of `lowered`, by path, compute in `half`."""
    return _Writer(model, half, imitate=imitate).written(lowered)


def round_trip(name: str, out: str, half: int) -> list[onnx.NodeProto]:
    """Nodes that write `name` to `out` as float32 with the digits and the range of `half`."""
    between = f"{out}/rounded"
    there = helper.make_node("Cast", [name], [between], name=f"{out}/round", to=half)
    return [there, helper.make_node("Cast", [between], [out], name=f"{out}/back", to=TensorProto.FLOAT)]


class _Writer:
    """Writes the nodes of one model again. A tensor in half is known by its old name in `self._halves`."""

    def __init__(self, model: OpenedModel, half: int, *, imitate: bool) -> None:
        self._model, self._half, self._imitate = model, half, imitate
        self._types = element_types(model).get("", {})
        self._proto = onnx.ModelProto()
        self._proto.CopyFrom(model.proto)
        self._outputs = {value.name for value in model.proto.graph.output}
        self._used = {name for node in model.index.main for name in (*node.inputs, *node.outputs)}
        self._constants = dict(model.index.initializers)
        for node in model.index.main:
            if node.proto.op_type == "Constant" and node.proto.attribute and node.proto.attribute[0].name == "value":
                self._constants[node.outputs[0]] = node.proto.attribute[0].t
        self._halves: dict[str, str] = {}
        self._fulls: dict[str, str] = {}
        self._nodes: list[onnx.NodeProto] = []

    def written(self, lowered: Mapping[str, Lowered]) -> onnx.ModelProto:
        index = self._model.index
        for path in index.order:
            node, chosen = index.by_path[path], lowered.get(path)
            copied = onnx.NodeProto()
            copied.CopyFrom(node.proto)
            for position, name in enumerate(node.inputs):
                if name and self._types.get(name) == TensorProto.FLOAT:
                    wanted = chosen is not None and position in chosen.inputs
                    copied.input[position] = self._as_half(name) if wanted else self._as_full(name)
            for name in index.captured.get(path, ()):
                if name in self._halves:
                    holder = onnx.GraphProto()
                    holder.node.append(copied)
                    replace_tensor(holder, name, self._as_full(name))
                    copied = holder.node[0]
            self._nodes.append(copied)
            if chosen is not None:
                self._write_halves(copied, sorted(chosen.outputs))
        graph = self._proto.graph
        del graph.node[:]
        graph.node.extend(self._nodes)
        for value in graph.value_info:
            if value.name in self._halves and self._halves[value.name] == value.name and not self._imitate:
                value.type.tensor_type.elem_type = self._half
        self._drop_unread()
        return self._proto

    def _write_halves(self, node: onnx.NodeProto, positions: list[int]) -> None:
        """Let outputs be in half; one that is an output of the graph is cast back under its name."""
        if node.op_type == "Cast" and positions and not self._imitate:
            next(attribute for attribute in node.attribute if attribute.name == "to").i = self._half
        for position in positions:
            name = node.output[position]
            if self._imitate:
                exact = self._fresh(f"{name}/exact")
                node.output[position] = exact
                self._nodes += round_trip(exact, name, self._half)
                self._halves[name] = name
            elif name in self._outputs:
                self._halves[name] = node.output[position] = self._fresh(name + SUFFIX[self._half])
                self._cast(self._halves[name], name, TensorProto.FLOAT)
                self._fulls[name] = name
            else:
                self._halves[name] = name

    def _as_half(self, name: str) -> str:
        if name not in self._halves:
            fresh = self._halves[name] = self._fresh(name + SUFFIX[self._half])
            if name in self._constants and not self._is_elsewhere(name):
                self._proto.graph.initializer.append(self._half_constant(name, fresh))
            elif self._imitate:
                self._nodes += round_trip(name, fresh, self._half)
            else:
                self._cast(name, fresh, self._half)
            self._fulls[name] = name
        return self._halves[name]

    def _as_full(self, name: str) -> str:
        if name not in self._halves or self._imitate:
            return self._fulls.get(name, name)
        if name not in self._fulls:
            self._fulls[name] = self._fresh(name + SUFFIX[TensorProto.FLOAT])
            self._cast(name, self._fulls[name], TensorProto.FLOAT)
        return self._fulls[name]

    def _is_elsewhere(self, name: str) -> bool:
        """Whether a constant's values are not in the model, or may be replaced by the caller."""
        stored = self._constants[name].data_location == TensorProto.EXTERNAL
        return stored or any(value.name == name for value in self._model.proto.graph.input)

    def _half_constant(self, name: str, fresh: str) -> TensorProto:
        rounded = to_half(numpy_helper.to_array(self._constants[name]), self._half)
        return numpy_helper.from_array(rounded.astype(np.float32) if self._imitate else rounded, fresh)

    def _cast(self, name: str, out: str, to: int) -> None:
        self._nodes.append(helper.make_node("Cast", [name], [out], name=out, to=to))

    def _fresh(self, wish: str) -> str:
        name, number = wish, 1
        while name in self._used:
            number += 1
            name = f"{wish}_{number}"
        self._used.add(name)
        return name

    def _drop_unread(self) -> None:
        """Take out the float32 constants that nobody reads any more."""
        graph = self._proto.graph
        read = {value.name for value in graph.output}
        pending = [graph]
        while pending:
            current = pending.pop()
            for node in current.node:
                read.update(node.input)
                pending.extend(attribute.g for attribute in node.attribute if attribute.HasField("g"))
                pending.extend(body for attribute in node.attribute for body in attribute.graphs)
            read.update(value.name for value in current.output)
        for tensor in [one for one in graph.initializer if one.name in self._fulls and one.name not in read]:
            graph.initializer.remove(tensor)
        for node in [one for one in graph.node if one.op_type == "Constant" and one.output[0] not in read]:
            graph.node.remove(node)


def to_half(values: np.ndarray, half: int) -> np.ndarray:
    """Values rounded to the nearest number `half` has; finite ones beyond the range of float16 become its largest."""
    if half == TensorProto.FLOAT16:
        finite = np.isfinite(values)
        values = np.where(finite, np.clip(values, -FLOAT16_LARGEST, FLOAT16_LARGEST), values)
    return values.astype(helper.tensor_dtype_to_np_dtype(half))
