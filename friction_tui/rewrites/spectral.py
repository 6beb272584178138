"""Fourier transforms of constant length as products with cosines and sines."""

from __future__ import annotations

import numpy as np
import onnx
from onnx import TensorProto

from friction_tui.rewrites.base import CannotRewrite, Exactness, Rewriter
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite
from friction_tui.rewrites.indexing import move_axis

LONGEST = 4096
"""Length of a transform up to which its matrix is written: 2·N·N float32 weights, 128 MiB."""


@node_rewrite("dft-matmul", "multiply by cosines and sines instead of DFT", ("", "DFT"), exactness=Exactness.ROUNDING)
def dft(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """DFT of constant length, forward or inverse, real or complex, one-sided or not → one MatMul.

    Real and imaginary parts lie beside each other in the matrix. Costs N² instead of N log N; weights of N·F·2 or ·4.
    """
    signal = node.input[0]
    if graph.dtype(signal) not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        raise CannotRewrite("the signal is not float or float16")
    rank, axis = graph.rank(signal), _axis(node, graph)
    parts = graph.static_dim(signal, -1)
    inverse, onesided = graph.attribute(node, "inverse", 0), graph.attribute(node, "onesided", 0)
    size = graph.static_dim(signal, axis)
    given = graph.input(node, 1)
    if given:
        length = int(graph.require_constant(given, "dft_length").reshape(()))
    else:
        length = 2 * (size - 1) if inverse and onesided else size
    if length > LONGEST:
        raise CannotRewrite(f"a transform of length {length} would need {length}x{length} weights")
    matrix = _matrix(length, size, parts, bool(inverse), bool(onesided))  # [used, parts, out, parts out]
    used, _, out, out_parts = matrix.shape
    if used < size:
        signal = graph.slice(signal, 0, used, axis)
    moved = move_axis(graph, signal, rank, axis, rank - 2)
    lead = graph.slice(graph.shape(moved), 0, rank - 2, 0)
    rows = graph.reshape(moved, graph.concat([lead, graph.const([used * parts])]))
    weights = graph.const(matrix.reshape(used * parts, out * out_parts), graph.numpy_dtype(node.input[0]))
    product = graph.op("MatMul", [rows, weights])
    shape = graph.concat([lead, graph.const([out, out_parts])])
    if axis == rank - 2:
        graph.reshape(product, shape, node.output[0])
    else:
        move_axis(graph, graph.reshape(product, shape), rank, rank - 2, axis, node.output[0])


def _axis(node: onnx.NodeProto, graph: GraphEditor) -> int:
    """The transformed axis: an attribute (1 by default) below opset 20, an input (-2 by default) since."""
    rank = graph.rank(node.input[0])
    if graph.opset < 20:
        return int(graph.attribute(node, "axis", 1)) % rank
    given = graph.input(node, 2)
    return int(graph.require_constant(given, "the axis").reshape(())) % rank if given else rank - 2


def _matrix(length: int, size: int, parts: int, inverse: bool, onesided: bool) -> np.ndarray:
    """[elements used, 1 or 2, elements out, 1 or 2] in float64; angles are reduced exactly, in integers."""
    half = length // 2 + 1
    used = min(size, half if inverse and onesided else length)
    out = half if onesided and not inverse else length
    steps = np.arange(used)[:, None] * np.arange(out)[None] % length
    cosine, sine = np.cos(2 * np.pi * steps / length), np.sin(2 * np.pi * steps / length)
    if inverse:
        cosine, sine = cosine / length, -sine / length
    if inverse and onesided:
        # The other half is the conjugate: all but the first and, of an even length, the middle one count twice.
        twice = np.full((used, 1), 2.0)
        twice[0] = 1.0
        if length % 2 == 0 and used == half:
            twice[-1] = 1.0
        matrix = np.zeros((used, parts, out, 1))
        matrix[:, 0, :, 0] = twice * cosine
        if parts == 2:
            matrix[:, 1, :, 0] = twice * sine
        return matrix
    matrix = np.zeros((used, parts, out, 2))
    matrix[:, 0, :, 0], matrix[:, 0, :, 1] = cosine, -sine
    if parts == 2:
        matrix[:, 1, :, 0], matrix[:, 1, :, 1] = sine, cosine
    return matrix


@node_rewrite(
    "stft-conv", "convolve with cosines and sines instead of STFT", ("", "STFT"), exactness=Exactness.ROUNDING
)
def stft(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """STFT of a real signal with constant frame length and step → a strided Conv with 2·F filters.

    A window that is computed, which the parser refuses, is multiplied into the filters when the engine runs.
    """
    signal = node.input[0]
    if graph.dtype(signal) not in (TensorProto.FLOAT, TensorProto.FLOAT16):
        raise CannotRewrite("the signal is not float or float16")
    step = int(graph.require_constant(node.input[1], "frame_step").reshape(()))
    given = graph.input(node, 2)
    window = graph.constant(given)
    if graph.input(node, 3):
        length = int(graph.require_constant(graph.input(node, 3), "frame_length").reshape(()))
    elif given:
        length = graph.static_dim(given, 0)
    else:
        raise CannotRewrite("neither a window nor a frame length is given")
    if length > LONGEST:
        raise CannotRewrite(f"frames of {length} elements would need {length}x{length} weights")
    if graph.rank(signal) == 3 and graph.static_dim(signal, 2) == 2:
        raise CannotRewrite("the signal is complex")
    matrix = _matrix(length, length, 1, inverse=False, onesided=bool(graph.attribute(node, "onesided", 1)))
    filters = matrix[:, 0].transpose(1, 2, 0)  # [F, 2, length]
    if window is not None:
        filters = filters * window.astype(np.float64)
    count = filters.shape[0]
    kind = graph.numpy_dtype(signal)
    line = graph.reshape(signal, graph.concat([graph.size(signal, 0), graph.const([1, -1])]))
    weight = graph.const(filters.reshape(count * 2, 1, length), kind)
    if given and window is None:
        weight = graph.op("Mul", [weight, given])
    frames = graph.op("Conv", [line, weight], strides=[step], kernel_shape=[length])  # [B, 2F, frames]
    graph.reshape(graph.op("Transpose", [frames], perm=[0, 2, 1]), [0, 0, count, 2], node.output[0])


REWRITES: tuple[Rewriter, ...] = (dft, stft)
