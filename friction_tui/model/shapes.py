"""Concrete shapes of every tensor at a point of the ranges, and every node that cannot work there."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence

import numpy as np

from friction_tui.model.constants import tensor_value
from friction_tui.model.inference import bare_copy, infer_graph, infer_node, opsets_of
from friction_tui.model.names import declared_dim, dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.tensors import Array, NodeFailure, PointShapes, TensorType, dims_text
from friction_tui.recipe import POINTS, Profile, dim_key

__all__ = ["NodeFailure", "PointShapes", "ShapeTable", "TensorType", "input_sizes", "shapes_at"]


def input_sizes(model: OpenedModel, profile: Profile | None, point: str) -> dict[str, tuple[int, ...]]:
    """Sizes of each graph input at "min", "opt" or "max". An input with a dimension that has no range is absent."""
    ranges = profile.ranges if profile else {}
    sizes: dict[str, tuple[int, ...]] = {}
    for value in model.index.inputs:
        tensor = value.type.tensor_type
        if not tensor.HasField("shape"):
            continue
        dims: list[int] = []
        for axis, proto in enumerate(tensor.shape.dim):
            declared = declared_dim(proto)
            chosen = ranges.get(f"{value.name}[{axis}]") or ranges.get(dim_key(value.name, axis, declared.symbol))
            if chosen is not None:
                dims.append(chosen.at(point))
            elif declared.size is not None:
                dims.append(declared.size)
        if len(dims) == len(tensor.shape.dim):
            sizes[value.name] = tuple(dims)
    return sizes


def shapes_at(
    model: OpenedModel,
    sizes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, Sequence[int]] | None = None,
    label: str = "opt",
) -> PointShapes:
    """Everything that follows from concrete input `sizes` and the `values` of shape-tensor inputs."""
    opsets = opsets_of(model)
    types: dict[str, TensorType] = {}
    known: dict[str, Array] = {}
    for name, tensor in model.index.initializers.items():
        types[name] = TensorType(dtype_name(tensor.data_type), tuple(tensor.dims))
        value = tensor_value(tensor, 1024)
        if value is not None:
            known[name] = value
    for value_info in model.index.inputs:
        dtype = dtype_name(value_info.type.tensor_type.elem_type)
        types[value_info.name] = TensorType(dtype, sizes.get(value_info.name))
        if values and value_info.name in values:
            given = np.array(values[value_info.name], dtype=dtype or "int64")
            known[value_info.name] = given.reshape(sizes.get(value_info.name, given.shape))
    inferred = infer_graph(bare_copy(model), types)
    failures: list[NodeFailure] = []
    for path in model.index.order:
        node = model.index.by_path[path].proto
        inputs = [types.get(name) for name in node.input if name]
        if any(found is None or found.sizes is None for found in inputs):
            continue
        outputs = {name: inferred[name] for name in node.output if name in inferred}
        if any(name and name not in outputs for name in node.output):
            answer = infer_node(node, types, known, opsets)
            if isinstance(answer, str):
                failures.append(NodeFailure(path, answer))
                continue
            outputs = answer
        if node.op_type == "Reshape" and len(node.output) == 1:
            given, wanted = inputs[0], outputs.get(node.output[0])
            if given and wanted and given.sizes is not None and wanted.sizes is not None:
                have, need = math.prod(given.sizes), math.prod(wanted.sizes)
                if have != need:
                    shapes = f"{dims_text(given.dims)} has {have} elements, {dims_text(wanted.dims)} needs {need}"
                    failures.append(NodeFailure(path, f"Reshape cannot work: {shapes}"))
                    continue
        types.update(outputs)
    return PointShapes(label, dict(sizes), types, known, tuple(failures))


class ShapeTable:
    """Shapes at min, opt and max of a profile, computed when first asked for."""

    def __init__(self, model: OpenedModel, profile: Profile | None) -> None:
        self.model = model
        self.profile = profile
        self._points: dict[str, PointShapes] = {}

    def at(self, point: str) -> PointShapes:
        """The shapes at "min", "opt" or "max"."""
        if point not in self._points:
            values = {name: given.at(point) for name, given in (self.profile.values if self.profile else {}).items()}
            self._points[point] = shapes_at(self.model, input_sizes(self.model, self.profile, point), values, point)
        return self._points[point]

    @property
    def min(self) -> PointShapes:
        """The shapes at the smallest sizes."""
        return self.at("min")

    @property
    def opt(self) -> PointShapes:
        """The shapes at the most likely sizes."""
        return self.at("opt")

    @property
    def max(self) -> PointShapes:
        """The shapes at the largest sizes."""
        return self.at("max")

    def probe(
        self, sizes: Mapping[str, tuple[int, ...]], values: Mapping[str, Sequence[int]] | None = None
    ) -> PointShapes:
        """The shapes at any other sizes."""
        return shapes_at(self.model, sizes, values, "probe")

    def label(self, tensor: str) -> str:
        """`1..8 × 3 × 320..640`; "" where the rank is not known."""
        points = [self.at(point).types.get(tensor) for point in POINTS]
        dims = [found.dims for found in points if found is not None and found.dims is not None]
        if not dims or len({len(row) for row in dims}) != 1:
            return ""
        parts = []
        for column in zip(*dims, strict=True):
            sizes = sorted(size for size in set(column) if size is not None)
            parts.append("?" if not sizes else str(sizes[0]) if len(sizes) == 1 else f"{sizes[0]}..{sizes[-1]}")
        return " × ".join(parts) or "scalar"

    def symbolic(self, tensor: str) -> tuple[str, ...] | None:
        """Dims in input symbols, None when they are not known (yet)."""
        return None
