"""Running products, remainders of floats, and Col2Im, in operators that TensorRT has."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS, INTEGERS, scalar

MOST_DOUBLINGS = 16
"""Steps of a running product along an axis of free size: right up to 65536 elements."""


@node_rewrite(
    "cumprod-doubling",
    "multiply with shifted copies instead of CumProd",
    ("", "CumProd"),
    exactness=Exactness.ROUNDING,
)
def cumprod(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """CumProd, also exclusive or reverse → log₂(length) products with copies shifted by 1, 2, 4 … elements.

    An axis of free size takes 16 steps, right up to 65536 elements. Integers are exact.
    """
    tensor = node.input[0]
    if graph.dtype(tensor) not in (*FLOATS, *INTEGERS):
        raise CannotRewrite("the input is neither float nor int32 or int64")
    rank = graph.rank(tensor)
    axis = int(graph.require_constant(node.input[1], "the axis").reshape(-1)[0]) % rank
    backward = bool(graph.attribute(node, "reverse", 0))
    one, length = scalar(graph, 1, tensor), (graph.dims(tensor) or [])[axis]
    end = graph.size(tensor, axis)
    steps = max(1, (length - 1).bit_length()) if isinstance(length, int) else MOST_DOUBLINGS

    def shifted(value: str, by: int) -> str:
        pads = [0] * 2 * rank
        pads[rank + axis if backward else axis] = by
        padded = graph.op("Pad", [value, graph.const(pads), one])
        if not backward:
            return graph.slice(padded, 0, end, axis)
        start = graph.const([by])
        return graph.slice(padded, start, graph.op("Add", [end, start]), axis)

    if graph.attribute(node, "exclusive", 0):
        tensor = shifted(tensor, 1)
    for step in range(steps):
        last = step == steps - 1
        tensor = graph.op("Mul", [tensor, shifted(tensor, 1 << step)], node.output[0] if last else "")


@node_rewrite(
    "mod-floor",
    "subtract the multiple instead of Mod of floats",
    ("", "Mod"),
    exactness=Exactness.ROUNDING,
)
def mod(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Mod of floats → a - b·floor(a/b), with fmod=1 a - b·trunc(a/b); of an infinite b what stays of a.

    Differs where the quotient exceeds the precision of the type.
    """
    a, b = node.input
    dtype = graph.dtype(a)
    if dtype not in FLOATS:
        raise CannotRewrite("the operands are not float")
    if graph.opset < 10:
        raise NeedsOpset(10, "IsInf")
    wide = [graph.cast(each, TensorProto.FLOAT) if dtype != TensorProto.FLOAT else each for each in (a, b)]
    zero = graph.const(0, np.float32)
    quotient = graph.op("Div", wide)
    truncates = graph.attribute(node, "fmod", 0)
    floor = graph.op("Floor", [quotient])
    if truncates:
        floor = graph.op("Where", [graph.op("Less", [quotient, zero]), graph.op("Ceil", [quotient]), floor])
    rest = graph.op("Sub", [wide[0], graph.op("Mul", [floor, wide[1]])])
    infinite = graph.op("IsInf", [wide[1]])
    kept = wide[0]
    if not truncates:
        other_sign = graph.op("Less", [graph.op("Mul", [graph.op("Sign", [each]) for each in wide]), zero])
        kept = graph.op("Where", [other_sign, wide[1], wide[0]])
    within = graph.op("And", [infinite, graph.op("Not", [graph.op("IsInf", [wide[0]])])])
    result = graph.op("Where", [within, kept, rest], node.output[0] if dtype == TensorProto.FLOAT else "")
    if dtype != TensorProto.FLOAT:
        graph.cast(result, dtype, node.output[0])


@node_rewrite("mod-int32", "take the remainder as int32", ("", "Mod"))
def mod_integers(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Mod of int8 or uint8 → the same in int32 between casts. Exact."""
    dtype = graph.dtype(node.input[0])
    if dtype not in (TensorProto.INT8, TensorProto.UINT8):
        raise CannotRewrite("the operands are not int8 or uint8")
    wide = []
    for name in node.input:
        value = graph.constant(name)
        wide.append(graph.cast(name, TensorProto.INT32) if value is None else graph.const(value, np.int32))
    rest = graph.op("Mod", wide, fmod=graph.attribute(node, "fmod", 0))
    graph.cast(rest, dtype, node.output[0])


@node_rewrite(
    "col2im-conv-transpose",
    "convolve with an identity kernel instead of Col2Im",
    ("", "Col2Im"),
    exactness=Exactness.ROUNDING,
)
def col2im(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Col2Im of constant image and block shapes, 1 to 3 axes → ConvTranspose that puts each column where it belongs.

    With strides and dilations together, which the builder refuses, the dilation goes into the kernel as zeros.
    """
    tensor = node.input[0]
    if graph.dtype(tensor) not in FLOATS:
        raise CannotRewrite("the columns are not float")
    image = [int(size) for size in graph.require_constant(node.input[1], "the image shape").reshape(-1)]
    block = [int(size) for size in graph.require_constant(node.input[2], "the block shape").reshape(-1)]
    count = len(image)
    if count > 3:
        raise CannotRewrite("more than three spatial axes")
    dilations = list(graph.attribute(node, "dilations", [1] * count))
    pads = list(graph.attribute(node, "pads", [0] * 2 * count))
    strides = list(graph.attribute(node, "strides", [1] * count))
    elements = int(np.prod(block))
    channels = graph.static_dim(tensor, 1) // elements
    kernel = np.eye(elements).reshape(elements, 1, *block)
    if max(strides) > 1 and max(dilations) > 1:
        spread = np.zeros([elements, 1, *(d * (size - 1) + 1 for d, size in zip(dilations, block, strict=True))])
        spread[(slice(None), slice(None), *(slice(None, None, d) for d in dilations))] = kernel
        kernel, dilations = spread, [1] * count
    shape = list(kernel.shape[2:])
    blocks, missing = [], []
    for axis in range(count):
        reach = dilations[axis] * (shape[axis] - 1) + 1
        free = image[axis] + pads[axis] + pads[count + axis] - reach
        blocks.append(free // strides[axis] + 1)
        missing.append(free % strides[axis])
    columns = graph.reshape(tensor, [-1, elements, *blocks])
    weight = graph.const(kernel, graph.numpy_dtype(tensor))
    put = graph.op(
        "ConvTranspose",
        [columns, weight],
        kernel_shape=shape,
        strides=strides,
        dilations=dilations,
        pads=pads,
        output_padding=missing,
    )
    graph.reshape(put, [-1, channels, *image], node.output[0])


@node_rewrite("relu-max", "take the maximum with zero instead of Relu of integers", ("", "Relu"))
def relu_integers(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Relu of int32 or int64 → Max with 0. Exact."""
    if graph.dtype(node.input[0]) not in INTEGERS:
        raise CannotRewrite("the input is not int32 or int64")
    graph.op("Max", [node.input[0], scalar(graph, 0, node.input[0])], node.output[0])


REWRITES: tuple[Rewriter, ...] = (cumprod, mod, mod_integers, col2im, relu_integers)
