"""What is known of tensors at one point of the shape ranges."""

from __future__ import annotations

from dataclasses import dataclass, field, replace
from functools import lru_cache

import numpy as np
import numpy.typing as npt
import onnx

from friction_tui.model.names import DTYPE_CODES, dtype_name

Array = npt.NDArray[np.generic]


@dataclass(frozen=True, slots=True)
class TensorType:
    """A tensor's element type as numpy spells it ("" unknown) and its dims.

    A dim is None where the size is not known, `dims` where not even the rank is. `sizes` are the dims when every
    one of them is known.
    """

    dtype: str
    dims: tuple[int | None, ...] | None
    sizes: tuple[int, ...] | None = field(init=False, compare=False, repr=False)

    def __post_init__(self) -> None:
        # Asked for far more often than made, so it is worked out once.
        complete = self.dims is not None and None not in self.dims
        object.__setattr__(self, "sizes", self.dims if complete else None)


UNKNOWN = TensorType("", None)


@dataclass(frozen=True, slots=True)
class NodeFailure:
    """A node whose inputs are known and whose shapes cannot work; `message` has the dims in it."""

    path: str
    message: str


@dataclass(frozen=True, slots=True)
class PointShapes:
    """The main graph's tensors at one point. `sizes` are the graph inputs' sizes it was computed for.

    `values` are small integer, boolean and float tensors whose value is known there, constants included.
    `failures` names every node that cannot work there; what depends on one of these is unknown, not failed.
    `bodies` holds the same for each body and local function that was followed, by its path prefix: what they take
    from outside included, of a Loop what holds in every iteration, of a function what its calls have in common. The
    failures of an If branch that is not taken are there only.
    """

    label: str
    sizes: dict[str, tuple[int, ...]]
    types: dict[str, TensorType]
    values: dict[str, Array]
    failures: tuple[NodeFailure, ...]
    bodies: dict[str, PointShapes] = field(default_factory=dict)

    def inside(self, graph: str) -> PointShapes:
        """The tensors of the body or function at the path prefix `graph`, none where it was not followed."""
        if not graph:
            return self
        return self.bodies.get(graph) or replace(self, types={}, values={}, failures=(), bodies={})


@lru_cache(maxsize=4096)
def _interned(dtype: np.dtype[np.generic], dims: tuple[int, ...]) -> TensorType:
    return TensorType("string" if dtype == np.object_ else dtype.name, dims)


def type_of(value: Array) -> TensorType:
    """The type of a known value."""
    return _interned(value.dtype, value.shape)


def type_proto(tensor: TensorType) -> onnx.TypeProto:
    """The same as ONNX writes it."""
    proto = onnx.TypeProto()
    proto.tensor_type.elem_type = DTYPE_CODES.get(tensor.dtype, 0)
    if tensor.dims is not None:
        shape = proto.tensor_type.shape
        shape.SetInParent()
        for dim in tensor.dims:
            added = shape.dim.add()
            if dim is not None:
                added.dim_value = dim
    return proto


def tensor_type(proto: onnx.TypeProto) -> TensorType:
    """What a TypeProto says; a sequence, map or optional counts as unknown."""
    kind = proto.WhichOneof("value")
    if kind not in ("tensor_type", "sparse_tensor_type"):
        return UNKNOWN
    tensor = proto.tensor_type if kind == "tensor_type" else proto.sparse_tensor_type
    if not tensor.HasField("shape"):
        return TensorType(dtype_name(tensor.elem_type), None)
    dims = tuple(
        dim.dim_value if dim.HasField("dim_value") and dim.dim_value >= 0 else None for dim in tensor.shape.dim
    )
    return TensorType(dtype_name(tensor.elem_type), dims)


def dims_text(dims: tuple[int | None, ...] | None) -> str:
    """`[2, 3, ?]`; `scalar` for no dims, `unknown` for an unknown rank."""
    if dims is None:
        return "unknown"
    return f"[{', '.join('?' if dim is None else str(dim) for dim in dims)}]" if dims else "scalar"
