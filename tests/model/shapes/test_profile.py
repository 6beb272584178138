"""Free dimensions, shape-tensor inputs as TensorRT reads them, and guesses that do not break the model."""

from __future__ import annotations

from pathlib import Path

import pytest
from onnx import parser

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.model.shapes.profile import default_profile, free_dims, shape_tensor_inputs
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.vocabulary.recipe import POINTS, Profile, Range, Values

HEADER = '<ir_version: 10, opset_import: ["" : 21]>'


def parsed(text: str) -> OpenedModel:
    return from_proto(parser.parse_model(f"{HEADER} {text}"), Path("model.onnx"))


def failing_points(model: OpenedModel, profile: Profile) -> list[str]:
    table = ShapeTable(model, profile)
    return [point for point in POINTS if table.at(point).failures]


def test_free_dims_share_symbols_and_name_the_nameless() -> None:
    model = parsed("g (float[N,3,H] x, int64[N] y, float[?,2] z) => (float o) { o = ReduceSum(x) }")
    assert free_dims(model) == {"N": [("x", 0), ("y", 0)], "H": [("x", 2)], "z[0]": [("z", 0)]}


SHAPE_INPUTS = {
    "reshape": ("float[2,6] x, int64[2] k", "y = Reshape(x, k)"),
    "through arithmetic": (
        "float[2,6] x, int64[1] k",
        "h = Add(k, k)  s = Constant <value_ints = [0]> ()  y = Slice(x, s, h, s)",
    ),
    "inside a branch": (
        "float[2,6] x, int64[2] k, bool c",
        """y = If (c) <then_branch = t () => (float[A,B] a) { a = Reshape(x, k) },
                       else_branch = e () => (float[A,B] b) { b = Neg(x) }>""",
    ),
    "indices are data": ("float[2,6] x, int64[1] k", "y = Gather(x, k)"),
    "loop count is data": (
        "float[2] x, int64 k, bool c",
        "y = Loop (k, c, x) <body = b (int64 i, bool g, float[2] s) => (bool g2, float[2] s2) "
        "{ g2 = Identity(g)  s2 = Relu(s) }>",
    ),
}


@pytest.mark.parametrize("case", SHAPE_INPUTS)
def test_shape_tensors_are_those_tensorrt_reads_as_shapes(case: str) -> None:
    trt = pytest.importorskip("tensorrt_rtx")
    inputs, body = SHAPE_INPUTS[case]
    model = parsed(f"g ({inputs}) => (float y) {{ {body} }}")
    logger = trt.Logger(trt.Logger.INTERNAL_ERROR)
    builder = trt.Builder(logger)
    network = builder.create_network(0)
    network_parser = trt.OnnxParser(network, logger)
    assert network_parser.parse(model.proto.SerializeToString())
    theirs = {network.get_input(n).name for n in range(network.num_inputs) if network.get_input(n).is_shape_tensor}
    assert shape_tensor_inputs(model) == theirs


def test_a_plain_model_gets_the_usual_ranges_all_marked_as_guessed() -> None:
    model = parsed("g (float[N,3,H,W] x, int64[B,T] ids) => (float y, int64 z) { y = Relu(x)  z = Identity(ids) }")
    profile = default_profile(model)
    assert profile.ranges == {
        "N": Range(1, 4, 8),
        "H": Range(224, 224, 224),
        "W": Range(224, 224, 224),
        "B": Range(1, 4, 8),
        "T": Range(1, 128, 256),
    }
    assert set(profile.guessed) == set(profile.ranges)


def test_sizes_are_sought_that_the_model_can_take() -> None:
    fixed = parsed(
        "g (float[N,1,H,W] x) => (float y) <int64[2] k = {-1, 4096}> { y = Reshape(x, k)  z = Gemm(y, w) }".replace(
            "<int64[2] k = {-1, 4096}>", "<int64[4] k = {0, 1, 64, 64}>"
        ).replace("  z = Gemm(y, w)", "")
    )
    profile = default_profile(fixed)
    assert profile.ranges["H"] == profile.ranges["W"] == Range(64, 64, 64)
    assert failing_points(fixed, profile) == []

    convolution = parsed("g (float[N,1,T] x) => (float y) <float[1,1,9] w = {1,1,1,1,1,1,1,1,1}> { y = Conv(x, w) }")
    profile = default_profile(convolution)
    assert profile.ranges["T"].min >= 9
    assert failing_points(convolution, profile) == []


def test_a_baked_batch_keeps_its_range_and_works_at_opt() -> None:
    model = parsed("g (float[N,4,4] x) => (float y) <int64[2] k = {1, 16}> { y = Reshape(x, k) }")
    profile = default_profile(model)
    assert profile.ranges["N"] == Range(1, 1, 8)
    assert failing_points(model, profile) == ["max"]


