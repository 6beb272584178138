"""Convolutions in ONNX Runtime's blocked layout (com.microsoft.nchwc), which its optimiser writes at level ALL.

A tensor of that layout keeps its channels in blocks of 8 or 16 side by side, as many as the vector registers of the
machine that wrote the model hold, and pads them to whole blocks. Here it becomes a plain tensor with the padded number
of channels: reordering is padding or cutting, and only the weights have to be put back in order.
Sources: onnxruntime/core/optimizer/nchwc_transformer.cc and core/mlas/lib/reorder.cpp.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import numpy as np
import onnx
from onnx import helper

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.editing import copy_of
from friction_tui.rewrites.fused import activated
from friction_tui.rewrites.graph_editor import Array, GraphEditor
from friction_tui.rewrites.graph_parts import forget_shapes, remove_unused

NCHWC = "com.microsoft.nchwc"
_POOLS = frozenset({"MaxPool", "AveragePool", "GlobalMaxPool", "GlobalAveragePool"})
_KEPT = (
    "Add Sum Mul Relu Sigmoid Tanh Elu HardSigmoid HardSwish Gelu QuickGelu Swish LeakyRelu Clip Softplus Softsign "
    "Identity"
)
_ELEMENTWISE = frozenset(_KEPT.split())
"""Operators that the optimiser leaves as they are between blocked tensors."""
_DEFAULTS: dict[str, tuple[Any, ...]] = {"ceil_mode": (0,), "storage_order": (0,), "dilations": ([1, 1], [1])}


def _run(block: int) -> Callable[[OpenedModel, Sequence[str]], onnx.ModelProto]:
    def run(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
        del paths  # a blocked tensor is blocked for all its readers
        if not any(node.proto.domain == NCHWC for node in model.index.nodes):
            raise CannotRewrite("the model has no operator in the blocked layout")
        proto = copy_of(model)
        graph = GraphEditor(proto, model.path.parent)
        unblocking = _Unblocking(graph, block)
        graph.rebuild(proto.graph, unblocking.rewrite)
        graph.refresh()  # behind an operator of the blocked layout no sizes were known
        graph.rebuild(proto.graph, unblocking.pad)
        for i in reversed(range(len(proto.opset_import))):
            if proto.opset_import[i].domain == NCHWC:
                del proto.opset_import[i]
        forget_shapes(proto)
        remove_unused(proto)
        return proto

    return run


class _Unblocking:
    """`channels` are the padded channels of every blocked tensor so far, 0 where they are not known."""

    def __init__(self, graph: GraphEditor, block: int) -> None:
        self.graph, self.block = graph, block
        self._unpadded: set[str] = set()
        self.channels: dict[str, int] = {}
        self._rows: dict[str, tuple[Array, Array | None]] = {}

    def rewrite(self, node: onnx.NodeProto) -> bool:
        """Put plain nodes in place of one of the blocked layout; False leaves the node as it is."""
        if node.domain == NCHWC:
            known = {"Conv": self._conv, "ReorderInput": self._reorder_input, "ReorderOutput": self._reorder_output}
            if node.op_type in _POOLS:
                self._pool(node)
            elif node.op_type == "Upsample":
                self._upsample(node)
            elif node.op_type in known:
                known[node.op_type](node)
            else:
                raise CannotRewrite(f"{node.op_type} of the blocked layout is not known")
            return True
        blocked = [self.channels[name] for name in node.input if name in self.channels]
        if blocked:
            if node.op_type == "Concat" and self.graph.attribute(node, "axis") == 1:
                self.channels[node.output[0]] = sum(blocked) if all(blocked) else 0
            elif node.op_type in _ELEMENTWISE:
                self.channels[node.output[0]] = blocked[0]
            else:
                raise CannotRewrite(f"{node.name or node.op_type} reads a blocked tensor, which is not known of it")
        return False

    def _conv(self, node: onnx.NodeProto) -> None:
        """Conv with the weights in plain order, then the addend and the activation."""
        graph, attributes = self.graph, _attributes(node)
        attributes = {key: value for key, value in attributes.items() if not key.startswith("activation")}
        stored = graph.require_constant(node.input[1], "the blocked weight")
        group = int(attributes.get("group", 1))
        weight = self._unpacked(stored, group, node.input[0] in self.channels)
        inputs = [node.input[0], graph.const(weight, name=f"{node.input[1]}_plain"), graph.input(node, 2)]
        summand = graph.input(node, 3)
        result = graph.op("Conv", inputs if inputs[2] else inputs[:2], **attributes)
        if summand:
            result = graph.op("Add", [result, summand])
        activated(node, graph, result, node.output[0], like=node.input[1])
        self.channels[node.output[0]] = weight.shape[0]
        if not summand:
            self._rows[node.output[0]] = weight, graph.constant(inputs[2]) if inputs[2] else None

    def _unpacked(self, stored: Array, group: int, blocked: bool) -> Array:
        """Weights [O, I, …] from [O/b, I/b, …, b of I, b of O].

        From [O/b, I, …, b of O] where the input is not blocked or each channel has filters of its own.
        """
        block, rows, columns = self.block, *stored.shape[:2]
        kernel = stored.shape[2:]
        size = int(np.prod(kernel))
        single = columns == 1 and group > 1
        if rows % block or (group == 1 and blocked != (columns >= block)):
            raise CannotRewrite(f"its weights are not in blocks of {block}")
        if single or not blocked:
            order = stored.reshape(rows // block, columns, size, block).transpose(0, 3, 1, 2)
        elif columns % block:
            raise CannotRewrite(f"its weights are not in blocks of {block}")
        else:
            split = stored.reshape(rows // block, columns // block, size, block, block)
            order = split.transpose(0, 4, 1, 3, 2)
        return np.ascontiguousarray(order.reshape(rows, columns, *kernel))

    def _pool(self, node: onnx.NodeProto) -> None:
        attributes = {key: value for key, value in _attributes(node).items() if value not in _DEFAULTS.get(key, ())}
        self.graph.op(node.op_type, [node.input[0]], node.output[0], **attributes)
        self.channels[node.output[0]] = self.channels.get(node.input[0], 0)

    def _upsample(self, node: onnx.NodeProto) -> None:
        """Resize by whole factors. The nearest element is the one below, as the kernel repeats elements."""
        graph, mode = self.graph, self.graph.attribute(node, "mode", "nearest")
        if graph.opset < 11:
            raise NeedsOpset(11, "Resize")
        scales = graph.const([float(scale) for scale in graph.attribute(node, "scales")], np.float32)
        nearest = mode == "nearest"
        way = "asymmetric" if nearest else graph.attribute(node, "coordinate_transformation_mode", "half_pixel")
        graph.op(
            "Resize",
            [node.input[0], "", scales],
            node.output[0],
            mode=mode,
            coordinate_transformation_mode=way,
            nearest_mode="floor" if nearest else None,
        )
        self.channels[node.output[0]] = self.channels.get(node.input[0], 0)

    def _reorder_input(self, node: onnx.NodeProto) -> None:
        """The channels second; `pad` adds the missing ones when the sizes are known."""
        data = node.input[0]
        if self.graph.attribute(node, "channels_last", 0):
            data = self.graph.op("Transpose", [data], perm=[0, 3, 1, 2])
        self.graph.op("Identity", [data], node.output[0])
        self._unpadded.add(node.output[0])
        self.channels[node.output[0]] = 0

    def pad(self, node: onnx.NodeProto) -> bool:
        """Fill up the last block of what `_reorder_input` left; False for any other node."""
        graph = self.graph
        if node.output[0] not in self._unpadded:
            return False
        missing = -graph.static_dim(node.input[0], 1) % self.block
        if not missing:
            return False
        if graph.opset < 11:
            raise NeedsOpset(11, "Pad")
        graph.op("Pad", [node.input[0], graph.const([0, 0, 0, 0, 0, missing, 0, 0])], node.output[0])
        return True

    def _reorder_output(self, node: onnx.NodeProto) -> None:
        """The channels that are not padding, last where `channels_last` says so."""
        graph, data = self.graph, node.input[0]
        count, padded = int(graph.attribute(node, "channels", 0)), self.channels.get(data, 0)
        if padded and padded != count + (-count % self.block):
            raise CannotRewrite(f"its {count} channels are not padded to blocks of {self.block}")
        weight, bias = self._rows.get(data, (np.zeros(0), None))
        if weight[count:].any() or (bias is not None and bias[count:].any()):
            raise CannotRewrite(f"its padding is not zero where blocks of {self.block} have it")
        last = bool(graph.attribute(node, "channels_last", 0))
        output = "" if last else node.output[0]
        if padded == count:
            plain = data if last else graph.op("Identity", [data], output)
        else:
            plain = graph.slice(data, 0, count, 1, output)
        if last:
            graph.op("Transpose", [plain], node.output[0], perm=[0, 2, 3, 1])


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {each.name: helper.get_attribute_value(each) for each in node.attribute}


def _of_blocks(block: int) -> Rewriter:
    return Rewriter(
        f"plain-channels-{block}",
        f"put the channels, stored in blocks of {block}, back in order",
        _run(block),
        Exactness.ROUNDING,
        ops=tuple((NCHWC, op) for op in ("Conv", "ReorderInput", "ReorderOutput", "Upsample", *sorted(_POOLS))),
    )


REWRITES = (_of_blocks(16), _of_blocks(8))
