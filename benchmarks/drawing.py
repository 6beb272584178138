"""Time the drawing of synthetic graphs against its budgets.

    python -m benchmarks.drawing [items ...]

One line a graph, medians of several runs in milliseconds of this process's processor time:

* order: with_order plus Outline, everything folded (off the UI thread in the app)
* open all, fold: every scope opened at once; one fold toggled in the fully open graph, screen of 24 rows drawn
* key: a screen drawn again somewhere else in the graph
* search: the slowest of some queries; memory: what graph, outline and gutter keep, in megabytes

Exits 1 when a budget is missed by more than the noise of a shared machine (a factor of two).
"""

from __future__ import annotations

import gc
import random
import statistics
import sys
import time
import tracemalloc
from collections.abc import Callable, Sequence
from functools import partial

from benchmarks.machine import machine
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.search import SearchIndex
from friction_tui.drawing.text import RowText
from friction_tui.vocabulary.protocol import GraphData
from tests.drawing import graphs

RUNS = 7
SCREEN = 24
BUDGET = {
    "order": {1_000: 15, 10_000: 150, 50_000: 700},
    "fold": {1_000: 5, 10_000: 10, 50_000: 50},
    "key": {1_000: 16, 10_000: 16, 50_000: 16},
    "search": {1_000: 10, 10_000: 10, 50_000: 10},
    "memory": {1_000: 100, 10_000: 100, 50_000: 100},
}
QUERIES = ("c", "conv", "layers.3/self_attn", "op:MatMul", "op:Add layer", "no such thing")


def median_ms(work: Callable[[], object], runs: int = RUNS) -> float:
    times = []
    for _ in range(runs):
        begin = time.process_time()
        work()
        times.append((time.process_time() - begin) * 1e3)
    return statistics.median(times)


def draw(text: RowText, top: int) -> None:
    last = min(top + SCREEN, len(text.outline))
    text.prepare(top, last)
    for row in range(top, last):
        text.segments(row, 80)


def measure(graph: GraphData) -> dict[str, float]:
    result = {"order": median_ms(lambda: Outline(with_order(graph)), 3)}
    ordered = with_order(graph)
    gc.collect()
    tracemalloc.start()
    outline = Outline(ordered)
    outline.unfold()
    text = RowText(outline)
    draw(text, len(outline) // 2)
    result["memory"] = tracemalloc.get_traced_memory()[0] / 1e6
    tracemalloc.stop()
    result["open all"] = median_ms(outline.unfold, 3)
    chance = random.Random(0)
    folds = [row for row in range(len(outline)) if outline.opens(row)] or [0]

    def fold() -> None:
        row = chance.choice(folds)
        row = outline.toggle(row)
        draw(text, max(0, row - SCREEN // 2))

    times = []
    for _ in range(RUNS):
        times.append(median_ms(fold, 1))
        outline.unfold()
    result["fold"] = statistics.median(times)
    text.prepare(0, len(outline))
    result["key"] = median_ms(lambda: draw(text, chance.randrange(len(outline))))
    index = SearchIndex(outline)
    result["search"] = max(median_ms(partial(index.find, query)) for query in QUERIES)
    return result


def main(sizes: Sequence[int]) -> int:
    loop = median_ms(lambda: sum(range(2_000_000)), 3)
    print(f"{machine()}; sum(range(2_000_000)) takes {loop:.0f} ms")
    columns = ("order", "open all", "fold", "key", "search", "memory")
    print(f"{'graph':<12}{'items':>8}" + "".join(f"{column:>12}" for column in columns))
    missed = False
    for size in sizes:
        budget = {column: limits.get(size, 0) for column, limits in BUDGET.items()}
        print(f"{'budget':<12}{size:>8}" + "".join(f"{budget.get(column) or '':>12}" for column in columns))
        for kind in ("llama", "resnet", "unet", "inception", "densenet"):
            graph = graphs.sized(kind, size)
            result = measure(graph)
            print(f"{kind:<12}{len(graph.ops):>8}" + "".join(f"{result[column]:>12.1f}" for column in columns))
            missed |= any(0 < 2 * budget[column] < result[column] for column in budget)
    return int(missed)


if __name__ == "__main__":
    sys.exit(main([int(size) for size in sys.argv[1:]] or [1_000, 10_000, 50_000]))
