"""Numbers as people read them."""

from __future__ import annotations


def size(count: int | None) -> str:
    """Bytes in binary units, as TensorRT and nvidia-smi print them: `8.2 MiB`."""
    if count is None:
        return "not said"
    if abs(count) < 1024:
        return f"{count} B"
    value = float(count)
    for unit in ("KiB", "MiB", "GiB", "TiB"):
        value /= 1024
        if abs(value) < 999.95 or unit == "TiB":
            break
    return f"{value:.1f} {unit}"
