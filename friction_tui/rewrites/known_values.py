"""Small values that follow from constants and fixed sizes: conditions, trip counts, positions."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from friction_tui.rewrites.graph_editor import Array, GraphEditor

_MOVES = frozenset({"Gather", "Slice", "Squeeze", "Unsqueeze", "Concat", "Identity", "Reshape"})
"""Operators that only move entries of their first inputs, so that entries that are not known stay where they are."""
_COMPUTES = frozenset(
    {
        "Abs",
        "Add",
        "And",
        "Cast",
        "Ceil",
        "ConstantOfShape",
        "Div",
        "Equal",
        "Expand",
        "Floor",
        "Greater",
        "GreaterOrEqual",
        "Less",
        "LessOrEqual",
        "Max",
        "Min",
        "Mod",
        "Mul",
        "Neg",
        "Not",
        "Or",
        "Range",
        "ReduceMax",
        "ReduceMin",
        "ReduceProd",
        "ReduceSum",
        "Size",
        "Sub",
        "Where",
        "Xor",
    }
)
_LARGEST = 1024
"""Elements up to which a value is worked out: sizes, positions and conditions are small."""
_DEEPEST = 100
"""Nodes in a row that are followed."""


class KnownValues:
    """Values of tensors, worked out with ONNX's reference evaluator where all they depend on is known.

    `given`: values of tensors by name, such as a body's iteration number. `body`: a graph whose names count before
    those of the model around it.
    """

    def __init__(
        self, graph: GraphEditor, given: Mapping[str, Array] | None = None, body: onnx.GraphProto | None = None
    ) -> None:
        self._graph = graph
        self._known: dict[str, tuple[Array, Array] | None] = {}
        for name, value in (given or {}).items():
            self._known[name] = (value, np.ones(value.shape, bool))
        self._body = body
        self._writers = {name: node for node in (body.node if body else ()) for name in node.output if name}
        self._initializers = {tensor.name: tensor for tensor in (body.initializer if body else ())}

    def of(self, name: str) -> Array | None:
        """The value, None where an entry of it is not known or it is large."""
        found = self._entries(name, 0)
        return found[0] if found is not None and found[1].all() else None

    def _entries(self, name: str, depth: int) -> tuple[Array, Array] | None:
        """The value and which of its entries are known."""
        if name not in self._known:
            self._known[name] = None  # a cycle, which an invalid model may have, ends here
            self._known[name] = self._worked_out(name, depth) if depth < _DEEPEST else None
        return self._known[name]

    def _worked_out(self, name: str, depth: int) -> tuple[Array, Array] | None:
        tensor = self._initializers.get(name)
        if tensor is not None:
            return _whole(numpy_helper.to_array(tensor)) if _small(tensor) else None
        node = self._writers.get(name)
        if node is None:
            sizes = self._graph.dims(name)
            if sizes is not None and all(isinstance(size, int) for size in sizes):
                count = int(np.prod([size for size in sizes if isinstance(size, int)], dtype=np.int64))
                constant = self._graph.constant(name) if count <= _LARGEST else None
                if constant is not None:
                    return _whole(constant)
            node = self._graph.writer(name)
        if node is None or node.domain not in ("", "ai.onnx"):
            return None
        if node.op_type == "Constant":
            attribute = node.attribute[0]
            return _whole(numpy_helper.to_array(attribute.t)) if attribute.name == "value" else _scalar(attribute)
        if node.op_type in ("Shape", "Size") and not (self._body and node.input[0] in self._writers):
            return self._shape(node)
        if node.op_type not in _MOVES | _COMPUTES or len(node.output) != 1:
            return None
        return self._computed(node, depth)

    def _shape(self, node: onnx.NodeProto) -> tuple[Array, Array] | None:
        sizes = self._graph.dims(node.input[0])
        if sizes is None:
            return None
        known = np.array([isinstance(size, int) for size in sizes], bool)
        value = np.array([size if isinstance(size, int) else 0 for size in sizes], np.int64)
        if node.op_type == "Size":
            return _whole(np.array(value.prod(), np.int64)) if known.all() else None
        start, end = self._graph.attribute(node, "start", 0), self._graph.attribute(node, "end", len(sizes))
        return value[start:end], known[start:end]

    def _computed(self, node: onnx.NodeProto, depth: int) -> tuple[Array, Array] | None:
        operands: dict[str, tuple[Array, Array]] = {}
        for position, name in enumerate(node.input):
            if not name:
                continue
            found = self._entries(name, depth + 1)
            moves = node.op_type == "Concat" or (node.op_type in _MOVES and position == 0)
            if found is None or (not found[1].all() and not moves):
                return None
            operands[name] = found
        value = self._run(node, {name: entry[0] for name, entry in operands.items()})
        if value is None or value.size > _LARGEST:
            return None
        if all(entry[1].all() for entry in operands.values()):
            return _whole(value)
        moved = {name for position, name in enumerate(node.input) if node.op_type == "Concat" or position == 0}
        marks = {name: entry[1].astype(np.int64) if name in moved else entry[0] for name, entry in operands.items()}
        known = self._run(node, marks)
        return (value, known.astype(bool)) if known is not None else None

    def _run(self, node: onnx.NodeProto, feeds: Mapping[str, Array]) -> Array | None:
        inputs = [
            helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(value.dtype), value.shape)
            for name, value in feeds.items()
        ]
        single = helper.make_graph([node], "one", inputs, [onnx.ValueInfoProto(name=node.output[0])])
        model = helper.make_model(single, opset_imports=[helper.make_opsetid("", self._graph.opset)])
        try:
            [result] = ReferenceEvaluator(model).run(None, dict(feeds))
        except Exception:
            # The evaluator raises errors of every type for operands it does not take; then nothing is known.
            return None
        return np.asarray(result)


def _whole(value: Array) -> tuple[Array, Array] | None:
    return (value, np.ones(value.shape, bool)) if value.size <= _LARGEST else None


def _scalar(attribute: onnx.AttributeProto) -> tuple[Array, Array] | None:
    types: dict[str, type] = {"value_int": np.int64, "value_ints": np.int64, "value_float": np.float32}
    if attribute.name not in types:
        return None
    return _whole(np.array(helper.get_attribute_value(attribute), types[attribute.name]))


def _small(tensor: TensorProto) -> bool:
    return tensor.data_location != TensorProto.EXTERNAL and int(np.prod(tensor.dims, dtype=np.int64)) <= _LARGEST
