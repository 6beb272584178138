"""A model that stays refused is cut: the parts parse where they should, and give what the whole gives."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest

from friction_tui.engines.tensorrt.refusals import refusals
from friction_tui.model.opened import OpenedModel, open_model
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites.cutting import CannotCut, Cut, Engine, cut, head_size, refused_nodes, runner_text
from friction_tui.rewrites.verification import verify
from friction_tui.vocabulary.recipe import Profile
from tests.rewrites.mended import model_of, path_of

pytest.importorskip("tensorrt_rtx", reason="parses with the RTX edition, which is part of the cpu extra")
RNG = np.random.default_rng(7)


def weight(*dims: int) -> np.ndarray:
    return RNG.standard_normal(dims).astype(np.float32)


def cut_at(model: OpenedModel, *ops: str) -> Cut:
    """Cut around operators; the parts pass ONNX's checker, those for TensorRT its parser."""
    table = ShapeTable(model, default_profile(model, Profile()))
    found = cut(model, [path_of(model, op) for op in ops], table, lambda part: refusals(part, on_batch=lambda _: None))
    for part in found.parts:
        onnx.checker.check_model(part.model.proto, full_check=True)
        if part.engine is Engine.TENSORRT:
            assert not refusals(part.model, on_batch=lambda _: None)
    return found


def ops_of(found: Cut) -> dict[str, list[str]]:
    return {part.name: [node.proto.op_type for node in part.model.index.main] for part in found.parts}


def assert_equal(model: OpenedModel, found: Cut) -> None:
    """The parts one after another give what the whole gives."""
    points: list[tuple[dict[str, tuple[int, ...]], dict[str, tuple[int, ...]]]] = []
    for free in (1, 3):
        dims = {
            value.name: tuple(dim.dim_value or free for dim in value.type.tensor_type.shape.dim)
            for value in model.index.inputs
        }
        points.append((dims, {}))
    proof = verify(model.proto, [part.model.proto for part in found.parts], points)
    assert (proof.ran, proof.equal, proof.max_difference) == (7, 7, 0.0), str(proof)


def unique_at_the_end() -> OpenedModel:
    return model_of(
        """g (float[N,16] x) => (float[K] u, float[N,8] z) {
            a = MatMul(x, w1)
            r = Relu(a)
            s = ReduceMean<axes=[1], keepdims=0>(r)
            e = Exp(s)
            u = Unique<sorted=1>(e)
            z = MatMul(r, w2)
        }""",
        w1=weight(16, 32),
        w2=weight(32, 8),
    )


def test_the_head_ends_where_the_fewest_bytes_cross() -> None:
    model = unique_at_the_end()
    found = cut_at(model, "Unique")
    assert ops_of(found) == {"head": ["MatMul", "Relu", "ReduceMean", "Exp", "MatMul"], "tail": ["Unique"]}
    assert found.tensors == ("e",)
    assert [value.name for value in found.parts[0].model.proto.graph.output] == ["z", "e"]
    assert_equal(model, found)


def test_what_grows_a_tensor_goes_to_the_tail() -> None:
    model = model_of(
        """g (float[N,16] x) => (float[K] u) <int64[2] shape = {-1, 1}, int64[2] times = {1, 64}> {
            a = MatMul(x, w)
            s = ReduceMean<axes=[1], keepdims=0>(a)
            c = Reshape(s, shape)
            t = Tile(c, times)
            f = Sin(t)
            u = Unique<sorted=1>(f)
        }""",
        w=weight(16, 32),
    )
    found = cut_at(model, "Unique")
    assert ops_of(found)["tail"] == ["Tile", "Sin", "Unique"]
    assert found.tensors == ("c",)
    assert found.crossing_bytes > 0
    assert_equal(model, found)


def test_a_tensor_that_two_nodes_read_crosses_once() -> None:
    model = model_of(
        """g (float[N,16] x, float[N,4] side) => (float[K] u, float[N,4] v) {
            a = MatMul(x, w)
            p = Sin(a)
            q = Cos(a)
            both = Concat<axis=1>(p, q)
            low = Unique<sorted=1>(both)
            u = Neg(low)
            v = Add(a, side)
        }""",
        w=weight(16, 4),
    )
    found = cut_at(model, "Unique")
    assert found.tensors == ("a",)
    assert ops_of(found) == {"head": ["MatMul", "Add"], "tail": ["Sin", "Cos", "Concat", "Unique", "Neg"]}
    assert_equal(model, found)


