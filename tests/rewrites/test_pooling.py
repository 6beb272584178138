"""Pooling forms that TensorRT refuses, against ONNX Runtime, and built."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.pooling import lp_pool, max_pool_indices, max_pool_integers, max_unpool, pool_dilations
from tests.rewrites.mended import Shapes, check_mends, difference, model_of, ran, random_feeds, rewritten

FREE: Shapes = {"x": [(1, 3, 9, 9), (2, 3, 12, 16), (2, 3, 17, 19)]}


def pooled(
    op: str, attributes: str, image: str = "float[N,3,H,W]", *, indices: bool = False, opset: int = 19
) -> OpenedModel:
    out = ",".join("abcde"[: image.count(",") + 1])
    dtype = image.split("[", maxsplit=1)[0]
    second = f", int64[{out}] i" if indices else ""
    return model_of(
        f"g ({image} x) => ({dtype}[{out}] y{second}) {{ y{', i' if indices else ''} = {op} <{attributes}> (x) }}",
        opset=opset,
    )


@pytest.mark.parametrize(
    "attributes",
    [
        "kernel_shape = [2, 2], strides = [2, 2]",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1]",
        "kernel_shape = [3, 2], strides = [1, 2], pads = [1, 0, 0, 1], dilations = [2, 1]",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], ceil_mode = 1",
        "kernel_shape = [2, 2], strides = [2, 2], storage_order = 1",
        'kernel_shape = [3, 3], auto_pad = "SAME_UPPER"',
    ],
)
def test_indices(attributes: str) -> None:
    check_mends(pooled("MaxPool", attributes, indices=True), max_pool_indices, "MaxPool", shapes=FREE)


def test_indices_of_one_axis_and_of_halves() -> None:
    one = pooled("MaxPool", "kernel_shape = [3], strides = [2]", "float[N,3,L]", indices=True)
    check_mends(one, max_pool_indices, "MaxPool", shapes={"x": [(1, 3, 9), (2, 3, 12), (4, 3, 20)]})
    half = pooled("MaxPool", "kernel_shape = [2, 2]", "float16[N,3,H,W]", indices=True)
    check_mends(half, max_pool_indices, "MaxPool", shapes=FREE, run=None)


def test_indices_that_nothing_reads_are_dropped() -> None:
    model = model_of("g (float[N,3,H,W] x) => (float[N,3,a,b] y) { y, i = MaxPool <kernel_shape = [2, 2]> (x) }")
    after = check_mends(model, max_pool_indices, "MaxPool", shapes=FREE)
    assert [(node.op_type, len(node.output)) for node in after.graph.node] == [("MaxPool", 1)]


@pytest.mark.parametrize("op", ["MaxPool", "AveragePool"])
@pytest.mark.parametrize(
    "attributes",
    [
        "kernel_shape = [3, 3], dilations = [2, 2]",
        "kernel_shape = [3, 2], strides = [2, 1], pads = [2, 1, 2, 1], dilations = [2, 1]",
        "kernel_shape = [3, 3], strides = [2, 2], pads = [1, 1, 1, 1], dilations = [2, 2], ceil_mode = 1",
    ],
)
def test_dilations(op: str, attributes: str) -> None:
    check_mends(pooled(op, attributes), pool_dilations, "MaxPool" if op == "MaxPool" else op, shapes=FREE)


def test_padding_counts_where_it_is_asked_to() -> None:
    attributes = "kernel_shape = [3, 3], pads = [1, 1, 1, 1], dilations = [2, 2], count_include_pad = 1"
    check_mends(pooled("AveragePool", attributes), pool_dilations, "AveragePool", shapes=FREE)


@pytest.mark.parametrize(
    ("attributes", "image"),
    [
        ("kernel_shape = [3, 3], p = 3, strides = [2, 2]", "float[N,3,H,W]"),
        ("kernel_shape = [2, 2], p = 4, pads = [1, 1, 0, 0]", "float[N,3,H,W]"),
        ("kernel_shape = [2, 2], p = 2, dilations = [2, 2]", "float[N,3,H,W]"),
    ],
)
def test_lp_pool(attributes: str, image: str) -> None:
    check_mends(pooled("LpPool", attributes, image), lp_pool, "LpPool", shapes=FREE)


def test_unpooling() -> None:
    model = model_of(
        """g (float[N,3,4,5] x, int64[N,3,4,5] i) => (float[N,3,8,10] y) {
        y = MaxUnpool <kernel_shape = [2, 2], strides = [2, 2]> (x, i) }"""
    )
    shapes: Shapes = {"x": [(n, 3, 4, 5) for n in (1, 2, 4)], "i": [(n, 3, 4, 5) for n in (1, 2, 4)]}

    def feeds(point: int, seed: int) -> dict[str, np.ndarray]:
        given = random_feeds(model.proto, shapes, point, seed)
        count = given["x"].size
        given["i"] = np.random.default_rng(seed).permutation(count * 4)[:count].reshape(given["x"].shape)
        return given

    check_mends(model, max_unpool, "MaxUnpool", shapes=shapes, feeds=feeds)


def test_pooling_and_unpooling_in_one_model() -> None:
    model = model_of(
        """g (float[N,3,H,W] x) => (float[N,3,a,b] y) {
        p, i = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
        y = MaxUnpool <kernel_shape = [2, 2], strides = [2, 2]> (p, i) }"""
    )
    half = model_of_proto(rewritten(model, max_pool_indices, "MaxPool"))
    check_mends(half, max_unpool, "MaxUnpool", shapes={"x": [(1, 3, 8, 8), (2, 3, 12, 16), (2, 3, 16, 20)]})


def model_of_proto(proto: onnx.ModelProto) -> OpenedModel:
    from pathlib import Path

    from friction_tui.model.opened import from_proto

    return from_proto(proto, Path("model.onnx"))


def test_integers() -> None:
    model = pooled("MaxPool", "kernel_shape = [2, 2], strides = [2, 2]", "uint8[N,3,H,W]")
    check_mends(model, max_pool_integers, "MaxPool", shapes=FREE, integers=(0, 255))


def test_what_is_left_alone() -> None:
    plain = pooled("MaxPool", "kernel_shape = [2, 2]")
    for rewriter, why in (
        (max_pool_indices, "not asked for"),
        (pool_dilations, "no dilations"),
        (max_pool_integers, "uint8"),
    ):
        with pytest.raises(CannotRewrite, match=why):
            rewritten(plain, rewriter, "MaxPool")
    with pytest.raises(CannotRewrite, match="more than 256"):
        rewritten(pooled("LpPool", "kernel_shape = [200, 100], p = 3"), lp_pool, "LpPool")
    with pytest.raises(CannotRewrite, match="fixed image sizes"):
        rewritten(
            pooled("LpPool", 'kernel_shape = [3, 3], strides = [2, 2], auto_pad = "SAME_UPPER"'), lp_pool, "LpPool"
        )


@settings(max_examples=25, deadline=None, derandomize=True)
@given(
    op=st.sampled_from(["MaxPool", "AveragePool", "indices"]),
    kernel=st.tuples(st.integers(1, 3), st.integers(2, 3)),
    stride=st.tuples(st.integers(1, 3), st.integers(1, 3)),
    pad=st.integers(0, 1),
    ceil=st.integers(0, 1),
)
def test_any_window(op: str, kernel: tuple[int, int], stride: tuple[int, int], pad: int, ceil: int) -> None:
    pads = [min(pad, size - 1) for size in kernel] * 2
    attributes = f"kernel_shape = {list(kernel)}, strides = {list(stride)}, pads = {pads}, ceil_mode = {ceil}"
    attributes += ", dilations = [1, 2]"
    model = pooled(op.replace("indices", "MaxPool"), attributes, "float[2,2,9,10]", indices=op == "indices")
    after = rewritten(
        model, max_pool_indices if op == "indices" else pool_dilations, model.index.nodes[0].proto.op_type
    )
    feeds = random_feeds(model.proto, None, 0, 0)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) <= 1e-5
