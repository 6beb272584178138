"""One fixture: what a check says of a model, with every kind it speaks of explained."""

from __future__ import annotations

from collections.abc import Callable, Iterable
from pathlib import Path

import onnx
import pytest
from onnx import parser

from friction_tui.kinds import KINDS
from friction_tui.model.opened import from_proto, open_model
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.check import Run
from friction_tui.rules.context import CheckContext
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import Precision, Profile, Recipe, Source

Judge = Callable[..., list[Finding]]


@pytest.fixture
def judge(tmp_path: Path) -> Judge:
    """`judge(check, model)`: the findings of one check; `model` is a path, a proto, or ONNX's text form with a header.

    A text without `<` in front gets IR version 10 and `opset`. `tensors` are added as initializers.
    """

    def run(
        check: Run,
        model: Path | onnx.ModelProto | str,
        *,
        opset: int = 21,
        ir_version: int = 10,
        tensors: Iterable[onnx.TensorProto] = (),
        profile: Profile | None = None,
        precision: Precision = Precision.AS_EXPORTED,
        target: str = "",
    ) -> list[Finding]:
        if isinstance(model, str):
            header = f'<ir_version: {ir_version}, opset_import: ["" : {opset}]>\n'
            model = parser.parse_model(model if model.lstrip().startswith("<") else header + model)
        if isinstance(model, onnx.ModelProto):
            model.graph.initializer.extend(tensors)
        opened = open_model(model) if isinstance(model, Path) else from_proto(model, tmp_path / "model.onnx")
        recipe = Recipe(
            source=Source(str(opened.path)), profile=profile or Profile(), precision=precision, target=target
        )
        found = list(check(CheckContext(opened, recipe, ShapeTable(opened, recipe.profile))))
        for finding in found:
            assert finding.kind in KINDS, f"{finding.kind} has no page"
            assert finding.locations, f"{finding.kind} points nowhere"
            assert finding.fixes, f"{finding.kind} says nothing about what to do"
        return found

    return run


@pytest.fixture
def said() -> Callable[[Iterable[Finding]], str]:
    """Everything findings say, in one string."""

    def text(findings: Iterable[Finding]) -> str:
        return " ".join(
            part for one in findings for part in (one.title, one.cause, *(fix.text for fix in one.fixes), *one.names)
        )

    return text


@pytest.fixture
def loud() -> Callable[[Iterable[Finding]], list[str]]:
    """Kinds of the findings above a note."""
    return lambda findings: [one.kind for one in findings if one.severity is not Severity.NOTE]
