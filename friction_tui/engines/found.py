"""Which engines are installed, what they can do here, and why not. Imports none of them into this process."""

from __future__ import annotations

from collections.abc import Iterable

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.engine import Builds, Engine, Opines, Parses, ParsesElsewhere, Runs
from friction_tui.engines.onnxruntime_engine import OnnxRuntime
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


def parser(info: EngineInfo | None) -> Parses | None:
    """What reads models for the engine that `info` describes; None when there is none."""
    return next((one for one in _described(info) if isinstance(one, Parses)), None)


def builder(info: EngineInfo | None) -> Builds:
    """What builds for the engine that `info` describes. Raises EngineMissing."""
    for one in _described(info):
        if isinstance(one, Builds):
            return one
    raise EngineMissing("no engine that builds is installed here")


def runner(info: EngineInfo | None) -> Runs:
    """What runs plans: the engine that `info` describes, else the first that could, which says why it does not."""
    return next(one for one in (*_described(info), *ENGINES) if isinstance(one, Runs))


def parser_elsewhere() -> ParsesElsewhere:
    """The engine that can be asked in other Python environments; it need not be installed in this one."""
    return next(one for one in ENGINES if isinstance(one, ParsesElsewhere))


def second_opinion() -> Opines:
    """The engine that gives a second opinion, installed or not."""
    return next(one for one in ENGINES if isinstance(one, Opines))


def _described(info: EngineInfo | None) -> tuple[Engine, ...]:
    return tuple(one for one in ENGINES if info is not None and info.name in one.names)
