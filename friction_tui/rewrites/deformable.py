"""Deformable convolutions of ONNX, torchvision and mmcv: one GridSample over all taps of the kernel, then a MatMul."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, NeedsOpset, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import FLOATS


@dataclass(slots=True)
class _Deformed:
    """A deformable convolution, whatever it was called; "" for inputs that are left out."""

    image: str
    weight: str
    offset: str
    mask: str
    bias: str
    strides: list[int]
    dilations: list[int]
    begin: list[int]
    groups: int
    offset_groups: int


@node_rewrite(
    "deform-conv-grid-sample",
    "sample with GridSample and multiply instead of DeformConv",
    ("", "DeformConv"),
    ("torchvision", "deform_conv2d"),
    ("torch.ops.torchvision", "deform_conv2d"),
    ("mmcv", "MMCVDeformConv2d"),
    ("mmcv", "MMCVModulatedDeformConv2d"),
    ("mmdeploy", "MMCVModulatedDeformConv2d"),
    exactness=Exactness.ROUNDING,
)
def deform_conv(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """DeformConv (opset 19), torchvision's deform_conv2d, mmcv's (modulated) one → GridSample, Mul by the mask, MatMul.

    Positions outside the image count as zero, as in these operators. Memory: the activation once for each element of
    the kernel (9 times for 3x3). The image must have at least 2 rows and columns, the weights a fixed shape.
    """
    if graph.opset < 16:
        raise NeedsOpset(16, "GridSample")
    if node.op_type == "DeformConv":
        given = _of_onnx(node, graph)
    elif node.domain in ("mmcv", "mmdeploy"):
        given = _of_mmcv(node, graph)
    else:
        given = _of_torchvision(node, graph)
    if graph.dtype(given.image) not in FLOATS:
        raise CannotRewrite("the image is not float")
    for axis in (2, 3):
        size = (graph.dims(given.image) or [None] * 4)[axis]
        if isinstance(size, int) and size < 2:
            raise CannotRewrite("an image of one row or column has no extent to scale positions by")
    _sampled_convolution(given, graph, node.output[0])


def _sampled_convolution(given: _Deformed, graph: GraphEditor, output: str) -> None:
    out_channels, per_group, kernel_height, kernel_width = graph.static_dims(given.weight)
    taps, groups, offset_groups = kernel_height * kernel_width, given.groups, given.offset_groups
    channels, dtype = per_group * groups, graph.dtype(given.image)
    batch = graph.size(given.image, 0)
    height, width = graph.size(given.offset, 2), graph.size(given.offset, 3)

    def float32(value: npt.ArrayLike) -> str:
        return graph.const(value, np.float32)

    def base(count: str, axis: int, grid: np.ndarray) -> str:
        """Positions [1, 1, taps, h, 1] or [1, 1, taps, 1, w] on the image without offsets, in elements."""
        steps = graph.op("Mul", [graph.cast(graph.arange(count), TensorProto.FLOAT), float32(given.strides[axis])])
        shape = [1, 1, 1, 1, 1]
        shape[3 + axis] = -1
        fixed = grid * given.dilations[axis] - given.begin[axis]
        return graph.op("Add", [graph.reshape(steps, shape), float32(fixed.reshape(1, 1, taps, 1, 1))])

    tap_rows, tap_columns = np.meshgrid(np.arange(kernel_height), np.arange(kernel_width), indexing="ij")
    shape = graph.concat([batch, graph.const([offset_groups, taps, 2]), height, width])
    wide = graph.cast(given.offset, TensorProto.FLOAT)
    parts = [graph.squeeze(each, [3]) for each in graph.split(graph.reshape(wide, shape), [1, 1], 3)]
    places = []
    for axis, (count, taps_along) in enumerate(((height, tap_rows), (width, tap_columns))):
        place = graph.op("Add", [parts[axis], base(count, axis, taps_along)])  # [N, offset groups, taps, h, w]
        last = graph.op("Sub", [graph.cast(graph.size(given.image, 2 + axis), TensorProto.FLOAT), float32(1.0)])
        scaled = graph.op("Div", [graph.op("Mul", [place, float32(2.0)]), last])
        places.append(graph.unsqueeze(graph.op("Sub", [scaled, float32(1.0)]), [5]))
    images = graph.op("Mul", [batch, graph.const([offset_groups])])
    rows = graph.op("Mul", [height, graph.const([taps])])
    grid = graph.reshape(graph.concat([places[1], places[0]], 5), graph.concat([images, rows, width, graph.const([2])]))
    if dtype != TensorProto.FLOAT:
        grid = graph.cast(grid, dtype)
    image = given.image
    if offset_groups > 1:
        sizes = [graph.size(image, 2), graph.size(image, 3)]
        image = graph.reshape(image, graph.concat([images, graph.const([channels // offset_groups]), *sizes]))
    mode = "linear" if graph.opset >= 20 else "bilinear"
    sampled = graph.op("GridSample", [image, grid], mode=mode, padding_mode="zeros", align_corners=1)
    if given.mask:
        split = graph.const([offset_groups, channels // offset_groups, taps])
        sampled = graph.reshape(sampled, graph.concat([batch, split, height, width]))
        ones = graph.concat([batch, graph.const([offset_groups, 1, taps]), height, width])
        sampled = graph.op("Mul", [sampled, graph.reshape(given.mask, ones)])
    flat = graph.concat([batch, graph.const([groups, per_group * taps]), graph.op("Mul", [height, width])])
    weight = graph.reshape(given.weight, [1, groups, out_channels // groups, per_group * taps])
    product = graph.op("MatMul", [weight, graph.reshape(sampled, flat)])
    result = graph.concat([batch, graph.const([out_channels]), height, width])
    if not given.bias:
        graph.reshape(product, result, output)
        return
    bias = graph.reshape(given.bias, [1, out_channels, 1, 1])
    graph.op("Add", [graph.reshape(product, result), bias], output)


def _of_onnx(node: onnx.NodeProto, graph: GraphEditor) -> _Deformed:
    pads = list(graph.attribute(node, "pads", [0] * 4))
    if graph.rank(node.input[0]) != 4:
        raise CannotRewrite("only images of two spatial axes are known")
    return _Deformed(
        image=node.input[0],
        weight=node.input[1],
        offset=node.input[2],
        mask=graph.input(node, 4),
        bias=graph.input(node, 3),
        strides=list(graph.attribute(node, "strides", [1, 1])),
        dilations=list(graph.attribute(node, "dilations", [1, 1])),
        begin=pads[:2],
        groups=graph.attribute(node, "group", 1),
        offset_groups=graph.attribute(node, "offset_group", 1),
    )


def _of_mmcv(node: onnx.NodeProto, graph: GraphEditor) -> _Deformed:
    """mmcv.ops: (input, offset, weight) or (input, offset, mask, weight[, bias])."""
    modulated = node.op_type == "MMCVModulatedDeformConv2d"
    mask, weight = (node.input[2], node.input[3]) if modulated else ("", node.input[2])

    def pair(name: str, default: int) -> list[int]:
        value = graph.attribute(node, name, default)
        return [value, value] if isinstance(value, int) else [int(each) for each in value]

    return _Deformed(
        image=node.input[0],
        weight=weight,
        offset=node.input[1],
        mask=mask,
        bias=graph.input(node, 4) if modulated else "",
        strides=pair("stride", 1),
        dilations=pair("dilation", 1),
        begin=pair("padding", 0),
        groups=graph.attribute(node, "groups", 1),
        offset_groups=graph.attribute(node, "deform_groups", graph.attribute(node, "deformable_groups", 1)),
    )


def _of_torchvision(node: onnx.NodeProto, graph: GraphEditor) -> _Deformed:
    """torchvision::deform_conv2d(input, weight, offset, mask, bias, 8 numbers, use_mask).

    The numbers are stride, padding and dilation (height, width each), groups and offset groups. Exporters order the
    first inputs differently and may leave the numbers out: input, offset and weight are then told by their shapes, and
    stride 1, dilation 1 and the padding follow from the sizes.
    """
    image, *rest = node.input
    rest = [name for name in rest if name]
    constants = {name: value for name in rest if (value := graph.constant(name)) is not None}
    weight = next((name for name, value in constants.items() if value.ndim == 4), "")
    if not weight:
        raise CannotRewrite("none of its inputs is a constant weight of four axes")
    out_channels, per_group, kernel_height, kernel_width = constants[weight].shape
    taps = kernel_height * kernel_width
    image_sizes = graph.dims(image) or [None] * 4
    computed = [name for name in rest if name not in constants]
    channels = {name: graph.static_dim(name, 1) for name in computed}
    offset = next((name for name in computed if channels[name] % (2 * taps) == 0), "")
    if not offset:
        raise CannotRewrite("none of its inputs has the channels of offsets for its kernel")
    offset_groups = channels[offset] // (2 * taps)
    mask = next((name for name in computed if name != offset and channels[name] == offset_groups * taps), "")
    bias = next((name for name, value in constants.items() if value.shape == (out_channels,)), "")
    numbers = [
        int(value.reshape(())) for name in rest if (value := constants.get(name)) is not None and value.size == 1
    ]
    strides, dilations = [1, 1], [1, 1]
    if len(numbers) >= 8:
        strides, begin, dilations, groups = numbers[0:2], numbers[2:4], numbers[4:6], numbers[6]
    else:
        sizes = (graph.dims(offset) or [None] * 4)[2:]
        begin = []
        for have, out, kernel in zip(image_sizes[2:], sizes, (kernel_height, kernel_width), strict=True):
            if not isinstance(have, int) or not isinstance(out, int) or (out - have + kernel - 1) % 2:
                raise CannotRewrite("stride and padding are not among its inputs and do not follow from the sizes")
            begin.append((out - have + kernel - 1) // 2)
        groups = graph.static_dim(image, 1) // per_group
    return _Deformed(image, weight, offset, mask, bias, strides, dilations, begin, groups, offset_groups)


REWRITES: tuple[Rewriter, ...] = (deform_conv,)
