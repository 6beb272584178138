"""Row labels over the ranges, symbolic dims, and what an edit recomputes."""

from __future__ import annotations

import gc
import weakref
from pathlib import Path

import pytest
from onnx import parser

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes import point_shapes
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.model.shapes.symbolic import infer_symbolic
from friction_tui.vocabulary.recipe import Profile, Range


def model_of(text: str) -> OpenedModel:
    return from_proto(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}'), Path("model.onnx"))


IMAGE = """g (float[N,3,H,W] x) => (float y, float flat, float total, float odd) <int64[3] k = {0, 3, -1}>
{
    half = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
    y = Concat <axis = 1> (half, half)
    flat = Reshape(x, k)
    total = ReduceSum <keepdims = 0> (x)
    nz = NonZero(x)
    odd = Transpose(nz)
}"""


def test_labels_name_symbols_multiples_and_ranges() -> None:
    ranges = {"N": Range(1, 4, 8), "H": Range(64, 96, 160), "W": Range(32, 100, 256)}
    table = ShapeTable(model_of(IMAGE), Profile(ranges=ranges))
    assert table.label("x") == "N × 3 × H × W"
    assert table.label("y") == "N × 6 × H/2 × W/2"
    assert table.label("flat") == "N × 3 × 2048..40960"
    assert table.label("total") == "scalar"
    assert table.label("odd") == "? × 4"
    assert table.label("nowhere") == ""


def test_symbols_with_the_same_range_are_told_apart_only_by_symbolic_inference() -> None:
    ranges = {"N": Range(1, 4, 8), "H": Range(64, 128, 256), "W": Range(64, 128, 256)}
    model = model_of(IMAGE)
    assert ShapeTable(model, Profile(ranges=ranges)).label("x") == "N × 3 × 64..256²"
    assert ShapeTable(model, Profile(ranges=ranges)).symbolic("y") is None
    infer_symbolic(model)
    table = ShapeTable(model, Profile(ranges=ranges))
    assert table.symbolic("y") is not None
    assert table.label("half").startswith("N × 3 × ")


def test_an_edit_recomputes_only_the_points_it_changes(monkeypatch: pytest.MonkeyPatch) -> None:
    followed: list[str] = []
    follow = point_shapes._follow

    def counted(*arguments: object) -> object:
        followed.append(str(arguments[3]))
        return follow(*arguments)  # type: ignore[arg-type]

    monkeypatch.setattr(point_shapes, "_follow", counted)
    model = model_of("g (float[N,4] x) => (float y) { y = Relu(x) }")
    for chosen in (Range(1, 4, 8), Range(1, 4, 16)):
        table = ShapeTable(model, Profile(ranges={"N": chosen}))
        assert [table.at(point).types["y"].dims for point in ("min", "opt", "max")] == [
            (chosen.min, 4),
            (chosen.opt, 4),
            (chosen.max, 4),
        ]
    assert followed == ["min", "opt", "max", "max"]
    assert table.probe({"x": (4, 4)}).types["y"].dims == (4, 4)
    assert len(followed) == 4


def test_what_is_remembered_with_a_model_goes_with_it() -> None:
    model = model_of(IMAGE)
    assert ShapeTable(model, Profile(ranges={"N": Range(1, 4, 8)})).opt.types
    gone = weakref.ref(model)
    del model
    gc.collect()
    assert gone() is None
