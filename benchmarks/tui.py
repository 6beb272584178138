"""What the terminal costs: first paint, and processor time and bytes from a key to the screen, at 50 000 nodes.

    python -m benchmarks.tui [nodes]

Times are processor milliseconds of the app's own process without a terminal, medians of several runs: until the first
update of the screen after a key, for which the budget is 16 ms at 80×24 and 30 ms at 200×60, and in all, with what
follows a little later, such as the line about the row the cursor stays on. Beside them a page of plain rows in a bare
Textual widget. Bytes are what an app in a pseudo-terminal sends per key; the budget at
80×24 is 4 KB for a move of the cursor and 10 KB for a page.
"""

from __future__ import annotations

import asyncio
import os
import select
import statistics
import sys
import time
from typing import ClassVar, NamedTuple

from rich.console import RenderableType
from rich.segment import Segment
from rich.style import Style
from textual import events
from textual.app import App, ComposeResult
from textual.binding import BindingType
from textual.geometry import Size
from textual.screen import Screen
from textual.scroll_view import ScrollView
from textual.strip import Strip

from benchmarks.first_screen import end, start, watch
from friction_tui.drawing.order import with_order
from friction_tui.ui.app import FrictionApp
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import GraphData, GraphReady, Judged, ModelSummary, Opened
from friction_tui.vocabulary.recipe import Recipe, Source

SILENT_WORKER = [sys.executable, "-c", "import sys; sys.stdin.read()"]
RECIPE = Recipe(source=Source(path="/models/large.onnx"))
LAYER = ["Mul", "MatMul", "Add", "Reshape", "Transpose", "Softmax", "MatMul", "Concat", "Gemm", "Add"]
KEYS = (  # name, what the terminal sends, how often it is pressed
    ("unfold all", b"E", 1),
    ("cursor, within the panel", b"\x1b[B", 12),
    ("cursor, past its edge", b"\x1b[B", 20),
    ("page", b"\x1b[6~", 10),
    ("next problem", b"n", 10),
    ("fold", b" ", 6),
)


class Cost(NamedTuple):
    """Processor milliseconds until the screen is updated, and in all."""

    drawn: float
    all: float

    @classmethod
    def whole(cls, start: float) -> Cost:
        """For what is over when it is drawn: the time since `start`."""
        took = (time.process_time() - start) * 1000
        return cls(took, took)


def large_graph(nodes: int) -> GraphData:
    """A decoder of alike layers of 100 nodes, a residual connection around each."""
    ops, names, scopes = ["Input"], ["ids"], [0]
    inputs: list[list[int]] = [[]]
    table: list[tuple[str, ...]] = [()]
    residual = 0
    for at in range(1, nodes):
        layer, inside = divmod(at - 1, 100)
        if inside == 0:
            residual = at - 1
        scope = ("model", f"layers.{layer}", f"block{inside // 20}")
        if table[-1] != scope:
            table.append(scope)
        op = LAYER[inside % len(LAYER)]
        inputs.append([at - 1, residual] if op == "Add" and residual != at - 1 else [at - 1])
        ops.append(op)
        names.append("/".join(("", *scope, f"{op}_{inside}")))
        scopes.append(len(table) - 1)
    paths = ["<ids", *(str(at) for at in range(nodes - 1))]
    graph = GraphData(
        names=names, ops=ops, paths=paths, inputs=inputs, scopes=scopes, scope_table=table, order=[], main=nodes
    )
    return with_order(graph)


def findings(nodes: int) -> list[Finding]:
    """One kind of refusal in every hundredth node."""
    locations = tuple(
        Location(kind=LocationKind.NODE, name=f"n{at}", op="Softmax", node=str(at)) for at in range(50, nodes - 1, 100)
    )
    return [
        Finding(
            kind="operator/refused",
            severity=Severity.ERROR,
            tier=Tier.PARSER,
            title="refused everywhere",
            cause="for the benchmark",
            source="rule",
            locations=locations,
        )
    ]


def summary(nodes: int) -> ModelSummary:
    """Only what the screen needs."""
    return ModelSummary(
        path=RECIPE.source.path,
        ir_version=8,
        opsets={"": 17},
        producer="",
        inputs=(),
        outputs=(),
        nodes=nodes,
        initializers=0,
        weights_bytes=0,
        external_bytes=0,
        file_bytes=0,
    )


async def per_key(app: App[None], keys: list[str]) -> Cost:
    """What a key costs, in processor milliseconds: medians over `keys`, a tenth of a second apart."""
    updates: list[float] = []
    display = app._display

    def displayed(screen: Screen[object], renderable: RenderableType | None) -> None:
        display(screen, renderable)
        updates.append(time.process_time())

    app._display = displayed  # type: ignore[method-assign]
    costs = []
    for key in keys:
        updates.clear()
        start = time.process_time()
        app.post_message(events.Key(key, key if len(key) == 1 else None))
        await asyncio.sleep(0.1)
        end = time.process_time()
        costs.append(((next(iter(updates), end) - start) * 1000, (end - start) * 1000))
    app._display = display  # type: ignore[method-assign]
    return Cost(*map(statistics.median, zip(*costs, strict=True)))


