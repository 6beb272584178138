"""How a Python child begins: what it can import, when it ends, how much memory it may take.

Standard library of Python 3.10 only: children run in other environments too.
"""

from __future__ import annotations

import importlib
import os
import signal
import sys
import threading
import time
from pathlib import Path

PACKAGE = str(Path(__file__).resolve().parents[1])
_PR_SET_PDEATHSIG = 1
_POLL_S = 0.5

_BOOTSTRAP = """
import sys
sys.path[:] = [entry for entry in sys.path if entry]
from importlib.util import module_from_spec, spec_from_file_location
spec = spec_from_file_location("friction_tui", sys.argv[1] + "/__init__.py")
package = sys.modules["friction_tui"] = module_from_spec(spec)
spec.loader.exec_module(package)
from friction_tui.processes.begin import main
main()
"""
"""Imports this very friction_tui, installed or not, by its place. Neither the current directory nor the folder that
friction_tui lies in is on the path: an `onnx.py` there is not imported, and another environment sees nothing of ours
but this package, which would hide its own TensorRT otherwise."""


def command(module: str, *arguments: str, python: str = "", memory: int = 0, parent: int | None = None) -> list[str]:
    """The command line that runs `main()` of a module of friction_tui in a process of its own.

    `python` is the interpreter of another environment, "" for this one. `memory` limits the address space, in bytes,
    0 for no limit. The process ends with `parent`, by default this process; 0 lets it outlive everybody.
    """
    # -P is new in Python 3.11; the bootstrap does the same for an older interpreter.
    run = [python] if python else [sys.executable, "-P"]
    with_parent = os.getpid() if parent is None else parent
    return [*run, "-c", _BOOTSTRAP, PACKAGE, str(with_parent), str(memory), module, *arguments]


_SCRIPT = """
import ctypes, os, runpy, signal, sys
parent = int(sys.argv[1])
ctypes.CDLL(None).prctl(1, ctypes.c_ulong(signal.SIGKILL))
if os.getppid() != parent:
    os._exit(1)
sys.argv[:] = sys.argv[2:]
runpy.run_path(sys.argv[0], run_name="__main__")
"""


def script(path: Path, *arguments: str) -> list[str]:
    """The command line that runs a script as anybody would: with nothing of ours, but until this process ends."""
    return [sys.executable, "-I", "-c", _SCRIPT, str(os.getpid()), str(path), *arguments]


def environment() -> dict[str, str]:
    """The environment of this process, with no entry in PYTHONPATH that means the current directory."""
    known = dict(os.environ)
    here = [entry for entry in known.pop("PYTHONPATH", "").split(os.pathsep) if os.path.normpath(entry or ".") != "."]
    return {**known, "PYTHONPATH": os.pathsep.join(here)} if here else known


def main() -> None:
    """Run the module that the command line names."""
    parent, memory, module = int(sys.argv[2]), int(sys.argv[3]), sys.argv[4]
    sys.argv[:] = [module, *sys.argv[5:]]
    if parent:
        end_with(parent)
    if memory:
        import resource

        resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    importlib.import_module(module).main()


def end_with(parent: int) -> None:
    """Let this process end when `parent` does, whatever it computes then.

    The kernel does it, which needs no GIL; without such a kernel, or behind a script that stands in for the
    interpreter, a thread looks twice a second.
    """
    starter = os.getppid()
    if starter != parent or not _killed_by_kernel():
        threading.Thread(target=_watch, args=(starter, parent), name="parent watch", daemon=True).start()
    elif os.getppid() != parent:  # it ended before the kernel was asked
        os._exit(1)


def _killed_by_kernel() -> bool:
    """Ask for SIGKILL at the parent's death: prctl(2). "Parent" is the thread that started this process."""
    try:
        import ctypes

        return bool(ctypes.CDLL(None).prctl(_PR_SET_PDEATHSIG, ctypes.c_ulong(signal.SIGKILL)) == 0)
    except (ImportError, OSError, AttributeError):
        return False


def _watch(starter: int, parent: int) -> None:
    while os.getppid() == starter and os.path.exists(f"/proc/{parent}"):  # noqa: PTH110  (pathlib costs more)
        time.sleep(_POLL_S)
    os._exit(1)
