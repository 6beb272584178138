"""A row as text: its width, what gives way, and what a hostile name can do."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from rich.cells import cell_len

from friction_tui.drawing.glyphs import ASCII, UNICODE, Glyphs
from friction_tui.drawing.marks import ProblemMark, notes_of
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.print import print_graph
from friction_tui.drawing.roles import Role
from friction_tui.drawing.text import RowText, lanes_for
from friction_tui.drawing.width import cut, cut_middle, visible
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier
from tests.drawing import graphs


def drawn(b: graphs.Builder, width: int, **options: object) -> list[str]:
    outline = Outline(with_order(b.graph()))
    outline.unfold()
    text = RowText(outline, **options)  # type: ignore[arg-type]
    text.prepare(0, len(outline))
    return [text.plain(row, width) for row in range(len(outline))]


NAMES = st.text(st.characters(codec="utf-8"), max_size=40)


@settings(max_examples=60, deadline=None)
@given(st.lists(st.tuples(NAMES, NAMES, NAMES), min_size=1, max_size=6), st.integers(1, 120), st.booleans())
def test_every_row_is_exactly_as_wide_as_asked(rows: list[tuple[str, str, str]], width: int, plain: bool) -> None:
    b = graphs.Builder()
    for name, op, scope in rows:
        b.node(op, scope, range(len(b.ops)), name)
    outline = Outline(with_order(b.graph()))
    outline.set_marks({"0": Severity.ERROR})
    outline.unfold()
    notes = {"0": "why it is refused, at some length"}
    labels = [label for _, _, label in rows]
    text = RowText(outline, lanes=lanes_for(width), glyphs=ASCII if plain else UNICODE, labels=labels, notes=notes)
    for row in range(len(outline)):
        segments = text.segments(row, width)
        line = "".join(piece for piece, _ in segments)
        assert cell_len(line) == width and line.isprintable()
        assert all(one[1] is not other[1] for one, other in pairwise(segments))


def test_what_is_cut_says_so() -> None:
    b = graphs.Builder()
    b.node("Conv", "", (), "a_very_long_name_that_goes_on_and_on_and_ends_in_17")
    (line,) = drawn(b, 40, labels=["1..8 × 3 × 320..640²"])
    assert line.count("…") == 2 and line.endswith("…") and "in_17" in line
    (line,) = drawn(b, 16)
    assert line.endswith("…") or line.count("…") == 1


def test_wide_and_hostile_names() -> None:
    b = graphs.Builder()
    b.node("Relu", "", (), "卷积层")
    b.node("Relu", "", (), "a\x1b[31mred\r\n\u202e")
    first, second = drawn(b, 60)
    assert "卷积层" in first
    assert r"a\x1b[31mred\r\n\u202e" in second


def test_ascii_is_ascii() -> None:
    for line in print_graph(
        graphs.llama(3), {"4": Severity.ERROR}, ["1..8 × 3 × 64²"] * 999, 80, ascii=True, fold="open"
    ):
        assert line.isascii(), line


def test_problems_have_a_symbol_and_a_note() -> None:
    b = graphs.Builder()
    for op in ("NonZero", "Concat", "RoiAlign", "Relu"):
        b.node(op, "", ())
    outline = Outline(with_order(b.graph()))
    outline.set_marks({"0": ProblemMark.ERROR, "1": ProblemMark.WARNING, "2": ProblemMark.UNKNOWN})
    text = RowText(outline, notes={"0": "not in this TensorRT", "3": "unmarked"})
    lines = [text.plain(row, 70) for row in range(4)]
    assert {line.strip()[0] for line in lines} == {"✗", "!", "?", "●"}
    assert sum("✗ not in this TensorRT" in line for line in lines) == 1
    assert not any("unmarked" in line for line in lines)
    roles = {role for row in range(4) for _, role in text.segments(row, 70)}
    assert {Role.GLYPH_ERROR, Role.GLYPH_WARNING, Role.GLYPH_UNKNOWN, Role.GLYPH_OK} <= roles


def test_far_references_name_their_partner() -> None:
    b = graphs.Builder()
    first = b.node("Conv", "", (), "far_source")
    last = b.chain("", b.node("Relu", "", (first,)), *["Relu"] * 120)
    b.output("y", b.node("Add", "", (last, first), "far_reader"))
    lines = drawn(b, 80)
    assert sum("⇢far_reader" in line for line in lines) == 1
    assert sum("⇠far_source" in line for line in lines) == 1


def test_printing_opens_the_way_to_problems_once_for_repeated_modules() -> None:
    graph = with_order(graphs.llama(96))
    marks = {path: Severity.ERROR for path, name in zip(graph.paths, graph.names, strict=True) if "Softmax" in name}
    lines = list(print_graph(graph, marks, width=100))
    assert sum("✗" in line and "Softmax" in line for line in lines) == 1
    assert len(lines) < 300
    assert any("×95" in line and "✗95 in 95/95" in line for line in lines)


@pytest.mark.parametrize("glyphs", [UNICODE, ASCII])
def test_glyphs_are_one_column_and_tell_things_apart(glyphs: Glyphs) -> None:
    marks = (glyphs.error, glyphs.warning, glyphs.unknown)
    nodes = (glyphs.node, glyphs.input, glyphs.output, glyphs.control, glyphs.group)
    lines = (glyphs.lane, glyphs.across, *glyphs.on, *glyphs.end)
    assert len({*marks, *nodes}) == 8 and not {*marks, *nodes} & set(lines)
    assert all(cell_len(char) == 1 for char in (*marks, *nodes, *lines, *glyphs.minimap))


def test_cutting_by_columns() -> None:
    assert cut("卷积层", 4) == "卷…"
    assert cut_middle("model_layers_31_attention", 12) == "model_…ntion"
    assert cut("abc", 3) == "abc" and cut("abcd", 0) == ""
    assert visible("ok é 卷") == "ok é 卷"


def test_a_row_says_the_gravest_thing_about_its_node_without_its_name() -> None:
    def finding(title: str, severity: Severity) -> Finding:
        location = Location(kind=LocationKind.NODE, name="head/Reshape", op="Reshape", node="0")
        return Finding(
            kind="k", severity=severity, tier=Tier.SHAPES, title=title, cause="", source="rule", locations=(location,)
        )

    found = [
        finding("a hazard", Severity.WARNING),
        finding("Reshape head/Reshape works only at N = 1", Severity.ERROR),
        finding("another error", Severity.ERROR),
        finding("a note, which marks nothing", Severity.NOTE),
    ]
    assert notes_of(found) == {"0": "works only at N = 1"}
    assert notes_of(found[3:]) == {}
    assert notes_of([finding("1 × Reshape is not supported", Severity.ERROR)]) == {"0": "is not supported"}
