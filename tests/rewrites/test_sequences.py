"""Sequences and optionals replaced by tensors: TensorRT-RTX builds them, and ONNX Runtime gives the same."""

from __future__ import annotations

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from tests.rewrites.mended import check_mends, difference, model_of, ran, random_feeds, rewritten

PLAIN = REWRITES["plain-tensors"]


@pytest.mark.parametrize(
    ("text", "op"),
    [
        (
            """g (float[n,6] x) => (float[a,b] y) <int64 at = {1}, int64 size = {4}> {
                s = SplitToSequence <axis = 1> (x, size) y = SequenceAt (s, at) }""",
            "SplitToSequence",
        ),
        (
            """g (float[n,6] x) => (float[a] y) <int64 at = {-2}> {
                s = SplitToSequence <axis = 1, keepdims = 0> (x) y = SequenceAt (s, at) }""",
            "SplitToSequence",
        ),
        (
            """g (float[n,6] x) => (float[a,b] y, int64 count) <int64 at = {0}> {
                s = SplitToSequence <axis = 0> (x) y = SequenceAt (s, at) count = SequenceLength (s) }""",
            "SplitToSequence",
        ),
        (
            """g (float[n,6] x) => (float[a,b] y) {
                s = SplitToSequence <axis = 0, keepdims = 0> (x)
                y = ConcatFromSequence <axis = 1, new_axis = 1> (s) }""",
            "SplitToSequence",
        ),
        (
            """g (float[n,6] x) => (float[a,b,c] y, int64 count) <int64 zero = {0}> {
                e = SequenceEmpty () r = Relu (x) n = Neg (x)
                one = SequenceInsert (e, r) two = SequenceInsert (one, n, zero) three = SequenceInsert (two, x)
                left = SequenceErase (three, zero)
                y = ConcatFromSequence <axis = 1, new_axis = 1> (left) count = SequenceLength (left) }""",
            "SequenceEmpty",
        ),
        (
            """g (float[3,6] x, int64 at) => (float[a,b] y) {
                r = Relu (x) n = Neg (x) s = SequenceConstruct (r, n) y = SequenceAt (s, at) }""",
            "SequenceConstruct",
        ),
        (
            """g (float[n,6] x) => (float[n,6] y, bool has) {
                o = Optional (x) has = OptionalHasElement (o) y = OptionalGetElement (o) }""",
            "Optional",
        ),
        (
            """g (float[n,6] x) => (float[a,b] y) <int64 three = {3}, bool on = {1}> {
                e = SequenceConstruct (x)
                s = Loop (three, on, e) <
                    body = b (int64 i, bool ci, seq(float[n,6]) t) => (bool co, seq(float[n,6]) u) {
                    co = Identity (ci) f = Cast <to = 1> (i) k = Mul (x, f) u = SequenceInsert (t, k) }>
                y = ConcatFromSequence <axis = 1> (s) }""",
            "SequenceConstruct",
        ),
        (
            """g (float[n,6] x) => (float[a,b] y) {
                r = Relu (x) s = SequenceConstruct (r, x)
                m = SequenceMap (s, x) <body = b (float[n,6] p, float[n,6] q) => (float[n,6] v) { v = Sub (p, q) }>
                y = ConcatFromSequence <axis = 1> (m) }""",
            "SequenceMap",
        ),
    ],
)
def test_tensors_instead_of_a_sequence(text: str, op: str) -> None:
    shapes = None if "float[3,6]" in text else {"x": [(1, 6), (4, 6), (8, 6)]}
    check_mends(model_of(text, opset=18), PLAIN, op, integers=(0, 2), shapes=shapes)


@pytest.mark.parametrize(
    ("text", "why"),
    [
        ("g (float[n,6] x) => (seq(float[n,6]) y) { y = SequenceConstruct (x) }", "input or output of the model"),
        (
            """g (float[n,6] x, int64 size) => (float[a,b] y) <int64 at = {0}> {
                s = SplitToSequence <axis = 1> (x, size) y = SequenceAt (s, at) }""",
            "computed at run time",
        ),
        (
            """g (float[n,6] x, int64 at) => (float[a,b] y) {
                r = Relu (x) s = SequenceConstruct (r, x) l = SequenceErase (s, at) z = SequenceConstruct (r)
                y = ConcatFromSequence <axis = 0> (l) }""",
            "computed at run time",
        ),
        ("g (float[n,6] x) => (float[n,6] y) { y = Relu (x) }", "no sequence"),
    ],
)
def test_what_depends_on_values_is_refused(text: str, why: str) -> None:
    with pytest.raises(CannotRewrite, match=why):
        PLAIN.run(model_of(text, opset=18), [])


@settings(max_examples=12, derandomize=True, deadline=None)
@given(st.integers(1, 7), st.integers(1, 4), st.booleans(), st.data())
def test_any_split_gives_the_same(size: int, part: int, single: bool, data: st.DataObject) -> None:
    count = size if single else -(-size // part)
    at = data.draw(st.integers(-count, count - 1))
    given_part = "" if single else ", part"
    model = model_of(
        f"""g (float[{size},2] x) => (float[a,b] y, int64 count) <int64 at = {{{at}}}, int64 part = {{{part}}}> {{
            s = SplitToSequence <axis = 0> (x{given_part}) y = SequenceAt (s, at) count = SequenceLength (s) }}""",
        opset=18,
    )
    after = rewritten(model, PLAIN, "SplitToSequence")
    feeds = random_feeds(model.proto, None, 0, size)
    assert difference(ran(model.proto, feeds), ran(after, feeds)) == 0.0
