"""What cannot work at some size: which size is to blame, which sizes work, what was baked in; and how severe it is."""

from __future__ import annotations

from collections.abc import Callable, Iterable

import numpy as np
import pytest
from onnx import TensorProto, numpy_helper, parser

from friction_tui.rules.shapes import dynamic_shapes, fragile_shapes, profiles
from friction_tui.vocabulary.finding import Finding, Severity
from friction_tui.vocabulary.recipe import Profile, Range, Values

Judge = Callable[..., list[Finding]]
Said = Callable[[Iterable[Finding]], str]


def chosen(**ranges: tuple[int, int, int]) -> Profile:
    return Profile(ranges={key: Range(*sizes) for key, sizes in ranges.items()})


def guessed(**ranges: tuple[int, int, int]) -> Profile:
    return Profile(ranges=chosen(**ranges).ranges, guessed=tuple(ranges))


def ints(name: str, *values: int) -> TensorProto:
    return numpy_helper.from_array(np.array(values, np.int64), name)


def zeros(name: str, *dims: int) -> TensorProto:
    return numpy_helper.from_array(np.zeros(dims, np.float32), name)


UNET = """g (float[n,4,h,w] x) => (float[n,8,h,w] y) {
    [pool] p = MaxPool <kernel_shape = [4, 4], strides = [4, 4]> (x)
    [up] u = ConvTranspose <strides = [4, 4]> (p, k)
    [join] y = Concat <axis = 1> (u, x)
}"""
UP = [zeros("k", 4, 4, 4, 4)]


@pytest.mark.parametrize(
    ("graph", "tensors", "profile", "kind", "locations", "words"),
    [
        (
            "g (float[N,3,8,8] x) => (float[a,b] y) { [view] y = Reshape (x, s) }",
            [ints("s", 4, 192)],
            chosen(N=(1, 2, 8)),
            "dynamic/baked-reshape",
            {"view"},
            ("constant", "entry 0 (4) is the batch size N", "only N = 4 works", "-1", "flatten"),
        ),
        (
            # At N = 4 the computed entry is 8 as well: it is not the one that was baked in.
            """g (float[L,N,8] x) => (float[a,b,c] y) <int64[1] t = {8}, int64[1] two = {2}, int64 one = {1}> {
                all = Shape (x) n = Gather (all, one) heads = Mul (n, two)
                target = Concat <axis = 0> (heads, t, four) [view] y = Reshape (x, target) }""",
            [ints("four", 4)],
            chosen(N=(1, 2, 4), L=(4, 8, 16)),
            "dynamic/baked-reshape",
            {"view"},
            ("entry 1 (8) is", "L at export", "only L = 8 works"),
        ),
        (
            # The reshape before it has the batch in front and a -1 behind, and computes the batch: it is not to blame.
            """g (float[N,4,4] x) => (float[a,b,16] y)
                <int64[1] zero = {0}, int64[1] one = {1}, int64[2] rest = {1, -1}> {
                all = Shape (x) n = Slice (all, zero, one) target = Concat <axis = 0> (n, rest)
                [flat] r = Reshape (x, target) [join] y = Concat <axis = 1> (token, r) }""",
            [zeros("token", 1, 1, 16)],
            chosen(N=(1, 2, 4)),
            "dynamic/baked-constant",
            {"join", "token"},
            ("1 against",),
        ),
        (
            "g (float[N,4,4] x) => (float[N,3] y) { [view] r = Reshape (x, s) [fc] y = MatMul (r, k) }",
            [ints("s", 1, -1), zeros("k", 16, 3)],
            chosen(N=(1, 2, 4)),
            "dynamic/baked-reshape",
            {"fc", "view"},
            ("folded into the -1", "batch"),
        ),
        (
            "g (float[N,L,4] x) => (float[a,b,7,4] y) { [windows] y = Reshape (x, s) }",
            [ints("s", 0, -1, 7, 4)],
            chosen(N=(1, 1, 1), L=(14, 28, 30)),
            "dynamic/reshape-remainder",
            {"windows"},
            ("multiple of 7",),
        ),
        (
            "g (float[N,q,k] s) => (float[N,q,k] y) { [mask] y = Where (m, s, f) }",
            [
                numpy_helper.from_array(np.ones((1, 8, 8), bool), "m"),
                numpy_helper.from_array(np.array(-1e9, np.float32), "f"),
            ],
            chosen(N=(1, 1, 1), q=(4, 8, 16), k=(4, 8, 16)),
            "dynamic/baked-constant",
            {"mask", "m"},
            ("constant m has size 8", "broadcast", "x.shape"),
        ),
        (
            "g (float[N,4,8] x) => (float[N,5,8] y) { [token] e = Expand (c, s) [join] y = Concat <axis = 1> (e, x) }",
            [zeros("c", 1, 1, 8), ints("s", 1, 1, 8)],
            chosen(N=(1, 2, 4)),
            "dynamic/baked-constant",
            {"join", "token"},
            ("Expand token", "target shape is constant", "only N = 1"),
        ),
        (
            UNET,
            UP,
            chosen(n=(1, 1, 1), h=(32, 66, 128), w=(32, 64, 128)),
            "dynamic/stride-multiple",
            {"join"},
            ("h must be a multiple of 4", "odd"),
        ),
        (
            "g (float[N,T,8] x) => (float[N,8] y) { [last] y = Gather <axis = 1> (x, i) }",
            [numpy_helper.from_array(np.array(15, np.int64), "i")],
            chosen(N=(1, 1, 1), T=(4, 16, 32)),
            "dynamic/index-range",
            {"last"},
            ("index 15 is out of range", "T must be 16 or larger"),
        ),
        (
            "g (float[a,4] x, float[b,4] z) => (float[c,4] y) { [sum] y = Add (x, z) }",
            [],
            chosen(a=(1, 2, 4), b=(1, 3, 4)),
            "dynamic/must-be-equal",
            {"sum"},
            ("must be equal", "same sizes"),
        ),
        (
            "g (float[N,T] x) => (float[N,8] y) { [drop] y = Squeeze (x, a) }",
            [ints("a", 0)],
            chosen(N=(1, 2, 4), T=(8, 8, 8)),
            "dynamic/squeeze",
            {"drop"},
            ("batch", "not always 1", "keep the dimension"),
        ),
        (
            "g (float[N,3,h,w] x) => (float[N,10] y) { [flat] f = Flatten (x) [fc] y = Gemm (f, k) }",
            [zeros("k", 192, 10)],
            chosen(N=(1, 1, 1), h=(8, 16, 32), w=(8, 16, 32)),
            "dynamic/matmul",
            {"fc", "flat"},
            ("192 features", "Pool to a fixed size"),
        ),
        (
            "g (float[4,2] x) => (float[1,2] y) { [pick] y = Gather <axis = 0> (x, i) }",
            [ints("i", 7)],
            Profile(),
            "dynamic/index-range",
            {"pick"},
            ("index 7 is out of range", "vocabulary"),
        ),
    ],
)
def test_the_cause_is_found_before_any_build(
    graph: str,
    tensors: list[TensorProto],
    profile: Profile,
    kind: str,
    locations: set[str],
    words: tuple[str, ...],
    judge: Judge,
    said: Said,
) -> None:
    (finding,) = judge(dynamic_shapes.check, graph, opset=17, ir_version=8, tensors=tensors, profile=profile)
    assert (finding.kind, finding.severity) == (kind, Severity.ERROR)
    assert set(finding.names) == locations
    for word in words:
        assert word in said([finding])


