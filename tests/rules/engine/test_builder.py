"""The builder's messages against the model it was given. The texts are what TensorRT-RTX 1.7.1 and 10 print."""

from __future__ import annotations

from pathlib import Path

import onnx
import pytest

from friction_tui.kinds.engine import MESSAGE
from friction_tui.model.opened import from_proto
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rules.context import CheckContext
from friction_tui.rules.engine.builder import build_findings, message_findings
from friction_tui.vocabulary.finding import EngineWords, Location, LocationKind, Severity, Tier
from friction_tui.vocabulary.protocol import BuildResult
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source

SOURCE = "TensorRT-RTX 1.7.1 builder"


@pytest.fixture
def context(tmp_path: Path) -> CheckContext:
    model = onnx.parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
    g (float[N,4,8] x) => (float[N,4,8] y) {
        ["enc/Relu"] a = Relu (x)
        ["enc/Erf"] b = Erf (a)
        ["enc/Scatter"] c = ScatterElements (b, i, b)
        [aside] d = Neg (a)
        ["dec/Add"] y = Add (c, b)
    }""")
    opened = from_proto(model, tmp_path / "m.onnx")
    profile = Profile(ranges={"N": Range(1, 2, 4)})
    recipe = Recipe(source=Source("m.onnx"), profile=profile)
    return CheckContext(opened, recipe, ShapeTable(opened, profile))


def test_a_foreign_node_is_expanded_worst_first(context: CheckContext) -> None:
    text = "Could not find any implementation for node {ForeignNode[enc/Relu...dec/Add]}."
    (finding,) = message_findings(context, [text], SOURCE)
    assert finding.kind == "engine/foreign-node"
    assert finding.names[0] == "enc/Scatter"
    assert "aside" not in finding.names
    assert "4 nodes" in finding.cause


def test_layer_names_lead_back_to_nodes(context: CheckContext) -> None:
    text = "node_of_z: dec/Add_3 has no runners that implement it In getSupportedFormats"
    (finding,) = message_findings(context, [text], SOURCE)
    assert finding.names == ("dec/Add",)


def test_a_layer_is_at_fault_and_not_who_wrote_its_tensor(context: CheckContext) -> None:
    text = "IShuffleLayer dec/Add: reshaping failed for tensor: b reshape would change volume 8 to 4 In executeReshape"
    (finding,) = message_findings(context, [text], SOURCE)
    assert finding.names == ("dec/Add",)


def test_a_warning_about_a_point_that_cannot_run_is_an_error(context: CheckContext) -> None:
    text = (
        "Profile kMAX values are not self-consistent. dec/Add: dimensions not compatible for elementwise. "
        "Condition '==' violated: 128 != 64."
    )
    (finding,) = message_findings(context, [text], SOURCE, Severity.WARNING)
    assert (finding.severity, finding.tier, finding.names) == (Severity.ERROR, Tier.SHAPES, ("dec/Add",))


def test_a_build_keeps_the_messages_and_leaves_out_the_harmless(context: CheckContext) -> None:
    said = ("Make sure input x has Int64 binding.", "Network must have at least one output")
    raw = tuple(
        MESSAGE.finding(
            outcome="The builder refuses the model",
            cause=text,
            source=SOURCE,
            locations=(Location(LocationKind.MODEL, ""),),
            fixes=(),
            words=(EngineWords(SOURCE, text),),
        )
        for text in said
    )
    (finding,) = build_findings(context, BuildResult(ok=False, source=SOURCE, seconds=1.0, findings=raw))
    assert (finding.kind, finding.words[0].text) == ("structure/no-outputs", said[1])


def test_what_only_a_gpu_can_tell_is_not_an_error(context: CheckContext) -> None:
    text = "Assertion failed: plugin != nullptr: ROIAlign plugin was not found in the plugin registry!"
    (finding,) = message_findings(context, [text], SOURCE)
    assert (finding.kind, finding.severity, finding.tier) == ("engine/needs-gpu", Severity.WARNING, Tier.UNKNOWN)
