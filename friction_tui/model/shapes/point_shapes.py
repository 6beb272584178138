"""Concrete shapes of every tensor at a point of the ranges, and every node that cannot work there."""

from __future__ import annotations

import math
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace

import numpy as np

from friction_tui.model.constants import constant_value
from friction_tui.model.names import declared_dim, dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.bodies import BODY_RULES
from friction_tui.model.shapes.inference import infer_graph
from friction_tui.model.shapes.steps import Prepared, declared_type, prepared
from friction_tui.model.shapes.tensors import Array, NodeFailure, PointShapes, TensorType
from friction_tui.model.shapes.walk import Knowledge, walk
from friction_tui.vocabulary.recipe import Profile, dim_key

INDEXING = frozenset({"Gather", "GatherElements", "GatherND", "ScatterND", "ScatterElements", "Scatter"})
"""Operators whose indices no engine checks before it uses them."""


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
    """Everything that follows from concrete input `sizes` and the `values` of shape-tensor inputs.

    `values` are flattened, in elements; an input absent from `sizes` keeps the dims the model fixes.
    """
    key = (
        tuple(sorted(sizes.items())),
        tuple(sorted((name, tuple(row)) for name, row in (values or {}).items())),
    )
    ready = prepared(model)
    with ready.lock:
        found = ready.points.get(key)
        if found is None:
            found = _follow(ready, sizes, values or {}, label)
            ready.remember(key, found)
    return found if found.label == label else replace(found, label=label)


def beside_the_way(model: OpenedModel, point: PointShapes) -> Iterator[NodeFailure]:
    """What fails in branches that are not taken. Left out are those of a constant condition, which TensorRT drops.

    Measured with TensorRT-RTX 1.7.1: a condition computed from sizes does not save the other branch, even where it is
    the same everywhere. Indices out of range are not checked, so they hurt only where they are used.
    """
    known = {one.path for one in point.failures}
    for prefix, body in point.bodies.items():
        owner = model.index.by_path.get(model.index.owner_of(prefix))
        if not body.failures or owner is None or owner.proto.op_type != "If" or not owner.inputs:
            continue
        condition = owner.inputs[0]
        if constant_value(model, condition, 1, owner.graph) is not None:
            continue
        used = condition not in point.inside(owner.graph).values
        for one in body.failures:
            if one.path not in known and (used or model.index.by_path[one.path].proto.op_type not in INDEXING):
                yield one


def _follow(
    ready: Prepared, sizes: Mapping[str, tuple[int, ...]], values: Mapping[str, Sequence[int]], label: str
) -> PointShapes:
    block = ready.block("")
    types, known = dict(block.types), dict(block.values)
    inputs: dict[str, TensorType] = {}
    for value in ready.model.index.inputs:
        declared = declared_type(value)
        dims = sizes.get(value.name, declared.dims)
        inputs[value.name] = TensorType(declared.dtype, dims)
        given = _given_values(inputs[value.name], values.get(value.name))
        if given is not None:
            known[value.name] = given
    types.update(inputs)
    everything = Knowledge(types, known)
    inferred = infer_graph(ready.bare, inputs, ready.unanswered) | _declared_outputs(ready, inputs)
    with np.errstate(all="ignore"):  # 1 / 0 in a scale computation is the model's business
        walk(ready, block, everything, inferred, BODY_RULES)
    bodies = {
        prefix: PointShapes(label, {}, inner.types, inner.values, tuple(inner.failures))
        for prefix, inner in everything.bodies.items()
    }
    return PointShapes(label, dict(sizes), types, known, tuple(everything.failures), bodies)


def _declared_outputs(ready: Prepared, inputs: Mapping[str, TensorType]) -> dict[str, TensorType]:
    """Types the model itself records for outputs of operators onnx does not know, such as plugins.

    A symbol of an input is replaced by its size here. A recorded size is believed if the model has no free
    dimensions, or if another dim of the tensor is a symbol: else it may be left from before a dimension was freed.
    """
    symbols: dict[str, int] = {}
    free = False
    for value in ready.model.index.inputs:
        for proto, size in zip(value.type.tensor_type.shape.dim, inputs[value.name].dims or (), strict=False):
            declared = declared_dim(proto)
            free = free or declared.size is None
            if declared.symbol and size is not None:
                symbols[declared.symbol] = size
    types: dict[str, TensorType] = {}
    for name, value in ready.recorded.items():
        tensor = value.type.tensor_type
        dims = [declared_dim(dim) for dim in tensor.shape.dim]
        believed = not free or any(dim.symbol in symbols for dim in dims)
        sizes = tuple(symbols.get(dim.symbol) if dim.size is None else dim.size if believed else None for dim in dims)
        types[name] = TensorType(dtype_name(tensor.elem_type), sizes if tensor.HasField("shape") else None)
    return types


def _given_values(declared: TensorType, row: Sequence[int] | None) -> Array | None:
    """The values of a shape-tensor input as an array; None when there are none or their number does not fit."""
    if row is None or declared.dtype not in ("int32", "int64", "bool", "float32"):
        return None
    given = np.array(row, dtype=declared.dtype)
    if declared.sizes is None:
        return given
    return given.reshape(declared.sizes) if given.size == math.prod(declared.sizes) else None
