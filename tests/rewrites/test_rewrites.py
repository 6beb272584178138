"""Each rewrite removes its problem and keeps the results, verified in ONNX Runtime."""

from __future__ import annotations

from pathlib import Path

import msgspec
import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper, parser

from friction_tui.model.opened import OpenedModel, from_proto, open_model
from friction_tui.model.references import reference, referenced
from friction_tui.rewrites import REWRITES
from friction_tui.rewrites.apply import RecipeRefused, apply
from friction_tui.rewrites.base import CannotRewrite
from friction_tui.rewrites.names import meant_name
from friction_tui.rewrites.verification import verify
from friction_tui.samples import sample
from friction_tui.vocabulary.recipe import Precision, Recipe, Rewrite, Source
from tests.rewrites.mended import model_of, ran


def opened(text: str) -> OpenedModel:
    model = parser.parse_model(f'<ir_version: 8, opset_import: ["" : 17]>\n{text}')
    for i, node in enumerate(model.graph.node):
        node.name = node.name or f"n{i}"
    return from_proto(model, Path("model.onnx"))


def path_of(model: OpenedModel, op: str) -> str:
    return next(node.path for node in model.index.nodes if node.proto.op_type == op)


def opened_sample(name: str) -> OpenedModel:
    file = sample(name)
    assert file is not None
    return open_model(file)


def test_a_baked_batch_becomes_any_batch() -> None:
    before = opened_sample("baked_batch")
    after = REWRITES["reshape-minus-one"].run(before, [path_of(before, "Reshape")])
    verification = verify(before.proto, after, [({"images": (n, 3, 32, 32)}, {}) for n in (1, 2, 5)])
    assert verification.holds
    assert (verification.ran, verification.only_after) == (5, 4)  # batch 1 five times, batches 2 and 5 twice each
    assert verification.max_difference == 0.0


def test_a_rewrite_that_breaks_some_sizes_is_not_verified() -> None:
    free = opened("g (float[N,4] x) => (float[M,K] y) <int64[2] shape = {-1, 2}> { y = Reshape(x, shape) }")
    fixed = opened("g (float[N,4] x) => (float[M,K] y) <int64[2] shape = {4, 2}> { y = Reshape(x, shape) }")
    broken = verify(free.proto, fixed.proto, [({"x": (n, 4)}, {}) for n in (1, 2, 5)])
    assert broken.holds is False
    assert str(broken).startswith("fails on 7 of 9 inputs that the original runs on")
    mended = verify(fixed.proto, free.proto, [({"x": (n, 4)}, {}) for n in (1, 2, 5)])
    assert mended.holds
    assert (mended.ran, mended.only_after) == (2, 7)
    nowhere = verify(fixed.proto, fixed.proto, [({"x": (1, 4)}, {})])
    assert nowhere.holds is None


def test_a_second_minus_one_is_refused() -> None:
    model = opened("g (float[N,4,2] x) => (float[M,K] y) <int64[2] shape = {1, -1}> { y = Reshape(x, shape) }")
    with pytest.raises(CannotRewrite, match="only one size"):
        REWRITES["reshape-minus-one"].run(model, ["0"])


def test_training_mode_is_left() -> None:
    before = opened_sample("training_mode")
    after = REWRITES["eval-mode"].run(before, [])
    onnx.checker.check_model(after, full_check=True)
    assert not any(node.op_type == "Dropout" for node in after.graph.node)
    norm = next(node for node in after.graph.node if node.op_type == "BatchNormalization")
    assert [attribute.name for attribute in norm.attribute] == []
    assert len(norm.output) == 1


def test_a_mean_over_selected_rows_is_the_masked_mean() -> None:
    before = opened_sample("boolean_mask")
    after = REWRITES["nonzero-mask"].run(before, [path_of(before, "NonZero")])
    onnx.checker.check_model(after, full_check=True)
    assert not any(node.op_type == "NonZero" for node in after.graph.node)
    verification = verify(before.proto, after, [({"x": (n, 16), "mask": (n,)}, {}) for n in (1, 7)])
    assert verification.holds
    assert verification.ran == 8


def test_a_selection_used_otherwise_is_refused_by_name() -> None:
    model = opened(
        """g (float[N,4] x, bool[N] m) => (float[K,4] y) {
             i = NonZero(m)
             t = Transpose<perm=[1,0]>(i)
             r = GatherND(x, t)
             y = Relu(r)
        }"""
    )
    with pytest.raises(CannotRewrite, match="Relu n3"):
        REWRITES["nonzero-mask"].run(model, ["0"])


def test_float64_is_computed_in_float32() -> None:
    before = opened_sample("wrong_types")
    after = REWRITES["float64-in-float32"].run(before, [])
    types = {value.name: value.type.tensor_type.elem_type for value in after.graph.input}
    assert types == {"pixels": TensorProto.UINT8, "gain": TensorProto.FLOAT}
    onnx.checker.check_model(after, full_check=True)


def test_mixed_types_meet_in_the_widest() -> None:
    model = helper.make_model(
        helper.make_graph(
            [helper.make_node("Add", ["x", "k"], ["y"], name="mix/Add")],
            "g",
            [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 4])],
            [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 4])],
            [numpy_helper.from_array(np.arange(4, dtype=np.int64), "k")],
        ),
        opset_imports=[helper.make_opsetid("", 17)],
        ir_version=8,
    )
    after = REWRITES["cast-to-widest"].run(from_proto(model, Path("m.onnx")), ["0"])
    onnx.checker.check_model(after, full_check=True)


