"""Asking ONNX Runtime and ONNX's checker, in a process that can be killed.

Do they take the model, which nodes do they refuse, how new may a model be. Verdicts are signed `ONNX Runtime 1.32.0
CPU`, whatever providers are installed: only the CPU is asked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import platformdirs

from friction_tui.child import Stopped, run_module
from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.found import onnxruntime_distributions
from friction_tui.engines.onnxruntime_job import Ask, Limits, Verdict
from friction_tui.model.opened import OpenedModel
from friction_tui.model.weightless import weightless

LIMIT_S = 20.0
"""Longer than this nobody waits for a second opinion. 10,000 nodes take about a second."""
Stop = Callable[[], bool]


def label() -> str:
    """Return what its verdicts are signed with. Raises EngineMissing when it is not installed."""
    versions = onnxruntime_distributions()
    if not versions or importlib.util.find_spec("onnxruntime") is None:
        raise EngineMissing("ONNX Runtime is not installed. Install it with: pip install 'friction-tui[cpu]'")
    return f"ONNX Runtime {next(iter(versions.values()))} CPU"


def checker_label() -> str:
    """What the checker's verdicts are signed with."""
    return f"onnx.checker {onnx.__version__}"


def verdict(model: OpenedModel, *, stop: Stop = lambda: False) -> Verdict:
    """What both say of the model when they load it, its large weights replaced by zeros that are never read.

    Raises EngineMissing, EngineCrashed (also after LIMIT_S seconds), and `friction_tui.child.Stopped` when `stop`
    says so.
    """
    label()
    with tempfile.TemporaryDirectory(prefix="friction-tui-") as folder:
        copy = Path(folder) / "model.onnx"
        onnx.save_model(weightless(model.proto, copy.parent, model.path.parent), copy)
        return msgspec.json.decode(_ask(Ask("verdict", str(copy)), stop), type=Verdict)


def limits() -> Limits:
    """The newest IR version and opset the installed ONNX Runtime loads, tried out once for each version of it.

    Raises EngineMissing and EngineCrashed.
    """
    memory = Path(platformdirs.user_cache_dir("friction-tui")) / f"{label().replace(' ', '-').lower()}-limits.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):  # not asked yet
        return msgspec.json.decode(memory.read_bytes(), type=Limits)
    found = msgspec.json.decode(_ask(Ask("limits"), lambda: False), type=Limits)
    with contextlib.suppress(OSError):  # a read-only home costs a second at every start, no more
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.encode(found))
    return found


def _ask(ask: Ask, stop: Stop) -> bytes:
    deadline = time.monotonic() + LIMIT_S

    def enough() -> bool:
        return stop() or time.monotonic() > deadline

    try:
        code, answer, words = run_module("friction_tui.engines.onnxruntime_job", msgspec.json.encode(ask), stop=enough)
    except Stopped:
        if stop():
            raise
        raise EngineCrashed("ONNX Runtime", None) from None
    if code != 0:
        raise EngineCrashed("ONNX Runtime", code, words)
    return answer