def test_the_tool_can_apply_the_rewrite_and_the_range(judge: Judge) -> None:
    graph = "g (float[N,6] x) => (float[a,b,c] y) { [one] r = Reshape (x, s) [two] y = Reshape (r, s) }"
    (finding,) = judge(dynamic_shapes.check, graph, opset=17, tensors=[ints("s", 1, 2, 3)], profile=chosen(N=(1, 3, 5)))
    rewrite = next(fix for fix in finding.fixes if fix.rewrite)
    assert (rewrite.rewrite, rewrite.nodes) == ("reshape-minus-one", ("0", "1"))
    assert finding.fixes[-1].ranges == {"N": Range(1, 1, 1)}


def test_multiples_between_chosen_sizes_are_a_warning_until_they_are_declared(judge: Judge) -> None:
    between = chosen(n=(1, 1, 1), h=(32, 64, 128), w=(64, 64, 64))
    (finding,) = judge(dynamic_shapes.check, UNET, opset=17, tensors=UP, profile=between)
    assert finding.severity is Severity.WARNING
    declared = finding.fixes[-1].ranges["h"]
    assert (declared.min, declared.max, declared.step) == (32, 128, 4)
    stepped = Profile(ranges={**between.ranges, "h": declared})
    assert judge(dynamic_shapes.check, UNET, opset=17, tensors=UP, profile=stepped) == []
    assert "h must be a multiple of 4" in finding.cause
    offered = guessed(n=(1, 1, 1), h=(30, 62, 126), w=(64, 64, 64))
    (finding,) = judge(dynamic_shapes.check, UNET, opset=17, tensors=UP, profile=offered)
    assert finding.severity is Severity.NOTE
    assert "guessed" in finding.cause


