"""Whole verdicts on models built the way exporters build them.

Each row is one model with what an engineer would have to know: how bad it is, at which node or tensor, why and
what helps. Severities are measured: TensorRT-RTX 1.7.1 parses and builds, ONNX Runtime 1.32 runs, at min, opt and max.
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from friction_tui.vocabulary.finding import Severity
from tests.rules.whole_verdict import Row, floats, verdict

ERROR, WARNING = Severity.ERROR, Severity.WARNING

ROWS = {
    "scales as a float input": Row(
        "g (float[1,4,8,8] x, float[4] scales) => (float[1,4,h,w] y) "
        '{ ["/up/Resize"] y = Resize <mode = "linear"> (x, , scales) }',
        ERROR,
        "/up/Resize",
        ("scales", "constant", "sizes"),
        {},
    ),
    "TopK beyond the layer's limit, in a branch": Row(
        """g (float[1,8000] x, bool c) => (float[1,4000] y) <int64[1] k = {4000}, int64[1] z = {0}, int64[1] o = {1}> {
            ["/If"] y = If (c) <
                then_branch = t () => (float[1,4000] a) { ["/then/TopK"] a, i = TopK (x, k) },
                else_branch = e () => (float[1,4000] b) { ["/else/Slice"] b = Slice (x, z, k, o) }> }""",
        ERROR,
        "/then/TopK",
        ("limit", "3840"),
        {},
    ),
    "a convolution's weight for other channels": Row(
        'g (float[n,3,8,8] x) => (float[n,4,6,6] y) { ["/layer1/Conv"] y = Conv (x, w) }',
        ERROR,
        "/layer1/Conv",
        ("cannot work", "3 channels", "takes 1"),
        tensors=(("w", floats(4, 1, 3, 3)),),
    ),
    "scale and bias a channel at opset 18": Row(
        'g (float[n,8,4,4] x) => (float[n,8,4,4] y) { ["/gn"] y = GroupNormalization <num_groups = 4> (x, s, s) }',
        ERROR,
        "/gn",
        ("scale [8]", "4 groups", "opset 21"),
        opset=18,
        tensors=(("s", floats(8)),),
    ),
    "perm of another rank": Row(
        'g (float[n,8] x) => (float[n,8] y) { ["/t/Transpose"] y = Transpose <perm = [0, 2, 1]> (x) }',
        ERROR,
        "/t/Transpose",
        ("perm [0, 2, 1]", "2 axes", "-1 is the last"),
    ),
    "nine dimensions": Row(
        "g (float[2,8] x) => (float[1,1,1,2,1,2,1,2,2] y) <int64[9] s = {1,1,1,2,1,2,1,2,2}> "
        '{ ["/v/Reshape"] y = Reshape (x, s) }',
        ERROR,
        "/v/Reshape",
        ("9 dimensions", "8 at most", "merge"),
        {},
    ),
    "initial states baked for one batch": Row(
        "g (float[t,n,8] x) => (float[t,d,n,16] y) "
        '{ ["/gru/GRU"] y = GRU <hidden_size = 16, direction = "bidirectional"> (x, W, R, , , h0) }',
        ERROR,
        "/gru/GRU",
        ("initial_h [2, 3, 16]", "n", "baked"),
        {"t": (4, 8, 8), "n": (1, 3, 6)},
        tensors=(("W", floats(2, 48, 8)), ("R", floats(2, 48, 16)), ("h0", floats(2, 3, 16))),
    ),
    "lengths baked for one batch": Row(
        'g (float[8,n,4] x) => (float[8,d,n,6] y) { ["/rnn/LSTM"] y = LSTM <hidden_size = 6> (x, W, R, , lens) }',
        ERROR,
        "/rnn/LSTM",
        ("sequence_lens [2]", "batch", "baked"),
        tensors=(("W", floats(1, 24, 4)), ("R", floats(1, 24, 6)), ("lens", np.array([8, 8], np.int32))),
    ),
    "a bias of another layer": Row(
        'g (float[n,16] x) => (float[n,8] y) { ["/fc/Gemm"] y = Gemm (x, w, b) }',
        ERROR,
        "/fc/Gemm",
        ("bias b has 7", "product has 8", "re-export"),
        tensors=(("w", floats(16, 8)), ("b", floats(7))),
    ),
    "the logarithm of a logarithm": Row(
        'g (float[n,4] x) => (float[n,4] y) { ["/Log"] p = Log (prior) y = Add (x, p) }',
        ERROR,
        "/Log",
        ("negative", "nan", "clamp"),
        tensors=(("prior", np.array([-1, 0, 0.5, 1], np.float32)),),
    ),
    "a kernel_shape of another weight": Row(
        'g (float[1,3,8,8] x) => (float[1,4,4,4] y) { ["/c/Conv"] y = Conv <kernel_shape = [5, 5]> (x, w) }',
        ERROR,
        "/c/Conv",
        ("kernel_shape says 5", "3 wide", "remove it"),
        {},
        tensors=(("w", floats(4, 3, 3, 3)),),
    ),
    "positions counted as below opset 11": Row(
        """g (float[n,8] x) => (int64[one,n] y) <int64[1] first = {0}> {
            d = Shape (x)
            n = Gather (d, first)
            ones = ConstantOfShape <value = int64[1] {1}> (n)
            ["/NonZero"] y = NonZero (ones) }""",
        ERROR,
        "/NonZero",
        ("arange", "opset 11", "range"),
        opset=10,
    ),
    "a function that is not in the model": Row(
        'g (float[4] x) => (float[4] y) { ["/f/Swish"] y = local.Swish (x) }',
        WARNING,
        "/f/Swish",
        ("definition is missing", "functions"),
        {},
    ),
    "a batch folded into the features": Row(
        'g (float[n,16] x) => (float[1,m] y) <int64[2] s = {1, -1}> { ["/view"] r = Reshape (x, s) y = Relu (r) }',
        WARNING,
        "/view",
        ("batch of 2", "[1, 32]", "flatten"),
    ),
    "a batch folded and taken out again": Row(
        """g (float[n,4,8,8] x) => (float[n,4,8,8] y) <int64[4] s = {1, -1, 8, 8}, int64[4] t = {-1, 4, 8, 8}> {
            r = Reshape (x, s)
            p = Relu (r)
            y = Reshape (p, t) }""",
        Severity.NOTE,
        "",
        (),
    ),
    "windows cut from a size that varies": Row(
        """g (float[b,h,w,16] x) => (float[b,p,7,q,7,16] y)
        <int64[1] i0 = {0}, int64[1] i1 = {1}, int64[1] i2 = {2}, int64[1] s = {7}, int64[1] c = {16}> {
            d = Shape (x)
            b0 = Gather (d, i0)
            h0 = Gather (d, i1)
            w0 = Gather (d, i2)
            h7 = Div (h0, s)
            w7 = Div (w0, s)
            t = Concat <axis = 0> (b0, h7, s, w7, s, c)
            ["/win/Reshape"] y = Reshape (x, t) }""",
        ERROR,
        "/win/Reshape",
        ("multiple of 7", "pad"),
        {"b": (1, 1, 1), "h": (14, 20, 56), "w": (14, 20, 56)},
    ),
    "two pyramid levels whose padded strides round up": Row(
        """g (float[1,3,h,w] x) => (float[1,3,p,q] y) <float[4] s = {1, 1, 2, 2}> {
            c1 = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, k)
            c2 = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (c1, k)
            u = Resize <mode = "nearest"> (c2, , s)
            ["/fpn/Add"] y = Add (c1, u) }""",
        ERROR,
        "/fpn/Add",
        ("multiples of 4", "some sizes between them", "pad"),
        {"h": (32, 64, 130), "w": (32, 64, 130)},
        tensors=(("k", floats(3, 3, 3, 3)),),
    ),
    "four levels of a U-Net": Row(
        """g (float[1,3,h,w] x) => (float[1,c,p,q] y) <float[4] s = {1, 1, 2, 2}> {
            d1 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (x)
            d2 = MaxPool <kernel_shape = [2, 2], strides = [2, 2]> (d1)
            u2 = Resize (d2, , s)
            ["/up2/Concat"] c2 = Concat <axis = 1> (d1, u2)
            u1 = Resize (c2, , s)
            ["/up1/Concat"] y = Concat <axis = 1> (x, u1) }""",
        ERROR,
        "/up1/Concat",
        ("multiple of 4", "the same holds for", "pad"),
        {"h": (32, 64, 126), "w": (32, 64, 126)},
    ),
    "branches whose strides differ": Row(
        """g (float[1,3,16,16] x) => (float[1,3,p,q] y) {
            c = Conv <strides = [2, 2], pads = [1, 1, 1, 1]> (x, k)
            m = MaxPool <kernel_shape = [3, 3], strides = [2, 2]> (x)
            ["/res/Add"] y = Add (c, m) }""",
        ERROR,
        "/res/Add",
        ("cannot work", "[1, 3, 7, 7]", "strides, padding"),
        {},
        tensors=(("k", floats(3, 3, 3, 3)),),
    ),
    "scales computed from values": Row(
        """g (float[1,4,8,8] x, float[4] zoom) => (float[1,4,h,w] y) {
            twice = Mul (zoom, two)
            ["/up/Resize"] y = Resize <mode = "nearest"> (x, , twice) }""",
        ERROR,
        "/up/Resize",
        ("scales", "twice", "constant", "sizes"),
        {},
        tensors=(("two", floats(4, value=2)),),
    ),
    "a one-hot depth that follows an input": Row(
        """g (int64[n] ids, float[2] off_on, float[c] classes) => (float[n,c] y) {
            depth = Shape (classes)
            ["/head/OneHot"] y = OneHot (ids, depth, off_on) }""",
        ERROR,
        "/head/OneHot",
        ("depth", "constant", "num_classes"),
        {"n": (1, 2, 4), "c": (3, 5, 9)},
    ),
    "the same constant target in a branch": Row(
        """g (float[n,4,8] x, bool c) => (float[n,32] y) <int64[2] s = {1, 32}> {
            ["/If"] y = If (c) <
                then_branch = t () => (float[n,32] a) { ["/then/Reshape"] a = Reshape (x, s) },
                else_branch = e () => (float[n,32] b) { ["/else/Flatten"] b = Flatten (x) }> }""",
        ERROR,
        "/then/Reshape",
        ("[1, 32]", "baked", "-1"),
    ),
    "a causal mask for 128 tokens": Row(
        'g (float[n,s,s] x) => (float[n,s,s] y) <float ninf = {-1e9}> { ["/attn/Where"] y = Where (mask, x, ninf) }',
        ERROR,
        "/attn/Where",
        ("128", "s"),
        {"n": (1, 1, 2), "s": (1, 128, 256)},
        tensors=(("mask", np.tril(np.ones((1, 128, 128), bool))),),
    ),
    "Inf as the factor of a mask": Row(
        'g (float16[n,8] m) => (float16[n,8] y) { ["/attn/Mul"] y = Mul (m, neg) }',
        ERROR,
        "neg",
        ("inf", "nan", "where"),
        tensors=(("neg", np.array(-np.inf, np.float16)),),
    ),
    "a variance below zero": Row(
        'g (float[n,2,4,4] x) => (float[n,2,4,4] y) { ["/bn"] y = BatchNormalization (x, one, one, one, var) }',
        ERROR,
        "var",
        ("negative", "channel 1", "checkpoint"),
        tensors=(("one", floats(2)), ("var", np.array([1, -0.5], np.float32))),
    ),
    "a constant cast out of float16": Row(
        "g (float16[n,8] x) => (float16[n,8] y) <float big = {100000}> "
        '{ ["/Cast"] h = Cast <to = 10> (big) ["/Mul"] y = Mul (x, h) }',
        WARNING,
        "/Cast",
        ("65504", "fp16", "bf16"),
    ),
    "an output that never has its shape": Row(
        'g (float[1,8] x) => (float[1,99] y) { ["/Relu"] y = Relu (x) }', WARNING, "y", ("99", "[1, 8]", "declared"), {}
    ),
    "an input passed through": Row(
        'g (float[n,8] x) => (float[n,8] y, float[n,8] x) { ["/Relu"] y = Relu (x) }', WARNING, "x", ("__x", "identity")
    ),
    "an output nothing writes": Row(
        'g (float[1,8] x) => (float[1,8] y) { ["/Relu"] z = Relu (x) }', ERROR, "y", ("output", "no node"), {}
    ),
    "a cycle in a body": Row(
        """g (float[1,4] s0) => (float[1,4] y) <int64 trips = {5}, bool go = {1}> {
            ["/Loop"] y = Loop (trips, go, s0) <
                body = b (int64 i, bool ci, float[1,4] s) => (bool co, float[1,4] so) {
                    ["/b/Add"] p = Add (s, q)
                    ["/b/Relu"] q = Relu (p)
                    so = Identity (q)
                    co = Identity (ci) }> }""",
        ERROR,
        "/b/Add",
        ("cycl", "rewire"),
        {},
    ),
    "uint8 on both sides": Row(
        'g (uint8[n,16] x) => (float[n,16] y) { ["/pre/Add"] s = Add (x, x) ["/Cast"] y = Cast <to = 1> (s) }',
        ERROR,
        "/pre/Add",
        ("uint8", "A and B", "cast"),
        opset=13,
    ),
    "a plain head": Row(
        'g (float[n,4,8] x) => (float[n,5] y) { ["/Flatten"] f = Flatten (x) ["/fc/Gemm"] y = Gemm (f, w) }',
        Severity.NOTE,
        "",
        (),
        tensors=(("w", floats(32, 5)),),
    ),
    "lengths of a batch are data, not shapes": Row(
        """g (int64[B] lengths) => (bool[B,T] mask) <int64 zero = {0}, int64 one = {1}, int64[1] at = {1}> {
            longest = ReduceMax <keepdims = 0> (lengths)
            steps = Range (zero, longest, one)
            each = Unsqueeze (lengths, at)
            mask = Less (steps, each) }""",
        Severity.NOTE,
        "",
        (),
        {"B": (1, 2, 4)},
    ),
    "one scale a group at opset 18": Row(
        'g (float[n,8,4,4] x) => (float[n,8,4,4] y) { ["/gn"] y = GroupNormalization <num_groups = 4> (x, s, s) }',
        Severity.NOTE,
        "",
        (),
        opset=18,
        tensors=(("s", floats(4)),),
    ),
    "an infinite mask value in a Where": Row(
        "g (float[n,8] x, bool[n,8] m) => (float[n,8] y) { w = Where (m, x, ninf) y = Softmax (w) }",
        Severity.NOTE,
        "",
        (),
        tensors=(("ninf", np.array(-np.inf, np.float32)),),
    ),
}


@pytest.mark.parametrize("row", ROWS.values(), ids=ROWS)
def test_the_verdict_says_how_bad_where_why_and_what_helps(row: Row, tmp_path: Path) -> None:
    loud = [finding for finding in verdict(row, tmp_path) if finding.severity is not Severity.NOTE]
    if row.severity is Severity.NOTE:
        assert loud == []
        return
    telling = [one for one in loud if row.at in (*one.names, *(location.name for location in one.locations))]
    assert telling, [one.title for one in loud]
    assert telling[0].severity is row.severity
    said = " ".join(
        part for one in telling for part in (one.title, one.cause, *(fix.text for fix in one.fixes))
    ).lower()
    assert not [word for word in row.words if word.lower() not in said], said


def test_what_no_output_needs_is_removed_and_not_replaced(tmp_path: Path) -> None:
    graph = 'g (float[1,4,4] x) => (float[1,4,4] y) {{ ["/left/Det"] d = Det (x) y = {} }}'
    for used, first in (("Relu (x)", "remove it"), ("Add (x, d)", "replace it")):
        (found,) = verdict(Row(graph.format(used), ERROR, "", (), {}), tmp_path)
        assert found.fixes[0].text.lower().startswith(first)


def test_one_fault_is_reported_once(tmp_path: Path) -> None:
    for name in ("perm of another rank", "an output nothing writes", "a cycle in a body", "uint8 on both sides"):
        errors = [one.kind for one in verdict(ROWS[name], tmp_path) if one.severity is Severity.ERROR]
        assert len(errors) == len(set(errors)), (name, errors)
