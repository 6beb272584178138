"""Integer types TensorRT does not compute with (int8, uint8, int16, uint16, uint32, uint64), computed in a wider one.

Results that can leave the range of the model's own type are wrapped round, as integer arithmetic of that width does.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.rewrites.carried import BOOL, CARRIERS, FLOAT, INT32, INT64, LIMITS, REFUSED, Carried, Handler
from friction_tui.rewrites.graph_editor import GraphEditor

_BITS: dict[int, int] = {
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT8: 8,
    TensorProto.UINT8: 8,
    TensorProto.INT16: 16,
    TensorProto.UINT16: 16,
    TensorProto.INT32: 32,
    TensorProto.UINT32: 32,
}
_SIGNED = frozenset({TensorProto.INT4, TensorProto.INT8, TensorProto.INT16, TensorProto.INT32})


def wrapped(graph: GraphEditor, name: str, of_type: int, held: int) -> str:
    """`name`, of integer type `held`, wrapped round to the range of `of_type`: the number modulo 2^bits."""
    bits = _BITS.get(of_type)
    if bits is None or of_type == held:
        return name  # uint64 in int64 wraps round by itself
    dtype = helper.tensor_dtype_to_np_dtype(held)
    around = graph.const(2**bits, dtype)
    if of_type not in _SIGNED:
        return graph.op("Mod", [name, around])
    half = graph.const(2 ** (bits - 1), dtype)
    return graph.op("Sub", [graph.op("Mod", [graph.op("Add", [name, half]), around]), half])


def _held(carried: Carried, names: Sequence[str], *, as_float: bool) -> int:
    """The type in which those tensors meet: float32 where one is held so and `as_float`, else an integer."""
    carriers = [carrier for name in names if (carrier := carried.carrier(name)) is not None]
    if as_float and any(carrier.held == FLOAT for carrier in carriers):
        return FLOAT
    return INT64 if any(CARRIERS.get(carried.type(name)) == INT64 for name in names) else INT32


def _attributes(node: onnx.NodeProto) -> dict[str, Any]:
    return {attribute.name: helper.get_attribute_value(attribute) for attribute in node.attribute}


def _on_carriers(
    node: onnx.NodeProto, carried: Carried, *, outputs: Sequence[int], wrap: bool = False, held: int = 0
) -> bool:
    """The same node on what carries its inputs; those `outputs` are of the inputs' type and carried too."""
    graph = carried.graph
    narrow = [name for name in node.input if carried.narrow(name)]
    if not narrow:
        return False
    of_type = carried.type(narrow[0])
    if of_type == TensorProto.UINT64 and not wrap and outputs != range(len(node.output)) and not carried.at_border:
        return False  # int64 has another order from 2^63 on
    held = held or _held(carried, narrow, as_float=not wrap)
    inputs = [carried.read(name, held) if name in narrow else name for name in node.input]
    names = [
        graph.fresh(f"{name}_carried") if name and position in outputs else name
        for position, name in enumerate(node.output)
    ]
    graph.op(node.op_type, inputs, names, **_attributes(node))
    for position in outputs:
        if position < len(node.output) and node.output[position]:
            name = names[position]
            carried.write(node.output[position], wrapped(graph, name, of_type, held) if wrap else name, held, of_type)
    return True


def move(node: onnx.NodeProto, carried: Carried) -> bool:
    """Operators that move numbers and compute nothing."""
    if node.op_type == "Resize" and (mode := carried.graph.attribute(node, "mode", "nearest")) != "nearest":
        return mode == "linear" and _interpolated(node, carried)
    return _on_carriers(node, carried, outputs=range(len(node.output)))


