"""Profiles TensorRT would refuse, or drop silently."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import msgspec
import onnx
import pytest

from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.context import CheckContext
from friction_tui.rules.shapes.profiles import check
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source, Values

Judge = Callable[..., list[Finding]]
ONE = "g (float[N,4] x) => (float[N,4] y) { y = Relu (x) }"
TWO = "g (float[N,4] x, float[N,4] z) => (float[N,4] y) { y = Add (x, z) }"
FIXED = "g (float[4,4] x) => (float[4,4] y) { y = Relu (x) }"


@pytest.mark.parametrize(
    ("graph", "profile", "kind", "severity", "names"),
    [
        (ONE, Profile(ranges={"N": Range(4, 2, 8)}), "unordered", Severity.ERROR, ("x",)),
        (ONE, Profile(ranges={"N": Range(-1, 2, 8)}), "negative", Severity.ERROR, ("x",)),
        (ONE, Profile(ranges={"N": Range(0, 2, 8)}), "zero-length", Severity.NOTE, ("x",)),
        (FIXED, Profile(ranges={"x[0]": Range(1, 2, 8)}), "static-size", Severity.ERROR, ("x",)),
        (
            TWO,
            Profile(ranges={"x[0]": Range(1, 2, 4), "z[0]": Range(1, 3, 4)}),
            "same-symbol",
            Severity.ERROR,
            ("x", "z"),
        ),
        (
            TWO,
            Profile(ranges={"x[0]": Range(1, 2, 4), "z[0]": Range(1, 2, 8)}),
            "same-symbol",
            Severity.WARNING,
            ("x", "z"),
        ),
        (
            "g (float[N,4] x, float[4,M] z) => (float[N,M] y) { y = MatMul (x, z) }",
            Profile(ranges={"N": Range(1, 2, 4), "M": Range(1, 2, 3)}, guessed=("M",)),
            "missing-range",
            Severity.WARNING,
            ("z",),
        ),
        (
            ONE,
            Profile(ranges={"N": Range(1, 2, 4), "image[0]": Range(1, 1, 1)}),
            "unknown-key",
            Severity.ERROR,
            ("image",),
        ),
    ],
)
def test_a_bad_profile_is_named(
    graph: str, profile: Profile, kind: str, severity: Severity, names: tuple[str, ...], judge: Judge
) -> None:
    (finding,) = judge(check, graph, profile=profile)
    assert (finding.kind, finding.severity, finding.names) == (f"profile/{kind}", severity, names)


def test_no_profile_for_a_dynamic_model(tmp_path: Path) -> None:
    header = '<ir_version: 10, opset_import: ["" : 21]>\n'
    for graph, expected in ((ONE, ["profile/missing"]), (FIXED, [])):
        model = from_proto(onnx.parser.parse_model(header + graph), tmp_path / "m.onnx")
        recipe = Recipe(source=Source("m.onnx"), profile=None)
        found = list(check(CheckContext(model, recipe, ShapeTable(model, None))))
        assert [one.kind for one in found] == expected
        assert all("--minShapes=x:Nx4" in one.fixes[0].text for one in found)


def test_a_shape_tensor_needs_values(judge: Judge) -> None:
    graph = "g (float[4,4] x, int64[2] size) => (float[a,b] y) { y = Reshape (x, size) }"
    (finding,) = judge(check, graph)
    assert (finding.kind, finding.names, finding.severity) == ("profile/shape-values", ("size",), Severity.ERROR)
    given = Profile(values={"size": Values((2, 4), (4, 4), (4, 8))})
    assert judge(check, graph, profile=given) == []
    (finding,) = judge(check, graph, profile=msgspec.structs.replace(given, guessed=("size",)))
    assert finding.severity is Severity.WARNING


def test_values_of_a_shape_tensor_rise(judge: Judge) -> None:
    graph = "g (float[4,4] x, int64[2] size) => (float[a,b] y) { y = Reshape (x, size) }"
    (finding,) = judge(check, graph, profile=Profile(values={"size": Values((2, 8), (4, 4), (8, 2))}))
    assert (finding.kind, finding.severity) == ("profile/values-unordered", Severity.ERROR)
    assert "entry 1 is 8 · 4 · 2" in finding.cause


def test_sizes_the_model_fixes_are_one_finding(judge: Judge) -> None:
    graph = "g (float[1,3,640,640] x) => (float[1,3,640,640] y) { y = Relu (x) }"
    ranges = {"x[0]": Range(1, 4, 8), "x[2]": Range(320, 640, 640), "x[3]": Range(640, 640, 640)}
    (finding,) = judge(check, graph, profile=Profile(ranges=ranges))
    assert (finding.kind, finding.names) == ("profile/static-size", ("x",))
    assert "axis 0 is fixed at 1" in finding.cause
    assert "axis 2 is fixed at 640" in finding.cause
    assert "axis 3" not in finding.cause


def test_a_complete_profile_is_quiet(judge: Judge) -> None:
    assert judge(check, TWO, profile=Profile(ranges={"N": Range(1, 2, 4)})) == []
    assert judge(check, ONE, profile=Profile(ranges={"N": Range(1, 2, 4)}, guessed=("N",))) == []