def test_sums_of_symbols_follow_their_parts() -> None:
    model = parsed(
        'g (float["past", 2] a, float["new", 2] b, float["past + new", 2] c) => (float y) '
        "{ d = Concat <axis = 0> (a, b)  y = Add(d, c) }"
    )
    profile = default_profile(model)
    past, new, total = (profile.ranges[key] for key in ("past", "new", "past + new"))
    assert total == Range(past.min + new.min, past.opt + new.opt, past.max + new.max)
    assert failing_points(model, profile) == []


def test_shape_tensors_get_values_that_fit() -> None:
    model = parsed("g (float[2,6] x, int64[2] k) => (float y) { y = Reshape(x, k) }")
    profile = default_profile(model)
    assert profile.values == {"k": Values((2, 6), (2, 6), (2, 6))}
    assert profile.guessed == ("k",)
    assert failing_points(model, profile) == []


def test_what_was_chosen_stays_and_the_rest_fits_it() -> None:
    model = parsed("g (float[A,4] x, float[B,4] z) => (float y) { y = Add(x, z) }")
    chosen = Profile(ranges={"A": Range(64, 64, 64)})
    profile = default_profile(model, chosen)
    assert profile.ranges["A"] == Range(64, 64, 64)
    assert profile.guessed == ("B",)


def test_values_that_reach_a_shape_through_bodies_and_functions() -> None:
    through = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[2,12] x, int64[2] size, bool k) => (float[a,b] y) {
            t = If (k) <
                then_branch = p () => (int64[2] u) { u = Identity (size) },
                else_branch = q () => (int64[2] v) { v = my.Same (size) }>
            y = Reshape (x, t)
        }
        <domain: "my", opset_import: ["" : 21]> Same (s) => (r) { r = Relu (s) }"""
    assert shape_tensor_inputs(from_proto(parser.parse_model(through), Path("m.onnx"))) == {"size"}


@pytest.mark.parametrize(("rows", "expected"), [("", set()), (", r", {"trips"})])
def test_a_trip_count_decides_how_many_rows_a_loop_collects(rows: str, expected: set[str]) -> None:
    out = ", float[4] z" if rows else ""
    last = " z = Relu (o)" if rows else ""
    text = f"""<ir_version: 10, opset_import: ["" : 21]>
        g (int64 trips, float[4] x) => (float[4] y) <bool on = {{1}}> {{
            y{rows} = Loop (trips, on, x) <body = b (int64 i, bool c, float[4] s) => (bool d, float[4] o{out}) {{
                d = Identity (c) o = Relu (s){last} }}> }}"""
    assert shape_tensor_inputs(from_proto(parser.parse_model(text), Path("m.onnx"))) == expected


def test_the_batch_of_a_state_follows_that_of_the_input() -> None:
    model = parsed("""g (float[?,?,8] x, float[1,?,4] state, float[1,16,8] W, float[1,16,4] R) => (float[a,b,c,d] y) {
        turned = Transpose <perm = [1, 0, 2]> (x)
        y, h = LSTM <hidden_size = 4> (turned, W, R, , , state, state) }""")
    profile = default_profile(model)
    assert profile.ranges["state[1]"] == profile.ranges["x[0]"] == Range(1, 4, 8)
    assert set(profile.guessed) == {"x[0]", "x[1]", "state[1]"}
    assert failing_points(model, profile) == []


def test_a_mask_is_as_long_as_past_and_input_together() -> None:
    model = parsed("""g (float[1,past] cache, float[1,seq] x, float[1,total] mask) => (float[1,t] y) {
        all = Concat <axis = 1> (cache, x) y = Add (all, mask) }""")
    ranges = default_profile(model).ranges
    sums = [ranges["past"].at(point) + ranges["seq"].at(point) for point in POINTS]
    assert [ranges["total"].at(point) for point in POINTS] == sums


def test_a_declared_relation_decides_what_nobody_chose() -> None:
    model = parsed("g (float[1,T1] a, float[1,T2] b) => (float[1,T1] y, float[1,T2] z) { y = Relu (a) z = Relu (b) }")
    given = Profile(ranges={"T2": Range(1, 8, 16)}, relations=("T1 = T2 + 1",))
    assert default_profile(model, given).ranges["T1"] == Range(2, 9, 17)
    other_way = Profile(ranges={"T1": Range(2, 9, 17)}, relations=("T1 = T2 + 1",))
    assert default_profile(model, other_way).ranges["T2"] == Range(1, 8, 16)


def test_sizes_at_which_the_model_runs_are_taken_where_shapes_cannot_tell() -> None:
    model = parsed("g (float[1,T] x) => (int64[a,b] y) { y = NonZero (x) }")
    asked: list[int] = []

    def runs(profile: Profile) -> bool:
        asked.append(profile.ranges["T"].opt)
        return profile.ranges["T"].opt == 64

    assert default_profile(model, None, runs).ranges["T"].opt == 64
    assert len(asked) <= 4
    known = parsed("g (float[1,T] x) => (float[1,T] y) { y = Relu (x) }")
    asked.clear()
    default_profile(known, None, runs)
    assert asked == []
