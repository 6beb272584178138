"""The memory forecast against counting by hand, and against what TensorRT plans."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import parser

from friction_tui.model.memory import WORKSPACE, forecast
from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.model.shapes.point_shapes import input_sizes
from friction_tui.vocabulary.recipe import POINTS, Profile, Range

SAMPLES = Path(__file__).parents[2] / "sample_models"


def model_of(text: str) -> OpenedModel:
    return from_proto(parser.parse_model(f'<ir_version: 10, opset_import: ["" : 21]> {text}'), Path("model.onnx"))


def test_a_kernel_of_elementwise_operators_stores_its_result_only() -> None:
    model = model_of(
        """g (float[N,64] x, float[64,8] w) => (float[N,8] y) <float b = {1}>
        { a = Add(x, b)  c = Relu(a)  d = Sigmoid(c)  e = Mul(d, a)  y = MatMul(e, w) }"""
    )
    row = 64 * 4
    found = forecast(model, Profile(ranges={"N": Range(1, 5, 10)}), "N")
    assert found.sizes == tuple(range(1, 11))
    assert found.activations == tuple(WORKSPACE + -(-row * size // 512) * 512 for size in found.sizes)
    assert (found.weights, found.key, found.others, found.unknown) == (4, "N", (), 0)
    assert [(one.tensor, one.bytes) for one in found.largest] == [("e", 10 * row)]


def test_other_dimensions_are_at_their_max_and_the_answer_says_so() -> None:
    model = model_of("g (float[N,L,L] x) => (float y) { a = Softmax(x)  b = MatMul(a, a)  y = Exp(b) }")
    profile = Profile(ranges={"N": Range(1, 2, 4), "L": Range(8, 16, 64)})
    found = forecast(model, profile, "N", at=2)
    assert found.others == (("L", 64),)
    assert found.sizes == (2,)
    assert found.largest[0].bytes == 2 * 64 * 64 * 4


def test_parts_of_a_concatenation_are_written_in_place_and_views_take_nothing() -> None:
    model = model_of(
        """g (float[N,4] x) => (float[N,8] y) <int64[2] k = {-1, 8}>
        { a = Softmax(x)  b = Softmax(x)  c = Concat <axis = 1> (a, b)  d = Reshape(c, k)  y = LogSoftmax(d) }"""
    )
    found = forecast(model, Profile(ranges={"N": Range(512, 512, 512)}), "")
    assert (found.key, found.sizes, found.activations) == ("N", (512,), (512 * 8 * 4,))


def test_sizes_that_do_not_work_are_left_out_and_no_free_dim_is_one_entry() -> None:
    baked = model_of(
        "g (float[N,4] x) => (float y) <int64[2] k = {1, 4}> { a = Softmax(x)  b = Reshape(a, k)  y = Softmax(b) }"
    )
    assert forecast(baked, Profile(ranges={"N": Range(1, 2, 4)}), "N").sizes == (1,)
    fixed = model_of("g (float[2,4] x) => (float[2,4] y) { a = Softmax(x)  y = Softmax <axis = 0> (a) }")
    found = forecast(fixed, Profile(), "")
    assert (found.key, found.sizes, found.activations) == ("", (1,), (0,))


def test_tensors_of_unknown_size_make_the_figure_the_least_that_is_needed() -> None:
    model = model_of(
        """g (float[4,64] x) => (float y) { a = Softmax(x)  i = NonZero(a)  j = Transpose(i)
        b = GatherND(x, j)  c = TopK <axis = 0> (b, k) y = Softmax(b) }""".replace("c = TopK <axis = 0> (b, k) ", "")
    )
    assert forecast(model, Profile(), "").unknown > 0


def test_the_largest_size_that_fits_is_exact() -> None:
    model = model_of("g (float[N,64] x) => (float[64,64] y) { a = Softmax(x)  b = Transpose(a)  y = MatMul(b, a) }")
    profile = Profile(ranges={"N": Range(2, 4, 8)})
    for budget in (WORKSPACE + 300_000, WORKSPACE + 5_000_000, WORKSPACE + 512):
        ((answered, size),) = forecast(model, profile, "N", (budget,)).fits
        assert answered == budget
        assert size is not None
        assert forecast(model, profile, "N", at=size).activations[0] <= budget
        assert forecast(model, profile, "N", at=size + 1).activations[0] > budget
    assert forecast(model, profile, "N", (WORKSPACE,)).fits == ((WORKSPACE, None),)


def test_a_larger_size_needs_no_less() -> None:
    """Placing buffers by size is tighter at 33 than at 32, by one percent."""
    model = model_of("""g (float[n,8,h,w] x, float[16,8,3,3] k) => (float[n,16,h,w] y) {
        t = Transpose <perm = [0, 1, 3, 2]> (x) a = MatMul (x, t) b = MatMul (a, x)
        p = AveragePool <kernel_shape = [3, 3], pads = [1, 1, 1, 1]> (x) i = Identity (p)
        y = Conv <pads = [1, 1, 1, 1]> (b, k) }""")
    profile = Profile(ranges={"n": Range(4, 4, 4), "h": Range(24, 32, 33), "w": Range(32, 32, 32)})
    alone = {size: forecast(model, profile, "h", at=size).activations[0] for size in (32, 33)}
    assert alone[33] < alone[32], "the case is one"
    found = forecast(model, profile, "h", budgets=(alone[33] + WORKSPACE // 1000,))
    assert list(found.activations) == sorted(found.activations)
    (budget, largest), *_ = found.fits
    assert largest is not None
    assert largest < 32, "32 does not fit, whatever 33 would need"
    assert forecast(model, profile, "h", at=largest).activations[0] + found.weights <= budget


def test_the_largest_size_is_found_between_sizes_that_do_not_work() -> None:
    """Only multiples of 16 work: the answer is one of them."""
    model = model_of(
        """g (float[1,H] x) => (float[M,16] y) <int64[2] k = {16, -1}>
        { a = Softmax(x)  b = Reshape(a, k)  c = Softmax(b)  d = Transpose(c)  y = Softmax(d) }"""
    )
    ((_, size),) = forecast(model, Profile(ranges={"H": Range(16, 32, 64)}), "H", (100_000,)).fits
    assert size is not None
    assert size % 16 == 0
    assert size > 64


@pytest.mark.slow
@pytest.mark.parametrize(
    ("name", "ranges"),
    [
        ("healthy_cnn.onnx", {"N": Range(1, 4, 8)}),
        ("healthy_transformer.onnx", {"N": Range(1, 4, 8), "L": Range(1, 128, 256)}),
        ("unet_skip.onnx", {"H": Range(64, 256, 512), "W": Range(64, 256, 512)}),
    ],
)
def test_tensorrt_plans_what_was_forecast(name: str, ranges: dict[str, Range]) -> None:
    """What TensorRT-RTX says it plans for the profile's max is at most 15 % under and 5 % over the forecast."""
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
    assert 0.85 * found.activations[0] <= planned <= 1.05 * found.activations[0]


def test_a_recurrent_layer_needs_its_gates_for_every_step() -> None:
    model = model_of(
        """g (float[L,N,8] x, float[1,64,8] w, float[1,64,16] r) => (float[L,1,N,16] y) {
        a = LSTM <hidden_size = 16> (x, w, r)  y = Relu(a) }"""
    )
    found = forecast(model, Profile(ranges={"L": Range(4, 4, 4), "N": Range(2, 2, 2)}), "N")
    assert found.activations == (WORKSPACE + 4 * 2 * 4 * 16 * 4,)  # four gates of 16 a step; y is the caller's
