"""Finding and loading TensorRT: `tensorrt` (10, 11) or `tensorrt_rtx`, whichever is installed."""

from __future__ import annotations

import importlib
import importlib.util
from dataclasses import dataclass
from typing import Any, TypeAlias

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.nvidia import cannot_run

Native: TypeAlias = Any
"""An object of TensorRT's API. The bindings are compiled and ship no types."""

ENTERPRISE, RTX = "tensorrt", "tensorrt_rtx"
NAMES = {ENTERPRISE: "TensorRT", RTX: "TensorRT-RTX"}
"""What each edition is called, by the module to import."""

HOW_TO_INSTALL = "Install it with: pip install 'friction-tui[cpu]' (TensorRT-RTX) or 'friction-tui[gpu]' (TensorRT)."


@dataclass(frozen=True, slots=True)
class Installed:
    """A TensorRT that is installed. `version` is the distribution's, `name` what to import."""

    name: str
    version: str

    @property
    def label(self) -> str:
        """What its verdicts are signed with: `TensorRT-RTX 1.7.1`, `TensorRT 10.16`."""
        return label(self.name, self.version)

    @property
    def can_build(self) -> bool:
        """Whether it can parse and build here. The enterprise edition needs a GPU even to create a builder."""
        return self.name == RTX or not cannot_run()


def label(name: str, version: str) -> str:
    """The short name of an edition and version."""
    parts = version.split(".")
    return f"{NAMES[RTX]} {'.'.join(parts[:3])}" if name == RTX else f"{NAMES[ENTERPRISE]} {'.'.join(parts[:2])}"


def installed() -> tuple[Installed, ...]:
    """Every TensorRT of this environment, the one to prefer first. Nothing is imported.

    The enterprise edition is preferred where it can be used: it is what most engines are deployed on.
    """
    found = [
        Installed(name, _version(name)) for name in (ENTERPRISE, RTX) if importlib.util.find_spec(name) is not None
    ]
    return tuple(sorted(found, key=lambda one: not one.can_build))


def preferred() -> Installed:
    """The TensorRT to ask. Raises EngineMissing when none is installed."""
    for one in installed():
        return one
    raise EngineMissing(f"TensorRT is not installed. {HOW_TO_INSTALL}")


def load(name: str = "") -> Native:
    """Import TensorRT: `name`, or the preferred one. Raises EngineMissing with the reason.

    Only for processes of their own: a crash in it takes the process with it, and its logger is global.
    """
    chosen = name or preferred().name
    try:
        return importlib.import_module(chosen)
    except ImportError as error:
        raise EngineMissing(f"{chosen} is installed but cannot be loaded: {error}. {HOW_TO_INSTALL}") from error


def _version(name: str) -> str:
    """Version of the distribution that brings `name`: the meta package, else the CUDA-specific one it pulls in."""
    from importlib import metadata  # 3 MB that the parser's process, given a name, does without

    dashed = name.replace("_", "-")
    for distribution in (dashed, *(f"{dashed}-cu{major}" for major in (13, 12, 11))):
        try:
            return metadata.version(distribution)
        except metadata.PackageNotFoundError:
            continue
    return ""
