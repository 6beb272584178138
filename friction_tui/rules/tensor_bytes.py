"""How many bytes a tensor takes."""

from __future__ import annotations

import math

from friction_tui.model.file.external import element_bits
from friction_tui.model.names import DTYPE_CODES
from friction_tui.model.shapes.tensors import TensorType


def tensor_bytes(tensor: TensorType | None) -> int | None:
    """Size of a tensor in bytes; None when a dim or the type is not known."""
    if tensor is None or tensor.sizes is None:
        return None
    bits = element_bits(DTYPE_CODES.get(tensor.dtype, 0))
    return (math.prod(tensor.sizes) * bits + 7) // 8 if bits else None
