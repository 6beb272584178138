"""What every use of TensorRT begins with: a logger that tells us, and a builder if there can be one."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Callable

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.nvidia import driver_missing
from friction_tui.engines.tensorrt import log, module
from friction_tui.engines.tensorrt.capabilities import capabilities, is_rtx, members
from friction_tui.engines.tensorrt.module import Native

_OPTIONS, CPU_ONLY = "TRT_INTERNAL_OPTIONS", "--cpu_only=1"
"""How TensorRT 11 is told to build without a GPU, before a builder exists, as its trtexec does it: see
`ScopedTensorRTCpuOnlyMode` in the documentation of TensorRT-Edge-LLM, which says so of 11.3."""


def logger(trt: Native, hear: Callable[[str, str], None]) -> Native:
    """Make a logger that calls `hear(level, text)`; `level` is `error`, `warning`, `info` or `verbose`.

    A process has one logger: the first one given to TensorRT stays. It must be kept alive by the caller.
    """
    severity = trt.ILogger.Severity
    levels = {
        severity.INTERNAL_ERROR: "error",
        severity.ERROR: "error",
        severity.WARNING: "warning",
        severity.INFO: "info",
        severity.VERBOSE: "verbose",
    }

    class Log(trt.ILogger):  # type: ignore[misc]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: Native, text: str) -> None:
            hear(levels.get(severity, "info"), text)

    return Log()


def builder(trt: Native, logger: Native, errors: list[str]) -> Native:
    """Load the plugins and create a builder; `errors` is where the logger's error lines go.

    Without a GPU the enterprise edition is asked for its CPU-only mode, which TensorRT 11 has.

    Raises EngineMissing where TensorRT cannot have one: TensorRT 10 without a GPU.
    """
    trt.init_libnvinfer_plugins(logger, "")
    made, said = None, ""
    may_do_without = not is_rtx(trt) and not capabilities(trt).precisions
    if not (may_do_without and driver_missing()):
        made, said = _made(trt, logger, errors)
    if made is None and may_do_without:
        before = os.environ.get(_OPTIONS, "")
        os.environ[_OPTIONS] = f"{before} {CPU_ONLY}".strip()
        made, said = _made(trt, logger, errors)
        if made is None:
            os.environ[_OPTIONS] = before
            said += " (and its CPU-only mode does not start)"
    if made is None:
        raise EngineMissing(f"{module.label(trt.__name__, trt.__version__)} cannot create a builder here: {said}")
    return made


def is_cpu_only() -> bool:
    """Whether TensorRT was put into its CPU-only mode in this process."""
    return CPU_ONLY in os.environ.get(_OPTIONS, "").split()


def set_cpu_only(trt: Native, config: Native) -> None:
    """Set the builder flag for the CPU-only mode, in the mode and where there is one (TensorRT 11.5)."""
    if is_cpu_only():
        for name, flag in members(trt, "BuilderFlag").items():
            if name.startswith("CPU"):
                with contextlib.suppress(TypeError, RuntimeError):
                    config.set_flag(flag)


def _made(trt: Native, logger: Native, errors: list[str]) -> tuple[Native | None, str]:
    """A builder, or None and what was said instead."""
    try:
        return trt.Builder(logger), ""
    except TypeError as error:  # what a factory that returns nothing becomes in Python
        return None, "; ".join(log.worth_keeping(errors)) or str(error)
