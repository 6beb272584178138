"""If, Loop and Scan among the nodes around them: TensorRT-RTX builds them, and ONNX Runtime gives the same."""

from __future__ import annotations

import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.kinds.control import (
    BRANCH_CANNOT_WORK,
    GROWING_STATE,
    IF_BRANCHES,
    LOOP_CONDITION,
    NESTED_IF,
    SLICE_BY_ITERATION,
)
from friction_tui.kinds.examples import ModelText
from friction_tui.kinds.kind import Kind
from friction_tui.model.opened import OpenedModel
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.control_flow import (
    IF_BRANCH_OF_LARGER_SIZES as BRANCH,
)
from friction_tui.rewrites.control_flow import (
    WORKING_BRANCH,
    if_to_where,
    inline_if,
    loop_condition,
    slice_to_gather,
    unroll_loop,
    unroll_scan,
)
from tests.rewrites.mended import (
    Answer,
    Shapes,
    built,
    check_mends,
    difference,
    model_of,
    path_of,
    ran,
    random_feeds,
    rewritten,
)


def loop(
    body: str, *, trips: str = "{3}", inputs: str = "float[n,2] x", states: str = "x", rows: str = ""
) -> OpenedModel:
    """y = Loop(trips, true, states) with one carried tensor s and the body's lines; `rows` is a second output."""
    return model_of(
        f"""g (float[n,2] x) => (float[a,b] y{rows and ", float[t,c,d] z"})
            <int64 trips = {trips}, bool on = {{1}}, int64 one = {{1}}, int64[1] axis = {{0}}, int64 four = {{4}}> {{
            [main] y{rows and ", z"} = Loop (trips, on, x) <
                body = b (int64 i, bool ci, float[p,q] s) => (bool co, float[u,v] out{rows}) {{ {body} }}> }}"""
    )


@pytest.mark.parametrize(
    "body",
    [
        "co = Identity (ci) out = Concat <axis = 1> (s, s)",
        "co = Identity (ci) m = ReduceMean <axes = [1]> (s) out = Concat <axis = 1> (s, m)",
        """next = Add (i, one) co = Less (next, four)
           f = Cast <to = 1> (i) k = Add (s, f) out = Concat <axis = 1> (s, k)""",
    ],
)
def test_a_growing_state_is_written_out(body: str) -> None:
    check_mends(loop(body), unroll_loop, "Loop", shapes={"x": [(1, 2), (4, 2), (8, 2)]})


def test_a_loop_ends_where_its_condition_says() -> None:
    model = loop(
        "next = Add (i, one) co = Less (next, four) out = Concat <axis = 1> (s, s) row = Neg (x)",
        trips="{20}",
        rows=", float[p,q] row",
    )
    after = check_mends(model, unroll_loop, "Loop", shapes={"x": [(1, 2), (4, 2), (8, 2)]})
    assert sum(node.op_type == "Neg" for node in after.graph.node) == 4


def test_a_loop_without_iterations_hands_its_state_on() -> None:
    model = loop("co = Identity (ci) out = Concat <axis = 1> (s, s)", trips="{0}")
    after = rewritten(model, unroll_loop, "Loop")
    assert [node.op_type for node in after.graph.node] == ["Identity"]


@pytest.mark.parametrize(
    ("model", "why"),
    [
        (loop("co = Identity (ci) out = Concat <axis = 1> (s, s)", trips="{1000}"), "1000 iterations"),
        (
            loop("m = ReduceMax <keepdims = 0> (s) z = Sub (m, m) co = Less (m, z) out = Concat <axis = 1> (s, s)"),
            "computed from data",
        ),
        (
            model_of(
                """g (float[4] x, int64 trips) => (float[a] y) <bool on = {1}> {
                    y = Loop (trips, on, x) <body = b (int64 i, bool ci, float[p] s) => (bool co, float[q] out) {
                        co = Identity (ci) out = Concat <axis = 0> (s, s) }> }"""
            ),
            "computed at run time",
        ),
        (
            model_of(
                """g (float[4] x) => (float[a] y) <bool on = {1}> {
                    y = Loop ("", on, x) <body = b (int64 i, bool ci, float[p] s) => (bool co, float[q] out) {
                        co = Identity (ci) out = Concat <axis = 0> (s, s) }> }""".replace('""', "")
            ),
            "does not end within",
        ),
    ],
)
def test_a_loop_of_unknown_or_great_length_is_refused(model: OpenedModel, why: str) -> None:
    with pytest.raises(CannotRewrite, match=why):
        rewritten(model, unroll_loop, "Loop")


