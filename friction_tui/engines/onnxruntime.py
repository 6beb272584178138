"""Asking ONNX Runtime, in a process that can be killed.

Does it take the model, which nodes does it refuse, where do they run, how new may a model be. Its verdicts are
signed `ONNX Runtime 1.32.0 CPU`, whatever providers are installed: only the CPU is asked.
"""

from __future__ import annotations

import contextlib
import importlib.util
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path

import msgspec
import platformdirs

from friction_tui.child import run_module
from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.found import onnxruntime_distributions
from friction_tui.engines.onnxruntime_job import Ask, Limits, NodeError, Placed

Stop = Callable[[], bool]


def label() -> str:
    """Return what its verdicts are signed with. Raises EngineMissing when it is not installed."""
    versions = onnxruntime_distributions()
    if not versions or importlib.util.find_spec("onnxruntime") is None:
        raise EngineMissing("ONNX Runtime is not installed. Install it with: pip install 'friction-tui[cpu]'")
    return f"ONNX Runtime {next(iter(versions.values()))} CPU"


def session_error(model: Path, *, stop: Stop = lambda: False) -> str:
    """What ONNX Runtime says when it loads the file `model`, "" when it takes it.

    Raises EngineMissing, EngineCrashed, and `friction_tui.child.Stopped` when `stop` says so.
    """
    return msgspec.json.decode(_ask(Ask("session", str(model)), stop), type=str)


def refused_nodes(
    model: Path,
    sizes: Mapping[str, tuple[int, ...]],
    values: Mapping[str, Sequence[int]] | None = None,
    *,
    stop: Stop = lambda: False,
) -> list[NodeError]:
    """Every node ONNX Runtime refuses at the given input sizes, each asked in a session of its own.

    A node behind a refused one is not asked: there is nothing to feed it. `values` are those of inputs that are
    shapes. Runs the model's operators with made-up data, node by node, so it costs about one inference. Raises as
    `session_error` does.
    """
    given = {name: list(chosen) for name, chosen in (values or {}).items()}
    ask = Ask("lint", str(model), {name: list(dims) for name, dims in sizes.items()}, given)
    return msgspec.json.decode(_ask(ask, stop), type=list[NodeError])


def placement(model: Path, *, stop: Stop = lambda: False) -> list[Placed]:
    """Which execution provider each node would run on, without running anything. Raises as `session_error` does."""
    return msgspec.json.decode(_ask(Ask("placement", str(model)), stop), type=list[Placed])


def limits() -> Limits:
    """The newest IR version and opset the installed ONNX Runtime loads, tried out once for each version of it."""
    memory = Path(platformdirs.user_cache_dir("friction-tui")) / f"{label().replace(' ', '-').lower()}-limits.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):  # not asked yet
        return msgspec.json.decode(memory.read_bytes(), type=Limits)
    found = msgspec.json.decode(_ask(Ask("limits"), lambda: False), type=Limits)
    with contextlib.suppress(OSError):  # a read-only home costs a second at every start, no more
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.encode(found))
    return found


def _ask(ask: Ask, stop: Stop) -> bytes:
    label()
    code, answer, words = run_module("friction_tui.engines.onnxruntime_job", msgspec.json.encode(ask), stop=stop)
    if code != 0:
        raise EngineCrashed("ONNX Runtime", code, words)
    return answer
