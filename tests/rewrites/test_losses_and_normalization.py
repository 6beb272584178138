"""Losses, normalizations, batch-first recurrences and random draws, against ONNX Runtime, and built."""

from __future__ import annotations

from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.losses import cross_entropy, nll_loss
from friction_tui.rewrites.normalization import batch_norm, group_norm, layer_norm, lrn
from friction_tui.rewrites.random_numbers import bernoulli, multinomial
from friction_tui.rewrites.recurrent import layout
from tests.rewrites.mended import Shapes, check_mends, difference, evaluated, model_of, ran, random_feeds, rewritten

RNG = np.random.default_rng(7)


def loss(op: str, attributes: str, *, weighted: bool = False, rest: str = "", outputs: str = "y") -> OpenedModel:
    weights: dict[str, Any] = {"w": np.array([0.5, 1.0, 2.0, 0.25], np.float32)} if weighted else {}
    result = f"float[N{rest}] y" if '"none"' in attributes else "float y"
    more = f", float[N,4{rest}] p" if "p" in outputs else ""
    return model_of(
        f"""g (float[N,4{rest}] x, int64[N{rest}] t) => ({result}{more}) {{
        {outputs} = {op} <{attributes}> (x, t{", w" if weighted else ""}) }}""",
        **weights,
    )


FORMS = [
    ('reduction = "none"', False, ""),
    ('reduction = "mean"', True, ""),
    ('reduction = "sum", ignore_index = 1', True, ",5"),
    ('reduction = "mean", ignore_index = 0', False, ",5"),
]


@pytest.mark.parametrize(("attributes", "weighted", "rest"), FORMS)
def test_losses(attributes: str, weighted: bool, rest: str) -> None:
    tail = (5,) if rest else ()
    shapes: Shapes = {"x": [(n, 4, *tail) for n in (3, 4, 8)], "t": [(n, *tail) for n in (3, 4, 8)]}
    for op, rewriter in (("NegativeLogLikelihoodLoss", nll_loss), ("SoftmaxCrossEntropyLoss", cross_entropy)):
        model = loss(op, attributes, weighted=weighted, rest=rest)

        def feeds(point: int, seed: int, model: OpenedModel = model) -> dict[str, np.ndarray]:
            given = random_feeds(model.proto, shapes, point, seed)
            given["t"].flat[:2] = (0, 1)  # both an ignored and a counted target, whichever is ignored
            return given

        check_mends(model, rewriter, op, shapes=shapes, feeds=feeds)


def test_log_probabilities_as_an_output_and_old_opsets() -> None:
    model = loss("SoftmaxCrossEntropyLoss", 'reduction = "mean"', outputs="y, p")
    check_mends(
        model,
        cross_entropy,
        "SoftmaxCrossEntropyLoss",
        shapes={"x": [(n, 4) for n in (1, 4, 8)], "t": [(1,), (4,), (8,)]},
    )
    old = model_of("g (float[N,4] x, int64[N] t) => (float y) { y = SoftmaxCrossEntropyLoss (x, t) }", opset=12)
    with pytest.raises(CannotRewrite, match="opset 13"):
        rewritten(old, cross_entropy, "SoftmaxCrossEntropyLoss")


def layer_normed(axis: int, *, bias: bool = True, dtype: str = "float") -> OpenedModel:
    kind = np.float32 if dtype == "float" else np.float16
    size = (4, 6) if axis == -2 else (6,)
    weights: dict[str, Any] = {"s": RNG.standard_normal(size).astype(kind)}
    if bias:
        weights["b"] = RNG.standard_normal(size).astype(kind)
    return model_of(
        f"""g ({dtype}[N,4,6] x) => ({dtype}[N,4,6] y, float[N,a,b] m, float[N,c,d] v) {{
        y, m, v = LayerNormalization <axis = {axis}> (x, s{", b" if bias else ""}) }}""",
        **weights,
    )


@pytest.mark.parametrize(("axis", "bias", "dtype"), [(-1, True, "float"), (-2, False, "float"), (-1, True, "float16")])
def test_layer_normalization_with_its_statistics(axis: int, bias: bool, dtype: str) -> None:
    model = layer_normed(axis, bias=bias, dtype=dtype)
    shapes: Shapes = {"x": [(n, 4, 6) for n in (1, 4, 8)]}
    check_mends(model, layer_norm, "LayerNormalization", shapes=shapes, tolerance=2e-3 if dtype == "float16" else None)


