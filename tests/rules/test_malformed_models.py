"""Whatever is broken about a model, every check ends: one odd node must not cost the verdict on all the others."""

from __future__ import annotations

import random
from collections.abc import Callable
from pathlib import Path

import onnx
import pytest

from friction_tui.model.graph_data import graph_data
from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.summary import summarize
from friction_tui.model.weightless import weightless
from friction_tui.rules.checks import CHECKS
from friction_tui.rules.context import CheckContext
from friction_tui.samples import SAMPLES, sample
from friction_tui.vocabulary.recipe import Recipe, Source

OPERATORS = (
    *("Conv", "Reshape", "Concat", "Gather", "Slice", "Resize", "If", "Loop", "Cast", "TopK", "QuantizeLinear"),
    *("Squeeze", "Einsum", "Scan", "LSTM", "Pad", "Split", "Range", "Tile", "NonZero", "Attention", "NoSuchOp"),
)
ODD = (-(2**62), -5, -1, 0, 3, 9, 2**33, 2**50)


def _operator(node: onnx.NodeProto, graph: onnx.GraphProto, draw: random.Random) -> None:
    node.op_type = draw.choice(OPERATORS)


def _wiring(node: onnx.NodeProto, graph: onnx.GraphProto, draw: random.Random) -> None:
    ends = draw.choice((node.input, node.output))
    names = ["", "nowhere", *(name for other in graph.node for name in (*other.input, *other.output))]
    if ends and draw.random() < 0.4:
        del ends[draw.randrange(len(ends))]
    elif ends:
        ends[draw.randrange(len(ends))] = draw.choice(names)
    else:
        ends.append(draw.choice(names))


def _attribute(node: onnx.NodeProto, graph: onnx.GraphProto, draw: random.Random) -> None:
    for attribute in node.attribute:
        attribute.i = draw.choice(ODD)
        if attribute.ints:
            attribute.ints[draw.randrange(len(attribute.ints))] = draw.choice(ODD)
        if draw.random() < 0.3:
            attribute.type = draw.randrange(15)


def _initializer(node: onnx.NodeProto, graph: onnx.GraphProto, draw: random.Random) -> None:
    for tensor in draw.sample(list(graph.initializer), k=min(1, len(graph.initializer))):
        if draw.random() < 0.5:
            tensor.data_type = draw.randrange(30)
        else:
            tensor.dims.append(draw.choice(ODD))


def _input(node: onnx.NodeProto, graph: onnx.GraphProto, draw: random.Random) -> None:
    port = draw.choice(graph.input).type
    if draw.random() < 0.2:
        port.ClearField("value")
    elif draw.random() < 0.5:
        port.tensor_type.elem_type = draw.randrange(25)
    else:
        port.tensor_type.shape.dim.add().dim_value = draw.choice(ODD)


def _twice(node: onnx.NodeProto, graph: onnx.GraphProto, draw: random.Random) -> None:
    graph.node.add().CopyFrom(node)


MUTATIONS: tuple[Callable[[onnx.NodeProto, onnx.GraphProto, random.Random], None], ...] = (
    _operator,
    _wiring,
    _wiring,
    _attribute,
    _initializer,
    _input,
    _twice,
)


def mutated(seed: int) -> onnx.ModelProto:
    """A sample model with one to four things in it broken at random."""
    draw = random.Random(seed)
    path = sample(draw.choice(list(SAMPLES)))
    assert path is not None
    proto = onnx.load(path)
    for _ in range(draw.choice((1, 1, 2, 4))):
        draw.choice(MUTATIONS)(draw.choice(proto.graph.node), proto.graph, draw)
    if draw.random() < 0.1:
        proto.opset_import[0].version = draw.choice((-3, 0, 1, 6, 9, 30))
    return proto


@pytest.mark.slow
@pytest.mark.parametrize("start", range(0, 240, 40))
def test_every_check_ends_on_every_model(start: int, tmp_path: Path) -> None:
    failed = []
    for seed in range(start, start + 40):
        model = from_proto(mutated(seed), tmp_path / "model.onnx")
        profile = default_profile(model)
        recipe = Recipe(source=Source(str(model.path)), profile=profile)
        summarize(model)
        graph_data(model)
        weightless(model.proto, tmp_path)
        context = CheckContext(model, recipe, ShapeTable(model, profile), None, "TensorRT-RTX 1.7.1", rtx=True)
        for check in CHECKS:
            try:
                list(check(context))
            except Exception as error:
                failed.append(f"seed {seed}: {check.name}: {type(error).__name__}: {error}")
    assert not failed, "\n".join(failed)


ENDLESS = """g (float[2] x) => (float[2] y) { y = f.one (x) }
<domain: "f", opset_import: ["" : 21, "f" : 1]> one (a) => (b) { b = f.two (a) }
<domain: "f", opset_import: ["" : 21, "f" : 1]> two (a) => (b) { b = f.one (a) }"""
PERMUTATIONS = """g (float[1,2,3] x) => (float[?] y) {
    a = Transpose <perm = [0, 7, 2]> (x)
    y = Transpose <perm = [0, 2, 9]> (a) }"""


@pytest.mark.parametrize(
    ("text", "opset"), [(ENDLESS, 21), (PERMUTATIONS, 17), ("g (float[2] x) => (float[2] y) { y = Relu (x) }", 2**40)]
)
def test_what_random_damage_seldom_makes(text: str, opset: int, tmp_path: Path) -> None:
    """Functions that call each other, axes that are not there, an opset that takes more than 32 bits."""
    domains = '"" : 21, "f" : 1' if "f.one" in text else '"" : 17'
    proto = onnx.parser.parse_model(f"<ir_version: 10, opset_import: [{domains}]>\n{text}")
    proto.opset_import[0].version = opset
    model = from_proto(proto, tmp_path / "model.onnx")
    context = CheckContext(
        model, Recipe(source=Source("m")), ShapeTable(model, default_profile(model)), (), "TensorRT-RTX 1.7.1"
    )
    for check in CHECKS:
        list(check(context))
