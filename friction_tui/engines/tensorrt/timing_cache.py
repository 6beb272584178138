"""The timing cache of the enterprise edition: the measured times of kernels, kept for each version and GPU.

TensorRT refuses a cache of another version or GPU, so each has a file of its own. The edition for RTX times nothing at
build time.
"""

from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path

from friction_tui.engines.nvidia import gpus
from friction_tui.engines.tensorrt.capabilities import Capabilities
from friction_tui.engines.tensorrt.module import Native
from friction_tui.files import write_whole
from friction_tui.locations import cache_dir

Hear = Callable[[str, str], None]
LARGEST = 1 << 30
"""Bytes of a cache that is read; those of large models are a few MB."""


def file_for(can: Capabilities, here: tuple[str, ...]) -> Path:
    """Where the times of this version on the first GPU of `here` are kept."""
    gpu = re.sub(r"[^A-Za-z0-9.]+", "-", here[0] if here else "no GPU")
    return cache_dir() / "timing" / f"{can.name}-{can.version}-{gpu}.cache"


def load(config: Native, can: Capabilities, hear: Hear) -> Path | None:
    """Give the configuration the times that are kept, and say which; the file to save to, None where it takes none."""
    file = file_for(can, gpus())
    try:
        kept = file.read_bytes() if file.stat().st_size <= LARGEST else b""
    except OSError:
        kept = b""
    why = f"{len(kept):,} bytes" if kept else f"empty: no build by {can.version} on this GPU has kept times yet"
    cache = config.create_timing_cache(kept)
    if kept and not (cache is not None and config.set_timing_cache(cache, False)):
        why, cache = "empty: TensorRT does not take what was kept, which begins anew", config.create_timing_cache(b"")
        config.set_timing_cache(cache, False)
    elif not kept and cache is not None:
        config.set_timing_cache(cache, False)
    hear("info", f"timing cache {file.name}: {why}")
    return file if cache is not None else None


def save(config: Native, file: Path, hear: Hear) -> None:
    """Keep the times of a build that succeeded."""
    cache = config.get_timing_cache()
    if cache is None:
        return
    try:
        file.parent.mkdir(parents=True, exist_ok=True)
        kept = bytes(cache.serialize())
        write_whole(file, kept)
    except OSError as refused:
        hear("warning", f"the timing cache was not kept: {refused.strerror or refused}")
        return
    hear("info", f"timing cache {file.name}: {len(kept):,} bytes kept")
