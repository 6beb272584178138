"""NonMaxSuppression as a loop over picks, and RoiAlign through GridSample."""

from __future__ import annotations

from typing import Any

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto, helper, numpy_helper

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS, kept_positions, remainder

MOST_PICKS = 10_000
"""Picks a class up to which the loop is written: each is a pass over all boxes of all classes."""


@node_rewrite("nms-loop", "pick boxes in a loop instead of NonMaxSuppression", ("", "NonMaxSuppression"))
def nms(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """NonMaxSuppression → a Loop, one pick a step for all images and classes at once. Exact, in ONNX Runtime's order.

    A step takes the best box that is left and drops those that overlap it; the picks are then packed and cut to their
    number. Costs min(max_output_boxes_per_class, boxes) passes over images x classes x boxes, whatever is found: lower
    that maximum where it is larger than needed. It must be constant.
    """
    if graph.opset < 11:
        raise NeedsOpset(11)
    boxes, scores = node.input[:2]
    picks = _picks(node, graph, scores)
    overlap, least = graph.input(node, 3), graph.input(node, 4)
    threshold = graph.reshape(overlap, [1, 1, 1]) if overlap else graph.const([[[0.0]]], np.float32)
    if least:
        floor = graph.reshape(least, [1, 1, 1])
        good = graph.op("Greater", [scores, floor])
        start = graph.op("Where", [good, scores, graph.const(-np.inf, np.float32)])
    else:
        start = scores
    corners = _corners(graph, boxes, graph.attribute(node, "center_point_box", 0))
    area = graph.op("Mul", [graph.op("Sub", [corners[2], corners[0]]), graph.op("Sub", [corners[3], corners[1]])])
    columns = [graph.unsqueeze(each, [1]) for each in (*corners, area)]  # [B, 1, N]
    places = graph.arange(graph.slice(graph.shape(scores), 2, 3, 0))
    body = _pick_body(graph, columns, places, threshold, graph.dims(scores))
    trips = graph.squeeze(picks, [0])
    _, picked = graph.ops("Loop", [trips, graph.const(True, np.bool_), start], 2, body=body)
    _pack(node, graph, scores, picked, picks)


def _picks(node: onnx.NodeProto, graph: GraphEditor, scores: str) -> str:
    """How many boxes a class may pick, as a one-element int64 tensor."""
    given = graph.input(node, 2)
    wanted = int(graph.require_constant(given, "max_output_boxes_per_class").reshape(-1)[0]) if given else 0
    if wanted <= 0:
        raise CannotRewrite("max_output_boxes_per_class is 0: nothing is ever picked")
    boxes = (graph.dims(scores) or [None] * 3)[2]
    if isinstance(boxes, int) and min(wanted, boxes) > MOST_PICKS:
        raise CannotRewrite(f"{min(wanted, boxes)} picks a class; lower max_output_boxes_per_class to {MOST_PICKS}")
    if isinstance(boxes, int):
        return graph.const([min(wanted, boxes)])
    return graph.op("Min", [graph.size(scores, 2), graph.const([wanted])])


def _corners(graph: GraphEditor, boxes: str, centre: int) -> list[str]:
    """y1, x1, y2, x2 with y1 ≤ y2 and x1 ≤ x2, each [B, N]."""
    a, b, c, d = (graph.squeeze(each, [2]) for each in graph.split(boxes, [1] * 4, 2))
    if not centre:
        low = [graph.op("Min", [a, c]), graph.op("Min", [b, d])]
        return [*low, graph.op("Max", [a, c]), graph.op("Max", [b, d])]
    two = graph.const(2.0, np.float32)
    half_width, half_height = graph.op("Div", [c, two]), graph.op("Div", [d, two])
    return [
        graph.op("Sub", [b, half_height]),
        graph.op("Sub", [a, half_width]),
        graph.op("Add", [b, half_height]),
        graph.op("Add", [a, half_width]),
    ]


def _pick_body(
    graph: GraphEditor, columns: list[str], places: str, threshold: str, sizes: list[int | str | None] | None
) -> onnx.GraphProto:
    """(step, condition, scores [B,C,N]) → (condition, scores left [B,C,N], picked index [B,C,1] or -1)."""
    scope = graph.fresh("nms")
    nodes: list[onnx.NodeProto] = []
    constants: dict[str, np.ndarray] = {}

    def make(op: str, *inputs: str, **attributes: Any) -> str:
        name = graph.fresh(f"{scope}/{op}")
        nodes.append(helper.make_node(op, list(inputs), [name], name=f"{name}_node", **attributes))
        return name

    def constant(value: npt.ArrayLike, dtype: type) -> str:
        name = graph.fresh(f"{scope}/constant")
        constants[name] = np.array(value, dtype)
        return name

    lowest, zero = constant(-np.inf, np.float32), constant(0, np.float32)
    scores, step, condition = (graph.fresh(f"{scope}/{name}") for name in ("scores", "step", "condition"))
    best = make("ArgMax", scores, axis=2, keepdims=1)
    valid = make("Greater", make("GatherElements", scores, best, axis=2), lowest)
    here = make("Equal", places, best)  # [B, C, N]
    weight = make("Cast", here, to=TensorProto.FLOAT)
    axes = [constant([2], np.int64)] if graph.opset >= 13 else []
    written = {} if axes else {"axes": [2]}
    y1, x1, y2, x2, area = columns
    chosen = [make("ReduceSum", make("Mul", weight, each), *axes, keepdims=1, **written) for each in columns]
    height = make("Max", zero, make("Sub", make("Min", y2, chosen[2]), make("Max", y1, chosen[0])))
    width = make("Max", zero, make("Sub", make("Min", x2, chosen[3]), make("Max", x1, chosen[1])))
    both = make("Mul", height, width)
    union = make("Sub", make("Add", area, chosen[4]), both)
    # Boxes of no or of negative area overlap nothing: https://onnx.ai/onnx/operators/onnx__NonMaxSuppression.html
    over = make("And", make("Greater", both, zero), make("Greater", both, make("Mul", union, threshold)))
    left = make("Where", make("Or", over, here), lowest, scores)
    index = make("Where", valid, best, constant(-1, np.int64))
    going = make("Identity", condition)
    known = [size if isinstance(size, int) else None for size in (sizes or [None] * 3)]
    value = helper.make_tensor_value_info
    return helper.make_graph(
        nodes,
        f"{scope}/body",
        [value(step, TensorProto.INT64, []), value(condition, TensorProto.BOOL, []), value(scores, 1, known)],
        [value(going, TensorProto.BOOL, []), value(left, 1, known), value(index, TensorProto.INT64, [*known[:2], 1])],
        [numpy_helper.from_array(each, name) for name, each in constants.items()],
    )


def _pack(node: onnx.NodeProto, graph: GraphEditor, scores: str, picked: str, picks: str) -> None:
    """Picks [K, B, C, 1] with -1 for none → rows (image, class, box), image by image, class by class, best first."""
    ordered = graph.op("Transpose", [graph.squeeze(picked, [3])], perm=[1, 2, 0])
    flat = graph.reshape(ordered, [-1])
    places = graph.arange(graph.shape(flat))
    per_image = graph.op("Mul", [graph.slice(graph.shape(scores), 1, 2, 0), picks])
    image = graph.op("Div", [places, per_image])
    class_ = graph.op("Div", [remainder(graph, places, per_image), picks])
    rows = graph.concat([graph.unsqueeze(each, [1]) for each in (image, class_, flat)], 1)
    valid = graph.op("Greater", [flat, graph.const(-1)])
    slots, count = kept_positions(graph, valid)
    room = graph.op("Add", [graph.shape(flat), graph.const([1])])
    empty = graph.op("Expand", [graph.const([[0]]), graph.concat([room, graph.const([3])])])
    packed = graph.op("ScatterND", [empty, graph.unsqueeze(slots, [1]), rows])
    graph.slice(packed, 0, count, 0, node.output[0])


@node_rewrite(
    "roi-align-grid-sample",
    "sample the regions with GridSample instead of RoiAlign",
    ("", "RoiAlign"),
    exactness=Exactness.ROUNDING,
)
def roi_align(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """RoiAlign with a fixed sampling_ratio, average → GridSample at all sample points, then AveragePool.

    Samples outside the image (beyond -1 or its size) count as zero, between there and the border as the border. With
    one image it is one GridSample over all regions; with more, each region gathers its image's map first. mode max of
    ONNX Runtime takes the maximum of the four weighted neighbours, which no GridSample gives: it is refused.
    """
    ratio = graph.attribute(node, "sampling_ratio", 0)
    if ratio <= 0:
        raise CannotRewrite("sampling_ratio is 0: as many samples as the region is large")
    _sampled_regions(node, graph, ratio)


@node_rewrite(
    "roi-align-two-samples",
    "sample two by two points a cell instead of an adaptive number",
    ("", "RoiAlign"),
    exactness=Exactness.CHANGES,
    changes="each output cell averages 2 x 2 samples instead of as many as its region is large",
)
def roi_align_adaptive(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """RoiAlign with sampling_ratio 0 → the same with sampling_ratio 2, which torchvision's detectors are built with."""
    if graph.attribute(node, "sampling_ratio", 0) > 0:
        raise CannotRewrite("sampling_ratio is fixed; it can be kept")
    _sampled_regions(node, graph, 2)


def _sampled_regions(node: onnx.NodeProto, graph: GraphEditor, ratio: int) -> None:
    if graph.opset < 16:
        raise NeedsOpset(16, "GridSample")
    if graph.attribute(node, "mode", "avg") != "avg":
        raise CannotRewrite("mode max takes maxima of single neighbours")
    image, regions, batch = node.input
    dtype = graph.dtype(image)
    if dtype not in FLOATS:
        raise CannotRewrite("the image is not float")
    shift = graph.attribute(node, "coordinate_transformation_mode", "half_pixel") == "half_pixel"
    height, width = (graph.attribute(node, name, 1) for name in ("output_height", "output_width"))
    rows, columns = height * ratio, width * ratio

    def number(value: npt.ArrayLike) -> str:
        return graph.const(value, np.float32)

    def binary(op: str, *names: str) -> str:
        return graph.op(op, list(names))

    wide = graph.cast(regions, TensorProto.FLOAT)
    scaled = binary("Mul", wide, number(graph.attribute(node, "spatial_scale", 1.0)))
    x1, y1, x2, y2 = graph.split(binary("Sub", scaled, number(0.5 if shift else 0.0)), [1] * 4, 1)  # [R, 1]
    sizes = [graph.cast(graph.size(image, axis), TensorProto.FLOAT) for axis in (2, 3)]
    places, flags = [], []
    for low, high, count, size in ((y1, y2, rows, sizes[0]), (x1, x2, columns, sizes[1])):
        length = binary("Sub", high, low)
        if not shift:
            length = binary("Max", length, number(1.0))
        parts = ((np.arange(count) + 0.5) / count).astype(np.float32)[None]
        place = binary("Add", low, binary("Mul", length, number(parts)))  # [R, count]
        inside = binary("And", binary("GreaterOrEqual", place, number(-1.0)), binary("LessOrEqual", place, size))
        flags.append(graph.cast(inside, dtype))
        last = binary("Max", binary("Sub", size, number(1.0)), number(1.0))
        places.append(binary("Sub", binary("Div", binary("Mul", place, number(2.0)), last), number(1.0)))
    zeros = number(np.zeros((1, rows, columns)))
    grid_x = binary("Add", graph.unsqueeze(places[1], [1]), zeros)
    grid_y = binary("Add", graph.unsqueeze(places[0], [2]), zeros)
    grid = graph.concat([graph.unsqueeze(grid_x, [3]), graph.unsqueeze(grid_y, [3])], 3)  # [R, rows, columns, 2]
    count = graph.slice(graph.shape(regions), 0, 1, 0)
    mode = "linear" if graph.opset >= 20 else "bilinear"
    single = (graph.dims(image) or [None])[0] == 1
    source = image if single else graph.op("Gather", [image, batch], axis=0)
    if single:
        grid = graph.reshape(grid, graph.concat([graph.const([1, -1, columns, 2])]))
    if dtype != TensorProto.FLOAT:
        grid = graph.cast(grid, dtype)
    sampled = graph.op("GridSample", [source, grid], mode=mode, padding_mode="border", align_corners=1)
    if single:
        shape = graph.concat([graph.size(image, 1), count, graph.const([rows, columns])])
        sampled = graph.op("Transpose", [graph.reshape(sampled, shape)], perm=[1, 0, 2, 3])
    valid = binary("Mul", graph.unsqueeze(flags[0], [2]), graph.unsqueeze(flags[1], [1]))
    sampled = binary("Mul", sampled, graph.unsqueeze(valid, [1]))
    if ratio == 1:
        graph.op("Identity", [sampled], node.output[0])
    else:
        graph.op("AveragePool", [sampled], node.output[0], kernel_shape=[ratio] * 2, strides=[ratio] * 2)


@node_rewrite("max-roi-pool-masks", "take the maximum over a mask of each cell", ("", "MaxRoiPool"))
def max_roi_pool(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """MaxRoiPool → each region's map, the maximum over the columns of each cell, then over its rows.

    The borders are computed as ONNX Runtime does: corners rounded half away from zero, the far ones included, cells
    rounded outwards, cut at the image. A cell without a point is 0.
    """
    image, regions = node.input
    dtype = graph.dtype(image)
    if dtype not in FLOATS:
        raise CannotRewrite("the image is not float")
    if graph.opset < 13:
        raise NeedsOpset(13)
    counts = [int(count) for count in graph.attribute(node, "pooled_shape")]

    def number(value: npt.ArrayLike) -> str:
        return graph.const(value, np.float32)

    def binary(op: str, *names: str) -> str:
        return graph.op(op, list(names))

    wide = graph.cast(regions, TensorProto.FLOAT)
    batch = graph.cast(graph.squeeze(graph.slice(wide, 0, 1, 1), [1]), TensorProto.INT64)
    scaled = binary("Mul", graph.slice(wide, 1, 5, 1), number(graph.attribute(node, "spatial_scale", 1.0)))
    whole = graph.op("Floor", [graph.op("Abs", [scaled])])
    up = graph.cast(
        binary("GreaterOrEqual", binary("Sub", graph.op("Abs", [scaled]), whole), number(0.5)), TensorProto.FLOAT
    )
    rounded = binary("Mul", graph.op("Sign", [scaled]), binary("Add", whole, up))
    x1, y1, x2, y2 = graph.split(rounded, [1] * 4, 1)  # [R, 1]
    lowest = graph.const(np.array(np.finfo(helper.tensor_dtype_to_np_dtype(dtype)).min), graph.numpy_dtype(image))
    found, full = graph.op("Gather", [image, batch], axis=0), []  # [R, C, H, W]
    for axis, low, high, count in ((3, x1, x2, counts[1]), (2, y1, y2, counts[0])):
        size = graph.cast(graph.size(image, axis), TensorProto.FLOAT)
        length = binary("Max", binary("Add", binary("Sub", high, low), number(1.0)), number(1.0))
        cell = binary("Div", length, number(float(count)))
        places = graph.unsqueeze(graph.cast(graph.arange(graph.size(image, axis)), TensorProto.FLOAT), [0])  # [1, size]
        cells, filled = [], []
        for position in range(count):
            start = binary("Add", graph.op("Floor", [binary("Mul", cell, number(float(position)))]), low)
            end = binary("Add", graph.op("Ceil", [binary("Mul", cell, number(position + 1.0))]), low)
            start, end = (binary("Min", binary("Max", edge, number(0.0)), size) for edge in (start, end))
            inside = binary("And", binary("GreaterOrEqual", places, start), binary("Less", places, end))  # [R, size]
            mask = graph.unsqueeze(inside, [1, 2 if axis == 3 else 3])
            cells.append(graph.reduce("ReduceMax", binary("Where", mask, found, lowest), [axis]))
            filled.append(binary("Less", start, end))
        found = graph.concat(cells, axis)
        full.append(graph.unsqueeze(graph.concat(filled, 1), [1, 2 if axis == 3 else 3]))
    graph.op("Where", [binary("And", *full), found, graph.const(np.array(0), graph.numpy_dtype(image))], node.output[0])


REWRITES: tuple[Rewriter, ...] = (nms, roi_align, roi_align_adaptive, max_roi_pool)