def test_what_follows_a_refused_node_runs_on_tensorrt_again() -> None:
    model = model_of(
        """g (float[N,16] x) => (float[N,8] y) {
            a = MatMul(x, w1)
            d = Cast<to=11>(a)
            c = Cast<to=1>(d)
            b = MatMul(c, w2)
            y = Relu(b)
        }""",
        w1=weight(16, 4),
        w2=weight(4, 8),
    )
    found = cut_at(model, "Cast")
    assert [(part.name, part.engine) for part in found.parts] == [
        ("head", Engine.TENSORRT),
        ("middle", Engine.ONNXRUNTIME),
        ("tail", Engine.TENSORRT),
    ]
    assert ops_of(found)["tail"][-2:] == ["MatMul", "Relu"]
    assert_equal(model, found)


def test_a_head_that_is_refused_is_cut_again() -> None:
    model = model_of(
        """g (float[N,16] x) => (float[K] v, float[L] u) {
            a = MatMul(x, w)
            v = Unique<sorted=1>(a)
            b = Sin(a)
            u = Unique<sorted=0>(b)
        }""",
        w=weight(16, 4),
    )
    last = model.index.main[-1].path
    table = ShapeTable(model, default_profile(model, Profile()))
    found = cut(model, [last], table, lambda part: refusals(part, on_batch=lambda _: None))
    assert "Unique" not in ops_of(found)["head"]
    assert_equal(model, found)


def test_a_body_that_reads_from_outside_gets_its_tensors() -> None:
    model = model_of(
        """g (float[N,16] x, bool c) => (float[K] y) {
            a = MatMul(x, w)
            s = ReduceSum(a)
            y = If(c) <then_branch = t () => (float[P] p) { p = Unique(a) },
                       else_branch = e () => (float[Q] q) { f = Unique(a) q = Mul(f, s) }>
        }""",
        w=weight(16, 4),
    )
    inner = next(node.path for node in model.index.nodes if node.proto.op_type == "Unique")
    table = ShapeTable(model, default_profile(model, Profile()))
    found = cut(model, [inner], table, lambda part: refusals(part, on_batch=lambda _: None))
    assert ops_of(found)["tail"][-1] == "If"
    assert "a" in found.tensors
    onnx.checker.check_model(found.parts[1].model.proto)


def test_nothing_is_left_for_a_head() -> None:
    model = model_of("g (float[N] x) => (float[K] y) { u = Unique(x) y = Relu(u) }")
    assert head_size(model, [path_of(model, "Unique")]) == (0, 0)
    with pytest.raises(CannotCut, match="nothing that is worth it"):
        cut_at(model, "Unique")
    with pytest.raises(CannotCut, match="no node is known"):
        cut_at(model)


def test_head_size_counts_what_does_not_depend_on_the_refused() -> None:
    model = unique_at_the_end()
    assert head_size(model, [path_of(model, "Unique")]) == (5, 2)
    assert refused_nodes([]) == set()


def test_the_runner_gives_what_the_whole_gives(tmp_path: Path) -> None:
    model = unique_at_the_end()
    found = cut_at(model, "Unique")
    named = []
    for part in found.parts:
        onnx.save(part.model.proto, str(tmp_path / f"m.{part.name}.onnx"))
        named.append((f"m.{part.name}.onnx", part.engine))
    (tmp_path / "m_run.py").write_text(runner_text('a "model".onnx', named, ["u", "z"]))
    feeds = {"x": RNG.standard_normal((5, 16)).astype(np.float32)}
    np.savez(tmp_path / "in.npz", **feeds)  # type: ignore[arg-type]
    command = [sys.executable, "-I", str(tmp_path / "m_run.py"), str(tmp_path / "in.npz"), str(tmp_path / "out.npz")]
    run = subprocess.run(command, capture_output=True, text=True, check=False)
    assert run.returncode == 0, run.stderr
    import onnxruntime as ort

    whole = ort.InferenceSession(model.proto.SerializeToString(), providers=["CPUExecutionProvider"])
    expected = dict(zip(["u", "z"], whole.run(["u", "z"], feeds), strict=True))
    with np.load(tmp_path / "out.npz") as given:
        assert sorted(given) == ["u", "z"]
        for name, value in expected.items():
            np.testing.assert_array_equal(given[name], value)


def test_a_part_keeps_the_whole_models_versions_and_metadata(tmp_path: Path) -> None:
    model = unique_at_the_end()
    model.proto.metadata_props.add(key="k", value="v")
    onnx.save(model.proto, str(tmp_path / "m.onnx"))
    found = cut_at(open_model(tmp_path / "m.onnx"), "Unique")
    for part in found.parts:
        proto = part.model.proto
        assert proto.ir_version == model.proto.ir_version
        assert list(proto.opset_import) == list(model.proto.opset_import)
        assert [(entry.key, entry.value) for entry in proto.metadata_props] == [("k", "v")]
