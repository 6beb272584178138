"""`friction-tui fix`: what it prints and writes, as a difference, a script and in parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from friction_tui.cli import main
from friction_tui.engines.base import Refusal
from friction_tui.engines.found import deciding, found
from friction_tui.model.graph_diff import model_diff
from friction_tui.model.opened import OpenedModel
from friction_tui.model.shapes.profile import default_profile
from friction_tui.model.shapes.shape_table import ShapeTable
from friction_tui.rewrites import cutting
from friction_tui.samples import sample
from friction_tui.vocabulary.recipe import Profile, Recipe, Source
from friction_tui.worker.mending import refused_in_part
from tests.rewrites.mended import model_of, path_of, ran

pytest.importorskip("tensorrt_rtx", reason="asks the RTX edition, which is part of the cpu extra, not of gpu")


def _run(*arguments: str | Path) -> Result:
    return CliRunner().invoke(main, [*map(str, arguments)])


def _sample(name: str) -> Path:
    path = sample(name)
    assert path is not None
    return path


def test_the_difference_and_a_script_that_repeats_it(tmp_path: Path) -> None:
    fixed, script, again = tmp_path / "fixed.onnx", tmp_path / "edits.py", tmp_path / "again.onnx"
    original = _sample("boolean_mask")
    done = _run("fix", original, "-o", fixed, "--diff", "--script", script)
    assert done.exit_code == 0, done.output
    assert "- NonZero select/NonZero: mask → select/NonZero_out" in done.output
    assert f"script {script}: repeats the edits: the same model" in done.output
    run = subprocess.run([sys.executable, "-I", script, original, again], capture_output=True, check=False)
    assert run.returncode == 0, run.stderr
    assert model_diff(onnx.load(str(fixed)), onnx.load(str(again))).empty
    assert not model_diff(onnx.load(str(original)), onnx.load(str(again))).empty


def test_nothing_to_fix_gives_no_difference() -> None:
    done = _run("fix", _sample("healthy_cnn"), "--diff", "--format", "json")
    assert done.exit_code == 0, done.output
    assert json.loads(done.output)["diff"] == {
        "graphs": [],
        "opsets": [],
        "functions": [],
        "ir_version": None,
    }


def test_what_stays_refused_is_cut_off(tmp_path: Path) -> None:
    model = model_of(
        """g (float[N,16] x) => (float[N,2] u) {
            a = MatMul(x, w)
            c = Cast<to=6>(a)
            u = TfIdfVectorizer<mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0,
                                ngram_counts=[0], ngram_indexes=[0,1], pool_int64s=[2,3]>(c)
        }""",
        w=np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4),
    )
    path, out = tmp_path / "whole.onnx", tmp_path / "out.onnx"
    onnx.save(model.proto, str(path))
    done = _run("fix", path, "-o", out, "--cut", "--format", "json")
    document = json.loads(done.output)
    (refused,) = document["remaining"]
    assert refused["fixes"][-1].startswith("Cut the model: TensorRT runs the 2 nodes that do not depend on it")
    assert done.exit_code == 1
    cut = document["cut"]
    assert (cut["head"], cut["tail"]) == (str(tmp_path / "out.head.onnx"), str(tmp_path / "out.tail.onnx"))
    assert cut["holds"] is True
    assert cut["tensors"] == ["c"]
    assert [node.op_type for node in onnx.load(cut["tail"]).graph.node] == ["TfIdfVectorizer"]
    assert _run("check", cut["head"]).exit_code == 0
    assert Path(cut["runner"]).name == "out_run.py"


def cut(model: OpenedModel, folder: Path, *flags: str) -> dict[str, Any]:
    """The parts that `fix --cut` makes of a model, run one after another by the file that is written with them."""
    path, out = folder / "whole.onnx", folder / "out.onnx"
    onnx.save(model.proto, str(path))
    done = _run("fix", path, "-o", out, "--cut", "--format", "json", *flags)
    parts: dict[str, Any] = json.loads(done.output)["cut"]
    assert parts["why_not"] == "", parts
    inputs = folder / "in.npz"
    feeds = {"x": np.random.default_rng(3).standard_normal((5, 16)).astype(np.float32)}
    np.savez(inputs, **feeds)  # type: ignore[arg-type]
    command = [sys.executable, "-I", parts["runner"], str(inputs), str(folder / "outputs.npz")]
    subprocess.run(command, check=True)
    with np.load(folder / "outputs.npz", allow_pickle=True) as given:
        for name, expected in zip(given, ran(model.proto, feeds), strict=True):
            np.testing.assert_array_equal(given[name], expected)
    return parts


def ops(file: str) -> list[str]:
    return [node.op_type for node in onnx.load(file).graph.node]


WEIGHT = np.linspace(-1, 1, 64, dtype=np.float32).reshape(16, 4)
TFIDF = """TfIdfVectorizer<mode="TF", min_gram_length=1, max_gram_length=1, max_skip_count=0,
                           ngram_counts=[0], ngram_indexes=[0,1], pool_int64s=[2,3]>"""


def test_what_only_the_builder_refuses_leaves_the_head_too() -> None:
    model = model_of(
        f"""g (float[N,16] x) => (float[N,2] u, float[N,4000] v) {{
            a = MatMul(x, w)
            b = MatMul(x, wide)
            v, i = TopK<axis=1>(b, k)
            c = Cast<to=6>(a)
            u = {TFIDF}(c)
        }}""",
        w=WEIGHT,
        wide=np.linspace(-1, 1, 16 * 4000, dtype=np.float32).reshape(16, 4000),
        k=np.array([4000]),
    )
    recipe = Recipe(source=Source("model.onnx"), profile=Profile())
    table = ShapeTable(model, default_profile(model, recipe.profile))
    notes = []

    def ask(part: OpenedModel) -> list[Refusal]:
        refused, note = refused_in_part(part, table, recipe)
        notes.append(note)
        return refused

    found_cut = cutting.cut(model, [path_of(model, "TfIdfVectorizer")], table, ask)
    head, tail = ([node.proto.op_type for node in part.model.index.main] for part in found_cut.parts)
    assert head == ["MatMul", "MatMul", "Cast"]
    assert tail == ["TopK", "TfIdfVectorizer"]
    assert notes == ["", f"{found_label()} takes its shapes and layers"]


def test_texts_and_trees_are_cut_off(tmp_path: Path) -> None:
    texts = model_of(
        """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
        g (float[N,16] x) => (string[N] label) {
            a = MatMul(x, w)
            best = ArgMax<axis=1, keepdims=0>(a)
            label = ai.onnx.ml.LabelEncoder<keys_int64s=[0,1,2,3], values_strings=["a","b","c","d"]>(best)
        }""",
        w=WEIGHT,
    )
    trees = model_of(
        """<ir_version: 8, opset_import: ["" : 17, "ai.onnx.ml" : 3]>
        g (float[N,16] x) => (float[N,1] y) {
            a = MatMul(x, w)
            y = ai.onnx.ml.TreeEnsembleRegressor<
                n_targets=1, nodes_treeids=[0,0,0], nodes_nodeids=[0,1,2], nodes_featureids=[2,0,0],
                nodes_modes=["BRANCH_LEQ","LEAF","LEAF"], nodes_values=[0.5,0.0,0.0], nodes_truenodeids=[1,0,0],
                nodes_falsenodeids=[2,0,0], target_treeids=[0,0], target_nodeids=[1,2], target_ids=[0,0],
                target_weights=[1.0,2.0]>(a)
        }""",
        w=WEIGHT,
    )
    # What would mend them is left out: labels become numbers at no level but the last, trees by no other kind.
    for name, model, flags in (
        ("LabelEncoder", texts, ("--safe",)),
        ("TreeEnsembleRegressor", trees, ("--only", "types/float64")),
    ):
        parts = cut(model, tmp_path, *flags)
        assert ops(parts["head"])[0] == "MatMul"
        assert ops(parts["tail"])[-1] == name
        assert parts["built"] == [f"head: {found_label()} takes its shapes and layers"]
        assert parts["holds"] is True


def test_what_follows_the_refused_is_built_too(tmp_path: Path) -> None:
    model = model_of(
        f"""g (float[N,16] x) => (float[N,4] y) {{
            a = MatMul(x, w)
            c = Cast<to=6>(a)
            u = {TFIDF}(c)
            y = MatMul(u, back)
        }}""",
        w=WEIGHT,
        back=np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4),
    )
    parts = cut(model, tmp_path)
    assert [ops(parts[name])[-1] for name in ("head", "middle", "tail")] == ["Cast", "TfIdfVectorizer", "MatMul"]
    taken = f"{found_label()} takes its shapes and layers"
    assert parts["built"] == [f"head: {taken}", f"tail: {taken}"]
    assert parts["holds"] is True


def test_a_model_that_begins_with_the_refused_has_no_head(tmp_path: Path) -> None:
    model = model_of(
        f"""g (float[N,16] x) => (float[N,4] y) {{
            c = Cast<to=6>(x)
            u = {TFIDF}(c)
            y = MatMul(u, back)
        }}""",
        back=np.linspace(0, 1, 8, dtype=np.float32).reshape(2, 4),
    )
    parts = cut(model, tmp_path)
    assert ops(parts["tail"])[-1] == "MatMul"
    assert ops(parts["middle"])[-1] == "TfIdfVectorizer"
    assert parts["holds"] is True


def found_label() -> str:
    engine = deciding(found())
    assert engine is not None
    return engine.label


def test_parts_need_a_place() -> None:
    done = _run("fix", _sample("healthy_cnn"), "--cut")
    assert done.exit_code == 2
    assert "give -o too" in done.output
