"""The drawing cannot lie: reading the drawn gutter back gives the graph's edges, no more and no fewer."""

from __future__ import annotations

import random
from collections.abc import Iterator
from pathlib import Path

import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

import sample_models
from friction_tui.drawing.glyphs import ASCII, UNICODE, Glyphs
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.sheets import Sheets
from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import open_model
from friction_tui.vocabulary.protocol import GraphData
from tests.drawing import graphs

Edges = set[tuple[int, int]]
GLYPH = "@"


def drawn_edges(lines: Iterator[tuple[int, str]], glyphs: Glyphs) -> Edges:
    """(source row, reader row) as a person reads them off the gutter, line by line."""
    running: dict[int, int] = {}
    edges: Edges = set()
    for row, line in lines:
        cells, gaps = line[::2], line[1::2]
        read: set[int] = set()
        ended: set[int] = set()
        own = cells.find(GLYPH)
        if own >= 0:
            connected = {own}
            for step in (-1, 1):
                lane = own
                while 0 <= lane + step < len(cells) and gaps[lane + min(step, 0)] == glyphs.across:
                    lane += step
                    connected.add(lane)
            for lane in connected - {own}:
                assert cells[lane] != " ", "a line across stops nowhere"
                if cells[lane] in (*glyphs.on, *glyphs.end):
                    read.add(running[lane])
                if cells[lane] in glyphs.end:
                    ended.add(lane)
            if own in running:
                read.add(running[own])
            loose = {lane for lane, cell in enumerate(cells) if cell in (*glyphs.on, *glyphs.end)} - connected
            assert not loose, "a corner that no line reaches"
        edges.update((source, row) for source in read)
        going_on = {lane for lane, cell in enumerate(cells) if cell in (glyphs.lane, *glyphs.on)} - ended
        started = going_on - running.keys()
        assert not started, "a line out of nowhere"
        running = {lane: source for lane, source in running.items() if lane in going_on}
        if own >= 0:
            running[own] = row
    return edges


def gutters(outline: Outline, sheets: Sheets, frame: int, glyphs: Glyphs) -> Iterator[tuple[int, str]]:
    """The columns of one frame's gutter, of every row in its range."""
    at = outline.rows.frames[frame]
    sheets.prepare(at.first_row, at.last_row)
    first, width = sheets.span(frame)
    for row in range(at.first_row, at.last_row):
        text, column = sheets.gutter(row, GLYPH, glyphs)
        assert (column >= 0) == outline[row].wired
        yield row, text[first : first + width].ljust(width)


def true_edges(outline: Outline, frame: int) -> Edges:
    """Edges between the rows of a frame, from the graph itself."""
    rows = {row for row in range(len(outline)) if outline[row].frame == frame and outline[row].wired}
    shows = {p: row for row in sorted(rows) for p in range(outline[row].first, outline[row].last)}
    edges: Edges = set()
    for position, row in shows.items():
        for source in outline.graph.inputs[outline.graph.order[position]]:
            there = shows.get(outline.position[source])
            if there is not None and (there != row or outline[row].last - outline[row].first == 1):
                edges.add((there, row))
    return edges


def check(outline: Outline, lanes: int, glyphs: Glyphs = UNICODE) -> tuple[int, int]:
    """Compare all frames; the number of edges drawn and far."""
    sheets = Sheets(outline, lanes)
    near = far = 0
    for frame in range(len(outline.rows.frames)):
        drawn = drawn_edges(gutters(outline, sheets, frame, glyphs), glyphs)
        rows = [row for row in range(len(outline)) if outline[row].frame == frame]
        named = {(source, row) for row in rows for source in sheets.far_sources(row)}
        assert named == {(row, reader) for row in rows for reader in sheets.far_readers(row)}
        assert drawn.isdisjoint(named)
        assert drawn | named == true_edges(outline, frame)
        near, far = near + len(drawn), far + len(named)
    return near, far


SAMPLES = {
    "resnet": graphs.resnet(16),
    "llama": graphs.llama(12),
    "inception": graphs.inception(9),
    "unet": graphs.unet(4),
    "densenet": graphs.densenet([6, 12, 24, 16]),
    "control flow": graphs.control_flow(),
}


@pytest.mark.parametrize("lanes", [4, 8, 10, 16])
@pytest.mark.parametrize("name", SAMPLES)
def test_samples_read_back(name: str, lanes: int) -> None:
    outline = Outline(with_order(SAMPLES[name]))
    for depth in (0, 1, 2, None):
        outline.unfold(depth)
        check(outline, lanes, ASCII if depth == 1 else UNICODE)
    check(outline, lanes, ASCII)


