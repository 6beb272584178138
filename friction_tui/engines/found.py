"""Which engines are installed, what they can do here, and why not. Imports none of them into this process."""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.engines.engine import Engine
from friction_tui.engines.onnxruntime_installed import OnnxRuntime
from friction_tui.engines.tensorrt.engine import TensorRT
from friction_tui.vocabulary.protocol import EngineInfo

ENGINES: tuple[Engine, ...] = (TensorRT(), OnnxRuntime())
"""Every engine there is, the ones that models are made for first."""


def found() -> tuple[EngineInfo, ...]:
    """What is installed of every engine, the one to ask before the others."""
    return tuple(info for engine in ENGINES for info in engine.found())


def deciding(engines: Iterable[EngineInfo]) -> EngineInfo | None:
    """The engine that a model is made for, the preferred one of several; None when none is installed."""
    return next((engine for engine in engines if engine.decides), None)


def prestart() -> None:
    """Begin starting the processes of every engine."""
    for engine in ENGINES:
        engine.prestart()
