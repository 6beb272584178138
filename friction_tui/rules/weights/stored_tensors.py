"""Every tensor kept in the model or beside it, with who reads it, and its values as numpy, never copied needlessly."""

from __future__ import annotations

import mmap
from collections.abc import Iterator
from dataclasses import dataclass

import numpy as np
import numpy.typing as npt
import onnx
from onnx import AttributeProto, TensorProto

from friction_tui.model.constants import tensor_value
from friction_tui.model.file.external import ExternalFile, tensor_bytes
from friction_tui.model.graph import Node
from friction_tui.model.opened import OpenedModel
from friction_tui.model.provenance import location_of
from friction_tui.vocabulary.finding import Location, LocationKind

_NUMPY: dict[int, str] = {
    TensorProto.FLOAT: "<f4",
    TensorProto.DOUBLE: "<f8",
    TensorProto.FLOAT16: "<f2",
    TensorProto.BFLOAT16: "<u2",
    TensorProto.INT64: "<i8",
    TensorProto.INT32: "<i4",
    TensorProto.INT8: "i1",
    TensorProto.UINT8: "u1",
}
"""Raw little-endian layout of the types whose values are judged; bfloat16 as its bits."""
_PIECE_BYTES = 16 << 20


@dataclass(frozen=True, slots=True)
class Stored:
    """A stored tensor.

    `name` is what nodes read it by; `graph` the path prefix of its graph; `constant` the Constant node that holds
    it, None for an initializer. `readers` are the nodes of the same graph that read it, with the input
    position; a node whose body reads it counts with position -1. `external` where its data lies outside.
    """

    name: str
    proto: onnx.TensorProto
    graph: str
    constant: Node | None
    readers: tuple[tuple[Node, int], ...]
    external: ExternalFile | None

    @property
    def bytes(self) -> int:
        """Bytes its dims and type call for."""
        return tensor_bytes(self.proto)

    def location(self, model: OpenedModel) -> Location:
        """The initializer, or the Constant node, to point at."""
        if self.constant is not None:
            return location_of(model, self.constant)
        return Location(LocationKind.INITIALIZER, self.name)


def stored_tensors(model: OpenedModel) -> Iterator[Stored]:
    """Initializers and Constant values of the main graph, of bodies and of functions."""
    outside = {entry.initializer: entry for entry in model.external}
    for prefix, graph in model.index.graphs.items():
        readers: dict[str, list[tuple[Node, int]]] = {}
        for node in model.index.nodes_in[prefix]:
            own = node.proto.input
            for position, name in enumerate(own):
                readers.setdefault(name, []).append((node, position))
            if model.index.bodies_of(node.path):
                for name in model.index.captured[node.path]:
                    readers.setdefault(name, []).append((node, -1))
        if isinstance(graph, onnx.GraphProto):
            for tensor in graph.initializer:
                found = outside.get(tensor.name) if tensor.data_location == TensorProto.EXTERNAL else None
                yield Stored(tensor.name, tensor, prefix, None, tuple(readers.get(tensor.name, ())), found)
        for node in model.index.nodes_in[prefix]:
            if node.proto.op_type == "Constant" and node.proto.output:
                name = node.proto.output[0]
                for attribute in node.proto.attribute:
                    if attribute.name == "value" and attribute.type == AttributeProto.TENSOR:
                        found = outside.get(attribute.t.name)
                        yield Stored(name, attribute.t, prefix, node, tuple(readers.get(name, ())), found)


def values_of(stored: Stored) -> npt.NDArray[np.generic] | None:
    """The values, flat; None when they are of another type, not there, or not as many as the dims say.

    Raw and external data are viewed, external files memory-mapped; bfloat16 is widened to float32.
    """
    tensor, layout = stored.proto, _NUMPY.get(stored.proto.data_type)
    if layout is None or any(dim < 0 for dim in tensor.dims):
        return None
    dtype = np.dtype(layout)
    found: npt.NDArray[np.generic] | None
    if tensor.data_location == TensorProto.EXTERNAL:
        found = _mapped(stored.external, dtype)
    elif tensor.HasField("raw_data"):
        raw = tensor.raw_data
        found = np.frombuffer(raw, dtype) if len(raw) == stored.bytes else None
    else:
        found = tensor_value(tensor, 1 << 62)
        return None if found is None else found.astype(np.float32 if layout == "<u2" else dtype, copy=False).ravel()
    if found is not None and tensor.data_type == TensorProto.BFLOAT16:
        return (found.astype(np.uint32) << 16).view(np.float32)
    return found


def pieces_of(values: npt.NDArray[np.generic]) -> Iterator[npt.NDArray[np.generic]]:
    """Flat values in pieces of 16 MiB.

    A mapped file's pages are given back behind each piece: they would count as this process's memory.
    """
    step = _PIECE_BYTES // values.itemsize
    for start in range(0, values.size, step):
        yield values[start : start + step]
        mapped: object = values.base
        if isinstance(mapped, mmap.mmap):
            mapped.madvise(mmap.MADV_DONTNEED)


def _mapped(entry: ExternalFile | None, dtype: np.dtype[np.generic]) -> npt.NDArray[np.generic] | None:
    """A view of an external file; None when it is not to be read (missing, short, or outside the folder)."""
    if entry is None or entry.missing or entry.short or entry.escapes or not entry.needed_bytes:
        return None
    count = entry.needed_bytes // dtype.itemsize
    try:
        return np.memmap(entry.path, dtype, "r", entry.offset, (count,))
    except (OSError, ValueError):  # gone or changed since it was looked up
        return None