def test_a_baked_batch_is_an_error_even_with_guessed_sizes(judge: Judge) -> None:
    """It is declared free and is not: no size that was guessed is to blame."""
    graph = "g (float[N,16] x) => (float[a,b,c] y) { [view] y = Reshape (x, s) }"
    (finding,) = judge(
        dynamic_shapes.check, graph, opset=17, tensors=[ints("s", 1, 4, 4)], profile=guessed(N=(1, 4, 8))
    )
    assert finding.severity is Severity.ERROR
    assert "guessed" not in finding.cause
    # A batch that stands second, as recurrent layers have it, is one by its name.
    graph = "g (float[3,batch,16] x) => (float[a,b] y) { [view] y = Reshape (x, s) }"
    (finding,) = judge(
        dynamic_shapes.check, graph, opset=17, tensors=[ints("s", 3, 16)], profile=guessed(batch=(1, 4, 8))
    )
    assert finding.severity is Severity.ERROR


def test_a_guess_alone_is_a_warning_at_most_and_says_so(judge: Judge) -> None:
    sequence = "g (float[2,T,16] x) => (float[a,b] y) { [view] y = Reshape (x, s) }"
    (finding,) = judge(
        dynamic_shapes.check, sequence, opset=17, tensors=[ints("s", 2, 64)], profile=guessed(T=(1, 8, 16))
    )
    assert finding.severity is Severity.WARNING
    assert "at sizes that were guessed (T)" in finding.cause
    branch = """g (float[N,4] x, bool c) => (float[a,b] y) { y = If (c) <
        then_branch = t () => (float[u] p) { [one] p = Squeeze (x, zero) },
        else_branch = e () => (float[v,w] q) { q = Neg (x) }> }"""
    found = judge(dynamic_shapes.check, branch, opset=17, tensors=[ints("zero", 0)], profile=guessed(N=(1, 4, 8)))
    assert [one.severity for one in found] == [Severity.WARNING]


def test_values_of_a_shape_tensor_that_do_not_fit(judge: Judge) -> None:
    graph = "g (float[N,4] x, int64[2] t) => (float[a,b] y) { [view] y = Reshape (x, t) }"
    ranges = {"N": Range(1, 2, 4)}
    given = Profile(ranges=ranges, values={"t": Values((4, 1), (3, 4), (8, 2))})
    (finding,) = judge(dynamic_shapes.check, graph, opset=17, profile=given)
    assert finding.kind == "dynamic/shape-values"
    nobody_chose = Profile(ranges=ranges, values=given.values, guessed=("t",))
    assert judge(dynamic_shapes.check, graph, opset=17, profile=nobody_chose) == []


@pytest.mark.parametrize(
    ("graph", "tensors", "profile"),
    [
        ("g (float[N,3,8,8] x) => (float[N,192] y) { y = Reshape (x, s) }", [ints("s", -1, 192)], chosen(N=(1, 2, 8))),
        (
            "g (float[N,T,16] x) => (float[N,T,4,4] y) { y = Reshape (x, s) }",
            [ints("s", 0, 0, 4, 4)],
            chosen(N=(1, 2, 8), T=(4, 9, 33)),
        ),
        (UNET, UP, chosen(n=(1, 4, 8), h=(64, 64, 64), w=(64, 64, 64))),
        ("g (float[N,4] x, float[N,4] z) => (float[N,4] y) { y = Add (x, z) }", [], chosen(N=(1, 3, 7))),
        # The sizes of two inputs go together by a factor that no profile can express; the given points keep it.
        (
            "g (float[1,2,H] x, float[1,2,h] z) => (float[1,2,h] y) { p = AveragePool <kernel_shape = [8], "
            "strides = [8]> (x) y = Add (p, z) }",
            [],
            chosen(H=(32, 64, 128), h=(4, 8, 16)),
        ),
    ],
)
def test_healthy_models_are_quiet(
    graph: str,
    tensors: list[TensorProto],
    profile: Profile,
    judge: Judge,
    loud: Callable[[Iterable[Finding]], list[str]],
) -> None:
    for check in (dynamic_shapes.check, fragile_shapes.check):
        assert loud(judge(check, graph, opset=17, ir_version=8, tensors=tensors, profile=profile)) == []