def _interpolated(node: onnx.NodeProto, carried: Carried) -> bool:
    """A linear Resize of 8-bit integers, in float32 and cut to whole numbers as ONNX Runtime does."""
    graph, data = carried.graph, node.input[0]
    of_type = carried.type(data)
    if of_type not in (TensorProto.UINT8, TensorProto.INT8) or data in carried.kept:
        return False
    between = graph.op("Resize", [carried.read(data, FLOAT), *node.input[1:]], **_attributes(node))
    if of_type == TensorProto.UINT8:
        whole = graph.op("Floor", [between])
    else:
        whole = graph.op("Mul", [graph.op("Sign", [between]), graph.op("Floor", [graph.op("Abs", [between])])])
    carried.write(node.output[0], whole, FLOAT, of_type)
    return True


def pool(node: onnx.NodeProto, carried: Carried) -> bool:
    """MaxPool, in float32, where TensorRT has it; its indices stay int64."""
    return _on_carriers(node, carried, outputs=(0,), held=FLOAT)


def choose(node: onnx.NodeProto, carried: Carried) -> bool:
    """Operators whose first output is some of the numbers of the input."""
    return _on_carriers(node, carried, outputs=(0,))


def compute(node: onnx.NodeProto, carried: Carried) -> bool:
    """Arithmetic, wrapped round."""
    return _on_carriers(node, carried, outputs=(0,), wrap=True)


def compare(node: onnx.NodeProto, carried: Carried) -> bool:
    """Operators whose results are of another type: comparisons, ArgMax."""
    return _on_carriers(node, carried, outputs=())


def power(node: onnx.NodeProto, carried: Carried) -> bool:
    """Pow, whose base may be of another type than its exponent."""
    base, exponent = node.input
    if carried.narrow(base):
        return compute(node, carried)
    if not carried.narrow(exponent):
        return False
    carried.graph.op("Pow", [base, carried.read(exponent, CARRIERS[carried.type(exponent)])], node.output[0])
    return True


def cast(node: onnx.NodeProto, carried: Carried) -> bool:
    """Cast and CastLike from or to such a type, wrapped round where the range becomes smaller."""
    graph, source = carried.graph, node.input[0]
    target = carried.type(node.input[1]) if node.op_type == "CastLike" else int(graph.attribute(node, "to", 0))
    from_type, result = carried.type(source), node.output[0]
    narrow = carried.narrow(source)
    if target not in CARRIERS:
        if not target or not narrow or (carried.carrier(source) is None and graph.constant(source) is None):
            return False
        if from_type == TensorProto.UINT64 and not carried.at_border and target not in (INT32, INT64):
            return False
        _convert(carried, source, target, result)
        return True
    if result in carried.kept or not (narrow or from_type in (FLOAT, TensorProto.FLOAT16, INT32, INT64, BOOL)):
        return False
    if not narrow and target not in REFUSED and not graph.reading(result):
        return False  # a Cast to an output, which TensorRT takes
    held = CARRIERS[target]
    whole = carried.read(source, held)
    carried.write(result, whole if _fits(from_type, target) else wrapped(graph, whole, target, held), held, target)
    return True


def _convert(carried: Carried, source: str, target: int, result: str) -> None:
    carrier = carried.carrier(source)
    if carrier is not None and carrier.held != target:
        carried.graph.cast(carrier.name, target, result)
    else:
        carried.graph.op("Identity", [carried.read(source, target)], result)


def _fits(source: int, target: int) -> bool:
    if source == BOOL or target == TensorProto.UINT64:
        return True
    low, high = LIMITS.get(source, (-(2**63), 2**63 - 1))
    return LIMITS[target][0] <= low and high <= LIMITS[target][1]


def on_bools(node: onnx.NodeProto, carried: Carried) -> bool:
    """Arithmetic on bools in int32: 0 and 1, and back."""
    bools = [name for name in node.input if name and carried.type(name) == BOOL]
    if not bools:
        return choose(node, carried) if node.op_type != "Equal" else compare(node, carried)
    graph = carried.graph
    inputs = [graph.cast(name, INT32) if name in bools else name for name in node.input]
    if node.op_type == "Equal":
        graph.op(node.op_type, inputs, node.output[0])
    else:
        graph.cast(graph.op(node.op_type, inputs, **_attributes(node)), BOOL, node.output[0])
    return True


