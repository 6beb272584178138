"""Taking out a Squeeze: outputs keep what they declare, those behind it get the shapes that follow."""

from __future__ import annotations

import onnx
import pytest

from friction_tui.rewrites.shapes import DROP_SQUEEZE
from tests.rewrites.mended import Answer, built, model_of, rewritten

AXES = "<int64[1] axes = {0}>"


def declared(proto: onnx.ModelProto) -> list[list[int | str]]:
    shapes = [value.type.tensor_type.shape for value in proto.graph.output]
    return [[dim.dim_param or dim.dim_value for dim in shape.dim] for shape in shapes]


@pytest.mark.parametrize(
    ("text", "shapes"),
    [
        (f"g (float[n,4] x) => (float[a] y) {AXES} {{ y = Squeeze(x, axes) }}", [["n", 4]]),
        (f"g (float[n,4] x) => (float[a] y) {AXES} {{ s = Squeeze(x, axes) y = Abs(s) }}", [["n", 4]]),
        (
            f"g (float[n,4] x, float[m,7] z) => (float[a] y, float[m,7] w) {AXES} {{ s = Squeeze(x, axes) y = Neg(s) "
            "w = Abs(z) }",
            [["n", 4], ["m", 7]],
        ),
    ],
)
def test_outputs_declare_their_shapes(text: str, shapes: list[list[int | str]]) -> None:
    after = rewritten(model_of(text), DROP_SQUEEZE, "Squeeze")
    assert declared(after) == shapes
    assert built(after) == Answer("ok", "")
