"""How long a verdict takes: every refused node at 1k and 10k nodes, from a worker that is already up.

Beside it, in the same run, what TensorRT's bare parser needs for one parse of the same bytes, which stops at the
first node it cannot import. Budgets: 0.3 s at 1k nodes, 2 s at 10k for the refused nodes; 1 s and 5 s for all checks.
"""

from __future__ import annotations

import asyncio
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

import onnx

from benchmarks.machine import machine, row
from benchmarks.models import chain
from friction_tui.protocol import CheckState, Event, Findings
from friction_tui.recipe import Range, Recipe, Source
from friction_tui.worker.headless import Conversation

RUNS = 5
BARE = """
import sys, time, tensorrt_rtx as trt
data = open(sys.argv[1], "rb").read()
logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
builder = trt.Builder(logger)
times = []
for _ in range(6):
    begin = time.perf_counter()
    network = builder.create_network(0)
    parser = trt.OnnxParser(network, logger)
    parser.parse(data)
    times.append(time.perf_counter() - begin)
print(sorted(times[1:])[2])
"""


async def verdict(path: Path) -> dict[str, float]:
    """Medians in seconds: `first` finding, `refused` nodes complete, `all` checks done."""
    conversation = Conversation()
    figures: dict[str, list[float]] = {"first": [], "refused": [], "all": []}
    recipe = Recipe(source=Source(str(path)))
    for run in range(RUNS + 1):
        seen: dict[str, float] = {}
        begin = time.perf_counter()

        def hear(event: Event, begin: float = begin, seen: dict[str, float] = seen) -> None:
            if isinstance(event, Findings) and event.findings:
                seen.setdefault("first", time.perf_counter() - begin)
            if isinstance(event, Findings) and event.check == "parser" and event.state is CheckState.DONE:
                seen["refused"] = time.perf_counter() - begin

        # A range of its own for each run: nothing may come from a cache.
        await conversation.ask(recipe.with_range("N", Range(1, 2, 8 + run)), on_event=hear)
        seen["all"] = time.perf_counter() - begin
        if run:
            for name, seconds in seen.items():
                figures[name].append(seconds)
    await conversation.close()
    return {name: statistics.median(times) for name, times in figures.items() if times}


def main() -> None:
    """Print a line per model."""
    print(machine())
    widths = (26, 9, 11, 9, 12, 9)
    print(row(("model", "first", "refused", "all", "bare parse", "ratio"), widths))
    with tempfile.TemporaryDirectory() as folder:
        for nodes, bad_every in ((1_000, 0), (1_000, 50), (10_000, 0), (10_000, 50)):
            path = Path(folder) / f"chain{nodes}-{bad_every}.onnx"
            onnx.save(chain(nodes, bad_every), str(path))
            ours = asyncio.run(verdict(path))
            bare = float(subprocess.run([sys.executable, "-c", BARE, path], capture_output=True, check=True).stdout)
            cells = [f"{nodes} nodes, {nodes // bad_every if bad_every else 0} refused"]
            cells += [f"{ours[name]:.3f} s" if name in ours else "none" for name in ("first", "refused", "all")]
            print(row((*cells, f"{bare:.3f} s", f"{ours['all'] / bare:.1f}x"), widths))


if __name__ == "__main__":
    main()
