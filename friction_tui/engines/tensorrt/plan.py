"""What a serialised engine says of itself in its first bytes, read without TensorRT and without loading it.

The four bytes at 24 are major, minor, patch and build of the TensorRT that wrote it:
https://github.com/NVIDIA/TensorRT/issues/3073 for the enterprise edition, and every plan built here for RTX
(1.7.1.116). The size at 16 and RTX's set of targets at 32 were read off plans built with TensorRT-RTX 1.7.1.
"""

from __future__ import annotations

import struct
from dataclasses import dataclass
from pathlib import Path

from friction_tui.engines.tensorrt import module

_ENTERPRISE_TAG, _RTX_TAG = b"ftrt", b"vtrt"
_HEADER = 64
_RTX_TARGETS = ("SM75", "SM80", "SM86", "SM89", "SM120", "SM121")
"""Bits 0 to 5 of the set of compute capabilities."""


@dataclass(frozen=True, slots=True)
class PlanFacts:
    """A plan file.

    `version` is that of the library that must load it; `targets` the compute capabilities it was built for, ()
    when the header does not say; `declared_size` the size the header gives, None likewise. Sizes in bytes.
    """

    path: Path
    size: int
    edition: str
    version: str
    targets: tuple[str, ...]
    declared_size: int | None

    @property
    def label(self) -> str:
        """`TensorRT-RTX 1.7.1`, `TensorRT 10.16`: whose plan it is."""
        return module.label(self.edition, self.version)

    @property
    def truncated(self) -> bool:
        """Whether the file ends before the plan does."""
        return self.declared_size is not None and self.size < self.declared_size


def read_plan(path: Path) -> PlanFacts | None:
    """Facts from the header of `path`, None if it is no TensorRT plan. Raises OSError when it cannot be read."""
    with path.open("rb") as stream:
        head = stream.read(_HEADER)
    if len(head) < 28 or head[:4] not in (_ENTERPRISE_TAG, _RTX_TAG):
        return None
    version = ".".join(str(part) for part in head[24:28])
    size = path.stat().st_size
    if head[:4] == _ENTERPRISE_TAG:
        return PlanFacts(path, size, module.ENTERPRISE, version, (), None)
    declared, mask = None, 0
    if len(head) >= 36 and head[28:32] == _RTX_TAG:
        declared, mask = struct.unpack_from("<Q", head, 16)[0], struct.unpack_from("<I", head, 32)[0]
    targets = tuple(name for bit, name in enumerate(_RTX_TARGETS) if mask >> bit & 1)
    return PlanFacts(path, size, module.RTX, version, targets, declared)
