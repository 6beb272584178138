"""The picture of a node's surroundings: its lines, followed by eye, are the graph's edges."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from friction_tui.drawing.glyphs import ASCII, UNICODE, Glyphs
from friction_tui.drawing.neighbourhood import MOST, Neighbourhood, neighbourhood
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.roles import Segment
from tests.drawing import graphs

WAYS = {"up": (-1, 0), "down": (1, 0), "left": (0, -1), "right": (0, 1)}
BACK = {"up": "down", "down": "up", "left": "right", "right": "left"}
ENDS = {
    "│": "up down",
    "─": "left right",
    "╭": "down right",
    "╮": "down left",
    "╰": "up right",
    "╯": "up left",
    "├": "up down right",
    "┤": "up down left",
    "┬": "down left right",
    "┴": "up left right",
    "┼": "up down left right",
}


def plain(lines: list[list[Segment]]) -> list[str]:
    return ["".join(text for text, _ in line) for line in lines]


def followed(picture: Neighbourhood) -> set[tuple[int, int]]:
    """Edges (source item, reader item) found by following lines from below each box to above others."""
    grid = plain(picture.lines)
    width = max(map(len, grid))
    grid = [line.ljust(width) for line in grid]
    entering = {(box.line, box.column + at): box.item for box in picture.boxes for at in range(1, box.width - 1)}
    edges = set()
    for box in picture.boxes:
        for column in range(box.column + 1, box.column + box.width - 1):
            if grid[box.line + 2][column] not in "┬┯+":
                continue
            seen, work = set(), [(box.line + 3, column, "down")]
            while work:
                line, at, way = work.pop()
                if (line, at, way) in seen:
                    continue
                seen.add((line, at, way))
                if way == "down" and (line, at) in entering:
                    assert grid[line][at] in "┴┷+", "a line that ends at a border"
                    edges.add((box.item, entering[line, at]))
                    continue
                char = grid[line][at]
                if char in "│|" and way in ("left", "right"):
                    onwards = [way]
                else:
                    onwards = [each for each in ends(grid, line, at) if each != BACK[way]]
                    assert BACK[way] in ends(grid, line, at), "a line that comes from nowhere"
                work += [(line + WAYS[each][0], at + WAYS[each][1], each) for each in onwards]
    return edges


def ends(grid: list[str], line: int, column: int) -> list[str]:
    """The ways a line leaves a cell; in ASCII a `+` leaves wherever a line arrives from there."""
    char = grid[line][column]
    if char != "+":
        return ENDS[{"|": "│", "-": "─"}.get(char, char)].split()
    found = []
    for way, (down, right) in WAYS.items():
        at = column + right
        while right and grid[line][at : at + 1] == "|" and grid[line][at + right : at + right + 1] in ("-", "|", "+"):
            at += right
        there = grid[line + down][at : at + 1] if 0 <= line + down < len(grid) and at >= 0 else ""
        if there and there in ("+-" if right else "+|"):
            found.append(way)
    return found


def check(outline: Outline, item: int, width: int, glyphs: Glyphs) -> Neighbourhood:
    picture = neighbourhood(outline, item, width, glyphs)
    shown = {box.item for box in picture.boxes}
    assert item in shown and len(shown) == len(picture.boxes) <= MOST
    assert all(cell_len(line) <= width for line in plain(picture.lines))
    inputs = outline.graph.inputs
    assert followed(picture) == {(source, reader) for reader in shown for source in inputs[reader] if source in shown}
    return picture


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII], ids=["unicode", "ascii"])
@pytest.mark.parametrize("width", [40, 80, 120])
def test_lines_are_the_edges(width: int, glyphs: Glyphs) -> None:
    for graph in (graphs.inception(2), graphs.llama(1), graphs.unet(2), graphs.densenet([6])):
        outline = Outline(with_order(graph))
        for item in range(0, graph.main, 9):
            check(outline, item, width, glyphs)


@settings(max_examples=40, deadline=None)
@given(st.data(), st.integers(2, 60), st.sampled_from([UNICODE, ASCII]))
def test_lines_of_random_graphs_are_the_edges(data: st.DataObject, size: int, glyphs: Glyphs) -> None:
    chance = data.draw(st.randoms(use_true_random=False))
    b = graphs.Builder()
    for item in range(size):
        b.node("Op", "", chance.sample(range(item), min(item, chance.choice((0, 1, 1, 2, 3)))))
    check(Outline(with_order(b.graph())), chance.randrange(size), chance.choice((30, 80, 160)), glyphs)


def test_what_is_left_out_is_counted() -> None:
    b = graphs.Builder()
    hub = b.node("Conv", "")
    for _ in range(100):
        b.node("Relu", "", (hub,))
    picture = check(Outline(with_order(b.graph())), hub, 80, UNICODE)
    assert f"⇢{101 - len(picture.boxes)}" in "\n".join(plain(picture.lines))


def test_a_cycle_is_counted_not_drawn_upwards() -> None:
    b = graphs.Builder()
    first = b.node("Add", "a", (1,))
    b.node("Relu", "b", (first,))
    outline = Outline(with_order(b.graph()))
    text = "\n".join(plain(neighbourhood(outline, first, 80).lines))
    assert "Add a ⇠1" in text and "Relu b ⇢1" in text
