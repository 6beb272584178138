"""Sizes written into the graph that should have followed the input."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

import numpy as np
import onnx

from friction_tui.model.constants import constant_value
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.editing import add_constant, bypass, chosen, copy_of, forget_shapes
from friction_tui.rewrites.graph_editor import GraphEditor


def reshape_minus_one(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Let the first entry of a constant Reshape target be worked out from the input (-1) instead of a fixed batch.

    An entry that is already -1 is replaced by the size it has at the traced batch, where that is known.
    """
    proto = copy_of(model)
    for node in chosen(model, paths, "Reshape"):
        target = constant_value(model, node.proto.input[1])
        if target is None:
            raise CannotRewrite(f"the target shape of {node.name} is computed, not constant")
        wanted = [int(size) for size in target]
        if -1 in wanted[1:]:
            raise CannotRewrite(f"{node.name} already has a -1 in {wanted}; only one size can be worked out")
        if not wanted or wanted[0] == -1:
            raise CannotRewrite(f"the batch in {wanted} of {node.name} is not fixed")
        fixed = add_constant(proto, f"{node.proto.input[1]}_any_batch", np.array([-1, *wanted[1:]], np.int64))
        proto.graph.node[node.index].input[1] = fixed
    forget_shapes(proto)
    return proto


def drop_squeeze(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
    """Take out a Squeeze of an axis that is not always 1; the result keeps that axis.

    Outputs that are not computed from it keep the shapes that they declare, the others get those that ONNX infers.
    """
    proto = copy_of(model)
    squeezes = chosen(model, paths, "Squeeze")
    for node in sorted(squeezes, key=lambda node: -node.index):
        bypass(proto, node.index)
    changed = _computed_from(model, squeezes)
    outputs = [value for value in proto.graph.output if value.name in changed]
    for output in outputs:
        output.type.tensor_type.ClearField("shape")
    del proto.graph.value_info[:]
    known = GraphEditor(proto, model.path.parent)
    for output in outputs:
        sizes = known.dims(output.name)
        if sizes is not None:
            of = output.type.tensor_type
            of.CopyFrom(onnx.helper.make_tensor_type_proto(of.elem_type, sizes).tensor_type)
    return proto


def _computed_from(model: OpenedModel, nodes: Iterable[Node]) -> set[str]:
    """The tensors of the main graph that `nodes` write, and all that is computed from them."""
    index = model.index
    found = {name for node in nodes for name in node.outputs}
    for number in index.sorted_in(""):
        node = index.main[number]
        if any(name in found for name in index.reads(node)):
            found.update(node.outputs)
    return found


RESHAPE_MINUS_ONE = Rewriter("reshape-minus-one", "let the batch follow the input: -1", reshape_minus_one)
DROP_SQUEEZE = Rewriter("drop-squeeze", "keep the axis", drop_squeeze, Exactness.CHANGES)
REWRITES = (RESHAPE_MINUS_ONE, DROP_SQUEEZE)
