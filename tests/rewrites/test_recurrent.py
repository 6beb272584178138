"""Initial states of recurrent layers that were exported for one batch size."""

from __future__ import annotations

import numpy as np
import pytest

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.recurrent import initial_state
from tests.rewrites.mended import Answer, built, difference, model_of, ran, rewritten


def layer(op: str, states: dict[str, np.ndarray], *, gates: int, batch: str = "n", directions: int = 1) -> OpenedModel:
    rng = np.random.default_rng(3)
    given = ", ".join(["x", "w", "r", "", "", *states])
    way = "bidirectional" if directions == 2 else "forward"
    attributes = f'hidden_size = 4, direction = "{way}"'
    w, r = (rng.standard_normal((directions, gates * 4, size)).astype(np.float32) for size in (6, 4))
    text = f"g (float[7,{batch},6] x) => (float[s,d,b,h] y) {{ y = {op} <{attributes}> ({given}) }}"
    return model_of(text, opset=17, w=w, r=r, **states)


def sequence(batch: int) -> dict[str, np.ndarray]:
    return {"x": np.random.default_rng(batch).standard_normal((7, batch, 6)).astype(np.float32)}


@pytest.mark.parametrize(("op", "gates", "names"), [("RNN", 1, "h"), ("GRU", 3, "h"), ("LSTM", 4, "hc")])
def test_zeros_are_left_out(op: str, gates: int, names: str) -> None:
    model = layer(op, {name: np.zeros((1, 2, 4), np.float32) for name in names}, gates=gates)
    after = rewritten(model, initial_state, op)
    assert len(after.graph.node[-1].input) == 3
    assert built(after) == Answer("ok", "")
    assert difference(ran(model.proto, sequence(2)), ran(after, sequence(2))) == 0
    assert ran(after, sequence(5))[0].shape == (7, 1, 5, 4)


def test_one_learned_row_is_expanded_for_both_directions() -> None:
    row = np.random.default_rng(0).standard_normal((2, 1, 4)).astype(np.float32)
    model = layer("GRU", {"h": np.repeat(row, 3, axis=1)}, gates=3, directions=2)
    after = rewritten(model, initial_state, "GRU")
    assert built(after) == Answer("ok", "")
    assert difference(ran(model.proto, sequence(3)), ran(after, sequence(3))) == 0
    one = {"x": sequence(5)["x"][:, :1]}
    assert difference([ran(after, sequence(5))[0][:, :, :1]], ran(after, one)) <= 1e-6


def test_only_the_constant_one_of_two_states_is_left_out() -> None:
    text = """g (float[7,n,6] x, float[1,n,4] h) => (float[s,d,b,k] y) {
        c = ConstantOfShape (size) y = LSTM <hidden_size = 4> (x, w, r, , , h, c)
    }"""
    w, r = np.ones((1, 16, 6), np.float32), np.ones((1, 16, 4), np.float32)
    after = rewritten(model_of(text, size=np.array([1, 2, 4]), w=w, r=r), initial_state, "LSTM")
    (lstm,) = [node for node in after.graph.node if node.op_type == "LSTM"]
    assert list(lstm.input) == ["x", "w", "r", "", "", "h"]


@pytest.mark.parametrize(
    ("states", "batch", "why"),
    [
        ({"h": np.arange(8, dtype=np.float32).reshape(1, 2, 4)}, "n", "differs from sequence to sequence"),
        ({"h": np.zeros((1, 2, 4), np.float32)}, "2", "the batch of the sequence is fixed"),
        ({}, "n", "not a constant"),
    ],
)
def test_where_it_does_not_apply(states: dict[str, np.ndarray], batch: str, why: str) -> None:
    with pytest.raises(CannotRewrite, match=why):
        rewritten(layer("GRU", states, gates=3, batch=batch), initial_state, "GRU")
