"""Element types that do not fit an operator or each other."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.kinds import types
from friction_tui.kinds.kind import Kind
from friction_tui.rules.types.type_constraints import check
from friction_tui.vocabulary.finding import Severity

HEAD = '<ir_version: 10, opset_import: ["" : 21]>\n'
BRANCHES = (
    "g (float[2] x, bool c) => (float[2] y) {{ [n] y = If (c) <then_branch = t () => (float[2] a) {{ a = Neg(x) }}, "
    "else_branch = e () => ({type}[2] b) {{ b = {op} }}> }}"
)

MIXED = [
    (
        "g (float[2] x, int64[2] k) => (float[2] y) { [n] y = Add (x, k) }",
        types.MISMATCH,
        ["float32", "int64", "k", "Cast"],
    ),
    (
        "g (float16[2] x, float[2] k) => (float16[2] y) { [n] y = Mul (x, k) }",
        types.MISMATCH,
        ["float16", "half", "float32"],
    ),
    (
        "g (bool[2] c, int32[2] a, int64[2] b) => (int32[2] y) { [n] y = Where (c, a, b) }",
        types.MISMATCH,
        ["Where", "int32", "int64"],
    ),
    (
        "g (float[2,2] x, double[2,2] w) => (float[2,2] y) { [n] y = MatMul (x, w) }",
        types.MISMATCH,
        ["float64", "double"],
    ),
    ("g (float[2] x, int64[2] k) => (float[4] y) { [n] y = Concat <axis = 0> (x, x, k) }", types.MISMATCH, ["Concat"]),
    ("g (float[2] x) => (float[2] y) { i = Shape (x) [n] y = Mul (x, i) }", types.MISMATCH, ["int64", "float32"]),
    (
        "g (float[4] x, float[1] i) => (float[1] y) { [n] y = Gather (x, i) }",
        types.NOT_ALLOWED,
        ["Gather", "indices", "int64"],
    ),
    (
        "g (float[4] x, int32[1] s) => (float[4] y) { [n] y = Reshape (x, s) }",
        types.NOT_ALLOWED,
        ["Reshape", "shape", "int64"],
    ),
    (
        "g (float[2] c, float[2] x) => (float[2] y) { [n] y = Where (c, x, x) }",
        types.NOT_ALLOWED,
        ["condition", "bool"],
    ),
    ("g (bool[2] x) => (bool[2] y) { [n] y = Relu (x) }", types.NOT_ALLOWED, ["Relu", "bool"]),
    (BRANCHES.format(type="int64", op="Cast <to = 7> (x)"), types.MISMATCH, ["If", "int64", "float32", "then_branch"]),
]


@pytest.mark.parametrize(("graph", "kind", "words"), MIXED)
def test_types_that_clash_are_named_on_both_sides(
    graph: str, kind: Kind, words: list[str], judge: Any, said: Any
) -> None:
    (finding,) = judge(check, HEAD + graph)
    assert finding.kind == kind.id
    assert finding.severity is Severity.ERROR
    assert "n" in finding.names
    missing = [word for word in words if word not in said([finding])]
    assert not missing, said([finding])


@pytest.mark.parametrize(
    "graph",
    [
        "g (float[2] x, int64[2] k) => (float[2] y) { f = Cast <to = 1> (k) y = Add (x, f) }",
        "g (float[2] x, int64[2] k) => (float[2] y) { y = Pow (x, k) }",
        "g (float[2] x) => (float[2] y, int64[1] i) { y, i = TopK (x, k) }",
        "g (float[2] x, float[2] a) => (bool[2] y) { y = Less (x, a) }",
        BRANCHES.format(type="float", op="Abs (x)"),
        "g (float[2] x) => (int8[2] y) { y = QuantizeLinear (x, s, z) }",
        "g (float[2] x, float16[2] like) => (float16[2] y) { y = CastLike (x, like) }",
    ],
)
def test_types_that_fit_give_no_finding(graph: str, judge: Any) -> None:
    tensors = [
        numpy_helper.from_array(np.array([1]), "k"),
        numpy_helper.from_array(np.array(0.1, np.float32), "s"),
        numpy_helper.from_array(np.array(0, np.int8), "z"),
    ]
    assert judge(check, HEAD + graph, tensors=tensors) == []


@pytest.mark.parametrize("where", ["output", "value_info"])
def test_a_false_declaration(where: str, judge: Any) -> None:
    model = parser.parse_model(HEAD + "g (float[2] x) => (float[2] y) { [n] z = Relu (x) y = Neg (z) }")
    if where == "output":
        model.graph.output[0].type.tensor_type.elem_type = TensorProto.INT64
    else:
        model.graph.value_info.append(helper.make_tensor_value_info("z", TensorProto.FLOAT16, [2]))
    (finding,) = judge(check, model)
    assert finding.kind == "types/false-declaration"


def test_a_loop_carries_its_types_into_its_body(judge: Any) -> None:
    body = "b (int64 i, bool c, float[2] s) => (bool d, float[2] t) { d = Identity (c) [n] t = Add (s, i) }"
    graph = "g (float[2] x, int64 m, bool c) => (float[2] y) { y = Loop (m, c, x) <body = " + body + "> }"
    (finding,) = judge(check, HEAD + graph)
    assert finding.node_paths == ("0.body.1",)
