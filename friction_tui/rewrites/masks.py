"""x[mask] followed by a sum or mean over the selected rows: the same with the mask multiplied in."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Rewriter
from friction_tui.rewrites.editing import add_constant, chosen, copy_of, forget_shapes, fresh_name


def nonzero_mask(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """NonZero(mask) → Transpose → GatherND(x) → ReduceSum/ReduceMean over the rows, without the NonZero.

    Rows outside the mask count as zero, and a mean divides by the number of rows inside. Only a mask over the
    first axis and a reduction over exactly that axis can be rewritten without changing the result.
    """
    proto = copy_of(model)
    replaced: dict[int, list[onnx.NodeProto]] = {}
    for nonzero in chosen(model, paths, "NonZero"):
        transpose = _only_reader(model, nonzero, "Transpose")
        gather = _only_reader(model, transpose, "GatherND")
        reduction = _only_reader(model, gather, "ReduceSum", "ReduceMean")
        keep = _keeps_dims_of_rows(model, reduction)
        for gone in (nonzero, transpose, gather):
            replaced[gone.index] = []
        replaced[reduction.index] = _masked(model, proto, nonzero, gather, reduction, keep)
    for index in sorted(replaced, reverse=True):
        del proto.graph.node[index]
        for offset, node in enumerate(replaced[index]):
            proto.graph.node.insert(index + offset, node)
    forget_shapes(proto)
    return proto


def _only_reader(model: OpenedModel, node: Node, *ops: str) -> Node:
    readers = model.index.consumers.get(node.proto.output[0], [])
    if len(readers) != 1 or readers[0].proto.op_type not in ops:
        read_by = ", ".join(f"{reader.proto.op_type} {reader.name}" for reader in readers) or "nobody"
        raise CannotRewrite(f"{node.name} is read by {read_by}; only a selection that is summed or averaged is known")
    return readers[0]


def _keeps_dims_of_rows(model: OpenedModel, reduction: Node) -> bool:
    from friction_tui.model.constants import constant_value

    attributes = {attribute.name: attribute for attribute in reduction.proto.attribute}
    axes = list(attributes["axes"].ints) if "axes" in attributes else None
    if axes is None and len(reduction.proto.input) > 1:
        value = constant_value(model, reduction.proto.input[1])
        axes = [int(axis) for axis in value] if value is not None else None
    if axes != [0]:
        raise CannotRewrite(f"{reduction.name} reduces over axes {axes}, not over the selected rows alone")
    return "keepdims" not in attributes or bool(attributes["keepdims"].i)


def _masked(
    model: OpenedModel, proto: onnx.ModelProto, nonzero: Node, gather: Node, reduction: Node, keep: bool
) -> list[onnx.NodeProto]:
    opset = model.index.opsets.get("", 17)
    scope, data, mask = reduction.name, gather.proto.input[0], nonzero.proto.input[0]
    shape = add_constant(proto, f"{scope}_rows", np.array([-1, 1], np.int64))
    column, weighted = fresh_name(proto, f"{scope}_mask"), fresh_name(proto, f"{scope}_masked")
    as_float, total = fresh_name(proto, f"{scope}_mask_float"), fresh_name(proto, f"{scope}_total")
    out = reduction.proto.output[0]
    mean = reduction.proto.op_type == "ReduceMean"
    nodes = [
        helper.make_node("Cast", [mask], [as_float], name=f"{scope}/mask_to_float", to=TensorProto.FLOAT),
        helper.make_node("Reshape", [as_float, shape], [column], name=f"{scope}/mask_column"),
        helper.make_node("Mul", [data, column], [weighted], name=f"{scope}/masked"),
        _reduce_sum(proto, scope, weighted, total if mean else out, keep, opset),
    ]
    if mean:
        count = fresh_name(proto, f"{scope}_count")
        nodes.append(_reduce_sum(proto, f"{scope}/count", column, count, keep, opset))
        nodes.append(helper.make_node("Div", [total, count], [out], name=f"{scope}/mean"))
    return nodes


def _reduce_sum(proto: onnx.ModelProto, scope: str, source: str, out: str, keep: bool, opset: int) -> onnx.NodeProto:
    if opset < 13:
        return helper.make_node("ReduceSum", [source], [out], name=f"{scope}/sum", axes=[0], keepdims=int(keep))
    axes = add_constant(proto, f"{scope}_axes", np.array([0], np.int64))
    return helper.make_node("ReduceSum", [source, axes], [out], name=f"{scope}/sum", keepdims=int(keep))


NONZERO_MASK = Rewriter("nonzero-mask", "multiply by the mask instead of selecting", nonzero_mask)
REWRITES = (NONZERO_MASK,)
