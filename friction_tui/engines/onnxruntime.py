"""Asking ONNX Runtime and ONNX's checker, in a process that can be killed.

Do they take the model, which nodes do they refuse, how new may a model be. Verdicts are signed `ONNX Runtime 1.32.0
CPU`, whatever providers are installed: only the CPU is asked.
"""

from __future__ import annotations

import contextlib
import importlib.util
import itertools
from pathlib import Path
from typing import TYPE_CHECKING

import msgspec

from friction_tui.engines.base import EngineCrashed, EngineMissing, Opinion, Ran
from friction_tui.engines.onnxruntime_installed import onnxruntime_distributions
from friction_tui.engines.onnxruntime_job import Ask, Limits
from friction_tui.processes.begin import command
from friction_tui.processes.child import Stop
from friction_tui.processes.locks import temporary_folder
from friction_tui.processes.server import Server

if TYPE_CHECKING:
    from friction_tui.model.opened import OpenedModel

# onnx is imported by what needs it: its process starts before, beside that import.

LIMIT_S = 20.0
"""Longer than this, and `PER_NODE_S` for each node, nobody waits for a second opinion."""
RUN_S = 3.0
"""How long a run at sizes that were guessed may take: it decides between guesses, no more."""
LARGEST_RUN = 128_000_000
"""Bytes; reading twice as many takes longer than such a run is worth."""
PER_NODE_S = 0.0005
"""Five times what a node took: 10,000 nodes take about a second."""


def label() -> str:
    """Return what its verdicts are signed with. Raises EngineMissing when it is not installed."""
    versions = onnxruntime_distributions()
    if not versions or importlib.util.find_spec("onnxruntime") is None:
        raise EngineMissing("ONNX Runtime is not installed. Install it with: pip install 'friction-tui[cpu]'")
    return f"ONNX Runtime {next(iter(versions.values()))} CPU"


def checker_label() -> str:
    """What the checker's verdicts are signed with."""
    import onnx

    return f"onnx.checker {onnx.__version__}"


def prestart() -> None:
    """Begin starting the process, if there is an ONNX Runtime: its imports take longer than its verdicts."""
    with contextlib.suppress(EngineMissing):
        label()
        _SERVER.prestart()


def verdict(model: OpenedModel, *, stop: Stop = lambda: False) -> Opinion:
    """What both say of the model when they load it, its large weights replaced by zeros that are never read.

    Raises EngineMissing, EngineCrashed (also after LIMIT_S seconds), and `Stopped` when `stop`
    says so or another model is asked about meanwhile.
    """
    import onnx

    from friction_tui.model.weightless import weightless

    label()
    turn = next(_TURNS)
    _NEWEST[:] = [turn]
    with temporary_folder("onnxruntime") as folder:
        copy = folder / "model.onnx"
        onnx.save_model(weightless(model.proto, copy.parent, model.path.parent), copy)
        limit = _SERVER.limit_s + PER_NODE_S * len(model.index.nodes)
        said = _SERVER.ask(Ask("verdict", str(copy)), stop=lambda: stop() or [turn] != _NEWEST, limit_s=limit)
        return msgspec.json.decode(said, type=Opinion)


def run_once(
    model: OpenedModel, sizes: dict[str, tuple[int, ...]], values: dict[str, tuple[int, ...]], *, limit_s: float = RUN_S
) -> Ran | None:
    """What running the file of an unedited model at these sizes comes to; None where it cannot be run in time.

    A model with more than `LARGEST_RUN` bytes of weights is not run.
    """
    weights = model.file.size + sum(
        file.size_on_disk or 0 for file in {one.path: one for one in model.external}.values()
    )
    if weights > LARGEST_RUN or any(file.escapes for file in model.external):
        return None
    try:
        label()
        said = _SERVER.ask(Ask("run", str(model.path), sizes, values), limit_s=limit_s)
    except (EngineMissing, EngineCrashed):
        return None
    found = msgspec.json.decode(said, type=Ran)
    return found if found.fed else None


def limits() -> Limits:
    """The newest IR version and opset the installed ONNX Runtime loads, tried out once for each version of it.

    Raises EngineMissing and EngineCrashed.
    """
    import platformdirs

    memory = Path(platformdirs.user_cache_dir("friction-tui")) / f"{label().replace(' ', '-').lower()}-limits.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):  # not asked yet
        return msgspec.json.decode(memory.read_bytes(), type=Limits)
    found = msgspec.json.decode(_SERVER.ask(Ask("limits")), type=Limits)
    with contextlib.suppress(OSError):  # a read-only home costs a second at every start, no more
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.encode(found))
    return found


_SERVER = Server(
    "ONNX Runtime", lambda: command("friction_tui.engines.onnxruntime_job"), limit_s=LIMIT_S, died=EngineCrashed
)
_TURNS = itertools.count(1)
_NEWEST = [0]
"""The last turn that was taken: nobody waits for a verdict on the model that was open before."""
