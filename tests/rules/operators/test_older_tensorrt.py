"""What only older versions refuse is a note that names the version."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnx.parser
import pytest
from onnx import numpy_helper

from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.kinds import older
from friction_tui.kinds.kind import Kind
from friction_tui.model.opened import open_model
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.context import CheckContext
from friction_tui.rules.operators import older_forms
from friction_tui.rules.operators.older_tensorrt import check
from friction_tui.rules.operators.operator_tables import support
from friction_tui.vocabulary.finding import Severity
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source
from tests.kinds.judged import findings_of

RESIZE = "g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) {{ t = Mul (s, s) [n] y = Resize (x, , {}) }}"


@pytest.mark.parametrize(
    ("kind", "version"),
    [
        (older.COMPUTED_SCALES, "before 8.4"),
        (older.COMPUTED_K, "before 8.6"),
        (older.RESIZE_EXCLUDE_OUTSIDE, "before 8.5"),
        (older.GROUP_NORM_21, "TensorRT 10"),
        (older.IF_RANKS, "TensorRT 10"),
        (older.SCATTER_REDUCTION_ATTRIBUTE, "TensorRT 10.0 to 10.7"),
        (older.SCATTER_REDUCTION, "before 10.0"),
        (older.OPERATOR_SINCE, "from TensorRT 8.5 on"),
        (older.INT64_RANGE, "before 9.0"),
        (older.IF_SIZES, "before 10.11"),
        (older.GRID_SAMPLE_MODE, "10.13 to 11.1"),
    ],
    ids=lambda value: value.id if isinstance(value, Kind) else "",
)
def test_a_note_names_the_version(kind: Kind, version: str, tmp_path: Path) -> None:
    (note,) = [one for one in findings_of(kind.shows, tmp_path) if one.kind == kind.id]
    assert version in " ".join(note.cause.split())
    assert any(text.startswith("source: ") for text in note.evidence)


def test_a_note_is_an_error_for_a_version_that_is_required(tmp_path: Path) -> None:
    text = "g (float[4] q) => (float[4] y) { y = Swish (q) }"
    path = tmp_path / "m.onnx"
    path.write_bytes(onnx.parser.parse_model(f'<ir_version: 11, opset_import: ["":24]> {text}').SerializeToString())
    model = open_model(path)
    for required, severity in ((("10.3", "11.4"), Severity.ERROR), (("11.4",), Severity.NOTE), ((), Severity.NOTE)):
        recipe = Recipe(source=Source(str(path)), required_tensorrt=required)
        (found,) = check(CheckContext(model, recipe, ShapeTable(model, recipe.profile)))
        assert found.severity is severity
        assert ("friction.toml requires TensorRT 10.3." in found.cause) is (severity is Severity.ERROR)


TAKEN = {
    "Attention": "g (float16[1,8,4] q) => (float16[1,8,4] y) "
    "{ y = Attention <q_num_heads = 2, kv_num_heads = 2> (q, q, q) }",
    "RMSNormalization": "g (float[1,8,4] q, float[4] s) => (float[1,8,4] y) { y = RMSNormalization (q, s) }",
    "RotaryEmbedding": "g (float[1,2,8,4] q, float[8,2] c, float[8,2] s, int64[1,8] p) => (float[1,2,8,4] y) "
    "{ y = RotaryEmbedding (q, c, s, p) }",
    "TensorScatter": "g (float[1,2,8,4] q, float[1,2,1,4] u, int64[1] i) => (float[1,2,8,4] y) "
    "{ y = TensorScatter (q, u, i) }",
    "Swish": "g (float[4] q) => (float[4] y) { y = Swish (q) }",
    "HannWindow": "g () => (float[a] y) <int64 n = {8}> { y = HannWindow (n) }",
    "STFT": "g (float[1,64,1] x) => (float[a,b,c,d] y) <int64 st = {8}, int64 fl = {16}> { y = STFT (x, st, , fl) }",
    "Hardmax": "g (float[1,4] q) => (float[1,4] y) { y = Hardmax (q) }",
    "IsInf": "g (float[4] q) => (bool[4] y) { y = IsInf (q) }",
    "Slice": "g (float[1,1,4,4] x, int64[1] s) => (float[a,b,c,d] y) <int64[1] z = {0}, int64[1] e = {2}> "
    "{ t = Add (s, s) y = Slice (x, z, e, t) }",
}
"""What came with a later TensorRT, by operator, at opset 24."""

FORMS = {
    "Pow": "g (int64[4] x) => (int64[4] y) <int64 two = {2}> { y = Pow (x, two) }",
    "Einsum": "g (float[2,3,4] x, float[4,5] w) => (float[2,3,5] y) "
    """{ y = Einsum <equation = "...j,jk->...k"> (x, w) }""",
    "GridSample": "g (float[1,1,4,4,4] x, float[1,2,2,2,3] grid) => (float[1,1,2,2,2] y) { y = GridSample (x, grid) }",
}
"""Forms that came later than their operator, at opset 24."""


@pytest.mark.parametrize("op", FORMS)
def test_a_form_that_came_later_is_taken_by_the_installed_one(op: str, judge: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="its parser needs no GPU")
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 11, opset_import: ["":24]> {FORMS[op]}'), path)
    (note,) = judge(older_forms.check, path)
    assert (note.kind, note.severity) == ("older/form-since", Severity.NOTE)
    assert refusals(open_model(path), on_batch=lambda _: None) == []


@pytest.mark.parametrize("op", TAKEN)
def test_what_came_with_a_later_version_is_taken_by_the_installed_one(op: str, judge: Any, tmp_path: Path) -> None:
    pytest.importorskip("tensorrt_rtx", reason="its parser needs no GPU")
    path = tmp_path / "m.onnx"
    onnx.save(onnx.parser.parse_model(f'<ir_version: 11, opset_import: ["":24]> {TAKEN[op]}'), path)
    (note,) = judge(check, path)
    assert (note.kind, note.severity) == ("older/operator-since", Severity.NOTE)
    assert refusals(open_model(path), on_batch=lambda _: None) == []


def test_the_table_and_the_installed_parser_agree_about_every_operator_it_lists() -> None:
    trt = pytest.importorskip("tensorrt_rtx", reason="its parser needs no GPU")
    logger = trt.Logger(trt.Logger.ERROR)
    builder = trt.Builder(logger)
    asked = trt.OnnxParser(builder.create_network(0), logger)
    table = support()
    unknown = {op for op in table.taken - table.rtx_refuses if not asked.supports_operator(op)}
    assert unknown == set(), "taken according to the table, and without an importer here"
    # An importer of these two asks for a plugin, which is not in this edition.
    plugins = {"CausalConvWithState", "LinearAttention"}
    assert {op for op in table.refused if asked.supports_operator(op)} <= plugins


def test_a_one_hot_that_computes_a_shape_is_named_and_one_that_computes_data_is_not(judge: Any) -> None:
    shape = """g (float[n,4] x) => (float[a,b] y) <int64[1] one = {1}, int64[1] at = {0}, int64[1] two = {2}> {
        s = Shape <start = 0, end = 1> (x) v = Concat <axis = 0> (one, s) d = Constant <value_int = 2> ()
        [hot] h = OneHot (at, d, v) r = Reshape (h, two) y = Tile (x, r) }"""
    (note,) = judge(older_forms.check, shape, opset=17, profile=Profile(ranges={"n": Range(2, 3, 4)}))
    assert (note.names, "10.7" in note.cause, "10.8" in note.title) == (("hot",), True, True)
    data = """g (int64[n] x) => (float[n,4] y) <int64 d = {4}, float[2] v = {0, 1}> { [hot] y = OneHot (x, d, v) }"""
    assert judge(older_forms.check, data, opset=17) == []


def test_a_squeeze_without_axes_is_named_on_a_dynamic_input_only(judge: Any) -> None:
    dynamic = "g (float[n,1,4] x) => (float[a,b] y) { [sq] y = Squeeze (x) }"
    (note,) = judge(older_forms.check, dynamic, profile=Profile(ranges={"n": Range(2, 3, 4)}))
    assert (note.names, "11.5" in note.title) == (("sq",), True)
    assert judge(older_forms.check, "g (float[2,1,4] x) => (float[2,4] y) { y = Squeeze (x) }") == []


def test_computed_scales_of_a_resize(judge: Any) -> None:
    scales = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")]
    (note,) = judge(check, RESIZE.format("t"), opset=13, tensors=scales)
    assert (note.kind, note.title, note.names) == ("older/computed-scales", "Resize with computed scales", ("n",))
    assert judge(check, RESIZE.format("scales"), opset=13, tensors=scales) == []


def test_int64_beyond_int32_in_arithmetic_and_as_the_end_of_a_slice(judge: Any) -> None:
    huge = numpy_helper.from_array(np.array([9_000_000_000], np.int64), "big")
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    (finding,) = judge(check, "g (int64[4] x) => (int64[4] y) { y = Add (x, big) }", tensors=[huge])
    assert (finding.kind, finding.names) == ("older/int64-range", ("big",))
    assert judge(check, "g (float[4] x) => (float[4] y) { y = Slice (x, zero, big) }", tensors=[huge, zero]) == []
