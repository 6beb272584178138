"""Sizes of the example follow the input again: the same at the example's size, and built and right at every other."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import onnx
import pytest

from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.offering import with_offers
from friction_tui.session.at_once import judged
from friction_tui.vocabulary.recipe import Profile, Range, Recipe, Source
from tests.rewrites.mended import built, model_of, ran, rewritten

ANY = {"x": [[1, 4, 6, 6], [2, 4, 6, 6], [4, 4, 6, 6]]}


def follows(
    name: str, op: str, text: str, expected: object, shapes: dict[str, list[list[int]]], **weights: np.ndarray
) -> None:
    """The rewritten model builds for all sizes and gives `expected(x)` at each."""
    proto = rewritten(model_of(text, opset=17, **weights), REWRITES[name], op)
    assert built(proto, shapes).verdict == "ok"
    for point in range(3):
        feeds = {port: random(sizes[point]) for port, sizes in shapes.items()}
        assert callable(expected)
        assert np.array_equal(ran(proto, feeds)[0], expected(*feeds.values()))


def random(sizes: list[int]) -> np.ndarray:
    return np.random.default_rng(sum(sizes)).standard_normal(sizes).astype(np.float32)


def reshaped(target: str) -> str:
    rank = target.count(",") + 1
    result = ",".join("abcde"[:rank])
    return f"g (float[n,4,6,6] x) => (float[{result}] y) <int64[{rank}] s = {target}> {{ y = Reshape (x, s) }}"


@pytest.mark.parametrize(
    ("target", "shape"),
    [
        ("{1,144}", lambda n: (n, 144)),
        ("{1,-1}", lambda n: (n, 144)),
        ("{1,4,36}", lambda n: (n, 4, 36)),
        ("{1,2,2,6,6}", lambda n: (n, 2, 2, 6, 6)),
    ],
)
def test_a_reshape_follows_the_batch(target: str, shape: object) -> None:
    assert callable(shape)
    follows("reshape-follow-input", "Reshape", reshaped(target), lambda x: x.reshape(shape(len(x))), ANY)


def test_a_reshape_follows_two_free_sizes() -> None:
    text = "g (float[n,t,8] x) => (float[a,b,c,d] y) <int64[4] s = {1,5,2,4}> { y = Reshape (x, s) }"
    shapes = {"x": [[1, 5, 8], [2, 7, 8], [4, 9, 8]]}
    follows("reshape-follow-input", "Reshape", text, lambda x: x.reshape(*x.shape[:2], 2, 4), shapes)


@pytest.mark.parametrize("target", ["{1,7}", "{-1,144}", "{5}"])
def test_a_reshape_that_is_something_else_is_refused(target: str) -> None:
    with pytest.raises(CannotRewrite):
        rewritten(model_of(reshaped(target)), REWRITES["reshape-follow-input"], "Reshape")


HEADS = """g (float[s,n,8] x) => (float[a,b,c] y)
    <int64 one = {{1}}, int64[1] heads = {{2}}, int64[{entries}] t = {example}, int64[1] d = {{4}}> {{
    whole = Shape (x)
    batch = Gather (whole, one)
    many = Mul (batch, heads)
    target = Concat<axis = 0> ({target})
    y = Reshape (x, target)
}}"""


@pytest.mark.parametrize(
    ("entries", "example", "target", "expected"),
    [
        pytest.param(1, "{5}", "t, many, d", lambda x: x.reshape(len(x), -1, 4), id="in front"),
        pytest.param(1, "{5}", "many, t, d", lambda x: x.reshape(2 * x.shape[1], -1, 4), id="behind what is computed"),
        pytest.param(2, "{5, 4}", "many, t", lambda x: x.reshape(2 * x.shape[1], -1, 4), id="in a constant of two"),
    ],
)
def test_the_fixed_entry_of_a_computed_target_is_worked_out(
    entries: int, example: str, target: str, expected: object
) -> None:
    text = HEADS.format(entries=entries, example=example, target=target)
    follows("reshape-entry-of-computed", "Reshape", text, expected, {"x": [[5, 1, 8], [7, 2, 8], [9, 4, 8]]})


@pytest.mark.parametrize(
    ("example", "target"),
    [
        pytest.param("{4}", "t, many, t", id="either entry may be the size"),
        pytest.param("{-1}", "t, many, d", id="worked out already"),
        pytest.param("{3}", "t, many, t", id="the elements do not divide"),
    ],
)
def test_an_entry_of_a_computed_target_is_not_guessed(example: str, target: str) -> None:
    with pytest.raises(CannotRewrite):
        text = HEADS.format(entries=1, example=example, target=target)
        rewritten(model_of(text, opset=17), REWRITES["reshape-entry-of-computed"], "Reshape")


def test_a_second_minus_one_copies() -> None:
    text = "g (float[n,t,8] x) => (float[a,b,c] y) <int64[3] s = {-1,-1,4}> { y = Reshape (x, s) }"
    shapes = {"x": [[1, 5, 8], [2, 7, 8], [4, 9, 8]]}
    follows("reshape-one-minus-one", "Reshape", text, lambda x: x.reshape(x.shape[0], -1, 4), shapes)


def test_a_class_token_is_expanded_to_the_batch() -> None:
    text = """g (float[n,9,8] x) => (float[a,b,c] y) <int64[3] s = {1,1,8}> {
        t = Expand (token, s)
        y = Concat <axis = 1> (t, x) }"""
    token = random([1, 1, 8])
    shapes = {"x": [[1, 9, 8], [2, 9, 8], [4, 9, 8]]}
    follows(
        "expand-follow-partner",
        "Expand",
        text,
        lambda x: np.concatenate([np.repeat(token, len(x), 0), x], 1),
        shapes,
        token=token,
    )


def test_a_tiled_token_is_repeated_to_the_batch() -> None:
    text = """g (float[n,9,8] x) => (float[a,b,c] y) <int64[3] s = {1,1,1}> {
        t = Tile (token, s)
        y = Concat <axis = 1> (t, x) }"""
    token = random([1, 1, 8])
    shapes = {"x": [[1, 9, 8], [2, 9, 8], [4, 9, 8]]}
    follows(
        "tile-follow-partner",
        "Tile",
        text,
        lambda x: np.concatenate([np.repeat(token, len(x), 0), x], 1),
        shapes,
        token=token,
    )


def test_an_expand_that_meets_nothing_free_is_refused() -> None:
    text = "g (float[1,9,8] x) => (float[a,b,c] y) <int64[3] s = {2,9,8}> { y = Expand (x, s) }"
    with pytest.raises(CannotRewrite, match="could follow"):
        rewritten(model_of(text), REWRITES["expand-follow-partner"], "Expand")


@pytest.mark.parametrize("axis", [0, 1])
def test_a_slice_runs_to_the_end_of_a_free_axis(axis: int) -> None:
    text = f"""g (float[n,t,8] x) => (float[a,b,c] y)
        <int64[1] s = {{0}}, int64[1] e = {{2}}, int64[1] i = {{{axis}}}> {{ y = Slice (x, s, e, i) }}"""
    follows("slice-to-the-end", "Slice", text, lambda x: x, {"x": [[1, 2, 8], [2, 5, 8], [4, 6, 8]]})


def test_a_constant_made_for_one_batch_is_repeated() -> None:
    state = np.repeat(random([1, 1, 8]), 2, 0)
    text = "g (float[n,9,8] x) => (float[a,b,c] y) { y = Concat <axis = 1> (state, x) }"
    shapes = {"x": [[1, 9, 8], [2, 9, 8], [4, 9, 8]]}
    follows(
        "expand-constant",
        "Concat",
        text,
        lambda x: np.concatenate([np.repeat(state[:1], len(x), 0), x], 1),
        shapes,
        state=state,
    )
    different = random([2, 1, 8])
    with pytest.raises(CannotRewrite, match="rows of state differ"):
        rewritten(model_of(text, state=different), REWRITES["expand-constant"], "Concat")


def test_a_mask_of_one_batch_broadcasts() -> None:
    mask = np.repeat(random([1, 1, 8]), 3, 0)
    text = "g (float[n,9,8] x) => (float[a,b,c] y) { y = Add (x, mask) }"
    shapes = {"x": [[1, 9, 8], [2, 9, 8], [4, 9, 8]]}
    follows("expand-constant", "Add", text, lambda x: x + mask[:1], shapes, mask=mask)


def test_a_split_into_equal_parts_follows() -> None:
    text = """g (float[n,8] x) => (float[a,b] y, float[c,d] z) <int64[2] s = {1,1}> {
        y, z = Split <axis = 0> (x, s) }"""
    follows("split-equally", "Split", text, lambda x: np.split(x, 2)[0], {"x": [[2, 8], [4, 8], [8, 8]]})


def test_a_resize_leaves_the_batch_alone() -> None:
    text = """g (float[n,3,4,4] x) => (float[a,b,c,d] y) <int64[4] s = {1,3,8,8}> {
        y = Resize <mode = "nearest", coordinate_transformation_mode = "asymmetric", nearest_mode = "floor">
            (x, , , s) }"""
    shapes = {"x": [[1, 3, 4, 4], [2, 3, 4, 4], [4, 3, 4, 4]]}
    follows("resize-spatial-only", "Resize", text, lambda x: x.repeat(2, 2).repeat(2, 3), shapes)


def test_squeeze_names_the_axes_that_are_always_one() -> None:
    text = "g (float[n,8,1,1] x) => (float[a,b] y) { y = Squeeze (x) }"
    shapes: Mapping[str, list[list[int]]] = {"x": [[1, 8, 1, 1], [2, 8, 1, 1], [4, 8, 1, 1]]}
    follows("squeeze-fixed-axes", "Squeeze", text, lambda x: x[:, :, 0, 0], dict(shapes))
    free: onnx.ModelProto = model_of("g (float[n,8] x) => (float[a] y) { y = Squeeze (x) }").proto
    with pytest.raises(CannotRewrite, match="no axis"):
        rewritten(model_of(onnx.printer.to_text(free)), REWRITES["squeeze-fixed-axes"], "Squeeze")


TABLE = np.random.default_rng(0).standard_normal((1, 12, 8)).astype(np.float32)
LENGTHS = {"x": [[1, 1, 8], [2, 5, 8], [3, 12, 8]]}


@pytest.mark.parametrize(
    ("text", "weights", "first"),
    [
        ("y = Add(x, table)", {"table": TABLE}, 0),
        ("y = Add(table, x)", {"table": TABLE[0]}, 0),
        ("t = Slice(all, st, en, ax) y = Add(x, t)", {"st": [0], "en": [4], "ax": [1]}, 0),
        ("t = Slice(all, st, en, ax) y = Add(x, t)", {"st": [2], "en": [6], "ax": [-2]}, 2),
        ("t = Gather(rows, ids) y = Add(x, t)", {"ids": [[0, 1, 2, 3]]}, 0),
        ("t = Gather(rows, ids) y = Add(x, t)", {"ids": [3, 4, 5, 6]}, 3),
    ],
)
def test_a_table_of_positions_follows_the_length(text: str, weights: dict[str, Any], first: int) -> None:
    longer = np.concatenate([TABLE, TABLE + 1], axis=1)
    held = {"all": longer, "rows": longer[0]} | {name: np.asarray(value) for name, value in weights.items()}
    used = {name: value for name, value in held.items() if name in text}

    def expected(x: np.ndarray) -> np.ndarray:
        return np.asarray(x + longer[:, first : first + x.shape[1]])

    graph = f"g (float[n,t,8] x) => (float[n,t,8] y) {{ {text} }}"
    follows("table-follow-partner", "Add", graph, expected, LENGTHS, **used)


@pytest.mark.parametrize("ids", [[0, 2, 1, 3], [0, 0, 0, 0]])
def test_a_table_looked_up_in_another_order_is_left(ids: list[int]) -> None:
    graph = "g (float[n,t,8] x) => (float[n,t,8] y) { t = Gather(rows, ids) y = Add(x, t) }"
    with pytest.raises(CannotRewrite, match="no stored table"):
        rewritten(model_of(graph, rows=TABLE[0], ids=np.array(ids)), REWRITES["table-follow-partner"], "Add")


def test_queries_repeated_for_the_batch_of_a_matrix_product() -> None:
    text = "g (float[n,5,8] x) => (float[n,3,5] y) { q = Tile(c, r) k = Transpose<perm=[0,2,1]>(x) y = MatMul(q, k) }"
    queries = TABLE[:, :3]
    shapes = {"x": [[1, 5, 8], [2, 5, 8], [4, 5, 8]]}
    weights: dict[str, Any] = {"c": queries, "r": np.array([2, 1, 1])}
    proto = rewritten(model_of(text, **weights), REWRITES["tile-follow-partner"], "Tile")
    assert built(proto, shapes).verdict == "ok"
    for sizes in shapes["x"]:
        x = random(sizes)
        assert np.allclose(ran(proto, {"x": x})[0], queries @ x.transpose(0, 2, 1), 1e-5, 1e-5)


def test_a_cut_batch_is_found_behind_the_node_that_fails() -> None:
    text = "g (float[n,6] x) => (float[n,6] y) { a = Relu(x) s = Slice(a, st, en, ax) y = Add(s, x) }"
    model = model_of(text, st=np.array([0]), en=np.array([2]), ax=np.array([0]))
    recipe = Recipe(source=Source(str(model.path)), profile=Profile({"n": Range(1, 2, 4)}))
    found = with_offers(model, judged(model, recipe).findings)
    assert ["slice-to-the-end"] in [[fix.rewrite for fix in one.fixes if fix.rewrite] for one in found]


@pytest.mark.parametrize("swap", [False, True])
@pytest.mark.parametrize("join", ["Concat <axis = 1>", "Add"])
def test_a_skip_connection_fits_at_odd_sizes(join: str, swap: bool) -> None:
    pair = "(u, x)" if swap else "(x, u)"
    channels = 8 if join.startswith("Concat") else 4
    text = f"""g (float[n,4,h,w] x) => (float[n,{channels},h,w] y) {{
        p = MaxPool <kernel_shape = [2,2], strides = [2,2]> (x)
        u = Resize <mode = "nearest"> (p, , scales)
        y = {join} {pair} }}"""
    shapes = {"x": [[1, 4, 4, 4], [1, 4, 9, 6], [2, 4, 17, 13]]}

    def expected(x: np.ndarray) -> np.ndarray:
        rows, columns = x.shape[2] // 2, x.shape[3] // 2
        even = x[:, :, : 2 * rows, : 2 * columns]
        pooled = even.reshape(*x.shape[:2], rows, 2, columns, 2).max(axis=(3, 5))
        up = np.zeros_like(x)
        up[:, :, : 2 * rows, : 2 * columns] = pooled.repeat(2, axis=2).repeat(2, axis=3)
        both = (up, x) if swap else (x, up)
        return np.concatenate(both, axis=1) if join.startswith("Concat") else up + x

    op = join.partition(" ")[0]
    follows("fit-to-first", op, text, expected, shapes, scales=np.array([1, 1, 2, 2], np.float32))


def test_what_meets_at_one_depth_is_no_skip_connection() -> None:
    text = "g (float[n,4,h,w] x, float[n,4,h2,w2] z) => (float[a,b,c,d] y) { y = Add (x, z) }"
    with pytest.raises(CannotRewrite, match="which is the skip connection"):
        rewritten(model_of(text), REWRITES["fit-to-first"], "Add")


def test_a_class_token_that_the_exporter_expands_before_it_repeats_it() -> None:
    """`parameter.repeat(N, 1, 1)`: an Expand by a computed shape of ones, then a Tile."""
    text = """g (float[n,5,8] x) => (float[n,6,8] y) <int64[1] three = {3}, int64[3] r = {2,1,1}> {
        ones = ConstantOfShape <value = int64[1] {1}> (three)
        e = Expand (token, ones)  t = Tile (e, r)  y = Concat <axis = 1> (t, x) }"""
    token = TABLE[:, :1]
    shapes = {"x": [[1, 5, 8], [2, 5, 8], [4, 5, 8]]}

    def expected(x: np.ndarray) -> np.ndarray:
        return np.concatenate([token.repeat(len(x), axis=0), x], axis=1)

    follows("tile-follow-partner", "Tile", text, expected, shapes, token=token)
