"""Whether a stored tensor's data is as long as its dims say; engines read past the end, or refuse without a name."""

from __future__ import annotations

from collections.abc import Iterator

import onnx
from onnx import TensorProto

from friction_tui.model.constants import element_count
from friction_tui.model.names import dtype_name
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.rules.weights.stored_tensors import Stored
from friction_tui.vocabulary.finding import RULE, Finding, Fix, Location, LocationKind, Severity, Tier

_INT32_FIELD = (
    TensorProto.INT32,
    TensorProto.INT16,
    TensorProto.INT8,
    TensorProto.UINT16,
    TensorProto.UINT8,
    TensorProto.BOOL,
    TensorProto.FLOAT16,
    TensorProto.BFLOAT16,
)
_TYPED_FIELDS: dict[int, tuple[str, int]] = {
    **dict.fromkeys(_INT32_FIELD, ("int32_data", 1)),
    TensorProto.FLOAT: ("float_data", 1),
    TensorProto.COMPLEX64: ("float_data", 2),
    TensorProto.DOUBLE: ("double_data", 1),
    TensorProto.COMPLEX128: ("double_data", 2),
    TensorProto.INT64: ("int64_data", 1),
    TensorProto.UINT32: ("uint64_data", 1),
    TensorProto.UINT64: ("uint64_data", 1),
    TensorProto.STRING: ("string_data", 1),
}
"""Element type to (the TensorProto field that holds it, entries an element), from onnx.proto."""


def wrong_length(model: OpenedModel, stored: Stored) -> Iterator[Finding]:
    """The data against the dims."""
    tensor = stored.proto
    if tensor.data_location == TensorProto.EXTERNAL:
        return
    dims = " × ".join(map(str, tensor.dims)) or "scalar"
    what = f"The {'constant' if stored.constant else 'initializer'} {stored.name}"
    name = dtype_name(tensor.data_type)
    problem = ""
    if any(dim < 0 for dim in tensor.dims):
        problem = f"{what} has a negative dimension: dims {dims}."
    elif not tensor.data_type:
        problem = f"{what} has no data type (dtype undefined)."
    elif not name:
        problem = f"{what} has the data type (dtype) number {tensor.data_type}, which ONNX {onnx.__version__} has not."
    elif tensor.HasField("raw_data"):
        have = len(tensor.raw_data)
        if tensor.data_type == TensorProto.STRING:
            problem = f"{what} holds strings in raw_data, which ONNX forbids."
        elif have != stored.bytes:
            problem = (
                f"{what} has dims (shape) {dims} of {name}, which is {stored.bytes:,} bytes, but its raw_data holds "
                f"{have:,} bytes: data and shape do not match in size."
            )
        elif any(len(getattr(tensor, field)) for field, _ in _TYPED_FIELDS.values()):
            problem = f"{what} has its data twice, in raw_data and in a typed field; ONNX allows exactly one."
    elif tensor.data_type in _TYPED_FIELDS:
        field, entries = _TYPED_FIELDS[tensor.data_type]
        have, want = len(getattr(tensor, field)), element_count(tensor) * entries
        if have != want:
            problem = (
                f"{what} has dims (shape) {dims} of {name}, which is {want:,} values ({stored.bytes:,} bytes), but "
                f"its {field} holds {have:,}: data and shape do not match in size."
            )
    if problem:
        yield Finding(
            kind="weights/size-mismatch",
            severity=Severity.ERROR,
            tier=Tier.MODEL,
            title=f"The data of {stored.name} does not match its dims"
            if name
            else f"{stored.name} has no data type there is",
            cause=f"{problem} The file is corrupt, or a tool changed one of the two.",
            source=RULE,
            locations=(
                stored.location(model),
                Location(LocationKind.INITIALIZER, stored.name),
                *(location_of(model, reader) for reader, _ in stored.readers[:1]),
            ),
            fixes=(
                Fix("Re-export the model, or regenerate the file from an intact copy: the weights are corrupt."),
                Fix(
                    f"If a script made it, write {stored.name} with onnx.numpy_helper.from_array, which sets dims and "
                    "data together."
                ),
            ),
        )
