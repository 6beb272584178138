"""Rows, folds, repeats, marks and the way to a problem."""

from __future__ import annotations

import random

import pytest

from friction_tui.drawing.marks import ProblemMark, Tally, marks_of
from friction_tui.drawing.minimap import minimap
from friction_tui.drawing.order import with_order
from friction_tui.drawing.outline import Outline
from friction_tui.drawing.rows import Kind
from friction_tui.drawing.scopes import display_scopes, readers_of
from friction_tui.drawing.search import SearchIndex
from friction_tui.drawing.text import RowText
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import GraphData
from tests.drawing import graphs


def outline_of(graph: GraphData) -> Outline:
    return Outline(with_order(graph))


def texts(outline: Outline, width: int = 80) -> list[str]:
    text = RowText(outline)
    text.prepare(0, len(outline))
    return [text.plain(row, width) for row in range(len(outline))]


def path_named(outline: Outline, name: str) -> str:
    return outline.graph.paths[outline.graph.names.index(name)]


def test_repeated_layers_share_a_row_and_one_can_be_looked_into() -> None:
    outline = outline_of(graphs.llama(12))
    row = outline.reveal(path_named(outline, "/model/layers.5/mlp/down_proj/MatMul"))
    assert row is not None and outline.path(row) == path_named(outline, "/model/layers.5/mlp/down_proj/MatMul")
    shown = "\n".join(texts(outline))
    assert "layers.0 … layers.4  ×5" in shown
    assert "▾ layers.5" in shown
    assert "layers.6 … layers.11  ×6" in shown


def test_a_repeat_says_how_many_of_its_members_are_bad() -> None:
    outline = outline_of(graphs.llama(96))
    bad = [path_named(outline, f"/model/layers.{k}/self_attn/Softmax") for k in (3, 40)]
    outline.set_marks(dict.fromkeys((*bad, path_named(outline, "/model/layers.40/self_attn/Neg")), Severity.ERROR))
    row = outline.reveal(path_named(outline, "/model/embed_tokens/Gather"))
    line = next(line for line in texts(outline) if "×96" in line)
    assert row is not None and line.endswith("✗3 in 2/96")


def test_marks_in_folds_and_bodies_are_counted_at_every_level() -> None:
    outline = outline_of(graphs.control_flow())
    inner = next(path for path in outline.graph.paths if path.endswith(".body.0"))
    outline.set_marks({inner: ProblemMark.ERROR, "0": ProblemMark.WARNING, "no such path": ProblemMark.ERROR})
    branch = outline.row_of(path_named(outline, "/If"))
    assert branch is not None and outline.tally(branch) == Tally(errors=1)
    assert outline.row_of(inner) == branch
    row = outline.reveal(inner)
    assert row is not None and outline.path(row) == inner and outline.mark(row) is ProblemMark.ERROR


@pytest.mark.parametrize("graph", [graphs.densenet([6, 8]), graphs.control_flow()], ids=["scopes", "bodies"])
def test_toggling_any_row_twice_changes_nothing(graph: GraphData) -> None:
    outline = outline_of(graph)
    outline.unfold()
    before = texts(outline)
    for row in range(len(outline)):
        there = outline.toggle(row)
        assert outline.opens(row) is None or texts(outline) != before
        outline.toggle(there)
        assert texts(outline) == before


@pytest.mark.parametrize("graph", [graphs.unet(4), graphs.llama(6)], ids=["modules", "repeats"])
def test_folding_a_part_gives_the_rows_of_folding_from_nothing(graph: GraphData) -> None:
    outline, fresh = outline_of(graph), outline_of(graph)
    outline.unfold()
    chance = random.Random(5)
    for _ in range(60):
        row = chance.randrange(len(outline))
        outline.toggle(row)
        fresh._folds = outline._folds
        fresh._lay()
        assert outline.rows == fresh.rows


def test_a_small_graph_opens_fully_and_a_large_one_as_far_as_fits() -> None:
    small, large = outline_of(graphs.resnet(2)), outline_of(graphs.llama(96))
    small.unfold_to(60)
    assert not any(outline_kind in (Kind.GROUP, Kind.REPEAT) for outline_kind in small.rows.kind)
    large.unfold_to(120)
    assert 20 < len(large) <= 120


def test_the_filter_hides_shape_only_nodes_but_no_problem() -> None:
    outline = outline_of(graphs.llama(2))
    outline.unfold()
    everything = len(outline)
    outline.set_filter(True)
    assert everything - len(outline) == outline.hidden > 0
    assert any("⋯shape" in line for line in texts(outline))
    shape = path_named(outline, "/model/layers.0/self_attn/Shape")
    row = outline.row_of(shape)
    assert row is None
    outline.set_marks({shape: Severity.ERROR})
    row = outline.row_of(shape)
    assert row is not None and outline.path(row) == shape
    outline.set_filter(False)
    assert len(outline) == everything


def test_position_embeddings_are_not_shape_only() -> None:
    b = graphs.Builder()
    ids = b.input("ids")
    length = b.chain("", ids, "Shape", "Gather")
    positions = b.chain("", length, "Range")
    b.output("y", b.node("Add", "", (ids, positions)))
    outline = outline_of(b.graph())
    outline.set_filter(True)
    assert [outline.graph.ops[outline.item(row)] for row in range(4)] == ["Input", "Range", "Add", "Output"]