@settings(max_examples=10, derandomize=True, deadline=None)
@given(st.integers(1, 6), st.integers(1, 4), st.integers(2, 7))
def test_any_loop_written_out_gives_the_same(trips: int, rows: int, stop: int) -> None:
    model = loop(
        f"""lim = Constant <value = int64 {{{stop}}}> () next = Add (i, one) co = Less (next, lim)
            f = Cast <to = 1> (next) k = Mul (s, f) out = Concat <axis = 1> (s, k) row = Add (x, f)""",
        trips=f"{{{trips}}}",
        rows=", float[p,q] row",
    )
    after = rewritten(model, unroll_loop, "Loop")
    feeds = random_feeds(model.proto, {"x": [(rows, 2)]}, 0, trips)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


@pytest.mark.parametrize(
    "attributes",
    ["", ", scan_input_axes=[1]", ", scan_input_directions=[1], scan_output_directions=[1]", ", scan_output_axes=[1]"],
)
def test_a_scan_is_written_out(attributes: str) -> None:
    shape = "n,3" if "scan_input_axes" in attributes else "3,n"
    model = model_of(
        f"""g (float[{shape}] x, float[n] start) => (float[n] last, float[a,b] y) {{
            last, y = Scan <num_scan_inputs = 1{attributes},
                body = b (float[n] s, float[n] v) => (float[n] out, float[n] row) {{
                    out = Add (s, v)
                    row = Mul (out, s) }}> (start, x) }}"""
    )
    sizes = [(n, 3) if shape == "n,3" else (3, n) for n in (1, 4, 8)]
    check_mends(model, unroll_scan, "Scan", shapes={"x": sizes, "start": [(1,), (4,), (8,)]}, refused=False)


def test_a_scan_of_unknown_length_is_refused() -> None:
    model = model_of(
        """g (float[t,4] x, float[4] start) => (float[4] last, float[a,b] y) {
            last, y = Scan <num_scan_inputs = 1,
                body = b (float[4] s, float[4] v) => (float[4] out, float[4] row) {
                    out = Add (s, v)
                    row = Identity (out) }> (start, x) }"""
    )
    with pytest.raises(CannotRewrite, match="not fixed"):
        rewritten(model, unroll_scan, "Scan")


def squeezed(sizes: str, declared: str) -> OpenedModel:
    """What the exporter writes for x.squeeze(1) on a size that it does not know."""
    return model_of(
        f"""g (float[{sizes}] x) => (float[{declared}] y) <int64[1] one = {{1}}> {{
            s = Shape (x)
            size = Gather (s, one)
            alone = Equal (size, one)
            y = If (alone) <
                then_branch = t () => (float[a,b] m) {{ m = Squeeze (x, one) }},
                else_branch = e () => (float[a,b,c] k) {{ k = Identity (x) }}> }}"""
    )


@pytest.mark.parametrize(("sizes", "op"), [("n,1,4", "Squeeze"), ("n,3,4", "Identity")])
def test_a_condition_from_a_fixed_size_decides(sizes: str, op: str) -> None:
    model = squeezed(sizes, "a,b" if op == "Squeeze" else "a,b,c")
    # ONNX Runtime does not load a Squeeze of an axis of 3, even where it is not taken.
    after = check_mends(model, inline_if, "If", refused=False, run=ran if op == "Squeeze" else None)
    assert op in {node.op_type for node in after.graph.node}


