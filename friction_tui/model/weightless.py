"""A copy of a model without its weights that parsers still take: all zeros, in one sparse file.

TensorRT's parser and builder need every initializer to be there with the right length and look at the values of
few. A 4 GB model becomes 2 MB to read and nothing to load.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import onnx
from onnx import TensorProto

from friction_tui.model.file.external import element_bits, external_files, tensor_bytes
from friction_tui.model.light_copy import light_copy

ZEROS = "weightless.zeros"
"""The file of zeros in the directory given."""
_ALIGNMENT = 64
"""Bytes between two tensors' places. Each has its own: TensorRT takes weights at one address for the same weights."""
_SMALL = 4096
"""Bytes up to which a tensor keeps its values: biases, scales, sizes."""
_LARGEST = 1 << 40
"""Bytes beyond which a declared size is a mistake, which a finding names: such a tensor is left as it is."""
_INTEGERS = 1 << 20
"""Bytes up to which an index or shape tensor does."""
_INDEX_TYPES = (TensorProto.INT32, TensorProto.INT64, TensorProto.BOOL, TensorProto.UINT32, TensorProto.UINT64)
_QUANTIZING = ("QuantizeLinear", "DequantizeLinear")


def weightless(proto: onnx.ModelProto, keep_dir: Path, folder: Path | None = None) -> onnx.ModelProto:
    """A copy of `proto` whose large tensors refer to a file of zeros written into `keep_dir`.

    Shapes and types stay. So do the values of small tensors, of indices and of quantization scales and zero points,
    which parsers read; those in external files only if `folder`, the model's own, is given and holds them.
    The copy is valid as long as it lies, or is parsed as if it lay, in `keep_dir`.
    """
    kept = quantization_parameters(proto)
    end = 0

    def replace(tensor: onnx.TensorProto) -> onnx.TensorProto:
        nonlocal end
        external = tensor.data_location == TensorProto.EXTERNAL
        if _keeps_values(tensor, kept):
            if not external:
                return tensor
            read = _read_small(tensor, folder)
            if read is not None:
                return read
        elif not element_bits(tensor.data_type) or tensor_bytes(tensor) > _LARGEST:
            return tensor
        size = tensor_bytes(tensor)
        offset, end = end, end + -(-size // _ALIGNMENT) * _ALIGNMENT
        return _reference(tensor, offset, size)

    copy = light_copy(proto, replace)
    if end:
        keep_dir.mkdir(parents=True, exist_ok=True)
        with (keep_dir / ZEROS).open("wb") as stream:
            stream.truncate(end)
    return copy


def _keeps_values(tensor: onnx.TensorProto, kept: set[str]) -> bool:
    size = tensor_bytes(tensor)
    return size <= _SMALL or tensor.name in kept or (tensor.data_type in _INDEX_TYPES and size <= _INTEGERS)


def quantization_parameters(proto: onnx.ModelProto) -> set[str]:
    """Names of scales and zero points: parsers check that they are positive and symmetric."""
    return {
        name
        for graph in (proto.graph, *proto.functions)
        for node in graph.node
        if node.op_type in _QUANTIZING
        for name in node.input[1:3]
    }


def _reference(tensor: onnx.TensorProto, offset: int, size: int) -> onnx.TensorProto:
    reference = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, doc_string=tensor.doc_string)
    reference.dims.extend(tensor.dims)
    reference.data_location = TensorProto.EXTERNAL
    for key, value in (("location", ZEROS), ("offset", str(offset)), ("length", str(size))):
        reference.external_data.add(key=key, value=value)
    return reference


def _read_small(tensor: onnx.TensorProto, folder: Path | None) -> onnx.TensorProto | None:
    """The tensor with its few values read from its external file; None if that is not there."""
    if folder is None:
        return None
    one: Iterator[onnx.TensorProto] = iter((tensor,))
    file = next(external_files(one, folder))
    if file.missing or file.short or file.escapes:
        return None
    with file.path.open("rb") as stream:
        stream.seek(file.offset)
        content = stream.read(file.needed_bytes)
    read = onnx.TensorProto(name=tensor.name, data_type=tensor.data_type, raw_data=content)
    read.dims.extend(tensor.dims)
    return read
