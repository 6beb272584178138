"""From the command to the graph on the screen at 10k nodes, and the memory of the whole process tree at 1 B parameters.

The app runs in a pseudo-terminal of 80×24. `text` is when the first text arrives, `graph` when the first row of the
graph does, `verdict` when the first refused node is marked. Budgets: graph within 0.5 s of the first
text at 10k nodes; 300 MB for the tree (resident, shared pages counted once) with a billion parameters in external data,
at its highest until three seconds after the verdict. Beside it a bare Textual app that shows one word.
"""

from __future__ import annotations

import contextlib
import fcntl
import os
import pty
import select
import statistics
import struct
import subprocess
import sys
import tempfile
import termios
import time
from collections.abc import Sequence
from pathlib import Path

import onnx
import psutil

from benchmarks.machine import machine, row
from benchmarks.models import billion, chain

RUNS = 5
HELLO = """
from textual.app import App
from textual.widgets import Static
class Hello(App):
    def compose(self):
        yield Static("hello")
Hello().run()
"""
REFUSED, PARSED = "✗".encode(), "✓".encode()


def start(command: Sequence[str]) -> tuple[subprocess.Popen[bytes], int]:
    """A process with an 80×24 terminal of its own, and our end of it."""
    ours, theirs = pty.openpty()
    fcntl.ioctl(theirs, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    environment = {**os.environ, "TERM": "xterm-256color", "TEXTUAL_ANIMATIONS": "none"}
    # A controlling terminal: closing it sends SIGHUP, as a dropped ssh line does.
    with_terminal = ["setsid", "--ctty", "--wait", *command]
    process = subprocess.Popen(with_terminal, stdin=theirs, stdout=theirs, stderr=theirs, env=environment)
    os.close(theirs)
    return process, ours


def watch(terminal: int, marks: Sequence[tuple[str, bytes]], limit_s: float = 60) -> dict[str, float]:
    """Seconds until each text was seen."""
    begin, heard = time.perf_counter(), b""
    seen: dict[str, float] = {}
    while len(seen) < len(marks) and time.perf_counter() - begin < limit_s:
        if not select.select([terminal], [], [], 0.2)[0]:
            continue
        try:
            heard += os.read(terminal, 65536)
        except OSError:
            break
        for name, text in marks:
            if name not in seen and text in heard:
                seen[name] = time.perf_counter() - begin
    return seen


def end(process: subprocess.Popen[bytes], terminal: int) -> None:
    """Close the app as a closed terminal would."""
    family = psutil.Process(process.pid).children(recursive=True)
    os.close(terminal)
    _, alive = psutil.wait_procs(family, timeout=5)
    for left in alive:
        print(f"still alive after the terminal closed: {' '.join(left.cmdline())[:100]}")
        left.kill()
    process.wait()


def tree_mb(pid: int) -> dict[str, float]:
    """Proportional set size of each process of a tree, in MB."""
    family = [psutil.Process(pid), *psutil.Process(pid).children(recursive=True)]
    sizes: dict[str, float] = {}
    for process in family:
        arguments = process.cmdline()
        module = next((a.rsplit(".", 1)[-1] for a in arguments if a.startswith("friction_tui.")), "terminal")
        sizes[module] = sizes.get(module, 0) + process.memory_full_info().pss / 1e6
    return sizes


def highest_mb(pid: int, seconds: float) -> dict[str, float]:
    """`tree_mb` at the moment within the next `seconds` when it is highest."""
    highest: dict[str, float] = {}
    end_at = time.perf_counter() + seconds
    while time.perf_counter() < end_at:
        with contextlib.suppress(psutil.NoSuchProcess):  # a child ended while it was looked at
            highest = max(highest, tree_mb(pid), key=lambda sizes: sum(sizes.values()))
        time.sleep(0.1)
    return highest


def main() -> None:
    """Print both figures."""
    print(machine())
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "chain.onnx"
        onnx.save(chain(10_000, 500), str(path))
        app = [sys.executable, "-m", "friction_tui", str(path)]
        marks = (("text", b"Graph"), ("graph", b"layers"), ("verdict", REFUSED))
        timings: dict[str, list[float]] = {"hello": [], "text": [], "graph": [], "verdict": []}
        for _ in range(RUNS):
            process, terminal = start([sys.executable, "-c", HELLO])
            timings["hello"].append(watch(terminal, (("hello", b"hello"),)).get("hello", float("nan")))
            end(process, terminal)
            process, terminal = start(app)
            for name, seconds in watch(terminal, marks).items():
                timings[name].append(seconds)
            end(process, terminal)
        medians = {name: statistics.median(seconds) for name, seconds in timings.items() if seconds}
        widths = (22, 12, 12, 12, 14)
        print(row(("10k nodes, 80x24", "bare hello", "first text", "graph", "verdict"), widths))
        cells = [f"{medians[name]:.2f} s" if name in medians else "never" for name in timings]
        print(row(("seconds from start", *cells), widths))
        model = billion(Path(folder))
        process, terminal = start([sys.executable, "-m", "friction_tui", str(model)])
        seen = watch(terminal, (("verdict", PARSED),))
        sizes = highest_mb(process.pid, 3)
        end(process, terminal)
        parts = ", ".join(f"{name} {size:.0f}" for name, size in sizes.items())
        verdict = seen.get("verdict", float("nan"))
        print(f"1.03 B parameters: verdict after {verdict:.2f} s, {sum(sizes.values()):.0f} MB ({parts})")


if __name__ == "__main__":
    main()