def bitwise(node: onnx.NodeProto, carried: Carried) -> bool:
    """BitwiseAnd, Or and Xor of numbers in a wider type, whose higher bits only repeat the sign; Not of them."""
    of_type = carried.type(node.input[0])
    if of_type not in REFUSED:
        return False
    if node.op_type != "BitwiseNot":
        return _on_carriers(node, carried, outputs=range(1))
    held = CARRIERS[of_type]
    top = LIMITS[of_type][1] if of_type in LIMITS and of_type not in _SIGNED else -1
    number = carried.graph.const(top, helper.tensor_dtype_to_np_dtype(held))
    carried.write(node.output[0], carried.graph.op("Sub", [number, carried.read(node.input[0], held)]), held, of_type)
    return True


def shift(node: onnx.NodeProto, carried: Carried) -> bool:
    """BitShift of int16, uint16, uint32 and, to the left, uint64: times 2^n, or over 2^n, rounded down."""
    graph, of_type = carried.graph, carried.type(node.input[0])
    left = graph.attribute(node, "direction") == "LEFT"
    if of_type not in REFUSED or (of_type == TensorProto.UINT64 and not left):
        return False  # int64 has another order from 2^63 on
    held = CARRIERS[of_type]
    dtype, width = helper.tensor_dtype_to_np_dtype(held), _BITS.get(of_type, 64)
    value, count = (carried.read(name, held) for name in node.input)
    powers = [2**n for n in range(width)] + [0 if left else 2**width]
    table = np.array([power % 2**64 for power in powers], np.uint64).astype(np.int64)  # 2^63 wraps, as products do
    within = graph.op("Min", [count, graph.const(width, dtype)])
    power = graph.op("Gather", [graph.const(table, np.int64), within], axis=0)
    if left:
        shifted = graph.op("Mul", [graph.cast(value, INT64), power])
        shifted = wrapped(graph, shifted, of_type, INT64)
    else:
        whole = graph.cast(value, INT64)
        if of_type in _SIGNED:
            whole = graph.op("Sub", [whole, graph.op("Mod", [whole, power])])
        shifted = graph.op("Div", [whole, power])
    carried.write(node.output[0], graph.cast(shifted, held), held, of_type)
    return True


_MOVES = (
    "Concat DepthToSpace Expand Flatten Gather GatherElements GatherND Identity Pad Reshape Resize ReverseSequence "
    "ScatterElements ScatterND Slice SpaceToDepth Split Squeeze Tile Transpose Trilu Unsqueeze Where Compress OneHot"
)
_CHOICES = "Max Min Clip Relu Mod Sign TopK"
_SUMS = "Add Sub Mul Div Neg Abs ReduceSum ReduceProd CumSum"
_COMPARISONS = "Greater Less GreaterOrEqual LessOrEqual ArgMax ArgMin"

MOVES: dict[tuple[str, str], Handler] = {
    **{("", op): move for op in _MOVES.split()},
    ("", "MaxPool"): pool,
    ("", "Cast"): cast,
    ("", "CastLike"): cast,
}
"""Handlers of operators that quantized integers go through unchanged."""
ARITHMETIC: dict[tuple[str, str], Handler] = {
    **{("", op): choose for op in _CHOICES.split()},
    **{("", op): compute for op in _SUMS.split()},
    **{("", op): compare for op in _COMPARISONS.split()},
    **{("", op): on_bools for op in ("ReduceMax", "ReduceMin", "Equal")},
    ("", "Pow"): power,
    ("", "BitShift"): shift,
    **{("", op): bitwise for op in ("BitwiseAnd", "BitwiseOr", "BitwiseXor", "BitwiseNot")},
}
"""Handlers of operators that compute with integers."""