def test_statistics_that_nothing_reads_are_left_out() -> None:
    model = model_of(
        "g (float[N,6] x) => (float[N,6] y) { y, m = LayerNormalization (x, s) }", s=np.ones(6, np.float32)
    )
    after = check_mends(model, layer_norm, "LayerNormalization", shapes={"x": [(1, 6), (4, 6), (8, 6)]})
    assert [node.op_type for node in after.graph.node] == ["LayerNormalization"]
    plain = model_of("g (float[N,6] x) => (float[N,6] y) { y = LayerNormalization (x, s) }", s=np.ones(6, np.float32))
    with pytest.raises(CannotRewrite, match="no statistics"):
        rewritten(plain, layer_norm, "LayerNormalization")


def grouped(image: str, scales: int, opset: int) -> OpenedModel:
    return model_of(
        f"g (float[{image}] x) => (float[{image}] y) {{ y = GroupNormalization <num_groups = 2> (x, s, b) }}",
        opset=opset,
        s=RNG.standard_normal(scales).astype(np.float32),
        b=RNG.standard_normal(scales).astype(np.float32),
    )


@pytest.mark.parametrize(
    ("image", "scales", "opset", "refused"),
    [("N,8,H,6", 2, 18, False), ("N,8,5", 8, 21, False), ("N,8,H,6", 8, 18, True)],
)
def test_group_normalization(image: str, scales: int, opset: int, refused: bool) -> None:
    points = [[{"N": n, "H": n + 1}.get(size) or int(size) for size in image.split(",")] for n in (1, 4, 8)]
    model = grouped(image, scales, opset)
    valid = not (opset == 18 and scales == 8)
    check_mends(
        model, group_norm, "GroupNormalization", shapes={"x": points}, refused=refused, run=ran if valid else None
    )


def test_scales_that_fit_nothing_are_refused() -> None:
    with pytest.raises(CannotRewrite, match="3 scales fit neither"):
        rewritten(grouped("N,8,5", 3, 21), group_norm, "GroupNormalization")


@pytest.mark.parametrize("outputs", ["y, p, q", "y, m2, v2"])
def test_batch_statistics(outputs: str) -> None:
    weights: dict[str, Any] = {name: RNG.random(3).astype(np.float32) + 0.5 for name in ("s", "b", "m", "v")}
    more = ", float[3] m2, float[3] v2" if "m2" in outputs else ""
    model = model_of(
        f"""g (float[N,3,H,W] x) => (float[N,3,H,W] y{more}) {{
        {outputs} = BatchNormalization <training_mode = 1, momentum = 0.8> (x, s, b, m, v) }}""",
        **weights,
    )
    shapes: Shapes = {"x": [(1, 3, 2, 2), (2, 3, 5, 6), (4, 3, 8, 8)]}
    check_mends(model, batch_norm, "BatchNormalization", shapes=shapes)


def test_evaluation_mode_is_left_alone() -> None:
    weights: dict[str, Any] = {name: np.ones(3, np.float32) for name in ("s", "b", "m", "v")}
    model = model_of("g (float[N,3] x) => (float[N,3] y) { y = BatchNormalization (x, s, b, m, v) }", **weights)
    with pytest.raises(CannotRewrite, match="not in training mode"):
        rewritten(model, batch_norm, "BatchNormalization")


def recurrent(op: str, gates: int, batch_first: int, outputs: str) -> OpenedModel:
    names = outputs.split(", ")
    first, state = ("N,T,1,8", "N,1,8") if batch_first else ("T,1,N,8", "1,N,8")
    ports = ", ".join(f"float[{first if name == 'y' else state}] {name}" for name in names)
    order = "N,T,4" if batch_first else "T,N,4"
    rng = np.random.default_rng(3)
    return model_of(
        f"""g (float[{order}] x, float[{state}] h0) => ({ports}) {{
        {outputs} = {op} <hidden_size = 8{", layout = 1" if batch_first else ""}> (x, w, r, b, , h0) }}""",
        w=rng.standard_normal((1, gates * 8, 4)).astype(np.float32),
        r=rng.standard_normal((1, gates * 8, 8)).astype(np.float32),
        b=rng.standard_normal((1, gates * 16)).astype(np.float32),
    )


