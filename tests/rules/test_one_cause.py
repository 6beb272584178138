"""One fault, one finding: what only follows from it, and what is guessed around it, is not reported beside it."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest
from onnx import TensorProto

from friction_tui.vocabulary.finding import Severity
from tests.rules.whole_verdict import Row, floats, verdict

ERROR, WARNING = Severity.ERROR, Severity.WARNING

ONE_CAUSE = {
    "inputs of a newer opset": (
        "schema/too-many-inputs",
        Row(
            "g (float[1,3,4,4] x) => (float[1,3,8,8] y) <float[4] s = {1, 1, 2, 2}> { y = Resize (x, , s) }",
            *(ERROR, "node_of_y", (), {}, 10),
        ),
    ),
    "a split that is an attribute by now": (
        "schema/attribute-became-input",
        Row(
            "g (float[n,16] x) => (float[n,6] a, float[n,10] b) { a, b = Split <axis = 1, split = [6, 10]> (x) }",
            ERROR,
            "",
            (),
        ),
    ),
    "one symbol with two ranges": (
        "profile/same-symbol",
        Row(
            "g (float[n,4] a, float[n,4] b) => (float[n,4] y) { y = Add (a, b) }",
            ERROR,
            "",
            (),
            {"a[0]": (1, 2, 4), "b[0]": (2, 3, 5)},
        ),
    ),
    "scales of another tensor": (
        "quantization/scale-length",
        Row(
            """g (float[1,4,8,8] x) => (float[1,4,6,6] y) {
                q = QuantizeLinear <axis = 0> (w, s, z)
                d = DequantizeLinear <axis = 0> (q, s, z)
                y = Conv (x, d) }""",
            *(ERROR, "node_of_q", (), {}),
            tensors=(("w", floats(4, 4, 3, 3)), ("s", floats(5)), ("z", np.zeros(5, np.int8))),
        ),
    ),
    "a selection in a body": (
        "operators/data-dependent",
        Row(
            """g (float[4,8] x) => (float[4] y) {
                y = Scan <num_scan_inputs = 1, body = b (float[8] row) => (float o) <int64 k = {0}> {
                    at = NonZero (row)
                    f = Cast <to = 1> (at)
                    o = ReduceSum <keepdims = 0> (f) }> (x) }""",
            *(ERROR, "", (), {}, 13),
        ),
    ),
    "an axis that is not there": (
        "quantization/axis-range",
        Row(
            """g (float[1,8] x) => (float[1,8] y) {
                q = QuantizeLinear <axis = 3> (x, s, z)
                y = DequantizeLinear <axis = 3> (q, s, z) }""",
            *(ERROR, "", (), {}),
            tensors=(("s", floats(8)), ("z", np.zeros(8, np.int8))),
        ),
    ),
    "broadcasting from before opset 7": (
        "versions/opset-too-old",
        Row("g (float[2,3] x, float[3] b) => (float[2,3] y) { y = Add <broadcast = 1> (x, b) }", ERROR, "", (), {}, 6),
    ),
    "float8 made and read by a Cast": (
        "operators/low-precision-cast",
        Row(
            "g (float[1,8] x) => (float[1,8] y) { q = Cast <to = 17> (x) y = Cast <to = 1> (q) }", ERROR, "", (), {}, 19
        ),
    ),
    "samples drawn": (
        "operators/sampling",
        Row("g (float[1,16] x) => (float[1,16] y) { y = Bernoulli (x) }", ERROR, "", (), {}),
    ),
}


@pytest.mark.parametrize(("kind", "row"), ONE_CAUSE.values(), ids=ONE_CAUSE)
def test_what_only_follows_from_a_fault_is_not_reported_beside_it(kind: str, row: Row, tmp_path: Path) -> None:
    assert [one.kind for one in verdict(row, tmp_path) if one.severity is not Severity.NOTE] == [kind]


def test_a_damaged_initializer_is_all_that_is_wrong(tmp_path: Path) -> None:
    """Neither its reader's shapes and types nor the parser's message about it are findings of their own."""
    row = Row(
        "g (float[n,64] x) => (float[n,64] y) { y = MatMul (x, w) }", ERROR, "w", (), tensors=(("w", floats(64, 64)),)
    )
    for damage in (TensorProto(dims=[-64, 64]), TensorProto(), TensorProto(dims=[64, 64], data_type=99)):

        def damaged(tensor: TensorProto, damage: TensorProto = damage) -> None:
            del tensor.dims[:]
            tensor.MergeFrom(damage)

        loud = [one for one in verdict(row, tmp_path, edit=damaged) if one.severity is not Severity.NOTE]
        assert [one.kind for one in loud] == ["weights/size-mismatch"], damage


def test_a_guessed_size_that_alone_works_is_reported(tmp_path: Path) -> None:
    """The sequence is declared free and only 16 works: a guess of 16 must not make the model look healthy."""
    row = Row(
        'g (float[n,s,8] x) => (float[n,s,8] y) { ["/vit/Add"] y = Add (x, pos) }',
        WARNING,
        "/vit/Add",
        (),
        {},
        tensors=(("pos", floats(1, 16, 8)), ("unused", floats(1))),
    )
    (found,) = (one for one in verdict(row, tmp_path, guessed=True) if one.severity is not Severity.NOTE)
    assert found.severity is Severity.WARNING
    assert "16" in found.title