def test_squeeze_without_axes_and_a_resized_batch(judge: Judge) -> None:
    graph = "g (float[N,4,1] x) => (float[a,b] y) { [drop] y = Squeeze (x) }"
    (finding,) = judge(fragile_shapes.check, graph, opset=17, profile=chosen(N=(1, 2, 4)))
    assert (finding.kind, finding.names) == ("dynamic/squeeze", ("drop",))
    assert "squeeze(dim=2)" in finding.fixes[0].text
    graph = "g (float[N,2,8,8] x) => (float[a,2,16,16] y) { [up] y = Resize (x, , , s) }"
    (finding,) = judge(
        fragile_shapes.check, graph, opset=17, tensors=[ints("s", 1, 2, 16, 16)], profile=chosen(N=(1, 2, 4))
    )
    assert (finding.kind, finding.severity) == ("dynamic/baked-resize", Severity.ERROR)


FOLDED = """g (float[N,S,8] x) => (float[N,S,8] y) <int64[3] split = {2, -1, 4}, int64[3] back = {2, -1, 8}> {
    [heads] h = Reshape (x, split)
    r = Relu (h)
    [join] j = Reshape (r, back)
    [add] y = Add (x, j)
}"""


def test_a_node_behind_a_folding_reshape_is_not_to_blame(judge: Judge) -> None:
    found = judge(dynamic_shapes.check, FOLDED, profile=chosen(N=(1, 4, 8), S=(4, 8, 16)))
    (finding,) = [one for one in found if one.severity is Severity.ERROR]
    assert (finding.kind, finding.names) == ("dynamic/baked-reshape", ("add", "heads"))
    assert "entry 0 (2) stands where the input has the batch size N" in finding.cause


def test_rows_that_mix_samples(judge: Judge) -> None:
    graph = "g (float[N,T,8] x) => (float[r,128] y) <int64[2] flat = {-1, 128}> { [view] y = Reshape (x, flat) }"
    (finding,) = judge(dynamic_shapes.check, graph, profile=chosen(N=(1, 1, 2), T=(16, 32, 64)))
    assert (finding.kind, finding.severity) == ("dynamic/folded-batch", Severity.WARNING)
    tokens = "g (float[N,T,8] x) => (float[r,8] y) <int64[2] flat = {-1, 8}> { y = Reshape (x, flat) }"
    assert judge(dynamic_shapes.check, tokens, profile=chosen(N=(1, 1, 2), T=(16, 32, 64))) == []


IN_A_BRANCH = """g (float[N,6] x, bool k) => (float[N,6] y) {
    y = If (k) <
        then_branch = t () => (float[N,6] a) { [inner] a = Mul (x, mask) },
        else_branch = e () => (float[N,6] b) { b = Relu (x) }> }"""
IN_A_LOOP = """g (float[N,6] x) => (float[N,6] y) <int64 trips = {3}, bool on = {1}> {
    y = Loop (trips, on, x) <body = b (int64 i, bool c, float[N,6] s) => (bool co, float[N,6] o) {
        co = Identity (c) [inner] o = Add (s, mask) }> }"""
IN_A_FUNCTION = """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
    g (float[N,6] x) => (float[N,6] y) { y = my.Masked (x, mask) }
    <domain: "my", opset_import: ["" : 21]> Masked (u, m) => (v) { [inner] v = Add (u, m) }"""


@pytest.mark.parametrize("graph", [IN_A_BRANCH, IN_A_LOOP, IN_A_FUNCTION])
def test_causes_inside_bodies_are_traced_to_the_constant(graph: str, judge: Judge) -> None:
    mask = numpy_helper.from_array(np.ones((4, 6), np.float32), "mask")
    (finding,) = judge(dynamic_shapes.check, graph, tensors=[mask], profile=chosen(N=(4, 4, 8)))
    assert (finding.kind, finding.severity) == ("dynamic/baked-constant", Severity.ERROR)
    assert "only N = 4 works" in finding.cause
    assert finding.names[:2] == ("inner", "mask")


def test_a_branch_of_a_constant_condition_that_is_not_taken_counts_for_nothing(judge: Judge) -> None:
    graph = """g (float[N,6] x) => (float[N,6] y) <bool never = {0}, int64[2] two = {2, 6}> {
        y = If (never) <
            then_branch = t () => (float[N,6] a) { a = Reshape (x, two) },
            else_branch = e () => (float[N,6] b) { b = Relu (x) }> }"""
    assert judge(dynamic_shapes.check, graph, profile=chosen(N=(1, 4, 8))) == []


