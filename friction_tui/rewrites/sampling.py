"""Resize forms and GridSample types that TensorRT refuses: a Resize is one MatMul for each axis."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import END, FLOATS, move_axis
from friction_tui.rewrites.resize_weights import Axis, Sampling, weights

MOST_WEIGHTS = 1 << 24
"""Elements of one axis' constant weights, output times input size, up to which a Resize becomes a MatMul (64 MiB)."""


@dataclass(slots=True)
class _Request:
    """What a Resize node asks for, axis by axis."""

    how: Sampling
    axes: list[int]
    scales: list[float] = field(default_factory=list)
    sizes: list[int] = field(default_factory=list)
    roi: list[float] = field(default_factory=list)
    policy: str = "stretch"


@node_rewrite(
    "resize-matmul",
    "multiply by the interpolation weights instead of resizing",
    ("", "Resize"),
    exactness=Exactness.ROUNDING,
)
def resize(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Resize with constant scales or sizes → one MatMul for each resized axis, by the specification's formulas.

    Any mode, coordinate transformation, antialias, exclude_outside, axes, policy and crop. Where an axis has a fixed
    size its weights are constant: out × in elements. Where it is free they are computed from the size when the engine
    runs: linear and cubic modes with the half_pixel, pytorch_half_pixel, asymmetric and align_corners transformations.
    """
    tensor = node.input[0]
    if graph.opset < 11:
        raise NeedsOpset(11, "the coordinate transformation of Resize")
    if graph.dtype(tensor) not in FLOATS:
        raise CannotRewrite("the image is not float; cast it first")
    request, rank = _request(node, graph), graph.rank(tensor)
    sizes = graph.dims(tensor) or []
    crops = request.how.coordinate_transformation_mode == "tf_crop_and_resize"
    plan: list[tuple[int, str, np.ndarray | None]] = []
    for position, axis in enumerate(request.axes):
        size = sizes[axis]
        if axis == 0 and not isinstance(size, int) and request.sizes:
            continue  # sizes of the whole shape hold the batch of the export: a free batch stays as it is
        if isinstance(size, int):
            made = _fixed(request, position, size, sizes)
            if made is None:
                continue
            matrix, outside = made
            plan.append((axis, graph.const(matrix, graph.numpy_dtype(tensor)), outside if crops else None))
        elif not (request.scales and request.scales[position] == 1.0 and not crops):
            plan.append((axis, _computed(request, position, graph, tensor, axis), None))
    extrapolated = graph.attribute(node, "extrapolation_value", 0.0)
    outsides = [(axis, outside) for axis, _, outside in plan if outside is not None and outside.any()]
    for at, (axis, factor, _) in enumerate(plan):
        name = node.output[0] if at == len(plan) - 1 and not outsides else ""
        tensor = _along(graph, tensor, factor, rank, axis, name)
    if outsides:
        flags = np.zeros([1] * rank, bool)
        for axis, outside in outsides:
            flags = flags | outside.reshape([-1 if at == axis else 1 for at in range(rank)])
        value = graph.const(extrapolated, graph.numpy_dtype(node.input[0]))
        graph.op("Where", [graph.const(flags), value, tensor], node.output[0])
    elif not plan:
        graph.op("Identity", [tensor], node.output[0])


def _request(node: onnx.NodeProto, graph: GraphEditor) -> _Request:
    rank = graph.rank(node.input[0])

    def read(name: str, default: object) -> object:
        return graph.attribute(node, name, default)

    how = Sampling(
        str(read("mode", "nearest")),
        str(read("coordinate_transformation_mode", "half_pixel")),
        str(read("nearest_mode", "round_prefer_floor")),
        float(graph.attribute(node, "cubic_coeff_a", -0.75)),
        bool(read("antialias", 0)),
        bool(read("exclude_outside", 0)),
    )
    axes = [int(axis) % rank for axis in graph.attribute(node, "axes", range(rank))]
    request = _Request(how, axes, policy=str(read("keep_aspect_ratio_policy", "stretch")))
    scales, sizes = graph.input(node, 2), graph.input(node, 3)
    if sizes:
        request.sizes = [int(size) for size in graph.require_constant(sizes, "sizes").reshape(-1)]
    else:
        given = graph.require_constant(scales, "scales")
        request.scales = [float(np.float32(scale)) for scale in given.reshape(-1)]
    if len(request.sizes or request.scales) != len(axes):
        raise CannotRewrite("the scales or sizes are not as many as the axes")
    if how.coordinate_transformation_mode == "tf_crop_and_resize":
        request.roi = [float(edge) for edge in graph.require_constant(graph.input(node, 1), "the region").reshape(-1)]
    return request


def _fixed(
    request: _Request, position: int, size: int, sizes: list[int | str | None]
) -> tuple[np.ndarray, np.ndarray] | None:
    """Constant weights [out, size] of one axis and which outputs lie outside; None where the axis stays as it is."""
    count = len(request.axes)
    start, end = (request.roi[position], request.roi[position + count]) if request.roi else (0.0, 1.0)
    if request.scales:
        scale = request.scales[position]
        out = int(np.floor(np.float32(scale) * np.float32(size)))
    elif request.policy == "stretch":
        out = request.sizes[position]
        scale = out / size
    else:
        known = [sizes[axis] for axis in request.axes]
        if not all(isinstance(one, int) for one in known):
            raise CannotRewrite("keep_aspect_ratio_policy needs fixed sizes on all resized axes")
        ratios = [want / have for want, have in zip(request.sizes, known, strict=True) if isinstance(have, int)]
        scale = min(ratios) if request.policy == "not_larger" else max(ratios)
        out = int(np.floor(scale * size + 0.5))
    if out == size and (start, end) == (0.0, 1.0):
        return None
    if out * size > MOST_WEIGHTS:
        raise CannotRewrite(f"the weights of one axis would have {out} x {size} elements")
    return weights(Axis(size, out, scale, start, end), request.how)


def _computed(request: _Request, position: int, graph: GraphEditor, tensor: str, axis: int) -> str:
    """Weights [out, size] of an axis of free size, as nodes; the same formulas as in resize_weights."""
    how, mode = request.how, request.how.coordinate_transformation_mode
    if request.policy != "stretch":
        raise CannotRewrite("keep_aspect_ratio_policy needs fixed sizes on all resized axes")
    if how.mode == "nearest" or mode not in ("half_pixel", "pytorch_half_pixel", "asymmetric", "align_corners"):
        raise CannotRewrite(f"{how.mode} with {mode} needs a fixed size at axis {axis}")

    def number(value: float) -> str:
        return graph.const(value, np.float32)

    def binary(op: str, one: str, other: str | float) -> str:
        return graph.op(op, [one, number(other) if not isinstance(other, str) else other])

    size = graph.cast(graph.size(tensor, axis), TensorProto.FLOAT)
    if request.scales:
        scale = graph.const([request.scales[position]], np.float32)
        out = graph.op("Floor", [graph.op("Mul", [size, scale])])
        count = graph.cast(out, TensorProto.INT64)
    else:
        count = graph.const([request.sizes[position]])
        out = graph.const([request.sizes[position]], np.float32)
        scale = graph.op("Div", [out, size])
    last = binary("Sub", size, 1.0)
    i = graph.cast(graph.arange(count), TensorProto.FLOAT)
    if mode == "asymmetric":
        x = graph.op("Div", [i, scale])
    elif mode == "align_corners":
        x = graph.op("Div", [graph.op("Mul", [i, last]), binary("Max", binary("Sub", out, 1.0), 1.0)])
    else:
        x = binary("Sub", graph.op("Div", [binary("Add", i, 0.5), scale]), 0.5)
        if mode == "pytorch_half_pixel":
            x = graph.op("Mul", [x, graph.cast(binary("Greater", out, 1.0), TensorProto.FLOAT)])
    shrink = binary("Min", scale, 1.0) if how.antialias else ""
    border = ""  # how many places beyond each end may get weight
    if not how.exclude_outside and (how.antialias or how.mode == "cubic"):
        support = graph.const([2.0 if how.mode == "cubic" else 1.0], np.float32)
        reach = graph.op("Ceil", [graph.op("Div", [support, shrink])]) if shrink else support
        border = graph.cast(binary("Add", reach, 1.0), TensorProto.INT64)
    length = graph.size(tensor, axis)
    places = graph.arange(_plus(graph, length, border, border))
    if border:
        places = graph.op("Sub", [places, border])
    if not how.antialias and how.mode == "linear":
        x = graph.op("Min", [binary("Max", x, 0.0), last])
    place = graph.reshape(graph.cast(places, TensorProto.FLOAT), [1, -1])
    distance = graph.op("Abs", [graph.op("Sub", [graph.unsqueeze(x, [1]), place])])
    if shrink:
        distance = graph.op("Mul", [distance, shrink])
    if how.mode == "cubic":
        matrix = _cubic(graph, distance, how.cubic_coeff_a)
    else:
        matrix = binary("Max", graph.op("Sub", [number(1.0), distance]), 0.0)
    if how.antialias or how.exclude_outside:
        matrix = graph.op("Div", [matrix, graph.reduce("ReduceSum", matrix, [1])])
    if border:
        matrix = _onto_border(graph, matrix, border, length)
    return graph.cast(matrix, graph.dtype(tensor))


def _cubic(graph: GraphEditor, distance: str, a: float) -> str:
    """Keys' cubic kernel of a float32 distance, as nodes."""

    def polynomial(*coefficients: float) -> str:
        value = graph.const(coefficients[0], np.float32)
        for coefficient in coefficients[1:]:
            value = graph.op("Add", [graph.op("Mul", [value, distance]), graph.const(coefficient, np.float32)])
        return value

    near, far = polynomial(a + 2, -(a + 3), 0.0, 1.0), polynomial(a, -5 * a, 8 * a, -4 * a)
    zero = graph.const(0.0, np.float32)
    beyond = graph.op("Where", [graph.op("Less", [distance, graph.const(2.0, np.float32)]), far, zero])
    is_far = graph.op("Greater", [distance, graph.const(1.0, np.float32)])
    return graph.op("Where", [is_far, beyond, near])


def _plus(graph: GraphEditor, first: str, *others: str) -> str:
    """The sum of int64 tensors, names that are "" left out."""
    for other in others:
        first = graph.op("Add", [first, other]) if other else first
    return first


def _onto_border(graph: GraphEditor, matrix: str, border: str, length: str) -> str:
    """Weights [out, border + length + border] → [out, length], what lies beyond an end added to the outermost."""
    end = graph.op("Add", [border, length])
    inner = graph.slice(matrix, border, end, 1)
    places = graph.arange(length)
    last = graph.op("Sub", [length, graph.const([1])])
    for edge, outer in (
        (graph.const([0]), graph.slice(matrix, 0, border, 1)),
        (last, graph.slice(matrix, end, END, 1)),
    ):
        here = graph.cast(graph.op("Equal", [places, edge]), TensorProto.FLOAT)
        spread = graph.op("Mul", [graph.reduce("ReduceSum", outer, [1]), graph.unsqueeze(here, [0])])
        inner = graph.op("Add", [inner, spread])
    return inner


def _along(graph: GraphEditor, tensor: str, matrix: str, rank: int, axis: int, output: str) -> str:
    """The tensor multiplied by a matrix [out, in] along one axis."""
    if axis == rank - 2:
        return graph.op("MatMul", [matrix, tensor], output)
    transposed = graph.op("Transpose", [matrix], perm=[1, 0])
    if axis == rank - 1:
        return graph.op("MatMul", [tensor, transposed], output)
    product = graph.op("MatMul", [move_axis(graph, tensor, rank, axis, rank - 1), transposed])
    return move_axis(graph, product, rank, rank - 1, axis, output)


@node_rewrite("grid-sample-types", "cast the grid to the type of the image", ("", "GridSample"))
def grid_sample(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """GridSample whose grid has another float type than the image → the narrower one cast to the wider, and back.

    Exact: ONNX computes positions in the type of the grid, and widening loses nothing.
    """
    image, grid = node.input
    types = graph.dtype(image), graph.dtype(grid)
    if types[0] == types[1]:
        raise CannotRewrite("image and grid have the same type, which TensorRT takes")
    if TensorProto.DOUBLE in types or not all(each in FLOATS for each in types):
        raise CannotRewrite("only float, float16 and bfloat16 are cast")
    attributes = {attribute.name: onnx.helper.get_attribute_value(attribute) for attribute in node.attribute}
    wide = [graph.cast(each, TensorProto.FLOAT) for each in (image, grid)]
    sampled = graph.op("GridSample", wide, **attributes)
    graph.cast(sampled, types[0], node.output[0])


@node_rewrite("resize-float", "resize as float", ("", "Resize"), exactness=Exactness.ROUNDING)
def resize_integers(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Nearest Resize of bool, uint8, int32 or int64 → the same in float32 between casts.

    Exact for bool, uint8 and integers up to 2^24, as class maps and masks hold.
    """
    dtype = graph.dtype(node.input[0])
    if dtype not in (TensorProto.BOOL, TensorProto.UINT8, TensorProto.INT32, TensorProto.INT64):
        raise CannotRewrite("the image is not bool, uint8, int32 or int64")
    if graph.attribute(node, "mode", "nearest") != "nearest":
        raise CannotRewrite("only nearest gives values of the image itself")
    attributes = {each.name: onnx.helper.get_attribute_value(each) for each in node.attribute}
    image = graph.cast(node.input[0], TensorProto.FLOAT)
    graph.cast(graph.op("Resize", [image, *node.input[1:]], **attributes), dtype, node.output[0])


REWRITES: tuple[Rewriter, ...] = (resize, resize_integers, grid_sample)
