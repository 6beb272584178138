"""What is said of a graph input: as declared, its ranges and who chose them, its readers."""

from dataclasses import replace

from friction_tui.state.app_state import AppState
from friction_tui.ui.graph.inspector import port_lines
from friction_tui.vocabulary.protocol import Dim, GraphData, ModelSummary, Port
from friction_tui.vocabulary.recipe import History, Profile, Range, Recipe, Source

GRAPH = GraphData(
    names=["x", "s", "conv", "y"],
    ops=["Input", "Input", "Conv", "Output"],
    paths=["<x", "<s", "0", ">y"],
    inputs=[[], [], [0], [2]],
    scopes=[0] * 4,
    scope_table=[()],
    order=[0, 1, 2, 3],
    main=4,
)
INPUTS = (
    Port("x", "float32", (Dim(symbol="N"), Dim(3))),
    Port("s", "int64", (Dim(2),), shape_tensor=True),
)
SUMMARY = ModelSummary(
    path="m.onnx",
    ir_version=8,
    opsets={"": 17},
    producer="",
    inputs=INPUTS,
    outputs=(Port("y", "float32", None),),
    nodes=1,
    initializers=0,
    weights_bytes=0,
    external_bytes=0,
    file_bytes=0,
)


def said(path: str) -> str:
    profile = Profile(ranges={"N": Range(1, 4, 8)}, guessed=("N",))
    history = History(Recipe(source=Source(path="m.onnx"), profile=profile))
    state = replace(AppState(), history=history, summary=SUMMARY, graph=GRAPH)
    lines = port_lines(state, path, 80)
    return "\n".join("".join(text for text, _ in (*line.spans, *line.tail)) for line in lines)


def test_an_input_has_ranges_and_readers() -> None:
    assert said("<x").splitlines() == [
        "decl float32 N × 3",
        "size N  1 · 4 · 8guessed, e edits",
        "read by Conv conv",
    ]


def test_a_shape_tensor_without_values_and_without_readers_says_so() -> None:
    text = said("<s")
    assert "no range yet" in text and "reads it as a shape" in text and "has no effect" in text


def test_an_output_is_declared_only_and_a_node_is_none_of_this() -> None:
    assert said(">y") == "decl float32, rank unknown"
    assert said("0") == ""
