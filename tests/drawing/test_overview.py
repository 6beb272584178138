"""The picture of the whole graph: every node in one group, lines forward only, problems where they are."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from friction_tui.drawing.glyphs import ASCII, UNICODE, Glyphs
from friction_tui.drawing.marks import ProblemMark
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.overview import MOST, overview, worst_item
from friction_tui.vocabulary.finding import Severity
from tests.drawing.graphs import Builder


def chain(scopes: list[str]) -> Outline:
    """Nodes one after the other, each in a module; every third reads the input too."""
    made = Builder()
    first = last = made.input("x")
    for at, scope in enumerate(scopes):
        last = made.node("Conv", scope, [last, first] if at % 3 == 0 else [last], f"n{at}")
    return Outline(with_order(made.graph()))


def plain(outline: Outline, width: int, glyphs: Glyphs = UNICODE) -> str:
    return "\n".join("".join(text for text, _ in line) for line in overview(outline, width, glyphs).lines)


def test_groups_say_how_much_they_hold_and_what_is_wrong() -> None:
    outline = chain(["a"] * 8 + ["b"] * 2 + ["c"])
    outline.set_marks({"8": Severity.ERROR, "9": Severity.WARNING, "0": Severity.WARNING})
    shown = plain(outline, 60)
    assert "█ a 8 !1" in shown.replace("▇", "█") and "b 2 ✗1 !1" in shown and "c 1" in shown
    picture = overview(outline, 60)
    b = next(group for group in picture.groups if group.name == "b")
    assert b.worst is ProblemMark.ERROR and outline.graph.paths[worst_item(outline, b)] == "8"
    assert plain(outline, 60, ASCII).isascii()


def test_modules_are_opened_as_far_as_there_is_room() -> None:
    outline = chain([f"net/stage{at // 4}/block{at // 2}" for at in range(16)])
    assert "block7" in plain(outline, 100)
    many = chain([f"net/part{at // 30}/layer{at}" for at in range(120)])
    assert 1 < len(overview(many, 80).groups) <= MOST and "part3" in plain(many, 80)


@settings(deadline=None, max_examples=60)
@given(
    st.lists(st.sampled_from(["", "a", "a/b", "a/c", "d", "d/e/f"]), min_size=1, max_size=150),
    st.integers(16, 120),
    st.sampled_from([UNICODE, ASCII]),
)
def test_every_item_is_in_one_group_and_the_picture_fits(scopes: list[str], width: int, glyphs: Glyphs) -> None:
    outline = chain(scopes)
    picture = overview(outline, width, glyphs)
    covered = [position for group in picture.groups for position in range(group.first, group.last)]
    assert covered == list(range(outline.graph.main)) and len(picture.groups) <= MOST
    assert sum(group.nodes for group in picture.groups) == len(scopes)
    assert {box.item for box in picture.boxes} == set(range(len(picture.groups)))
    assert all(cell_len("".join(text for text, _ in line)) <= width for line in picture.lines)


@pytest.mark.parametrize("count", [1, 12_000])
def test_a_graph_without_modules_has_a_picture_too(count: int) -> None:
    assert f" {count}" in plain(chain([""] * count), 80)
