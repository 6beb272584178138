"""Half precision: valid models, the overflow that ONNX Runtime hides, and the fewest nodes kept."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import TensorProto, parser

from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.rewrites.apply import RecipeRefused, apply
from friction_tui.rewrites.half import in_half, lowerable
from friction_tui.rewrites.half_trials import CannotTry, Trials
from friction_tui.rewrites.keep_float32 import Kept, find
from friction_tui.samples import sample
from friction_tui.vocabulary.recipe import Precision, Recipe, Source

FP16, BF16 = TensorProto.FLOAT16, TensorProto.BFLOAT16
VARIANCE = """g (float[N,64] x) => (float[N,64] y) <float[1] e = {0.00001}, float[1] k = {100.0}> {
    a = Mul(x, k)  m = ReduceMean <axes = [1]> (a)  d = Sub(a, m)  q = Mul(d, d)  v = ReduceMean <axes = [1]> (q)
    w = Add(v, e)  s = Sqrt(w)  n = Div(d, s)  y = Relu(n) }"""
LOGITS = """g (float[N,8,64] x, float[N,64,8] w) => (float[N,8,8] y) <float[1] k = {3000.0}> {
    a = Mul(x, k)  l = MatMul(a, w)  y = Softmax <axis = -1> (l) }"""
SUBNORMAL = """g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1e-9, 0, 0, 1e-9}, float[1] k = {1e9}> {
    a = MatMul(x, w)  b = Mul(a, k)  y = Relu(b) }"""


def opened(text: str, opset: int = 17) -> OpenedModel:
    proto = parser.parse_model(f'<ir_version: 8, opset_import: ["" : {opset}]>\n{text}')
    for node in proto.graph.node:
        node.name = f"net/{node.output[0]}"
    return from_proto(proto, Path("model.onnx"))


def opened_sample(name: str) -> OpenedModel:
    file = sample(name)
    assert file is not None
    return open_model(file)


def random(**shapes: tuple[int, ...]) -> dict[str, np.ndarray]:
    rng = np.random.default_rng(0)
    return {name: rng.standard_normal(shape, np.float32) for name, shape in shapes.items()}


def names(trials: Trials, kept: Kept) -> list[str]:
    return [trials.nodes[path].name.removeprefix("net/") for path in kept.paths]


@pytest.mark.parametrize(
    "name", ["detector", "healthy_transformer", "growing_loop", "nms", "qdq_asymmetric", "upsample9"]
)
def test_a_model_in_half_is_valid_and_keeps_its_inputs_and_outputs(name: str) -> None:
    before = opened_sample(name)
    after = in_half(before, FP16)
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.input) == list(before.proto.graph.input)
    assert [value.type for value in after.graph.output] == [value.type for value in before.proto.graph.output]
    ort.InferenceSession(after.SerializeToString(), providers=["CPUExecutionProvider"])


def test_shapes_are_worked_out_in_float32() -> None:
    model = opened(
        """g (float[N,4] x) => (float[N,4] y) <float[1] half = {0.5}> {
        n = Shape(x)  f = Cast <to = 1> (n)  h = Mul(f, half)  i = Cast <to = 7> (h)  y = Relu(x) }"""
    )
    assert [model.index.by_path[path].proto.op_type for path in lowerable(model)] == ["Relu"]


def test_weights_are_converted_once_and_kept_twice_only_where_both_types_read_them() -> None:
    model = opened(
        "g (float[N,2] x) => (float[N,2] y) <float[2,2] w = {1,2,3,4}> { a = MatMul(x, w) y = MatMul(a, w) }"
    )
    assert [tensor.data_type for tensor in in_half(model, FP16).graph.initializer] == [FP16]
    kept = in_half(model, FP16, ["net/y"])
    assert sorted(tensor.data_type for tensor in kept.graph.initializer) == [TensorProto.FLOAT, FP16]
    onnx.checker.check_model(kept, full_check=True)


def test_what_lies_between_two_kept_nodes_is_not_rounded() -> None:
    kept = in_half(opened(VARIANCE), FP16, ["net/q", "net/v"])
    onnx.checker.check_model(kept, full_check=True)
    reader = next(node for node in kept.graph.node if node.name == "net/v")
    writer = next(node for node in kept.graph.node if reader.input[0] in node.output)
    assert writer.name == "net/q"


def test_overflow_that_onnx_runtime_hides_is_seen() -> None:
    model, feeds = opened(VARIANCE), random(x=(2, 64))
    feeds["x"] *= 10
    session = ort.InferenceSession(in_half(model, FP16).SerializeToString(), providers=["CPUExecutionProvider"])
    assert np.abs(session.run(None, feeds)[0]).max() > 1  # the sum of squares, 1e6, never was a float16
    assert Trials(model, FP16, [feeds]).error(()) > 0.9


@pytest.mark.parametrize(
    ("graph", "shapes", "scale", "kept"),
    [
        (VARIANCE, {"x": (2, 64)}, 10.0, ["q", "v", "w", "s"]),
        (LOGITS, {"x": (2, 8, 64), "w": (2, 64, 8)}, 1.0, ["l", "y"]),
        (SUBNORMAL, {"x": (2, 2)}, 1.0, ["a", "b"]),
    ],
    ids=["variance", "logits", "subnormal"],
)
def test_the_fewest_nodes_are_found(
    graph: str, shapes: dict[str, tuple[int, ...]], scale: float, kept: list[str]
) -> None:
    feeds = {name: array * np.float32(scale) for name, array in random(**shapes).items()}
    trials = Trials(opened(graph), FP16, [feeds])
    found = find(trials, 0.01, 60)
    assert names(trials, found) == kept
    assert found.minimal and found.error <= 0.01 < found.error_in_half
    assert all(found.after[path] < 0.01 < found.before[path] for path in found.paths)


@pytest.mark.parametrize("half", [FP16, BF16])
def test_bfloat16_has_the_range_and_healthy_models_keep_nothing(half: int) -> None:
    feeds = random(images=(2, 3, 32, 32))
    healthy = Trials(opened_sample("healthy_cnn"), half, [feeds])
    assert find(healthy, 0.05, 60).paths == ()
    wide = random(x=(2, 64))
    assert (Trials(opened(VARIANCE), half, [{"x": wide["x"] * 10}]).error(()) > 0.05) == (half == FP16)


def test_a_model_that_answers_otherwise_each_time_cannot_be_judged() -> None:
    feeds = random(images=(1, 3, 16, 16))
    with pytest.raises(CannotTry, match="each time"):
        Trials(opened_sample("training_mode"), FP16, [feeds])


def test_the_recipe_applies_what_was_found_and_refuses_what_is_not_there() -> None:
    model = opened(VARIANCE)
    recipe = Recipe(source=Source("model.onnx"), precision=Precision.FP16, keep_float32=("net/q",))
    assert in_half(model, FP16, ["net/q"]) == apply(model, recipe).proto
    assert apply(model, recipe, weak_types=True).proto == apply(model, recipe).proto  # no wish would keep it
    with pytest.raises(RecipeRefused, match="there is no nowhere"):
        apply(model, msgspec.structs.replace(recipe, keep_float32=("nowhere",)))
    with pytest.raises(RecipeRefused, match="since opset 13"):
        old = opened("g (float[N] x) => (float[N] y) { y = Relu(x) }", opset=11)
        apply(old, Recipe(source=Source("model.onnx"), precision=Precision.BF16))
