"""Which distributions and providers of ONNX Runtime are installed, and what they lack."""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from friction_tui.engines.libraries import missing_libraries, wheel_libraries

_PROVIDERS = ("tensorrt", "nv_tensorrt_rtx", "cuda")
_LOADED_BY_OTHERS = ("libonnxruntime_providers_shared.so",)
"""Needed by the provider libraries, and loaded by ONNX Runtime before them."""


@dataclass(frozen=True, slots=True)
class Provider:
    """An ONNX Runtime execution provider that is installed. `missing` are libraries the loader does not find.

    `in_wheels` maps those of them that an NVIDIA wheel of this environment has to where it lies.
    """

    name: str
    library: Path
    missing: tuple[str, ...]
    in_wheels: dict[str, Path]


def providers() -> tuple[Provider, ...]:
    """GPU providers ONNX Runtime has on disk, and what each lacks to be loaded."""
    spec = importlib.util.find_spec("onnxruntime")
    if spec is None or spec.origin is None:
        return ()
    home = Path(spec.origin).parent / "capi"
    named = [(name, home / f"libonnxruntime_providers_{name}.so") for name in _PROVIDERS]
    return tuple(_provider(name, library) for name, library in named if library.exists())


def onnxruntime_distributions() -> dict[str, str]:
    """The installed distributions that bring `import onnxruntime`, with their versions.

    More than one is a fault: they write the same files, and whichever came last wins.
    """
    versions = {}
    for name in ("onnxruntime", "onnxruntime-gpu", "onnxruntime-directml", "onnxruntime-openvino"):
        try:
            versions[name] = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            continue
    return versions


def _provider(name: str, library: Path) -> Provider:
    missing = tuple(one for one in missing_libraries(library) if one not in _LOADED_BY_OTHERS)
    in_wheels = {one: where for one in missing if (where := wheel_libraries(one)) is not None}
    return Provider(name, library, missing, in_wheels)
