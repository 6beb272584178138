"""Kills at random moments: nothing that was started lives on, and a command outlives the processes that it started."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import time
from pathlib import Path

from benchmarks.hardening.running import Ended, Tally, command, environment, marked, run

AFTER_S = 2.0
"""Seconds after which nothing may be left."""
LATEST_S = 5.0
EXPORT_LATEST_S = 20.0
ENDS_WITHIN_S = 300.0
"""Seconds within which a command ends that lost a process."""
CHILD_SHARE = 0.4
"""How often one of its processes is killed instead of the command."""
COMMANDS = (
    *(("check",), ("check", "--build"), ("check", "--also", sys.executable), ("graph",), ("build",), ("precision",)),
    *(("memory",), ("ranges",), ("reduce",), ("report", "-o", "report.html"), ("fix", "-o", "fixed.onnx")),
    *(("compare",), ("compare", "--against", "fp16", "--save", "compared"), ("build", "--builder", "engine_cache=yes")),
    ("fix", "--all", "--cut", "-o", "cut.onnx", "--script", "script.py"),
)
EXPORTS = (("check", "--allow-code"), ("graph", "--allow-code"))
_NET = (
    "import torch\n\n\ndef model():\n"
    "    return torch.nn.Sequential(torch.nn.Linear(4, 4), torch.nn.ReLU()).eval(), (torch.randn(2, 4),)\n"
)


def kills(count: int, seed: int, folder: Path, model: Path) -> Tally:
    """Start commands on `model`, or on a PyTorch source, and kill them, or a process they started, at a random moment.

    At the end a command that is left alone removes the temporary folders of all that were killed.
    """
    tally = Tally("kills at random moments")
    temporary = folder / "temporary"
    temporary.mkdir(parents=True, exist_ok=True)
    (folder / "net.py").write_text(_NET)
    for number in range(seed, seed + count):
        _kill(number, folder, temporary, model, tally)
    run(["check", str(model)], folder, limit_s=ENDS_WITHIN_S, variables={"TMPDIR": str(temporary)})
    if left := sorted(path.name for path in temporary.glob("friction*")):  # torch keeps a cache there
        tally.fail(f"{len(left)} temporary files are left: {left[:5]}")
    return tally


def _kill(number: int, folder: Path, temporary: Path, model: Path, tally: Tally) -> None:
    chance = random.Random(number)
    name, *rest = chance.choice((*COMMANDS, *EXPORTS))
    exports = "--allow-code" in rest
    mark = f"kill-{os.getpid()}-{number}"
    errors = folder / "errors"
    with errors.open("wb") as stream:
        process = subprocess.Popen(
            command(name, "net.py:model" if exports else str(model), *rest),
            env={**environment(folder, mark), "TMPDIR": str(temporary)},
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=stream,
        )
    moment = chance.uniform(0.05, EXPORT_LATEST_S if exports else LATEST_S)
    of_command = chance.random() >= CHILD_SHARE
    what = f"kill {number} of {name} {' '.join(rest)} after {moment:.2f} s"
    victim = process.pid
    try:
        process.wait(moment)
    except subprocess.TimeoutExpired:
        if not of_command:
            victim = chance.choice(sorted(marked(mark)) or [process.pid])
            what += f" ({_name(victim)})"
        _signal(victim, chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
    ended = True
    try:
        process.wait(ENDS_WITHIN_S)
    except subprocess.TimeoutExpired:
        ended = False
        process.kill()
        process.wait()
    left = _left(mark)
    tally.tried += 1
    tally.kinds[
        "a process of it killed" if victim != process.pid else "killed" if process.returncode < 0 else "over"
    ] += 1
    if left:
        tally.fail(f"{what} left {[_name(pid) for pid in left]}")
        for pid in left:
            _signal(pid, signal.SIGKILL)
    if victim != process.pid:
        told = errors.read_text(errors="replace")
        if fault := Ended(process.returncode if ended else None, b"", told).fault():
            tally.fail(f"{what}: {fault}")


def _left(mark: str) -> list[int]:
    """The processes that are still there after the time they have."""
    deadline = time.monotonic() + AFTER_S
    while (left := marked(mark)) and time.monotonic() < deadline:
        time.sleep(0.05)
    return left


def _name(pid: int) -> str:
    """The end of a process's command line, which names its module."""
    try:
        words = Path(f"/proc/{pid}/cmdline").read_bytes().split(b"\0")
    except OSError:
        return "gone"
    return b" ".join(words[-5:]).decode(errors="replace")[-80:]


def _signal(pid: int, number: signal.Signals) -> None:
    try:
        os.kill(pid, number)
    except ProcessLookupError:  # it ended meanwhile
        return
