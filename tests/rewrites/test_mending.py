"""Mending whole models: an old opset is converted first, invalid ONNX is repaired, and what does not hold is undone."""

from __future__ import annotations

import msgspec
import numpy as np
import onnx
from onnx import TensorProto, helper

from friction_tui.model.opened import OpenedModel, from_proto
from friction_tui.rewrites.mending import Mending, mend
from friction_tui.rewrites.offering import with_offers
from friction_tui.session.at_once import judged
from friction_tui.vocabulary.finding import Severity, SourceLine
from friction_tui.vocabulary.recipe import Profile, Recipe, Source
from friction_tui.worker.mending import compared
from tests.rewrites.mended import Answer, built, model_of, ran

RECIPE = Recipe(source=Source("model.onnx"), profile=Profile())


def mended(model: OpenedModel, level: str = "") -> Mending:
    return mend(
        model,
        lambda edited: judged(edited, RECIPE),
        lambda before, after, name: compared(before, after, RECIPE, [name]),
        level=level,
    )


def errors(done: Mending) -> list[str]:
    return [finding.title for finding in done.findings if finding.severity is Severity.ERROR]


def steps(done: Mending) -> list[str]:
    return [step.rewrite.name for step in done.steps]


def test_an_old_model_is_converted_where_its_rewrite_needs_a_newer_opset() -> None:
    text = "g (float[n,6] x) => (float[1,6] y) { r = NonZero (x) i = Slice <axes = [0], starts = [0], ends = [1]> (r) "
    text += "f = Squeeze <axes = [0]> (i) g = Gather <axis = 0> (x, f) y = ReduceMax <axes = [0]> (g) }"
    done = mended(model_of(text, opset=9))
    assert steps(done) == ["convert-opset", "nonzero-scatter"]
    assert not errors(done)
    assert built(done.model.proto) == Answer("ok", "")
    x = np.random.default_rng(5).standard_normal((3, 6), np.float32)
    assert np.array_equal(ran(done.model.proto, {"x": x})[0], x.max(axis=0, keepdims=True))


def test_a_conversion_after_which_nothing_fits_is_not_made() -> None:
    """Unique's replacement needs opset 13 and at most 4096 items: converting would be for nothing."""
    done = mended(model_of("g (int64[5000] x) => (int64[k] y) { y = Unique (x) }", opset=11))
    assert not done.steps
    assert [entry.version for entry in done.model.proto.opset_import] == [11]
    assert errors(done)


def test_broadcasting_of_opset_6_is_converted() -> None:
    model = model_of("g (float[n,5] x) => (float[n,5] y) { y = Add <broadcast = 1> (x, w) }", opset=6)
    model.proto.graph.initializer.append(helper.make_tensor("w", TensorProto.FLOAT, [5], [1.0, 2.0, 3.0, 4.0, 5.0]))
    done = mended(from_proto(model.proto, model.path))
    assert steps(done) == ["convert-opset"]
    assert built(done.model.proto) == Answer("ok", "")
    assert np.array_equal(ran(done.model.proto, {"x": np.ones((2, 5), np.float32)})[0][1], [2, 3, 4, 5, 6])


def test_invalid_onnx_that_engines_take_is_repaired_at_every_level() -> None:
    text = "g (float[n,4] x) => (float[n,4] y) { a = Sqrt (x) b = Abs (a) y = Sin (b) }"
    model = model_of(text)
    nodes = list(model.proto.graph.node)[::-1]
    del model.proto.graph.node[:]
    model.proto.graph.node.extend(nodes)
    for level in ("", "safe"):
        done = mended(from_proto(model.proto, model.path), level)
        assert steps(done) == ["sort-nodes"]
        onnx.checker.check_model(done.model.proto)


def test_a_warning_about_speed_or_precision_is_left_alone() -> None:
    done = mended(model_of("g (double[n,4] x) => (double[n,4] y) { y = Mul (x, x) }"))
    assert not done.steps


def test_where_the_line_of_the_source_is_known_its_edit_comes_first() -> None:
    model = model_of("g (float[n,4] x) => (int64[2,k] y) { y = NonZero (x) }")
    (found,) = (one for one in judged(model, RECIPE).findings if one.severity is Severity.ERROR)
    (place, *_) = found.locations
    here = msgspec.structs.replace(place, source=SourceLine("net.py", 12))
    (plain,), (known,) = (
        with_offers(model, [msgspec.structs.replace(found, locations=(where,))]) for where in (place, here)
    )
    assert plain.fixes[0].rewrite == "nonzero-scatter"
    by_hand = [fix for fix in plain.fixes if not fix.applicable]
    assert by_hand
    assert list(known.fixes[: len(by_hand)]) == by_hand
    assert known.fixes[len(by_hand)] == plain.fixes[0]


def test_half_precision_may_round_as_half_precision_does() -> None:
    """Attention with a softcap, taken apart, differs in the last places of float16 only."""
    text = """g (float16[n,5,24] x) => (float16[n,5,24] y) {
        y = Attention <q_num_heads = 3, kv_num_heads = 3, softcap = 4.0> (x, x, x)
    }"""
    done = mended(model_of(text, opset=23))
    assert steps(done) == ["expand-function"]
    assert done.steps[0].holds
