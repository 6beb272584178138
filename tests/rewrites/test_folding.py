"""What depends on no input is worked out, whatever operator it is; what does depend on one is left."""

from __future__ import annotations

import numpy as np
import pytest

from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.folding import FOLD
from tests.rewrites.mended import check_mends, model_of, path_of

DET = "g (float[n,{size}] x) => (float[n,{size}] y) {{ d = Det(w) y = Mul(x, d) }}"


@pytest.mark.parametrize("size", [3, 120])
def test_a_refused_operator_on_stored_values(size: int) -> None:
    w = np.eye(size, dtype=np.float32)
    after = check_mends(model_of(DET.format(size=size), w=w), FOLD, "Det")
    assert [node.op_type for node in after.graph.node] == ["Mul"]
    assert "w" not in {tensor.name for tensor in after.graph.initializer}


def test_a_chain_that_ends_in_a_refused_operator() -> None:
    text = "g (float[n,6] x) => (float[n,k] y) { a = Abs(w) i = Unique(a) y = Gather<axis=1>(x, i) }"
    after = check_mends(model_of(text, w=np.array([1, -1, 5, 3])), FOLD, "Unique")
    assert [node.op_type for node in after.graph.node] == ["Gather"]


def test_a_body_that_reads_stored_values_from_outside() -> None:
    text = """g (float[n,4] x) => (float[n,4] y) <bool c = {1}> {
        d = If(c) <then_branch = t () => (float d1) { d1 = Det(w) }, else_branch = e () => (float d2) { d2 = Det(w) }>
        y = Mul(x, d) }"""
    check_mends(model_of(text, w=2 * np.eye(4, dtype=np.float32)), FOLD, "If")


def test_an_output_of_the_model_keeps_its_name() -> None:
    text = "g (float[n,4] x) => (float[n,4] y, float d) { d = Det(w) y = Abs(x) }"
    after = check_mends(model_of(text, w=np.eye(4, dtype=np.float32)), FOLD, "Det")
    assert [value.name for value in after.graph.output] == ["y", "d"]


@pytest.mark.parametrize(
    "text",
    [
        "g (float[4,4] w) => (float y) { y = Det(w) }",
        "g (float[n,4] x) => (float[n,4] y) { r = RandomNormal<shape = [4,4]>() d = Det(r) y = Mul(x, d) }",
    ],
)
def test_what_an_input_or_chance_decides_is_left(text: str) -> None:
    model = model_of(text)
    with pytest.raises(CannotRewrite, match="depends on an input"):
        FOLD.run(model, [path_of(model, "Det")])