@pytest.mark.parametrize(("op", "gates", "outputs"), [("LSTM", 4, "y, h, c"), ("GRU", 3, "y, h"), ("RNN", 1, "y")])
def test_batch_first_is_the_transpose_of_sequence_first(op: str, gates: int, outputs: str) -> None:
    model, sequence_first = (recurrent(op, gates, first, outputs) for first in (1, 0))
    shapes: Shapes = {"x": [(1, 2, 4), (2, 5, 4), (4, 9, 4)], "h0": [(1, 1, 8), (2, 1, 8), (4, 1, 8)]}
    after = check_mends(model, layout, op, shapes=shapes, refused=False, run=None)
    feeds = random_feeds(model.proto, shapes, 2, 0)
    transposed = {name: value.transpose(1, 0, 2) for name, value in feeds.items()}
    expected = [
        value.transpose(2, 0, 1, 3) if value.ndim == 4 else value.transpose(1, 0, 2)
        for value in ran(sequence_first.proto, transposed)
    ]
    assert difference(expected, ran(after, feeds)) == 0.0
    with pytest.raises(CannotRewrite, match="layout is 0"):
        rewritten(sequence_first, layout, op)


def test_random_draws_have_the_distribution() -> None:
    probabilities = np.array([0.1, 0.2, 0.7], np.float32)
    model = model_of("g (float[N,3] x) => (int32[N,4000] y) { y = Multinomial <sample_size = 4000, seed = 3.0> (x) }")
    after = check_mends(model, multinomial, "Multinomial", shapes={"x": [(n, 3) for n in (1, 4, 8)]}, run=None)
    drawn = ran(after, {"x": np.log(probabilities)[None].repeat(2, 0)})[0]
    assert np.abs(np.bincount(drawn.reshape(-1), minlength=3) / drawn.size - probabilities).max() < 0.05
    flips = model_of("g (float[N,4000] x) => (float[N,4000] y) { y = Bernoulli <seed = 3.0> (x) }")
    after = check_mends(flips, bernoulli, "Bernoulli", shapes={"x": [(n, 4000) for n in (1, 4, 8)]}, run=None)
    assert abs(ran(after, {"x": np.full((2, 4000), 0.3, np.float32)})[0].mean() - 0.3) < 0.05


def test_draws_of_unknown_types_are_refused() -> None:
    for op, rewriter in (("Multinomial", multinomial), ("Bernoulli", bernoulli)):
        model = model_of(f"g (int32[N,3] x) => (int32[N,k] y) {{ y = {op} (x) }}")
        with pytest.raises(CannotRewrite, match="not float"):
            rewritten(model, rewriter, op)


@settings(max_examples=20, deadline=None, derandomize=True)
@given(
    batch=st.integers(1, 3),
    rest=st.lists(st.integers(1, 3), max_size=2),
    reduction=st.sampled_from(["none", "sum", "mean"]),
    weighted=st.booleans(),
    seed=st.integers(0, 99),
)
def test_any_shape_of_a_loss(batch: int, rest: list[int], reduction: str, weighted: bool, seed: int) -> None:
    model = loss(
        "SoftmaxCrossEntropyLoss",
        f'reduction = "{reduction}"',
        weighted=weighted,
        rest="".join(f",{size}" for size in rest),
    )
    feeds = random_feeds(model.proto, {"x": [(batch, 4, *rest)], "t": [(batch, *rest)]}, 0, seed)
    after = rewritten(model, cross_entropy, "SoftmaxCrossEntropyLoss")
    assert difference(ran(model.proto, feeds), ran(after, feeds)) <= 1e-5


@pytest.mark.parametrize(
    ("attributes", "image"),
    [("size = 4", "N,6,4,4"), ("size = 2, alpha = 0.5, beta = 0.6", "N,6,H,W"), ("size = 17", "N,6,4,4")],
)
def test_response_normalization_of_unusual_sizes(attributes: str, image: str) -> None:
    model = model_of(f"g (float[{image}] x) => (float[{image}] y) {{ y = LRN <{attributes}> (x) }}")
    # ONNX Runtime takes odd sizes only; the reference evaluator is right where there are as many images as channels.
    shapes: Shapes = {"x": [(6, 6, 4, 4)] * 3}
    check_mends(model, lrn, "LRN", shapes=shapes, run=evaluated)
    plain = model_of("g (float[N,6,4,4] x) => (float[N,6,4,4] y) { y = LRN <size = 5> (x) }")
    with pytest.raises(CannotRewrite, match="TensorRT takes"):
        rewritten(plain, lrn, "LRN")