@pytest.mark.parametrize(("first", "kinds"), [(-1, []), (2, ["dynamic/baked-reshape"])])
def test_attributes_of_a_call_decide_constants_of_its_function(first: int, kinds: list[str], judge: Judge) -> None:
    model = parser.parse_model(
        """<ir_version: 10, opset_import: ["" : 21, "my" : 1]>
        g (float[N,4,8] x) => (float[N,32] y) { y = my.View <shape = [1, 32]> (x) }
        <domain: "my", opset_import: ["" : 21]> View <shape> (a) => (b) {
            s = Constant <value_ints: ints = @shape> () [view] b = Reshape (a, s) }"""
    )
    model.graph.node[0].attribute[0].ints[0] = first
    found = judge(dynamic_shapes.check, model, profile=chosen(N=(1, 2, 4)))
    assert [one.kind for one in found] == kinds
    assert all("[2, 32]" in one.cause for one in found)


def test_an_output_declared_with_the_size_of_the_example_is_a_note(judge: Judge) -> None:
    graph = "g (float[N,T,4] x) => (float[N,DECLARED,4] y) { y = Relu (x) }"
    profile = chosen(N=(1, 2, 4), T=(8, 16, 32))
    (finding,) = judge(fragile_shapes.check, graph.replace("DECLARED", "12"), profile=profile)
    assert (finding.kind, finding.severity) == ("structure/false-shape", Severity.NOTE)
    assert "axis 1 as 12, and it is 8 · 16 · 32" in finding.cause
    (finding,) = judge(fragile_shapes.check, graph.replace("DECLARED,4", "T,5"), profile=profile)
    assert finding.severity is Severity.WARNING
    assert judge(fragile_shapes.check, graph.replace("DECLARED", "16"), profile=profile) == []


def test_a_python_loop_that_was_unrolled_is_one_finding(judge: Judge) -> None:
    steps = "\n".join(f"[step{t}] g{t} = Gather <axis = 1> (x, i{t})" for t in range(5))
    graph = f"g (float[N,T,4] x) => (float[N,4] y) {{ {steps} y = Sum (g0, g1, g2, g3, g4) }}"
    indices = [numpy_helper.from_array(np.array(t, np.int64), f"i{t}") for t in range(5)]
    (finding,) = judge(dynamic_shapes.check, graph, tensors=indices, profile=chosen(N=(1, 2, 4), T=(2, 5, 9)))
    assert (finding.kind, finding.severity) == ("dynamic/unrolled-loop", Severity.ERROR)
    assert set(finding.names) == {f"step{t}" for t in range(5)}
    assert "everything after the first 5 steps is ignored" in finding.cause
    enough = judge(dynamic_shapes.check, graph, tensors=indices, profile=chosen(N=(1, 2, 4), T=(5, 5, 5)))
    assert enough == []


KV = """g (float[1,past] cache, float[1,seq] x, float[1,total] mask) => (float[1,t] y) {
    all = Concat <axis = 1> (cache, x) [add] y = Add (all, mask) }"""
SUMS = {"past": (1, 32, 64), "seq": (1, 4, 8), "total": (2, 36, 72)}


def test_a_sum_is_advised_where_a_sum_is_right_and_declaring_it_ends_the_finding(judge: Judge) -> None:
    (finding,) = judge(dynamic_shapes.check, KV, opset=17, profile=chosen(**SUMS))
    assert (finding.kind, finding.severity) == ("dynamic/must-be-equal", Severity.NOTE)
    declared = next(fix.relations for fix in finding.fixes if fix.relations)
    assert declared == ("total = past + seq",)
    assert not any("same symbol" in fix.text for fix in finding.fixes)
    profile = Profile(ranges=chosen(**SUMS).ranges, relations=declared)
    assert judge(dynamic_shapes.check, KV, opset=17, profile=profile) == []


def test_ranges_that_break_a_relation(judge: Judge) -> None:
    broken = Profile(ranges=chosen(**{**SUMS, "total": (2, 36, 64)}).ranges, relations=("total = past + seq",))
    (finding,) = judge(profiles.check, KV, opset=17, profile=broken)
    assert (finding.kind, finding.severity) == ("profile/relation", Severity.WARNING)
    assert "max: 64 and 72" in finding.cause
    assert finding.fixes[0].ranges == {"total": Range(2, 36, 72)}
    never = Profile(ranges=chosen(**{**SUMS, "total": (80, 80, 80)}).ranges, relations=("total = past + seq",))
    (finding,) = judge(profiles.check, KV, opset=17, profile=never)
    assert finding.severity is Severity.ERROR
    strange = Profile(ranges=chosen(**SUMS).ranges, relations=("whole = past + seq",))
    (finding,) = judge(profiles.check, KV, opset=17, profile=strange)
    assert finding.kind == "profile/unknown-key"
