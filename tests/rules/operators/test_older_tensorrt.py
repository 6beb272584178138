"""What only older versions refuse is a note that names the version."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from onnx import numpy_helper

from friction_tui.rules.operators.older_tensorrt import check
from friction_tui.vocabulary.finding import Severity

SCALES = [numpy_helper.from_array(np.array([1, 1, 2, 2], np.float32), "scales")]
RANKS = (
    "g (float[1,2] x, bool c) => (float[a] y) {{ [n] y = If (c) <then_branch = t () => (float[2] a) {{ a = Squeeze "
    "(x) }}, "
    "else_branch = e () => (float[{other}] b) {{ b = Identity (x) }}> }}"
)


@pytest.mark.parametrize(
    ("opset", "graph", "kind", "version"),
    [
        (
            9,
            "g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) { t = Mul (s, s) [n] y = Upsample (x, t) }",
            "older/computed-scales",
            "8.4",
        ),
        (
            13,
            "g (float[1,1,2,2] x, float[4] s) => (float[1,1,4,4] y) { t = Mul (s, s) [n] y = Resize (x, , t) }",
            "older/computed-scales",
            "8.4",
        ),
        (
            13,
            'g (float[1,1,2,2] x) => (float[1,1,4,4] y) { [n] y = Resize <mode = "cubic", exclude_outside = 1> (x, '
            ", scales) }",
            "older/resize-exclude-outside",
            "8.5",
        ),
        (
            21,
            "g (float[1,4,2] x, float[4] s) => (float[1,4,2] y) { [n] y = GroupNormalization <num_groups = 2> (x, "
            "s, s) }",
            "older/group-norm-21",
            "10",
        ),
        (
            18,
            'g (float[4] x, int64[2,1] i, float[2] u) => (float[4] y) { [n] y = ScatterND <reduction = "none"> (x, '
            "i, u) }",
            "older/scatter-reduction-attribute",
            "10",
        ),
        (
            21,
            "g (float[9] x, int64[1] k) => (float[a] y, int64[a] i) { kk = Add (k, k) [n] y, i = TopK (x, kk) }",
            "older/computed-k",
            "8.6",
        ),
        (
            21,
            "g (float[1,1,4,4] x, float[1,2,2,2] grid) => (float[1,1,2,2] y) { [n] y = GridSample (x, grid) }",
            "older/operator-since",
            "8.5",
        ),
        (21, RANKS.format(other="1,2"), "older/if-ranks", "10"),
    ],
)
def test_a_note_names_the_version(opset: int, graph: str, kind: str, version: str, judge: Any, said: Any) -> None:
    (finding,) = judge(check, graph, opset=opset, tensors=SCALES)
    assert (finding.kind, finding.severity) == (kind, Severity.NOTE)
    assert finding.names == ("n",)
    assert f"TensorRT {version}" in said([finding]) or f"before {version}" in said([finding])


@pytest.mark.parametrize(
    ("opset", "graph"),
    [
        (9, "g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Upsample (x, scales) }"),
        (13, "g (float[1,1,2,2] x) => (float[1,1,4,4] y) { y = Resize (x, , scales) }"),
        (
            18,
            "g (float[1,4,2] x, float[2] s) => (float[1,4,2] y) { y = GroupNormalization <num_groups = 2> (x, s, s) }",
        ),
        (18, "g (float[4] x, int64[2,1] i, float[2] u) => (float[4] y) { y = ScatterND (x, i, u) }"),
        (21, RANKS.format(other="2")),
    ],
)
def test_what_every_version_takes_is_left_in_peace(opset: int, graph: str, judge: Any) -> None:
    assert judge(check, graph, opset=opset, tensors=SCALES) == []


def test_int64_beyond_int32_in_arithmetic_and_as_the_end_of_a_slice(judge: Any) -> None:
    huge = numpy_helper.from_array(np.array([9_000_000_000], np.int64), "big")
    zero = numpy_helper.from_array(np.array([0], np.int64), "zero")
    (finding,) = judge(check, "g (int64[4] x) => (int64[4] y) { y = Add (x, big) }", tensors=[huge])
    assert (finding.kind, finding.names) == ("older/int64-range", ("big",))
    assert judge(check, "g (float[4] x) => (float[4] y) { y = Slice (x, zero, big) }", tensors=[huge, zero]) == []