@pytest.mark.parametrize("declared", ["a,b", "a,b,c"])
def test_the_branch_of_larger_sizes_is_kept(declared: str) -> None:
    model = squeezed("n,c,4", declared)
    shapes = {"x": [(1, 2, 4), (2, 3, 4), (4, 4, 4)]}
    after = BRANCH.run(model, [path_of(model, "If")])
    assert built(model.proto, shapes).verdict != "ok"
    assert built(after, shapes).verdict == "ok"
    assert len(after.graph.output[0].type.tensor_type.shape.dim) == 3
    if declared == "a,b,c":  # ONNX Runtime does not give three axes where two are declared
        feeds = {"x": np.ones((2, 3, 4), np.float32)}
        assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("NESTED", "do not differ"),
        (
            """g (float[n,1,4] x, bool a) => (float[p,q] y) <int64[1] one = {1}> {
                y = If (a) <
                    then_branch = t () => (float[p,q] m) { m = Squeeze (x, one) },
                    else_branch = e () => (float[p,q,r] k) { k = Identity (x) }> }""",
            "depends on values",
        ),
    ],
)
def test_other_branches_are_not_chosen_from(text: str, why: str) -> None:
    model = model_of(NESTED_IF_MODEL if text == "NESTED" else text)
    with pytest.raises(CannotRewrite, match=why):
        BRANCH.run(model, [path_of(model, "If")])


NESTED_IF_MODEL = """g (float[n,6] x, bool a, bool b) => (float[n,6] y) {
    y = If (a) <
        then_branch = t () => (float[n,6] u) {
            u = If (b) <
                then_branch = p () => (float[n,6] m) { m = Relu (x) },
                else_branch = q () => (float[n,6] k) { k = Neg (x) }> },
        else_branch = e () => (float[n,6] v) { v = Tanh (x) }> }"""


def test_both_branches_and_where() -> None:
    model = model_of(NESTED_IF_MODEL)
    after = check_mends(model, if_to_where, "If", run=None)
    for outer in (False, True):
        for inner in (False, True):
            feeds = {"x": np.linspace(-1, 1, 12, dtype=np.float32).reshape(2, 6)}
            feeds |= {"a": np.array(outer), "b": np.array(inner)}
            assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


def test_where_for_a_fixed_shape_and_a_condition_of_one_element() -> None:
    model = model_of(
        """g (float[2,6] x, bool[1] a) => (float[2,6] y, float[2,1] z) <int64[1] axis = {1}> {
            y, z = If (a) <
                then_branch = t () => (float[2,6] m, float[2,1] p) { m = Relu (x) p = ReduceMean <axes = [1]> (x) },
                else_branch = e () => (float[2,6] k, float[2,1] q) { k = Neg (x) q = ReduceMax <axes = [1]> (x) }> }"""
    )
    check_mends(model, if_to_where, "If", refused=False)


def test_a_branch_that_may_fail_where_it_is_not_taken_is_refused() -> None:
    model = model_of(
        """g (float[9] x, int64[1] i, bool a) => (float[1] y) <int64[1] zero = {0}> {
            y = If (a) <
                then_branch = t () => (float[1] m) { m = Gather (x, i) },
                else_branch = e () => (float[1] k) { k = Gather (x, zero) }> }"""
    )
    with pytest.raises(CannotRewrite, match="may fail"):
        rewritten(model, if_to_where, "If")


def of_kind(kind: Kind) -> OpenedModel:
    assert isinstance(kind.shows, ModelText)
    return model_of(kind.shows.graph)


def test_a_blank_condition_becomes_true() -> None:
    check_mends(of_kind(LOOP_CONDITION), loop_condition, "Loop")


