"""The memory forecast against counting by hand, and against what TensorRT plans."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import parser

from friction_tui.model.memory import RTX_FLOOR, forecast
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.vocabulary.recipe import POINTS, Profile, Range

SAMPLES = Path(__file__).parents[2] / "sample_models"


def model_of(text: str) -> OpenedModel:
    return from_proto(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}'), Path("model.onnx"))


def test_counted_by_hand() -> None:
    model = model_of(
        """g (float[N,64] x) => (float[N,64] y) <float[64] b = {%s}>
        { a = MatMul(x, x2)  c = Relu(a)  d = Add(c, b)  e = Sigmoid(d)  y = Add(e, a) }""".replace(
            "MatMul(x, x2)", "Add(x, b)"
        )
        % ", ".join(["1"] * 64)
    )
    row = 64 * 4
    found = forecast(model, Profile(ranges={"N": Range(1, 5, 10)}), "N")
    assert found.sizes == tuple(range(1, 11))
    # naive: a lives to the end, beside it the input and output of each operator. fused: c, d and e share a buffer.
    assert found.naive == tuple(3 * row * size for size in found.sizes)
    assert found.fused == tuple(2 * row * size for size in found.sizes)
    assert (found.weights, found.floor, found.key) == (row, RTX_FLOOR, "N")
    assert found.largest[0][1] == 10 * row


def test_views_and_concatenations_take_nothing_when_fused() -> None:
    model = model_of(
        """g (float[N,4] x) => (float[N,8] y) <int64[2] k = {-1, 8}>
        { a = Exp(x)  b = Exp(x)  c = Concat <axis = 1> (a, b)  d = Reshape(c, k)  y = Softmax(d) }"""
    )
    found = forecast(model, Profile(ranges={"N": Range(2, 2, 2)}), "")
    assert (found.key, found.sizes, found.naive, found.fused) == ("N", (2,), (128,), (64,))


def test_sizes_that_do_not_work_are_left_out_and_no_free_dim_is_one_entry() -> None:
    baked = model_of(
        "g (float[N,4] x) => (float y) <int64[2] k = {1, 4}> { a = Exp(x)  b = Reshape(a, k)  y = Exp(b) }"
    )
    assert forecast(baked, Profile(ranges={"N": Range(1, 2, 4)}), "N").sizes == (1,)
    fixed = model_of("g (float[2,4] x) => (float y) { a = Exp(x)  y = Exp(a) }")
    found = forecast(fixed, Profile(), "")
    assert (found.key, found.sizes, found.naive) == ("", (1,), (32,))


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("healthy_cnn.onnx", {"N": Range(1, 4, 8)}),
        ("healthy_transformer.onnx", {"N": Range(1, 4, 8), "L": Range(1, 128, 256)}),
        ("unet_skip.onnx", {"H": Range(64, 256, 512), "W": Range(64, 256, 512)}),
    ],
)
def test_tensorrt_plans_within_the_bracket(name: str, ranges: dict[str, Range]) -> None:
    """What TensorRT-RTX says it plans for the profile's max lies within 20 per cent of [fused, naive]."""
    trt = pytest.importorskip("tensorrt_rtx")
    lines: list[str] = []

    class Log(trt.ILogger):  # type: ignore[misc, name-defined, unused-ignore]
        def __init__(self) -> None:
            trt.ILogger.__init__(self)

        def log(self, severity: object, text: str) -> None:
            lines.append(text)

    model = open_model(SAMPLES / name)
    log = Log()
    builder = trt.Builder(log)
    network, config, points = builder.create_network(0), builder.create_builder_config(), {}
    network_parser = trt.OnnxParser(network, log)
    assert network_parser.parse_from_file(str(model.path))
    shapes = builder.create_optimization_profile()
    for point in POINTS:
        points[point] = input_sizes(model, Profile(ranges=ranges), point)
    for feed in points["opt"]:
        shapes.set_shape(feed, *(points[point][feed] for point in POINTS))
    config.add_optimization_profile(shapes)
    assert builder.build_serialized_network(network, config) is not None
    planned = next(int(line.split()[-2]) for line in lines if line.startswith("Total Activation Memory"))

    largest = {key: Range(chosen.max, chosen.max, chosen.max) for key, chosen in ranges.items()}
    found = forecast(model, Profile(ranges=largest), next(iter(largest)))
    assert 0.8 * (found.fused[0] + found.floor) <= planned <= 1.2 * (found.naive[0] + found.floor)


def test_a_recurrent_layer_needs_its_gates_for_every_step() -> None:
    model = model_of(
        """g (float[L,N,8] x, float[1,64,8] w, float[1,64,16] r) => (float[L,1,N,16] y) {
        a = LSTM <hidden_size = 16> (x, w, r)  y = Relu(a) }"""
    )
    found = forecast(model, Profile(ranges={"L": Range(4, 4, 4), "N": Range(2, 2, 2)}), "N")
    assert found.naive == (4 * 2 * 16 * 4 + 4 * 2 * 4 * 16 * 4,)  # the output, and four gates of 16 a step