def test_most_edges_are_drawn() -> None:
    for name in SAMPLES.keys() - {"densenet"}:  # its blocks read 24 values at once
        outline = Outline(with_order(SAMPLES[name]))
        outline.unfold()
        near, far = check(outline, 8)
        assert far <= 0.2 * near


@pytest.mark.parametrize("name", SAMPLES)
def test_any_folding_reads_back(name: str) -> None:
    outline = Outline(with_order(SAMPLES[name]))
    chance = random.Random(7)
    for step in range(40):
        outline.toggle(chance.randrange(len(outline)))
        check(outline, chance.choice((4, 8, 10, 16)), ASCII if step % 2 else UNICODE)


LIGHT = Path(onnx.__file__).parent / "backend/test/data/light"
REAL = [*sorted(LIGHT.glob("light_[rsi]*.onnx")), *sorted(Path(sample_models.__file__).parent.glob("*.onnx"))]


@pytest.mark.parametrize("path", REAL, ids=lambda path: path.stem)
def test_real_models_read_back(path: Path) -> None:
    outline = Outline(with_order(graph_data(open_model(path))))
    for depth, lanes in ((0, 8), (1, 4), (None, 10)):
        outline.unfold(depth)
        check(outline, lanes, ASCII if lanes == 4 else UNICODE)


def shuffled(graph: GraphData, seed: int) -> GraphData:
    """The same graph with its main items in another order of the file."""
    locations = list(range(graph.main))
    random.Random(seed).shuffle(locations)
    now = {old: new for new, old in enumerate(locations)}

    def moved(values: list[int]) -> list[int]:
        return [now[value] for value in values]

    return GraphData(
        names=[graph.names[old] for old in locations],
        ops=[graph.ops[old] for old in locations],
        paths=[graph.paths[old] for old in locations],
        inputs=[moved(graph.inputs[old]) for old in locations],
        scopes=[graph.scopes[old] for old in locations],
        scope_table=graph.scope_table,
        order=[],
        main=graph.main,
    )


@pytest.mark.parametrize("name", [name for name, graph in SAMPLES.items() if not graph.bodies])
def test_shuffled_files_read_back(name: str) -> None:
    outline = Outline(with_order(shuffled(SAMPLES[name], 3)))
    outline.unfold()
    near, far = check(outline, 8)
    assert far <= near


@st.composite
def random_graphs(draw: st.DrawFn, cyclic: bool = False) -> GraphData:
    """Random wiring under random scopes, which may well read each other in circles."""
    size = draw(st.integers(1, 60))
    chance = draw(st.randoms(use_true_random=False))
    reach = draw(st.sampled_from([3, 10, 60]))
    b = graphs.Builder()
    for item in range(size):
        sources = range(size) if cyclic else range(max(0, item - reach), item)
        inputs = chance.sample(sources, min(len(sources), chance.choice((0, 1, 1, 2, 2, 5))))
        scope = "/".join(chance.choice("abc") + str(chance.randrange(3)) for _ in range(chance.randrange(4)))
        b.node(chance.choice(("Conv", "Relu", "Add", "Concat")), scope, inputs)
    return b.graph()


@settings(max_examples=60, deadline=None)
@given(random_graphs(), st.sampled_from([4, 8, 10, 16]), st.integers(0, 3))
def test_random_graphs_read_back(graph: GraphData, lanes: int, depth: int) -> None:
    ordered = with_order(graph)
    assert sorted(ordered.order) == list(range(len(graph.ops)))
    row = {item: location for location, item in enumerate(ordered.order)}
    assert all(row[source] < row[item] for item, inputs in enumerate(graph.inputs) for source in inputs)
    outline = Outline(ordered)
    outline.unfold(depth)
    check(outline, lanes)


@settings(max_examples=40, deadline=None)
@given(random_graphs(cyclic=True), st.sampled_from([4, 8]))
def test_cycles_are_drawn_as_far_references(graph: GraphData, lanes: int) -> None:
    outline = Outline(with_order(graph))
    assert sorted(outline.graph.order) == list(range(len(graph.ops)))
    for depth in (0, 1, None):
        outline.unfold(depth)
        check(outline, lanes)


def test_long_flat_graphs_read_back_across_sheets() -> None:
    chance = random.Random(11)
    b = graphs.Builder()
    for item in range(3000):
        span = chance.choice((2, 5, 40, 300))
        b.node("Op", "", {max(0, item - chance.randint(1, span)) for _ in range(chance.randint(0, 3))} - {item})
    outline = Outline(with_order(b.graph()))
    for lanes in (4, 8, 16):
        check(outline, lanes)
