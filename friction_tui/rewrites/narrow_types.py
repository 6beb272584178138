"""Rewrites of a whole model whose integers TensorRT does not take: quantized ones in float32, others in int32."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import onnx

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites import integers, quantized, quantized_microsoft
from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.carried import CARRIERS, Handler, carry
from friction_tui.rules.types.element_types import element_types

_FAMILIES: dict[str, dict[tuple[str, str], Handler]] = {
    "move": integers.MOVES,
    "arithmetic": integers.ARITHMETIC,
    "quantization": quantized.QDQ,
    "kernel": {**quantized.KERNELS, **quantized_microsoft.KERNELS},
}
_ON_BOOLS = frozenset({"ReduceMax", "ReduceMin", "Equal"})
_HANDLERS = {op: (name, handler) for name, family in _FAMILIES.items() for op, handler in family.items()}


def _may_be_narrow(model: OpenedModel) -> bool:
    """Whether the model has tensors of such types, or operators that are refused for bools: a look without a copy."""
    types = {kind for each in element_types(model).values() for kind in each.values()}
    return bool(types & CARRIERS.keys()) or any(node.proto.op_type in _ON_BOOLS for node in model.index.nodes)


def _rewrite(
    wanted: frozenset[str], unwanted: frozenset[str], *, at_border: bool = False
) -> Callable[[OpenedModel, Sequence[str]], onnx.ModelProto]:
    """A rewrite that applies where a node of the `wanted` families is rewritten and none of the `unwanted`."""

    def run(model: OpenedModel, paths: Sequence[str]) -> onnx.ModelProto:
        del paths  # the numbers of one node are those of its neighbours: they change their type together
        if "arithmetic" in wanted and not _may_be_narrow(model):
            raise CannotRewrite("no node computes with integers that TensorRT does not take")
        proto, families = carry(model, _HANDLERS, quantized.kept, at_border=at_border)
        if at_border:
            if [v.type for v in proto.graph.input] == [v.type for v in model.proto.graph.input] and [
                v.type.tensor_type.elem_type for v in proto.graph.output
            ] == [v.type.tensor_type.elem_type for v in model.proto.graph.output]:
                raise CannotRewrite("no input or output is an integer that TensorRT does not take")
        elif not families & wanted:
            raise CannotRewrite("no node computes with integers that TensorRT does not take")
        if families & unwanted:
            raise CannotRewrite("the model also has integer kernels, which go to float32 together")
        return proto

    return run


IN_FLOAT = Rewriter(
    "quantization-in-float",
    "quantize and dequantize in float32: Div, Round, Clip and Mul",
    _rewrite(frozenset({"quantization"}), frozenset({"kernel"})),
    ops=tuple(quantized.QDQ),
)
KERNELS_IN_FLOAT = Rewriter(
    "integer-kernels-in-float",
    "compute with the same integers held in float32",
    _rewrite(frozenset({"kernel"}), frozenset()),
    Exactness.ROUNDING,
    ops=tuple(_FAMILIES["kernel"]),
)
IN_INT32 = Rewriter(
    "narrow-integers",
    "compute in int32, wrapped round to the model's own range, and cast at the border",
    _rewrite(frozenset({"arithmetic", "move"}), frozenset({"kernel", "quantization"})),
    ops=(*integers.ARITHMETIC, *integers.MOVES),
)
BORDER = Rewriter(
    "wider-border",
    "declare inputs and outputs in the next wider type that TensorRT takes",
    _rewrite(frozenset(), frozenset(), at_border=True),
    Exactness.CHANGES,
    changes="inputs and outputs that are int16 or uint16 become int32, those that are uint32 or uint64 become int64",
)
REWRITES = (IN_FLOAT, KERNELS_IN_FLOAT, IN_INT32, BORDER)
