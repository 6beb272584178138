"""Opening a model file, whatever it turns out to be. Weights in external files stay on disk.

`open_model` never raises because of what is in the file: something that is not a model opens as an empty
one whose `FileFacts` say what it is, and a broken model opens with what could be read of it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import onnx
from google.protobuf.message import DecodeError
from onnx import AttributeProto

from friction_tui.model.file.external import ExternalFile, external_files, tensor_bytes
from friction_tui.model.file.filetype import recognize
from friction_tui.model.file.plan_tensors import read_tensors
from friction_tui.model.file.text_repair import repair_text
from friction_tui.model.file.wire import salvage
from friction_tui.model.graph import GraphIndex

_ONNX_NAMES = {
    "float32": "float",
    "float8_e4m3fn": "float8e4m3fn",
    "float4_e2m1fn": "float4e2m1",
    "float8_e8m0fnu": "float8e8m0",
}
"""Element types that ONNX calls otherwise than TensorRT does."""
_HEAD = 512
"""How much of the file's beginning is kept: every format met here is known by its first bytes."""


LARGEST = 2**31 - 1
"""Bytes of the largest message that protobuf encodes or decodes."""
_TOO_LARGE = (
    "The file has {size:,} bytes, and a protobuf message has fewer than 2 GiB: no ONNX model is that large. Larger "
    "weights lie in files beside the model (external data)."
)


@dataclass(frozen=True, slots=True)
class FileFacts:
    """What a file is.

    `kind` is one word of `friction_tui.model.file.filetype.KINDS`; `error` says, for the person who gave it to us, why
    it is not a whole ONNX model, "" when it is one. `size` in bytes, `head` its first bytes.
    """

    path: Path
    size: int
    kind: str
    error: str
    head: bytes


@dataclass(frozen=True, slots=True, eq=False, weakref_slot=True)
class OpenedModel:
    """A model as it lies on disk: `proto` without the weights kept in external files, and what is known of it.

    Compared by identity, so that what is computed from it can be remembered with it.
    """

    path: Path
    proto: onnx.ModelProto
    file: FileFacts
    index: GraphIndex
    external: tuple[ExternalFile, ...]
    hollow: bool = False
    """Its large tensors are zeros here: the true ones are on the machine that it was sent from."""


def open_model(path: Path, *, hollow: bool = False) -> OpenedModel:
    """Open `path`. Never raises for what the file contains or for its absence: see `OpenedModel.file`."""
    return replace(_open(Path(path)), hollow=hollow)


def _open(path: Path) -> OpenedModel:
    try:
        if path.is_dir():
            return _empty(path, 0, "directory", f"{path} is a directory, not a model file.")
        if path.exists() and not path.is_file():
            return _empty(path, 0, "missing", f"{path} is not a regular file. Save what it gives as a file first.")
        with path.open("rb") as stream:
            head = stream.read(_HEAD)
            size = path.stat().st_size
            kind, error = recognize(head, size)
            if kind == "engine":
                return _opened(_border(path), FileFacts(path, size, kind, error, head))
            if kind:
                return _empty(path, size, kind, error, head)
            if size > LARGEST:
                return _empty(path, size, "too-large", _TOO_LARGE.format(size=size), head)
            content = head + stream.read(LARGEST)  # no more of it, should it grow meanwhile
    except FileNotFoundError:
        return _empty(path, 0, "missing", f"There is no file {path}.")
    except OSError as error:
        return _empty(path, 0, "missing", f"{path} cannot be read: {error.strerror or error}.")
    return _decode(path, content)


def from_proto(proto: onnx.ModelProto, path: Path) -> OpenedModel:
    """The same for a model already in memory. `path` is where it came from: external data is sought beside it."""
    return _opened(proto, FileFacts(path, proto.ByteSize(), "onnx", "", b""))


def weights_bytes(model: OpenedModel) -> int:
    """Bytes all stored tensors take once loaded, wherever they are kept now."""
    return sum(tensor_bytes(tensor) for tensor in all_tensors(model.index))


def all_tensors(index: GraphIndex) -> Iterator[onnx.TensorProto]:
    """Every tensor stored in the model: initializers and tensor attributes, those in bodies and functions included."""
    for graph in index.graphs.values():
        if isinstance(graph, onnx.GraphProto):
            yield from graph.initializer
            for sparse in graph.sparse_initializer:
                yield sparse.values
                yield sparse.indices
    for node in index.nodes:
        for attribute in node.proto.attribute:
            if attribute.type == AttributeProto.TENSOR:
                yield attribute.t
            elif attribute.type == AttributeProto.TENSORS:
                yield from attribute.tensors


def _decode(path: Path, content: bytes) -> OpenedModel:
    size, head = len(content), content[:_HEAD]
    try:
        proto = onnx.ModelProto.FromString(content)
    except DecodeError:
        proto, broken = salvage(content)
        if broken is None:
            error = f"{path.name} is not valid protobuf, although each of its fields is."
        else:
            nodes = len(proto.graph.node)
            error = f"{path.name} breaks at byte {broken.offset:,} of {size:,}: {broken.why}. " + (
                f"{nodes:,} nodes before it could be read." if nodes else "Nothing before it could be read."
            )
        kind = "truncated" if broken and broken.missing and proto.ByteSize() else "not-protobuf"
        return _opened(proto, FileFacts(path, size, kind, error, head))
    if not proto.HasField("graph"):
        error = f"{path.name} decodes as protobuf but holds no graph, so it is not an ONNX model."
        return _empty(path, size, "not-protobuf", error, head)
    return _opened(proto, FileFacts(path, size, "onnx", "", head))


def _opened(proto: onnx.ModelProto, facts: FileFacts) -> OpenedModel:
    try:
        index = GraphIndex(proto)
        _read_names(proto, index)
    except TypeError:  # a name is not text, which str.join notices
        repair_text(proto)
        index = GraphIndex(proto)
    external = tuple(external_files(all_tensors(index), facts.path.parent))
    return OpenedModel(facts.path, proto, facts, index, external)


def _read_names(proto: onnx.ModelProto, index: GraphIndex) -> None:
    """Join the names outside of nodes, of bodies and functions too. Raises TypeError when one of them is not text."""
    "".join((proto.producer_name, proto.producer_version, proto.graph.name))
    "".join(entry.domain for entry in proto.opset_import)
    "".join(text for entry in proto.metadata_props for text in (entry.key, entry.value))
    for graph in index.graphs.values():
        if isinstance(graph, onnx.FunctionProto):
            "".join((*graph.input, *graph.output))
            continue
        for tensor in graph.initializer:
            "".join((tensor.name, *(text for entry in tensor.external_data for text in (entry.key, entry.value))))
        "".join(value.name for value in graph.value_info)
        for value in (*graph.input, *graph.output):
            "".join((value.name, *(dim.dim_param for dim in value.type.tensor_type.shape.dim)))


def _border(plan: Path) -> onnx.ModelProto:
    """A built engine as a model without nodes: its inputs and outputs, as far as its bytes tell them."""
    proto = onnx.ModelProto()
    for tensor in read_tensors(plan):
        kind = onnx.TensorProto.DataType.Value(_ONNX_NAMES.get(tensor.dtype, tensor.dtype).upper())
        ports = proto.graph.input if tensor.is_input else proto.graph.output
        ports.append(onnx.helper.make_tensor_value_info(tensor.name, kind, list(tensor.dims)))
    return proto


def _empty(path: Path, size: int, kind: str, error: str, head: bytes = b"") -> OpenedModel:
    return _opened(onnx.ModelProto(), FileFacts(path, size, kind, error, head))