def test_constant_nodes_are_folded_away() -> None:
    model = opened(
        """g (float[N,3] x) => (float[N,3] y) <float[3] a = {1, 2, 3}, float[1] b = {2}, float[2] unused = {0, 0}> {
             c = Mul(a, b)
             d = Sqrt(c)
             y = Add(x, d)
        }"""
    )
    after = REWRITES["simplify"].run(model, [])
    assert [node.op_type for node in after.graph.node] == ["Add"]
    assert len(after.graph.initializer) == 1
    assert verify(model.proto, after, [({"x": (2, 3)}, {})]).holds


def test_an_if_with_a_known_condition_is_inlined() -> None:
    model = opened(
        """g (float[2,3] x) => (float[2,3] y) <bool c = {1}> {
             y = If(c) <
               then_branch = t () => (float[2,3] a) { b = Neg(x)  a = Relu(b) },
               else_branch = e () => (float[2,3] a) { a = Identity(x) }
             >
        }"""
    )
    after = REWRITES["inline-if"].run(model, ["0"])
    assert [node.op_type for node in after.graph.node] == ["Neg", "Relu", "Identity"]
    assert verify(model.proto, after, [({"x": (2, 3)}, {})]).holds


def test_a_condition_from_the_input_is_refused() -> None:
    model = opened(
        """g (float[2,3] x, bool c) => (float[2,3] y) {
             y = If(c) <
               then_branch = t () => (float[2,3] a) { a = Neg(x) },
               else_branch = e () => (float[2,3] b) { b = Relu(x) }
             >
        }"""
    )
    with pytest.raises(CannotRewrite, match="depends on the input"):
        REWRITES["inline-if"].run(model, ["0"])


@pytest.mark.parametrize(
    ("written", "meant"),
    [
        ("grid_sampler", "GridSample"),
        ("layer_norm", "LayerNormalization"),
        ("my_plugin", None),
        ("Softmx", "Softmax"),
        ("convtranspose", "ConvTranspose"),
    ],
)
def test_misspelt_operators(written: str, meant: str | None) -> None:
    assert meant_name(written, 17) == meant


@pytest.mark.parametrize(
    ("opset", "outputs", "attribute"),
    [(6, "y", "is_test = 0"), (9, "y, m_, v_, sm, sv", "epsilon = 0.001"), (15, "y, m_, v_", "training_mode = 1")],
)
def test_training_mode_is_left_at_every_opset_in_which_it_can_be_on(opset: int, outputs: str, attribute: str) -> None:
    text = f"""<ir_version: 8, opset_import: ["" : {opset}]>
    g (float[2,3,4,4] x) => (float[2,3,4,4] y) <float[3] s = {{1,1,1}}, float[3] b = {{0,0,0}}, float[3] m = {{0,0,0}},
    float[3] v = {{1,1,1}}> {{ {outputs} = BatchNormalization <{attribute}> (x, s, b, m, v) }}"""
    before = from_proto(parser.parse_model(text), Path("m.onnx"))
    after = REWRITES["eval-mode"].run(before, [])
    onnx.checker.check_model(after, full_check=True)
    assert list(after.graph.node[0].output) == ["y"]


SELECTING = """g (float[n,6] x) => (float[1,6] y) {
    h = Mul (x, w) r = NonZero (h) i = Slice <axes = [0], starts = [0], ends = [1]> (r)
    f = Squeeze <axes = [0]> (i) g = Gather <axis = 0> (h, f) y = ReduceMax <axes = [0]> (g)
}"""


@pytest.mark.parametrize("precision", [Precision.AS_EXPORTED, Precision.FP16])
def test_a_rewrite_that_needs_the_recipes_opset_is_made_after_the_conversion(precision: Precision) -> None:
    model = model_of(SELECTING, opset=9, w=np.full(6, 0.5, np.float32))
    chosen = Rewrite("nonzero-scatter", (reference(model.index, path_of(model, "NonZero")),))
    recipe = Recipe(source=Source("model.onnx"), rewrites=(chosen,), precision=precision)
    with pytest.raises(RecipeRefused, match="needs opset 11"):
        apply(model, recipe)
    edited = apply(model, msgspec.structs.replace(recipe, opset=17))
    assert not any(node.op_type == "NonZero" for node in edited.proto.graph.node)
    x = np.random.default_rng(1).standard_normal((3, 6), np.float32)
    np.testing.assert_allclose(ran(edited.proto, {"x": x})[0], x.max(axis=0, keepdims=True) / 2, rtol=2e-3)


def test_a_node_that_half_precision_renamed_is_rewritten_after_it() -> None:
    text = """g (float[n,6] x, int64[n,6] i, float[n,6] u) => (float[n,6] y) {
        h = Mul (x, w) y = ScatterElements <axis = 1, reduction = "add"> (h, i, u)
    }"""
    model = model_of(text, opset=18, w=np.full(6, 0.5, np.float32))
    recipe = Recipe(source=Source("model.onnx"), precision=Precision.FP16)
    half = apply(model, recipe)
    there = reference(half.index, path_of(half, "ScatterElements"))
    assert referenced(model.index, [there]) == [None]
    edited = apply(model, msgspec.structs.replace(recipe, rewrites=(Rewrite("scatter-elements-reduction", (there,)),)))
    assert not any(node.op_type == "ScatterElements" for node in edited.proto.graph.node)
    rng = np.random.default_rng(1)
    x, u = (rng.standard_normal((3, 6), np.float32) for _ in range(2))
    feeds: dict[str, np.ndarray] = {"x": x, "u": u, "i": rng.integers(0, 6, (3, 6))}
    np.testing.assert_allclose(ran(edited.proto, feeds)[0], ran(model.proto, feeds)[0], atol=2e-2)