class BareRows(ScrollView, can_focus=True):
    """Rows of as many styles as a graph's, scrolled by the page: what Textual itself costs."""

    BINDINGS: ClassVar[list[BindingType]] = [("pagedown", "page", "")]
    DEFAULT_CSS = "BareRows { overflow-y: auto; border: round white; }"
    STYLES = tuple(Style(color=f"color({number})") for number in range(1, 7))

    def on_mount(self) -> None:
        self.virtual_size = Size(self.app.size.width - 4, 50_000)

    def render_line(self, y: int) -> Strip:
        y += self.scroll_offset.y
        texts = ("│ ├─●", "  Add    ", f"layers.{y}".ljust(30), "N × 4 × 8".rjust(20), " ⣿", " ")
        return Strip([Segment(text, style) for text, style in zip(texts, self.STYLES, strict=True)])

    def action_page(self) -> None:
        below = self.scroll_offset.y + self.size.height - 2
        self.scroll_to(y=below, animate=False, force=True, immediate=True)


class Bare(App[None]):
    def compose(self) -> ComposeResult:
        yield BareRows()


async def bare_page(size: tuple[int, int]) -> Cost:
    app = Bare()
    async with app.run_test(size=size) as pilot:
        app.query_one(BareRows).focus()
        await pilot.pause()
        await per_key(app, ["pagedown"] * 10)
        return await per_key(app, ["pagedown"] * 30)


async def measure(nodes: int, size: tuple[int, int]) -> dict[str, Cost]:
    """What each thing a user does costs at one terminal size."""
    graph, found = large_graph(nodes), findings(nodes)
    app = FrictionApp(RECIPE, worker=SILENT_WORKER, theme="dark")
    took: dict[str, Cost] = {}
    start = time.process_time()
    async with app.run_test(size=size) as pilot:
        took["first paint"] = Cost.whole(start)
        start = time.process_time()
        app.live.hear(Opened(revision=1, summary=summary(nodes), recipe=RECIPE))
        app.live.hear(GraphReady(revision=1, graph=graph))
        app.live.hear(Judged(revision=1, findings=found, seconds=0.1))
        bench = app.workbench
        assert bench is not None
        while bench.graph.outline is None:
            await asyncio.sleep(0.01)
        await pilot.pause()
        took["graph and verdict shown"] = Cost.whole(start)
        await pilot.press("E")
        for name, keys in {
            "a key nobody wants": ["f12"] * 30,
            "cursor": ["down"] * 60,
            "page": ["pagedown"] * 30,
            "next problem": ["n"] * 30,
            "to the module": ["left"],
            "fold and unfold a module": ["space"] * 30,
            "to the model": ["home", "down"],
            "fold and unfold the model": ["space"] * 20,
        }.items():
            took[name] = await per_key(app, keys)
        await pilot.press("slash")
        took["search"] = await per_key(app, list("softmax"))
    return took


def drained(terminal: int, quiet: float = 0.3) -> int:
    """Bytes that arrive until nothing has for `quiet` seconds."""
    heard = 0
    while select.select([terminal], [], [], quiet)[0]:
        heard += len(os.read(terminal, 65536))
    return heard


def sent(nodes: int) -> dict[str, float]:
    """Bytes a key, at 80×24."""
    worker = f"{sys.executable} -m benchmarks.told {nodes}"
    process, terminal = start([sys.executable, "-m", "friction_tui", RECIPE.source.path, "--worker", worker])
    took: dict[str, float] = {}
    try:
        watch(terminal, [("graph", b"layers.0")])
        for name, key, times in KEYS:
            drained(terminal)
            heard = 0
            for _ in range(times):
                os.write(terminal, key)
                heard += drained(terminal)
            took[name] = heard / times
    finally:
        end(process, terminal)
    return took


def main() -> None:
    """Print a table."""
    nodes = int(sys.argv[1]) if len(sys.argv) > 1 else 50_000
    for size in ((80, 24), (200, 60)):
        took = asyncio.run(measure(nodes, size))
        took["a page of a bare widget"] = bare = asyncio.run(bare_page(size))
        print(f"\n{nodes:,} nodes, {size[0]}×{size[1]}: ms to the screen, ms in all")
        for name, cost in took.items():
            print(f"  {name:<26} {cost.drawn:8.1f} {cost.all:8.1f}")
        print(f"  a page, against the bare one {took['page'].drawn / bare.drawn:5.1f}x")
    print(f"\n{nodes:,} nodes, 80×24, in a terminal")
    for name, count in sent(nodes).items():
        print(f"  {name:<26} {count:8,.0f} bytes")


if __name__ == "__main__":
    main()
