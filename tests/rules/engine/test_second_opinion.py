"""ONNX Runtime and the checker beside TensorRT: what they add to a verdict, and when they say nothing."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from onnx import numpy_helper, parser

from friction_tui.engines import onnxruntime
from friction_tui.kinds import weights
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.rules.engine.second_opinion import (
    claims_to_run,
    confirmed_by_run,
    objections,
    with_second_opinion,
    without_prefix,
)
from friction_tui.vocabulary.finding import Finding, Location, LocationKind, Severity, Tier

RUNTIME, CHECKER = "ONNX Runtime 1.32.0 CPU", "onnx.checker 1.23.2"


def opened(text: str, opset: int = 17) -> OpenedModel:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]> g {text}')
    return from_proto(model, Path("model.onnx"))


def found(node: str, severity: Severity = Severity.ERROR, tier: Tier = Tier.PARSER) -> Finding:
    locations = (Location(LocationKind.NODE, "n", node=node),)
    return Finding(
        kind="operators/unsupported",
        severity=severity,
        tier=tier,
        title="t",
        cause="c",
        source="rule",
        locations=locations,
    )


def alone(model: OpenedModel, *findings: Finding) -> list[Finding]:
    return objections(model, findings, onnxruntime.verdict(model), RUNTIME, CHECKER)


def test_nothing_to_add_to_a_healthy_model() -> None:
    assert alone(opened("(float[2] x) => (float[2] y) { y = Relu(x) }")) == []


def test_the_long_name_of_onnx_s_own_domain_is_healthy() -> None:
    text = '<ir_version: 8, opset_import: ["ai.onnx" : 17]> g (float[2] x) => (float[2] y) { [n] y = ai.onnx.Relu(x) }'
    model = from_proto(parser.parse_model(text), Path("model.onnx"))
    assert alone(model) == []


def test_what_is_explained_gets_a_source_and_no_second_finding() -> None:
    model = opened("(float[2] x) => (float[2] y) { [n] y = Clip <min = 0.0> (x) }")
    known = found("0")
    assert alone(model, known) == []
    (one,) = with_second_opinion([known], onnxruntime.verdict(model), RUNTIME, CHECKER)
    assert one.also == (RUNTIME,)
    assert one.words[0].text.startswith("In Node")


def test_a_limit_of_tensorrt_is_not_a_broken_graph() -> None:
    model = opened("(float[2,2] x) => (float y) { [n] y = Det (x) }")
    (one,) = with_second_opinion([found("0")], onnxruntime.verdict(model), RUNTIME, CHECKER)
    assert "a limit of TensorRT" in one.evidence[0]
    broken = found("0", tier=Tier.MODEL)
    assert with_second_opinion([broken], onnxruntime.verdict(model), RUNTIME, CHECKER) == [broken]


@pytest.mark.parametrize(
    ("text", "kind", "severity"),
    [
        ("(bfloat16[2] x) => (bfloat16[2] y) { [n] y = Mul (x, x) }", "onnxruntime/no-kernel", Severity.NOTE),
        ("(float[2] x) => (float[2] y) { [n] y = trt.Nms (x) }", "onnxruntime/unknown-operator", Severity.NOTE),
        (
            "(float[2,3,4] x, float[1,12,4] w, float[1,12,4] r) => (y) "
            "{ [n] y = GRU <hidden_size = 4, layout = 1> (x, w, r) }",
            "onnxruntime/refuses",
            Severity.WARNING,
        ),
    ],
)
def test_what_it_alone_refuses_is_one_finding_for_all_its_nodes(text: str, kind: str, severity: Severity) -> None:
    model = opened(text)
    if "trt." in text:
        model.proto.opset_import.add(domain="trt", version=1)
    (only,) = alone(model)
    assert (only.kind, only.severity, only.source) == (kind, severity, RUNTIME)
    assert only.names == ("n",)


def test_the_checker_objects_where_no_rule_does() -> None:
    model = opened("(float[2] x) => (float[2] y) { [n] y = Neg (z) [m] z = Relu (x) }")
    (only,) = alone(model)
    assert (only.kind, only.severity, only.source) == ("structure/checker", Severity.WARNING, CHECKER)
    assert only.names == ("n",)
    assert alone(model, found("0", tier=Tier.MODEL)) == []


def test_versions_and_missing_shapes_are_no_objections() -> None:
    model = opened("(float[2] x) => (y) { [n] y = Relu (x) }")
    assert alone(model) == []
    model.proto.ir_version = 99
    assert alone(model) == []


def test_a_message_without_where_our_copy_was() -> None:
    failed = "[ONNXRuntimeError] : 1 : FAIL : "
    assert (
        without_prefix(f"{failed}Load model from /tmp/friction-tui-x/model.onnx failed:Type Error: T")
        == "Type Error: T"
    )
    location = (
        "/onnxruntime_src/onnxruntime/core/lstm.h:53 onnxruntime::LSTM::LSTM(const onnxruntime::OpKernelInfo&, int) "
    )
    assert without_prefix(f"{failed}{location}layout (0) was false.") == "layout (0) was false."


def test_what_a_runtime_lacks_is_one_note_however_many_operators() -> None:
    model = opened("(bfloat16[2] x) => (bfloat16[2] y) { [a] a = Mul (x, x) [b] b = Mul (a, x) [c] y = Neg (b) }")
    (only,) = alone(model)
    assert only.names == ("a", "b", "c")
    assert "no CPU kernel for Mul, Neg with" in only.cause


def test_a_broken_initializer_is_not_reported_again_as_its_reader() -> None:
    model = opened("(float[2] x) => (float[2] y) <float[2] w = {1.0, 2.0}> { [n] y = Mul (x, w) }")
    weight = model.proto.graph.initializer[0]
    weight.ClearField("float_data")
    weight.raw_data = bytes(4)
    verdict = onnxruntime.verdict(model)
    assert "tensor w failed" in verdict.nodes[0].text
    location = Location(LocationKind.INITIALIZER, "w")
    known = Finding(
        kind="structure/cycle",
        severity=Severity.ERROR,
        tier=Tier.MODEL,
        title="t",
        cause="c",
        source="rule",
        locations=(location,),
    )
    assert objections(model, [known], verdict, RUNTIME, CHECKER) == []


def test_a_missing_kernel_is_not_a_second_source() -> None:
    model = opened("(bfloat16[2] x) => (bfloat16[2] y) { [n] y = Mul (x, x) }")
    (one,) = with_second_opinion([found("0")], onnxruntime.verdict(model), RUNTIME, CHECKER)
    assert one.also == ()


def test_a_run_decides_whether_stored_infinities_reach_an_output(tmp_path: Path) -> None:
    """`weights/inf` is an error where an output is not finite, a warning where all are."""
    model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (int64[1] i, float[1,2] x) => (float[1,2] y) { row = Gather (table, i) y = Add (row, x) }""")
    table = np.zeros((3, 2), np.float32)
    cases = ((2, Severity.WARNING, "every output is finite"), (1, Severity.ERROR, "y has NaN or Inf"))
    for row, severity, said in cases:
        del model.graph.initializer[:]
        table[:] = 0
        table[row] = np.inf
        model.graph.initializer.append(numpy_helper.from_array(table, "table"))
        path = tmp_path / f"row{row}.onnx"
        onnx.save(model, path)
        ran = onnxruntime.run_once(open_model(path), {"i": (1,), "x": (1, 2)}, {}, limit_s=60)
        assert ran is not None
        claim = weights.INF.finding(name="table", cause="c.", locations=(), fixes=())
        assert claims_to_run([claim])
        (confirmed,) = confirmed_by_run([claim], ran, RUNTIME)
        assert confirmed.severity is severity
        assert said in confirmed.evidence[-1]


def test_a_run_says_at_which_sizes_a_model_works(tmp_path: Path) -> None:
    model = parser.parse_model("""<ir_version: 8, opset_import: ["" : 17]>
        g (float[n,4] x, int64[1] k) => (float[a,b] y) { y = Reshape (x, two) }""")
    model.graph.initializer.append(numpy_helper.from_array(np.array([2, 4]), "two"))
    path = tmp_path / "model.onnx"
    onnx.save(model, path)
    opened_file = open_model(path)
    works = onnxruntime.run_once(opened_file, {"x": (2, 4), "k": (1,)}, {"k": (3,)}, limit_s=60)
    fails = onnxruntime.run_once(opened_file, {"x": (3, 4), "k": (1,)}, {}, limit_s=60)
    assert works is not None
    assert fails is not None
    assert (works.error, works.not_finite) == ("", ())
    assert "Reshape" in fails.error
