"""`friction-tui fix`: what it prints and writes, as a difference, a script and in parts."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import pytest
from click.testing import CliRunner, Result

from friction_tui.cli import main
from friction_tui.model.graph_diff import model_diff
from friction_tui.samples import sample
from tests.rewrites.mended import model_of

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


def test_parts_need_a_place() -> None:
    done = _run("fix", _sample("healthy_cnn"), "--cut")
    assert done.exit_code == 2
    assert "give -o too" in done.output