def test_a_slice_by_iteration_becomes_a_gather() -> None:
    model = of_kind(SLICE_BY_ITERATION)
    paths = [node.path for node in model.index.nodes if node.proto.op_type == "Slice"]
    after = slice_to_gather.run(model, paths)
    assert built(model.proto).verdict != "ok"
    assert built(after).verdict == "ok"
    feeds = random_feeds(model.proto, None, 0, 0)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0


def test_a_slice_of_constant_bounds_is_left() -> None:
    model = model_of(
        """g (float[9] x) => (float[1] y) <int64[1] s = {2}, int64[1] e = {3}, int64[1] a = {0}> {
            y = Slice (x, s, e, a) }"""
    )
    with pytest.raises(CannotRewrite, match="constant"):
        rewritten(model, slice_to_gather, "Slice")


@pytest.mark.parametrize("kind", [GROWING_STATE, LOOP_CONDITION, SLICE_BY_ITERATION, NESTED_IF, IF_BRANCHES])
def test_each_kind_names_rewrites_that_exist(kind: Kind) -> None:
    assert kind.rewrites
    assert set(kind.rewrites) <= set(REWRITES)


def test_the_branch_that_can_work_is_kept() -> None:
    model = of_kind(BRANCH_CANNOT_WORK)
    broken = next(node.path for node in model.index.nodes if node.proto.name == "view")
    after = WORKING_BRANCH.run(model, [broken, path_of(model, "If")])
    assert built(model.proto).verdict != "ok"
    assert built(after).verdict == "ok"
    [y] = ran(after, {"x": np.ones((2, 4), np.float32), "k": np.array(False)})
    assert y.shape == (8,)


def test_a_node_outside_of_branches_has_no_other_branch() -> None:
    model = model_of("g (float[n] x) => (float[n] y) { y = Relu (x) }")
    with pytest.raises(CannotRewrite, match="not in a branch"):
        WORKING_BRANCH.run(model, ["0"])


def test_a_body_that_does_not_fit_its_loop_is_refused() -> None:
    model = model_of(
        """g (float[4] x) => (float[a] y) <int64 trips = {3}, bool on = {1}> {
            y = Loop (trips, on, x, x) <body = b (int64 i, bool ci, float[p] s) => (bool co, float[q] out) {
                co = Identity (ci) out = Concat <axis = 0> (s, s) }> }"""
    )
    with pytest.raises(CannotRewrite, match="do not fit"):
        rewritten(model, unroll_loop, "Loop")


@pytest.mark.parametrize(
    ("then", "other"),
    [
        ("float[n,1,4] p) { p = Unsqueeze (x, one) }", "float[n,4] q) { q = Neg (x) }"),
        ("float[n,4] p) { p = Abs (x) }", "float[n,1,4] q) { r = Neg (x)  q = Unsqueeze (r, one) }"),
        ("float[4] p) { i = Slice (x, zero, one, zero)  p = Squeeze (i, zero) }", "float[n,4] q) { q = Neg (x) }"),
    ],
)
def test_branches_of_one_rank_for_a_condition_on_values(then: str, other: str) -> None:
    text = f"""g (float[n,4] x, bool c) => (float[a,b] y) {{
        y = If (c) <then_branch = t () => ({then}, else_branch = e () => ({other}> }}"""
    model = model_of(text, zero=np.array([0]), one=np.array([1]))
    shapes: Shapes = {"x": [(1, 4), (2, 4), (4, 4)]}
    after = REWRITES["if-same-rank"].run(model, [path_of(model, "If")])
    onnx.checker.check_model(after, full_check=True)
    assert built(model.proto, shapes).verdict != "ok"
    assert built(after, shapes) == Answer("ok", "")
    x = np.random.default_rng(0).standard_normal((2, 4)).astype(np.float32)
    for taken in (True, False):
        feeds = {"x": x, "c": np.array(taken)}
        before, now = ran(model.proto, feeds)[0], ran(after, feeds)[0]
        assert now.ndim == 2
        assert np.array_equal(before.reshape(now.shape), now)
