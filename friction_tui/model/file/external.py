"""External data: which files an ONNX model's weights lie in, and whether they are there. Never reads them."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import numpy as np
import onnx
from onnx import TensorProto

_BITS: dict[int, int] = {
    TensorProto.FLOAT4E2M1: 4,
    TensorProto.INT4: 4,
    TensorProto.UINT4: 4,
    TensorProto.INT2: 2,
    TensorProto.UINT2: 2,
}
"""Element types packed below one byte; the others take what numpy says."""


@dataclass(frozen=True, slots=True)
class ExternalFile:
    """Where one initializer's data should lie. Sizes and offsets in bytes.

    `location` is as written in the model; `path` what it leads to, links resolved. `length` is as written, or
    None. `size_on_disk` is None when there is no such file. `escapes` says that the path leaves the
    model's folder (absolute, `..`, or a link), which the ONNX specification forbids. `unreadable` is an offset or
    length that is not a number, such as `offset=abc`, "" for none.
    """

    initializer: str
    location: str
    path: Path
    offset: int
    length: int | None
    needed_bytes: int
    size_on_disk: int | None
    escapes: bool
    unreadable: str = ""

    @property
    def missing(self) -> bool:
        """There is no such file."""
        return self.size_on_disk is None

    @property
    def short(self) -> bool:
        """The file ends before the data does."""
        return self.size_on_disk is not None and self.offset + self.needed_bytes > self.size_on_disk


def element_bits(data_type: int) -> int:
    """Bits one element takes in raw data; 0 for strings and unknown types."""
    if data_type in _BITS:
        return _BITS[data_type]
    if data_type == TensorProto.STRING:
        return 0
    try:
        return int(np.dtype(onnx.helper.tensor_dtype_to_np_dtype(data_type)).itemsize) * 8
    except (KeyError, TypeError):
        return 0


def tensor_bytes(tensor: onnx.TensorProto) -> int:
    """Bytes the tensor's dims and type call for."""
    count = 1
    for dim in tensor.dims:
        count *= max(dim, 0)
    return (count * element_bits(tensor.data_type) + 7) // 8


def external_files(tensors: Iterator[onnx.TensorProto], folder: Path) -> Iterator[ExternalFile]:
    """Facts for every tensor whose data lies outside the model file. Each file is looked at once."""
    looked_up: dict[str, tuple[Path, int | None, bool]] = {}
    for tensor in tensors:
        if tensor.data_location != TensorProto.EXTERNAL:
            continue
        entries = {entry.key: entry.value for entry in tensor.external_data}
        location = entries.get("location", "")
        if location not in looked_up:
            looked_up[location] = _look_up(location, folder)
        path, size, escapes = looked_up[location]
        length = _number(entries.get("length"))
        odd = [
            f"{key}={entries[key]}"
            for key in ("offset", "length")
            if entries.get(key) and _number(entries[key]) is None
        ]
        yield ExternalFile(
            initializer=tensor.name,
            location=location,
            path=path,
            offset=_number(entries.get("offset")) or 0,
            length=length,
            needed_bytes=tensor_bytes(tensor),
            size_on_disk=size,
            escapes=escapes,
            unreadable=", ".join(odd),
        )


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdecimal() else None


def _led_to(path: Path) -> Path:
    """The path with links resolved, of a file that need not be there.

    Raises OSError or RuntimeError for a link that leads to itself, which Python 3.13 follows without a word unless the
    file has to be there.
    """
    try:
        return path.resolve(strict=True)
    except (FileNotFoundError, NotADirectoryError):
        return path.resolve()


def _look_up(location: str, folder: Path) -> tuple[Path, int | None, bool]:
    """The file `location` leads to, its size if it is one, and whether it lies outside `folder`."""
    home = folder.resolve()
    try:
        path = _led_to(home / location)
        size = path.stat().st_size if location and path.is_file() else None
    except (OSError, RuntimeError, ValueError):  # a link that leads to itself, a NUL in the name
        return home / "?", None, True
    return path, size, not path.is_relative_to(home)
