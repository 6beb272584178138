"""Models in ONNX Runtime's blocked layout, as its optimiser writes them at level ALL on this machine."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites import blocked_channels
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.blocked_channels import NCHWC
from tests.rewrites.mended import Answer, built, difference, model_of, ran, random_feeds


def optimised(model: OpenedModel, folder: Path) -> OpenedModel:
    """The model as ONNX Runtime saves it at level ALL."""
    import onnxruntime as ort

    options = ort.SessionOptions()
    options.optimized_model_filepath = str(folder / "optimised.onnx")
    options.log_severity_level = 4
    ort.InferenceSession(model.proto.SerializeToString(), options, providers=["CPUExecutionProvider"])
    return from_proto(onnx.load(options.optimized_model_filepath), folder / "optimised.onnx")


def weight(*sizes: int, seed: int = 0) -> np.ndarray:
    """Normal numbers whose products over all axes but the first stay about 1."""
    values = np.random.default_rng(seed).standard_normal(sizes) / np.sqrt(np.prod(sizes[1:]))
    return np.asarray(values, np.float32)


def plain(model: OpenedModel) -> onnx.ModelProto:
    """The model by the rewrite of this machine's block size: the one that gives the same results."""
    assert any(node.proto.domain == NCHWC for node in model.index.nodes)
    for rewriter in blocked_channels.REWRITES:
        try:
            proto = rewriter.run(model, [])
        except CannotRewrite:
            continue
        onnx.checker.check_model(proto)
        feeds = [random_feeds(model.proto, None, point, point) for point in range(3)]
        if all(difference(ran(model.proto, each), ran(proto, each)) <= 1e-5 for each in feeds):
            return proto
    raise AssertionError("no block size gives the same results")


FORMS = {
    "activations": (
        """g (float[n,3,16,16] x) => (float[n,24,8,8] y) {
        a = Conv <pads = [1,1,1,1], strides = [2,2]> (x, w, v)
        b = LeakyRelu (a) c = Conv <group = 32, pads = [1,1,1,1]> (b, d) e = HardSwish (c)
        f = Conv (e, h) k = Add (f, f) y = Relu (k) }""",
        {"w": weight(32, 3, 3, 3), "v": weight(32), "d": weight(32, 1, 3, 3, seed=1), "h": weight(24, 32, 1, 1)},
    ),
    "pools": (
        """g (float[n,8,16,16] x) => (float[n,1,1,20] y, float[n,20,1,1] z) {
        a = Conv (x, w) b = MaxPool <kernel_shape = [2,2], strides = [2,2]> (a)
        c = AveragePool <kernel_shape = [3,3], pads = [1,1,1,1], ceil_mode = 1> (b) r = Relu (c)
        d = GlobalAveragePool (r) e = GlobalMaxPool (r) z = Conv (e, h)
        f = Conv (d, h) y = Transpose <perm = [0,2,3,1]> (f) }""",
        {"w": weight(32, 8, 3, 3), "h": weight(20, 32, 1, 1)},
    ),
    "upsampled and joined": (
        """g (float[n,3,16,16] x) => (float[n,1,32,32] y) {
        a = Conv <pads = [1,1,1,1]> (x, w) b = Conv <pads = [1,1,1,1]> (a, u)
        c = Resize <mode = "linear", coordinate_transformation_mode = "half_pixel"> (b, , s)
        d = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor"> (a, , s)
        e = Concat <axis = 1> (c, d) f = Conv <pads = [1,1,1,1]> (e, h) y = Sigmoid (f) }""",
        {
            "w": weight(12, 3, 3, 3),
            "u": weight(20, 12, 3, 3),
            "h": weight(1, 32, 3, 3),
            "s": np.array([1, 1, 2, 2], np.float32),
        },
    ),
}


@pytest.mark.parametrize("form", FORMS)
def test_channels_are_put_back_in_order(form: str, tmp_path: Path) -> None:
    text, weights = FORMS[form]
    blocked = optimised(model_of(text, 17, **weights), tmp_path)
    assert built(blocked.proto).verdict != "ok"
    proto = plain(blocked)
    assert built(proto) == Answer("ok", "")
    assert {node.domain for node in proto.graph.node} <= {"", "com.microsoft"}


def test_of_another_layout_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(CannotRewrite, match="no operator in the blocked layout"):
        blocked_channels.REWRITES[0].run(model_of("g (float[2] x) => (float[2] y) { y = Relu (x) }"), [])
    text, weights = FORMS["upsampled and joined"]
    blocked = optimised(model_of(text, 17, **weights), tmp_path)
    for tensor in blocked.proto.graph.initializer:
        if len(tensor.dims) == 4:
            tensor.CopyFrom(onnx.numpy_helper.from_array(weight(12, 3, 3, 3), tensor.name))
    for rewriter in blocked_channels.REWRITES:
        with pytest.raises(CannotRewrite, match="not in blocks of"):
            rewriter.run(from_proto(blocked.proto, tmp_path / "model.onnx"), [])


@settings(max_examples=12, deadline=None, derandomize=True, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(
    st.sampled_from([3, 8, 12, 16, 32, 36]),
    st.sampled_from([1, 4, 16, 20, 48]),
    st.sampled_from([1, 3]),
    st.booleans(),
    st.integers(0, 99),
)
def test_any_sizes(tmp_path: Path, inner: int, outer: int, kernel: int, depthwise: bool, seed: int) -> None:
    middle = f"b = Conv <group = {outer}> (a, d)" if depthwise else "b = Identity (a)"
    model = model_of(
        f"g (float[n,{inner},9,7] x) => (float[n,m,p,q] y) {{ a = Conv (x, w, v) {middle} y = Conv (b, h) }}",
        w=weight(outer, inner, kernel, kernel, seed=seed),
        v=weight(outer, seed=seed),
        d=weight(outer, 1, kernel, kernel, seed=seed + 1),
        h=weight(5, outer, 1, 1, seed=seed + 2),
    )
    blocked = optimised(model, tmp_path)
    if any(node.proto.domain == NCHWC for node in blocked.index.nodes):
        plain(blocked)
