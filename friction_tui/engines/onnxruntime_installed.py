"""ONNX Runtime as an engine: which distributions and providers are installed, and what they lack.

It gives a second opinion and runs models; no model is made for it here.
"""

from __future__ import annotations

import importlib.metadata
import importlib.util
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from friction_tui.engines.libraries import missing_libraries, wheel_libraries
from friction_tui.engines.nvidia import cannot_run
from friction_tui.vocabulary.protocol import EngineInfo

if TYPE_CHECKING:
    from friction_tui.engines.base import Opinion
    from friction_tui.model.opened import OpenedModel

_NAME = "ONNX Runtime"
_PROVIDERS = ("tensorrt", "nv_tensorrt_rtx", "cuda")
_LOADED_BY_OTHERS = ("libonnxruntime_providers_shared.so",)
"""Needed by the provider libraries, and loaded by ONNX Runtime before them."""


class OnnxRuntime:
    """ONNX Runtime, on its CPU or through CUDA."""

    names = (_NAME,)

    def found(self) -> tuple[EngineInfo, ...]:
        """The installed ONNX Runtime, with what keeps its providers from loading."""
        return _info()

    def prestart(self) -> None:
        """Nothing: its process is started when a model is judged, since its imports take longer than its verdicts."""

    def labels(self) -> tuple[str, str]:
        """What verdicts of its CPU and of ONNX's checker are signed with."""
        from friction_tui.engines import onnxruntime

        return onnxruntime.label(), onnxruntime.checker_label()

    def prestart_opinion(self) -> None:
        """Begin starting the process that loads models."""
        from friction_tui.engines import onnxruntime

        onnxruntime.prestart()

    def opinion(self, model: OpenedModel) -> Opinion:
        """What loading the model says."""
        from friction_tui.engines import onnxruntime

        return onnxruntime.verdict(model)


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


def _info() -> tuple[EngineInfo, ...]:
    spec, versions = importlib.util.find_spec("onnxruntime"), onnxruntime_distributions()
    if spec is None or not versions:
        return ()
    version = versions.get("onnxruntime-gpu") or next(iter(versions.values()))
    lacking = [f"its {one.name} provider lacks {', '.join(one.missing)}" for one in providers() if one.missing]
    clash = [f"{' and '.join(versions)} are both installed: uninstall all and install one"] if len(versions) > 1 else []
    gpu = any(one.name == "cuda" and not one.missing for one in providers()) and not cannot_run()
    return (
        EngineInfo(
            name=_NAME,
            label=f"ONNX Runtime {version} {'CUDA' if gpu else 'CPU'}",
            version=version,
            can_parse=False,
            can_build=False,
            can_run=True,
            why_not="; ".join([*clash, *lacking]),
        ),
    )


def _provider(name: str, library: Path) -> Provider:
    missing = tuple(one for one in missing_libraries(library) if one not in _LOADED_BY_OTHERS)
    in_wheels = {one: where for one in missing if (where := wheel_libraries(one)) is not None}
    return Provider(name, library, missing, in_wheels)
