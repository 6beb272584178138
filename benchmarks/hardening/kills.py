"""Kills at random moments: nothing that was started lives on."""

from __future__ import annotations

import os
import random
import signal
import subprocess
import time
from pathlib import Path

from benchmarks.hardening.running import Tally, command, environment, marked

AFTER_S = 2.0
"""Seconds after which nothing may be left."""
LATEST_S = 5.0
COMMANDS = (("check",), ("graph",), ("build",), ("check", "--build"), ("fix", "-o", "fixed.onnx"), ("precision",))


def kills(count: int, seed: int, folder: Path, model: Path) -> Tally:
    """Start commands on `model` and kill them, or a process they started, at a random moment; SIGTERM now and then."""
    tally = Tally("kills at random moments")
    folder.mkdir(parents=True, exist_ok=True)
    for number in range(seed, seed + count):
        chance = random.Random(number)
        chosen = chance.choice(COMMANDS)
        mark = f"kill-{os.getpid()}-{number}"
        process = subprocess.Popen(
            command(chosen[0], str(model), *chosen[1:]),
            env=environment(folder, mark),
            cwd=folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        moment = chance.uniform(0.05, LATEST_S)
        try:
            process.wait(moment)
        except subprocess.TimeoutExpired:
            process.send_signal(chance.choice((signal.SIGKILL, signal.SIGKILL, signal.SIGTERM)))
        process.wait()
        deadline = time.monotonic() + AFTER_S
        left = marked(mark)
        while left and time.monotonic() < deadline:
            time.sleep(0.05)
            left = marked(mark)
        tally.tried += 1
        tally.kinds["killed" if process.returncode < 0 else "ended before"] += 1
        if left:
            names = [Path(f"/proc/{pid}/cmdline").read_bytes()[-80:] for pid in left if Path(f"/proc/{pid}").exists()]
            tally.fail(f"kill {number} of {chosen[0]} after {moment:.2f} s left {names}")
            for pid in left:
                os.kill(pid, signal.SIGKILL)
    return tally
