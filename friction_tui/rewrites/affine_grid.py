"""AffineGrid as one MatMul with a constant grid, for spatial transformers."""

from __future__ import annotations

import numpy as np
import onnx

from friction_tui.rewrites.base import CannotRewrite, Exactness
from friction_tui.rewrites.graph_editor import GraphEditor, node_rewrite


@node_rewrite(
    "affine-grid-matmul",
    "multiply a constant grid by the transformations instead of AffineGrid",
    ("", "AffineGrid"),
    exactness=Exactness.ROUNDING,
)
def affine_grid(node: onnx.NodeProto, graph: GraphEditor) -> None:
    """Theta [N, 2, 3] or [N, 3, 4] and constant sizes → grid [N, H, W, 2] or [N, D, H, W, 3], for any N.

    ONNX's own function body fails at N = 1, where its Squeeze drops the batch as well. Coordinates run from -1 to 1
    over the centres of the outermost points (align_corners) or over their outer edges, x first:
    https://onnx.ai/onnx/operators/onnx__AffineGrid.html
    """
    sizes = [int(size) for size in graph.require_constant(node.input[1], "the size of AffineGrid").reshape(-1)]
    spatial = sizes[2:]
    if len(spatial) not in (2, 3):
        raise CannotRewrite(f"the size has {len(sizes)} entries, not 4 or 5")
    corners = graph.attribute(node, "align_corners", 0)
    theta, dtype = node.input[0], graph.numpy_dtype(node.input[0])
    steps = [_steps(size, bool(corners)) for size in spatial]
    mesh = np.meshgrid(*steps, indexing="ij")
    points = np.stack([*reversed(mesh), np.ones_like(mesh[0])], axis=-1).reshape(-1, len(spatial) + 1)  # x, y(, z), 1
    turned = graph.op("Transpose", [theta], perm=[0, 2, 1])  # [N, 3, 2]
    flat = graph.op("MatMul", [graph.const(points, dtype), turned])  # [N, points, 2]
    graph.reshape(flat, [-1, *spatial, len(spatial)], node.output[0])


def _steps(size: int, corners: bool) -> np.ndarray:
    if corners:
        # Of a single point ONNX says -1, the start of the range.
        return np.linspace(-1.0, 1.0, size) if size > 1 else np.array([-1.0])
    return (2 * np.arange(size) + 1) / size - 1


REWRITES = (affine_grid,)
