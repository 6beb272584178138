"""Initial states of recurrent layers that were exported for one batch size."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.recurrent import initial_state, input_forget
from tests.rewrites.mended import Answer, built, check_mends, difference, model_of, ran, random_feeds, rewritten


def layer(op: str, states: dict[str, np.ndarray], *, gates: int, batch: str = "n", directions: int = 1) -> OpenedModel:
    rng = np.random.default_rng(3)
    given = ", ".join(["x", "w", "r", "", "", *states])
    way = "bidirectional" if directions == 2 else "forward"
    attributes = f'hidden_size = 4, direction = "{way}"'
    weights = {name: rng.standard_normal((directions, gates * 4, size)) for name, size in (("w", 6), ("r", 4))}
    text = f"g (float[7,{batch},6] x) => (float[s,d,b,h] y) {{ y = {op} <{attributes}> ({given}) }}"
    return model_of(text, 17, **{name: value.astype(np.float32) for name, value in weights.items()}, **states)


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
    weights = {"w": np.ones((1, 16, 6), np.float32), "r": np.ones((1, 16, 4), np.float32)}
    after = rewritten(model_of(text, 17, size=np.array([1, 2, 4]), **weights), initial_state, "LSTM")
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


def coupled(attributes: str = "", inputs: str = "", hidden: int = 4, directions: int = 1, seed: int = 0) -> OpenedModel:
    """An LSTM whose input and forget gates are coupled, with biases and, where `inputs` names p, peepholes."""
    rng = np.random.default_rng(seed)
    sizes = {"w": (4 * hidden, 6), "r": (4 * hidden, hidden), "b": (8 * hidden,), "p": (3 * hidden,)}
    return model_of(
        f"g (float[7,n,6] x) => (float[s,d,b,h] y) {{ y = LSTM <hidden_size = {hidden}, input_forget = 1{attributes}> "
        f"(x, w, r, b{inputs}) }}",
        17,
        **{name: rng.standard_normal((directions, *size)).astype(np.float32) for name, size in sizes.items()},
    )


@pytest.mark.parametrize(
    ("attributes", "inputs", "directions"),
    [("", "", 1), (', direction = "bidirectional"', "", 2), (", clip = 1.5", ",,,,p", 1)],
)
def test_coupled_gates_are_negated_weights(attributes: str, inputs: str, directions: int) -> None:
    check_mends(coupled(attributes, inputs, directions=directions), input_forget, "LSTM")


def test_gates_that_are_not_coupled_or_not_symmetric_are_left() -> None:
    with pytest.raises(CannotRewrite, match="not coupled"):
        input_forget.run(layer("LSTM", {}, gates=4), ["0"])
    with pytest.raises(CannotRewrite, match="Sigmoid"):
        input_forget.run(coupled(', activations = ["HardSigmoid", "Tanh", "Tanh"]'), ["0"])


@settings(max_examples=8, deadline=None, derandomize=True)
@given(st.integers(0, 1000), st.integers(1, 9), st.booleans())
def test_any_coupled_weights(seed: int, hidden: int, peepholes: bool) -> None:
    model = coupled("", ",,,,p" if peepholes else "", hidden, seed=seed)
    after = rewritten(model, input_forget, "LSTM")
    feeds = random_feeds(model.proto, None, 1, seed)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) < 1e-5
