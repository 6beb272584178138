"""Operators used against their schemas: what opset an attribute belonged to is said, with the way out."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper

from friction_tui.rules.structure.schema import check
from friction_tui.vocabulary.finding import Severity

AXES = numpy_helper.from_array(np.array([1]), "axes")
PADS = numpy_helper.from_array(np.array([1, 1]), "pads")

# Each row: the opset, the kind, the graph, and words that must be said.
BROKEN = [
    (
        13,
        "schema/attribute-became-input",
        "g (float[2,1] x) => (float[2] y) { [n] y = Squeeze <axes = [1]> (x) }",
        ["Squeeze", "axes=[1]", "opset 13", "opset 11", "input", "convert"],
    ),
    (
        13,
        "schema/attribute-became-input",
        "g (float[2] x) => (float[2,1] y) { [n] y = Unsqueeze <axes = [1]> (x) }",
        ["Unsqueeze", "opset 12"],
    ),
    (
        11,
        "schema/attribute-became-input",
        "g (float[2] x) => (float[2] y) { [n] y = Clip <min = 0.0> (x) }",
        ["Clip", "min", "opset 6", "opset 11"],
    ),
    (
        18,
        "schema/attribute-became-input",
        "g (float[2,4] x) => (float[2,1] y) { [n] y = ReduceMax <axes = [1]> (x) }",
        ["ReduceMax", "opset 17"],
    ),
    (
        13,
        "schema/attribute-became-input",
        "g (float[2,4] x) => (float[2,1] y) { [n] y = ReduceSum <axes = [1]> (x) }",
        ["ReduceSum", "opset 12"],
    ),
    (
        13,
        "schema/attribute-became-input",
        "g (float[4] x) => (float[1] y, float[3] z) { [n] y, z = Split <axis = 0, split = [1, 3]> (x) }",
        ["Split", "opset 12"],
    ),
    (
        12,
        "schema/attribute-became-input",
        "g (float[4] x) => (float[4] y) { [n] y = Dropout <ratio = 0.5> (x) }",
        ["Dropout", "ratio", "opset 11"],
    ),
    (
        15,
        "schema/attribute-removed",
        "g (float[1,2,2] x, float[2] s) => (float[1,2,2] y) "
        "{ [n] y = BatchNormalization <spatial = 1> (x, s, s, s, s) }",
        ["spatial", "opset 8", "removed"],
    ),
    (
        13,
        "schema/attribute-removed",
        "g (float[2] x) => (float[2] y) { [n] y = Add <broadcast = 1> (x, x) }",
        ["broadcast", "opset 6"],
    ),
    (
        13,
        "schema/attribute-too-new",
        "g (float[2] x, int64[1] s) => (float[2] y) { [n] y = Reshape <allowzero = 1> (x, s) }",
        ["allowzero", "opset 14"],
    ),
    (
        9,
        "schema/attribute-too-new",
        "g (float[1,2,2] x, float[2] s) => (float[1,2,2] y) "
        "{ [n] y = BatchNormalization <training_mode = 0> (x, s, s, s, s) }",
        ["training_mode", "opset 14"],
    ),
    (
        21,
        "schema/unknown-attribute",
        "g (float[2] x) => (float[2] y) { [n] y = LeakyRelu <aplha = 0.3> (x) }",
        ["aplha", "misspelt", "alpha"],
    ),
    (
        21,
        "schema/unknown-attribute",
        "g (float[2] x) => (float[2] y) { [n] y = Relu <fused = 1> (x) }",
        ["fused", "no attributes"],
    ),
    (
        21,
        "schema/attribute-type",
        "g (float[2] x) => (float[2] y) { [n] y = LeakyRelu <alpha = 1> (x) }",
        ["alpha", "INT", "FLOAT"],
    ),
    (21, "schema/missing-attribute", "g (float[2] x) => (float[2] y) { [n] y = Cast (x) }", ["Cast", "to", "missing"]),
    (21, "schema/missing-attribute", "g (float[2] x) => (float[4] y) { [n] y = Concat (x, x) }", ["Concat", "axis"]),
    (21, "schema/missing-input", "g (float[2] x) => (float[2] y) { [n] y = Add (x) }", ["Add", "input 1", "missing"]),
    (
        11,
        "schema/attribute-became-input",
        "g (float[2] x) => (float[4] y) { [n] y = Pad <pads = [1, 1]> (x) }",
        ["pads", "attribute", "opset 2"],
    ),
    (
        13,
        "schema/too-many-inputs",
        "g (float[2,4] x, int64[1] a) => (float[2,1] y) { [n] y = ReduceMean (x, a) }",
        ["ReduceMean", "opset 18", "axes"],
    ),
    (21, "schema/too-many-inputs", "g (float[2] x) => (float[2] y) { [n] y = Relu (x, x) }", ["Relu", "at most 1"]),
    (
        21,
        "schema/too-many-outputs",
        "g (float[2] x) => (float[2] y, float[2] z) { [n] y, z = Relu (x) }",
        ["Relu", "at most 1"],
    ),
    (
        13,
        "schema/not-in-opset",
        "g (float[2] x) => (float[2] y) { [n] y = LayerNormalization (x, x) }",
        ["LayerNormalization", "opset 17", "opset 13"],
    ),
    (13, "schema/not-in-opset", "g (float[2] x) => (float[2] y) { [n] y = Gelu (x) }", ["Gelu", "opset 20"]),
    (
        11,
        "schema/deprecated",
        "g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) { [n] y = Upsample (x, s) }",
        ["Upsample", "Resize", "opset 10"],
    ),
    (
        11,
        "schema/deprecated",
        "g (float[2] x, int64[2] i) => (float[2] y) { [n] y = Scatter (x, i, x) }",
        ["Scatter", "ScatterElements"],
    ),
]


@pytest.mark.parametrize(
    ("opset", "kind", "graph", "words"), BROKEN, ids=[f"{kind}-{n}" for n, (_, kind, _, _) in enumerate(BROKEN)]
)
def test_each_misuse_is_an_error_with_its_opsets(
    opset: int, kind: str, graph: str, words: list[str], judge: Any, said: Any
) -> None:
    findings = [one for one in judge(check, graph, opset=opset) if one.kind == kind]
    assert len(findings) == 1
    assert findings[0].severity is Severity.ERROR
    assert findings[0].names == ("n",)
    missing = [word for word in words if word not in said(findings)]
    assert not missing, said(findings)


@pytest.mark.parametrize(
    ("opset", "graph", "tensors"),
    [
        (12, "g (float[2,1] x) => (float[2] y) { y = Squeeze <axes = [1]> (x) }", []),
        (13, "g (float[2,1] x) => (float[2] y) { y = Squeeze (x, axes) }", [AXES]),
        (10, "g (float[2] x) => (float[2] y) { y = Clip <min = 0.0, max = 1.0> (x) }", []),
        (11, "g (float[2] x, float lo) => (float[2] y) { y = Clip (x, lo) }", []),
        (11, "g (float[2] x, float hi) => (float[2] y) { y = Clip (x, , hi) }", []),
        (17, "g (float[2,4] x) => (float[2,1] y) { y = ReduceMean <axes = [1]> (x) }", []),
        (18, "g (float[2,4] x) => (float[2,1] y) { y = ReduceMean <keepdims = 1> (x, axes) }", [AXES]),
        (9, 'g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) { y = Upsample <mode = "nearest"> (x, s) }', []),
        (17, "g (float[2] x) => (float[2] y) { y = LayerNormalization (x, x) }", []),
        (11, "g (float[2] x) => (float[4] y) { y = Pad (x, pads) }", [PADS]),
        (21, "g (float[2] x) => (float[2] y, bool[2] m) { y, m = Dropout (x) }", []),
    ],
)
def test_nothing_is_found_where_the_schema_is_kept(
    opset: int, graph: str, tensors: list[TensorProto], judge: Any
) -> None:
    assert judge(check, graph, opset=opset, tensors=tensors) == []


def test_nodes_that_share_a_misuse_are_one_finding(judge: Any) -> None:
    graph = "g (float[2,1] x) => (float[2] y) { [a] z = Squeeze <axes = [1]> (x) [b] y = Squeeze <axes = [1]> (x) }"
    (finding,) = judge(check, graph, opset=13)
    assert finding.names == ("a", "b")


def test_a_function_is_read_by_its_own_opset(judge: Any) -> None:
    text = (
        '<ir_version: 10, opset_import: ["" : 21, "f" : 1]>\n'
        "g (float[2,1] x) => (float[2] y) {{ y = f.flat(x) }}\n"
        '<domain: "f", opset_import: ["" : {opset}]> flat (a) => (b) {{ [in] b = Squeeze <axes = [1]> (a) }}'
    )
    assert judge(check, text.format(opset=12)) == []
    (finding,) = judge(check, text.format(opset=13))
    assert finding.node_paths == ("@f:flat.0",)


def test_nodes_of_a_custom_domain_are_not_judged(judge: Any) -> None:
    text = (
        '<ir_version: 10, opset_import: ["" : 21, "acme" : 1]>\ng (float[2] x) => (float[2] y) { y = acme.Relu '
        "<foo = 1> (x) }"
    )
    assert judge(check, text) == []


def test_two_attributes_that_became_inputs_are_one_finding(judge: Any) -> None:
    graph = "g (float[2] x) => (float[2] y) { [n] y = Clip <min = 0.0, max = 6.0> (x) }"
    (finding,) = judge(check, graph, opset=11)
    assert "min=0.0 and max=6.0" in finding.cause or "max=6.0 and min=0.0" in finding.cause
