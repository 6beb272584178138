"""What every use of TensorRT begins with: a logger that tells us, and a builder if there can be one."""

from __future__ import annotations

from collections.abc import Callable

from friction_tui.engines.base import EngineMissing
from friction_tui.engines.tensorrt import log, module
from friction_tui.engines.tensorrt.module import Native


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

    Raises EngineMissing where TensorRT cannot have one: the enterprise edition without a GPU.
    """
    trt.init_libnvinfer_plugins(logger, "")
    try:
        return trt.Builder(logger)
    except TypeError as error:  # what a factory that returns nothing becomes in Python
        said = "; ".join(log.worth_keeping(errors)) or str(error)
        label = module.label(trt.__name__, trt.__version__)
        raise EngineMissing(f"{label} cannot create a builder on this machine: {said}") from error