def test_functions_called_twice_open_at_each_call() -> None:
    b = graphs.Builder()
    x = b.input("x")
    first = b.node("Norm", "", (x,), "a")
    second = b.node("Norm", "", (first,), "b")
    b.output("y", second)
    b.end_main()
    begun = b.begin_body(first, "Norm")
    b.output("out", b.chain("", b.input("in"), "Sqrt"))
    b.end_body(begun)
    b.owners[second] = [0]
    outline = outline_of(b.graph())
    outline.unfold()
    assert sum("Sqrt" in line for line in texts(outline)) == 2
    sqrt = outline.graph.paths[outline.graph.ops.index("Sqrt")]
    outline.set_marks({sqrt: Severity.ERROR})
    outline.fold_all()
    rows = [row for row in range(len(outline)) if outline.tally(row).errors]
    assert [outline.graph.names[outline.item(row)] for row in rows] == ["a", "b"]


def test_a_function_that_calls_itself_ends() -> None:
    b = graphs.Builder()
    call = b.node("F", "")
    b.end_main()
    begun = b.begin_body(call, "F")
    inner = b.node("F", "")
    b.end_body(begun)
    b.owners[inner] = [0]
    outline = outline_of(b.graph())
    outline.unfold()
    assert len(outline) == 4
    assert outline.reveal(outline.graph.paths[inner]) is not None


def test_bodies_deep_inside_others_leave_room_for_text() -> None:
    b = graphs.Builder()
    owner = b.node("If", "")
    b.end_main()
    for _ in range(30):
        begun = b.begin_body(owner, "then_branch")
        owner = b.node("If", "")
        b.end_body(begun)
    outline = outline_of(b.graph())
    outline.unfold()
    assert all("If" in line or "then_branch" in line for line in texts(outline))


@pytest.mark.parametrize("depth", [3000])
def test_deep_nesting_and_long_chains_do_not_recurse(depth: int) -> None:
    b = graphs.Builder()
    b.chain("/".join(f"m{k}" for k in range(depth)), b.input("x"), *["Relu"] * depth)
    for item in range(depth):
        b.node("Conv", "/".join(f"n{k}" for k in range(item % 40)), (item,))
    outline = outline_of(b.graph())
    outline.unfold()
    assert len(outline) > 2 * depth


def test_an_empty_graph_has_no_rows() -> None:
    outline = outline_of(GraphData([], [], [], [], [], [], [], 0))
    assert len(outline) == 0 and outline.row_of("1") is None
    assert minimap(outline, 3) and SearchIndex(outline).find("x") == []


def test_search_finds_names_and_operators_in_display_order() -> None:
    outline = outline_of(graphs.control_flow())
    index = SearchIndex(outline)
    assert [outline.graph.ops[item] for item in index.find("op:soft")] == ["Softmax", "Softmax"]
    assert [outline.graph.ops[item] for item in index.find("DEC op:MatMul")] == ["MatMul", "MatMul"]
    found = index.find("o")
    assert [outline.rank(item) for item in found] == sorted(outline.rank(item) for item in found)
    assert index.find("") == index.find("op:nothing") == []


def test_the_minimap_shows_where_problems_are_whatever_is_open() -> None:
    outline = outline_of(graphs.resnet(64))
    outline.set_marks(
        {outline.graph.paths[item]: ProblemMark.ERROR for item in range(len(outline.graph.ops) - 20, 400)}
    )
    outline.set_marks(
        {path_named(outline, "/fc/Gemm"): ProblemMark.ERROR, path_named(outline, "/stem/Conv"): ProblemMark.WARNING}
    )
    outline.unfold()
    strip = minimap(outline, 10)
    assert [line[0][0] != " " for line in strip] == [False] * 9 + [True]
    assert [line[1][0] != " " for line in strip] == [True] + [False] * 9


def test_marks_come_from_findings() -> None:
    def finding(severity: Severity, tier: Tier, *locations: Location) -> Finding:
        return Finding(kind="k", severity=severity, tier=tier, title="t", cause="c", source="s", locations=locations)

    marks = marks_of(
        [
            finding(Severity.WARNING, Tier.HAZARD, Location(LocationKind.NODE, "a", node="1")),
            finding(Severity.ERROR, Tier.PARSER, Location(LocationKind.NODE, "a", node="1")),
            finding(Severity.ERROR, Tier.UNKNOWN, Location(LocationKind.NODE, "b", node="2")),
            finding(Severity.NOTE, Tier.HAZARD, Location(LocationKind.NODE, "c", node="3")),
            finding(Severity.ERROR, Tier.SHAPES, Location(LocationKind.INPUT, "x")),
        ]
    )
    assert marks == {"1": ProblemMark.ERROR, "2": ProblemMark.UNKNOWN, "<x": ProblemMark.ERROR}


def test_a_stored_value_passed_on_without_a_module_is_shown_with_what_uses_it() -> None:
    b = graphs.Builder()
    x = b.input("x")
    for layer in range(2):
        weight = b.node("Identity", "", (), name=f"Identity_{layer}")
        x = b.node("MatMul", f"layers.{layer}", (x, weight))
    b.output("y", x)
    graph = b.graph()
    paths = display_scopes(graph, readers_of(graph))
    assert [paths[graph.names.index(f"Identity_{layer}")] for layer in range(2)] == [("layers.0",), ("layers.1",)]
