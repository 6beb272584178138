"""Shapes, as the other rooms use them: at one point, and over a profile's ranges."""

from friction_tui.model.point_shapes import input_sizes, shapes_at
from friction_tui.model.shape_table import ShapeTable
from friction_tui.model.tensors import NodeFailure, PointShapes, TensorType

__all__ = ["NodeFailure", "PointShapes", "ShapeTable", "TensorType", "input_sizes", "shapes_at"]
