"""How long a verdict takes at 1k and 10k nodes, from a worker that is already up, and how long an edit of a range.

    python -m benchmarks.verdicts

`first` finding, `refused` (TensorRT's parser has said all it refuses) and `all` checks, in seconds of wall time since
the model was opened; `edit` is all checks after a change of one range; `cpu` what opening took of the processors,
parser's process included, which other work on the machine changes least. Medians of several runs, no result is ever
in a cache. Budgets: 0.3 s at 1k and 2 s at 10k for the refused nodes, 1 s and 5 s for all, 0.3 s for the first.

Beside them, in the same run, what TensorRT's bare parser needs for one parse of the chain without refused nodes (with
them it stops before it imports anything), and the ratio of `refused` to that.
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
import psutil

from benchmarks.machine import machine, row
from benchmarks.models import chain
from friction_tui.vocabulary.protocol import Apply, CheckState, Event, Findings, Judged, Open, Opened
from friction_tui.vocabulary.recipe import Range, Recipe, Source
from friction_tui.worker.client import WorkerClient

RUNS = 5
BARE = """
import statistics, sys, time, tensorrt_rtx as trt
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
print(statistics.median(times[1:]))
"""
COLUMNS = ("first", "refused", "all", "edit", "cpu")


class Worker:
    """A worker and a clock."""

    def __init__(self) -> None:
        self._events: asyncio.Queue[Event] = asyncio.Queue()
        self._client = WorkerClient(self._events.put_nowait)
        self._revision = 0
        self.recipe: Recipe | None = None

    async def start(self) -> None:
        """Wait until it says hello, and until its parser is up."""
        await self._client.start()
        await self._events.get()
        await asyncio.sleep(1)

    async def close(self) -> None:
        """End it."""
        await self._client.close()

    async def time(self, recipe: Recipe, request: type[Open] | type[Apply]) -> dict[str, float]:
        """Seconds until the first finding, all refused nodes and all checks."""
        self._revision += 1
        seen: dict[str, float] = {}
        cpu, begin = self._cpu_s(), time.perf_counter()
        self._client.send(request(revision=self._revision, recipe=recipe))
        while True:
            event = await self._events.get()
            now = time.perf_counter() - begin
            if getattr(event, "revision", 0) != self._revision:
                continue
            if isinstance(event, Opened):
                self.recipe = event.recipe
            if isinstance(event, Findings) and event.findings:
                seen.setdefault("first", now)
            if isinstance(event, Findings) and event.check == "parser" and event.state is CheckState.DONE:
                seen["refused"] = now
            if isinstance(event, Judged):
                return {**seen, "all": now, "cpu": self._cpu_s() - cpu}

    def _cpu_s(self) -> float:
        worker = psutil.Process(self._client.pid)
        times = [process.cpu_times() for process in (worker, *worker.children())]
        return float(sum(one.user + one.system for one in times))


async def verdict(path: Path) -> dict[str, float]:
    """Medians in seconds."""
    worker = Worker()
    await worker.start()
    figures: dict[str, list[float]] = {name: [] for name in COLUMNS}
    recipe = Recipe(source=Source(str(path)))
    for run in range(RUNS + 1):
        opened = await worker.time(recipe.with_range("N", Range(1, 2, 8)), Open)
        assert worker.recipe is not None
        edited = await worker.time(worker.recipe.with_range("N", Range(1, 2, 9)), Apply)
        if run:
            for name, seconds in {**opened, "edit": edited["all"]}.items():
                figures[name].append(seconds)
    await worker.close()
    return {name: statistics.median(times) for name, times in figures.items() if times}


def bare_s(path: Path) -> float:
    """Seconds of one bare parse, median of several."""
    return float(subprocess.run([sys.executable, "-c", BARE, path], capture_output=True, check=True).stdout)


def main() -> None:
    """Print a line per model."""
    print(machine())
    widths = (26, *(9 for _ in COLUMNS), 12, 9)
    print(row(("model", *COLUMNS, "bare parse", "ratio"), widths))
    with tempfile.TemporaryDirectory() as folder:
        for nodes in (1_000, 10_000):
            clean = Path(folder) / f"clean{nodes}.onnx"
            onnx.save(chain(nodes), str(clean))
            refused = Path(folder) / f"refused{nodes}.onnx"
            onnx.save(chain(nodes, 50), str(refused))
            for path, count in ((clean, 0), (refused, nodes // 50)):
                ours, bare = asyncio.run(verdict(path)), bare_s(clean)
                cells = [f"{ours[name]:.3f} s" if name in ours else "none" for name in COLUMNS]
                ratio = f"{ours['refused'] / bare:.1f}x"
                print(row((f"{nodes} nodes, {count} refused", *cells, f"{bare:.3f} s", ratio), widths))


if __name__ == "__main__":
    main()
