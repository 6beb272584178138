"""Asking ONNX Runtime and ONNX's checker, in a process that can be killed.

Do they take the model, which nodes do they refuse, how new may a model be. Verdicts are signed `ONNX Runtime 1.32.0
CPU`, whatever providers are installed: only the CPU is asked.
"""

from __future__ import annotations

import atexit
import contextlib
import importlib.util
import select
import subprocess
import sys
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path
from typing import IO

import msgspec
import onnx
import platformdirs

from friction_tui.engines.base import EngineCrashed, EngineMissing
from friction_tui.engines.onnxruntime_installed import onnxruntime_distributions
from friction_tui.engines.onnxruntime_job import Ask, Limits, Verdict
from friction_tui.model.opened import OpenedModel
from friction_tui.model.weightless import weightless
from friction_tui.processes.child import Stopped

LIMIT_S = 20.0
"""Longer than this nobody waits for a second opinion. 10,000 nodes take about a second."""
Stop = Callable[[], bool]
_POLL_S = 0.05


def label() -> str:
    """Return what its verdicts are signed with. Raises EngineMissing when it is not installed."""
    versions = onnxruntime_distributions()
    if not versions or importlib.util.find_spec("onnxruntime") is None:
        raise EngineMissing("ONNX Runtime is not installed. Install it with: pip install 'friction-tui[cpu]'")
    return f"ONNX Runtime {next(iter(versions.values()))} CPU"


def checker_label() -> str:
    """What the checker's verdicts are signed with."""
    return f"onnx.checker {onnx.__version__}"


def prestart() -> None:
    """Begin starting the process, if there is an ONNX Runtime: its imports take longer than its verdicts."""
    with contextlib.suppress(EngineMissing):
        label()
        _PROCESS.prestart()


def verdict(model: OpenedModel, *, stop: Stop = lambda: False) -> Verdict:
    """What both say of the model when they load it, its large weights replaced by zeros that are never read.

    Raises EngineMissing, EngineCrashed (also after LIMIT_S seconds), and `Stopped` when `stop`
    says so or another model is asked about meanwhile.
    """
    label()
    turn = _PROCESS.take_turn()
    with tempfile.TemporaryDirectory(prefix="friction-tui-") as folder:
        copy = Path(folder) / "model.onnx"
        onnx.save_model(weightless(model.proto, copy.parent, model.path.parent), copy)
        said = _PROCESS.ask(Ask("verdict", str(copy)), lambda: stop() or not _PROCESS.has(turn))
        return msgspec.json.decode(said, type=Verdict)


def limits() -> Limits:
    """The newest IR version and opset the installed ONNX Runtime loads, tried out once for each version of it.

    Raises EngineMissing and EngineCrashed.
    """
    memory = Path(platformdirs.user_cache_dir("friction-tui")) / f"{label().replace(' ', '-').lower()}-limits.json"
    with contextlib.suppress(OSError, msgspec.MsgspecError):  # not asked yet
        return msgspec.json.decode(memory.read_bytes(), type=Limits)
    found = msgspec.json.decode(_PROCESS.ask(Ask("limits"), lambda: False), type=Limits)
    with contextlib.suppress(OSError):  # a read-only home costs a second at every start, no more
        memory.parent.mkdir(parents=True, exist_ok=True)
        memory.write_bytes(msgspec.json.encode(found))
    return found


class _Process:
    """The process that is asked, started anew after a crash."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._turn = 0
        self._process: subprocess.Popen[bytes] | None = None
        self._words: IO[bytes] | None = None

    def prestart(self) -> None:
        """Begin starting it. Returns at once; while it answers somebody there is nothing to start."""
        if self._lock.acquire(blocking=False):
            try:
                self._start()
            finally:
                self._lock.release()

    def take_turn(self) -> int:
        """Whoever takes a turn ends the one before it: nobody waits for a verdict on the model that was open."""
        self._turn += 1
        return self._turn

    def has(self, turn: int) -> bool:
        """Whether nobody has taken a turn since."""
        return turn == self._turn

    def ask(self, ask: Ask, stop: Stop) -> bytes:
        """The answer to one question, a line of JSON. Raises EngineCrashed and Stopped."""
        with self._lock:
            if stop():  # while it answered somebody else
                raise Stopped
            process = self._start()
            assert process.stdin is not None and process.stdout is not None
            deadline, answer = time.monotonic() + LIMIT_S, b""
            with contextlib.suppress(BrokenPipeError):  # it is dead, which the reading finds out
                process.stdin.write(msgspec.json.encode(ask) + b"\n")
                process.stdin.flush()
            while not answer.endswith(b"\n"):
                if stop():
                    self.close()
                    raise Stopped
                if time.monotonic() > deadline:
                    self.close()
                    raise EngineCrashed("ONNX Runtime", None)
                if select.select([process.stdout], [], [], _POLL_S)[0]:
                    chunk = process.stdout.read1(1 << 20)  # type: ignore[attr-defined]
                    if not chunk:
                        raise EngineCrashed("ONNX Runtime", process.wait(), self._last_words())
                    answer += chunk
            return answer

    def close(self) -> None:
        """End it, whatever it is doing."""
        process, self._process = self._process, None
        if process is not None:
            process.kill()
            process.communicate()

    def _start(self) -> subprocess.Popen[bytes]:
        if self._process is None or self._process.poll() is not None:
            self._words = tempfile.TemporaryFile()  # noqa: SIM115  (lives as long as the process)
            self._process = subprocess.Popen(
                [sys.executable, "-m", "friction_tui.engines.onnxruntime_job"],
                stdin=subprocess.PIPE,
                stdout=subprocess.PIPE,
                stderr=self._words,
            )
        return self._process

    def _last_words(self) -> str:
        assert self._words is not None
        self._words.seek(max(0, self._words.seek(0, 2) - 4000))
        return self._words.read().decode(errors="replace")


_PROCESS = _Process()
atexit.register(_PROCESS.close)
